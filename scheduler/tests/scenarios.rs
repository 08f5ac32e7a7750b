//! Scenarios: a cluster in a few words, then what the scheduler makes of it: the summary, the
//! actions with what they wait for, and what it has to say about the configuration.
//! `SNAPSHOTS=overwrite` writes the expectations; look at them.

mod common;

use common::{
    Cib, DOWN, LOST, NEVER, PENDING, meta_attributes, primitive, primitive_meta, primitive_with,
};
use snapbox::{assert_data_eq, str};

/// A new resource is looked for everywhere first.
#[test]
fn probes_then_starts_then_monitors() {
    let cib = Cib::new(&["n1", "n2"]).resource(&primitive("a"));
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- a_monitor_0 n1, a_monitor_0 n2
a_monitor_0 n2
a_monitor_0 n1

"#]]
    );
}

/// What runs as it should is left alone.
#[test]
fn running_needs_nothing() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn target_role_stops() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("target-role", "Stopped")]))
        .running("n1", "a");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to node availability
--
a_stop_0 n1

"#]]
    );
}

#[test]
fn target_role_stopped_is_not_started() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("target-role", "Stopped")]))
        .stopped("a");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn stop_all() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .running("n2", "b")
        .option("stop-all-resources", "true");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to node availability
Stop b ( n2 ) due to node availability
--
a_stop_0 n1
b_stop_0 n2

"#]]
    );
}

/// The start is there, its monitor not yet.
#[test]
fn missing_monitor_is_scheduled() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .ran("n1", "a", "start", 0, 0)
        .ran("n2", "a", "monitor", 0, 7);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
a_monitor_10000 n1

"#]]
    );
}

#[test]
fn removed_monitor_is_cancelled() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .ran("n1", "a", "monitor", 33000, 0);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
a_monitor_33000 n1

"#]]
    );
}

#[test]
fn removed_resource_is_stopped_and_forgotten() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .running("n2", "gone");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop gone ( n2 ) due to node availability
--
gone_stop_0 n2
gone_delete_0 n2 <- gone_stop_0 n2
gone_delete_0 n1 <- gone_stop_0 n2

"#]]
    );
}

#[test]
fn removed_resource_stays_if_so_configured() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .running("n2", "gone")
        .option("stop-orphan-resources", "false");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn changed_parameters_restart() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .ran_with(
            "n1",
            "a",
            "start",
            0,
            0,
            0,
            r#"op-digest="00000000000000000000000000000000""#,
        )
        .ran("n1", "a", "monitor", 10_000, 0);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Restart a ( n1 ) due to resource definition change
--
a_stop_0 n1
a_start_0 n1 <- a_stop_0 n1
a_monitor_10000 n1 <- a_start_0 n1

"#]]
    );
}

#[test]
fn changed_monitor_is_rescheduled() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .ran_with(
            "n1",
            "a",
            "monitor",
            10_000,
            0,
            0,
            r#"op-digest="00000000000000000000000000000000""#,
        );
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
a_monitor_10000 n1

"#]]
    );
}

/// What was there starts elsewhere at once.
#[test]
fn lost_node_without_fencing() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .state("n1", LOST);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2

"#]]
    );
}

#[test]
fn lost_node_is_fenced_first() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n2", "a")
        .state("n2", LOST);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Fence (reboot) n2 'peer is no longer part of the cluster'
Move a ( n2 -> n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- a_stop_0, stonith-n2-reboot n2
a_stop_0 <- stonith-n2-reboot n2
stonith-n2-reboot n2

"#]]
    );
}

#[test]
fn node_never_seen_is_fenced_at_startup() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n1", "a")
        .state("n2", NEVER);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Fence (reboot) n2 'node is unclean'
--
stonith-n2-reboot n2

"#]]
    );
}

#[test]
fn node_never_seen_is_trusted_without_startup_fencing() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n1", "a")
        .state("n2", NEVER)
        .option("startup-fencing", "false");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn node_that_left_in_order_needs_no_fencing() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n1", "a")
        .state("n2", DOWN);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

/// Its history is not here yet: probes and the start wait.
#[test]
fn pending_node_is_not_used_and_not_fenced() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .state("n2", PENDING);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n1 ) blocked
--
a_monitor_0 n1

"#]]
    );
}

#[test]
fn pending_node_does_not_lose_what_runs_elsewhere() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .stopped("b")
        .state("n2", PENDING);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start b ( n1 )
--
b_monitor_10000 n1 <- b_start_0 n1
b_start_0 n1

"#]]
    );
}

#[test]
fn fencing_without_a_device_stops_nothing() {
    let cib = Cib::new(&["n1", "n2"])
        .option("stonith-enabled", "true")
        .resource(&primitive("a"))
        .stopped("a");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
note: fencing is enabled but no fence device is configured: resources will not be started

"#]]
    );
}

#[test]
fn standby_moves() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .attribute("n1", "standby", "on");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1

"#]]
    );
}

#[test]
fn standby_for_now() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .transient("n1", "standby", "true");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1

"#]]
    );
}

#[test]
fn shutdown_waits_for_stops() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .transient("n1", "shutdown", "1699999999");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1
do_shutdown-n1 n1 <- a_stop_0 n1

"#]]
    );
}

#[test]
fn maintenance_of_the_cluster() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .failed("n1", "a", "monitor", 10_000, 7)
        .option("maintenance-mode", "true");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
a_monitor_10000 n1

"#]]
    );
}

#[test]
fn maintenance_of_a_node() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .running("n2", "b")
        .attribute("n1", "maintenance", "true")
        .attribute("n2", "standby", "true");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop b ( n2 ) due to node availability
--
a_monitor_10000 n1
b_stop_0 n2

"#]]
    );
}

#[test]
fn unmanaged_is_left_alone() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("is-managed", "false")]))
        .running("n1", "a")
        .attribute("n1", "standby", "on");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn location_prefers() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .constraint(r#"<rsc_location id="l" rsc="a" node="n2" score="100"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2

"#]]
    );
}

#[test]
fn location_moves() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .constraint(r#"<rsc_location id="l" rsc="a" node="n2" score="100"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1

"#]]
    );
}

#[test]
fn stickiness_keeps() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("resource-stickiness", "200")]))
        .running("n1", "a")
        .constraint(r#"<rsc_location id="l" rsc="a" node="n2" score="100"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn location_forbids() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .constraint(r#"<rsc_location id="l" rsc="a" node="n1" score="-INFINITY"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2

"#]]
    );
}

#[test]
fn location_by_rule() {
    let cib = Cib::new(&["n1", "n2"]).resource(&primitive("a")).stopped("a").attribute("n1","disk","slow").attribute("n2","disk","fast").constraint(r#"<rsc_location id="l" rsc="a"><rule id="r" score="50"><expression id="e" attribute="disk" operation="eq" value="fast"/></rule></rsc_location>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2

"#]]
    );
}

#[test]
fn opt_in_cluster() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .stopped("a")
        .stopped("b")
        .option("symmetric-cluster", "false")
        .constraint(r#"<rsc_location id="l" rsc="a" node="n2" score="1"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2

"#]]
    );
}

#[test]
fn colocated_together() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .running("n2", "b")
        .constraint(r#"<rsc_colocation id="c" rsc="b" with-rsc="a" score="INFINITY"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move b ( n2 -> n1 )
--
b_monitor_10000 n1 <- b_start_0 n1
b_start_0 n1 <- b_stop_0 n2
b_stop_0 n2

"#]]
    );
}

#[test]
fn colocated_apart() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .running("n1", "b")
        .constraint(r#"<rsc_colocation id="c" rsc="b" with-rsc="a" score="-INFINITY"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move b ( n1 -> n2 )
--
b_monitor_10000 n2 <- b_start_0 n2
b_start_0 n2 <- b_stop_0 n1
b_stop_0 n1

"#]]
    );
}

#[test]
fn colocated_with_what_cannot_run() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("target-role", "Stopped")]))
        .resource(&primitive("b"))
        .stopped("a")
        .running("n2", "b")
        .constraint(r#"<rsc_colocation id="c" rsc="b" with-rsc="a" score="INFINITY"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop b ( n2 ) due to node availability
--
b_stop_0 n2

"#]]
    );
}

#[test]
fn ordered_starts() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .stopped("a")
        .stopped("b")
        .constraint(r#"<rsc_order id="o" first="a" then="b"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n1 )
Start b ( n2 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1
b_monitor_10000 n2 <- b_start_0 n2
b_start_0 n2 <- a_start_0 n1

"#]]
    );
}

#[test]
fn ordered_stops() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .running("n2", "b")
        .option("stop-all-resources", "true")
        .constraint(r#"<rsc_order id="o" first="a" then="b"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to node availability
Stop b ( n2 ) due to node availability
--
a_stop_0 n1 <- b_stop_0 n2
b_stop_0 n2

"#]]
    );
}

/// What is ordered after a restart is restarted too.
#[test]
fn ordered_restart() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n2", "b")
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .constraint(r#"<rsc_order id="o" first="a" then="b"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a ( n1 )
Restart b ( n2 ) due to required a start
--
a_start_0 n1 <- a_stop_0 n1
a_stop_0 n1 <- b_stop_0 n2
a_monitor_10000 n1 <- a_start_0 n1
b_start_0 n2 <- a_start_0 n1, b_stop_0 n2
b_stop_0 n2
b_monitor_10000 n2 <- b_start_0 n2

"#]]
    );
}

#[test]
fn ordered_after_what_cannot_start() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("target-role", "Stopped")]))
        .resource(&primitive("b"))
        .stopped("a")
        .stopped("b")
        .constraint(r#"<rsc_order id="o" first="a" then="b"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start b ( n1 ) due to unrunnable a start (blocked)
--

"#]]
    );
}

#[test]
fn optional_order() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n2", "b")
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .constraint(r#"<rsc_order id="o" first="a" then="b" kind="Optional"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a ( n1 )
--
a_start_0 n1 <- a_stop_0 n1
a_stop_0 n1
a_monitor_10000 n1 <- a_start_0 n1

"#]]
    );
}

#[test]
fn contradicting_orders_end() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .stopped("a")
        .stopped("b")
        .constraint(r#"<rsc_order id="o" first="a" then="b"/>"#)
        .constraint(r#"<rsc_order id="p" first="b" then="a"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n1 )
Start b ( n2 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- b_start_0 n2
b_monitor_10000 n2 <- b_start_0 n2
b_start_0 n2
note: orderings contradict each other: 'a_start_0 before b_start_0' is dropped

"#]]
    );
}

#[test]
fn failed_monitor_recovers() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a ( n1 )
--
a_start_0 n1 <- a_stop_0 n1
a_stop_0 n1
a_monitor_10000 n1 <- a_start_0 n1

"#]]
    );
}

#[test]
fn on_fail_block() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_with("a", "", r#"on-fail="block""#))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn on_fail_stop() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_with("a", "", r#"on-fail="stop""#))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to node availability
--
a_stop_0 n1

"#]]
    );
}

#[test]
fn on_fail_ignore() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_with("a", "", r#"on-fail="ignore""#))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn on_fail_standby() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_with("a", "", r#"on-fail="standby""#))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1

"#]]
    );
}

#[test]
fn on_fail_restart() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_with("a", "", r#"on-fail="restart""#))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a ( n1 )
--
a_start_0 n1 <- a_stop_0 n1
a_stop_0 n1
a_monitor_10000 n1 <- a_start_0 n1

"#]]
    );
}

#[test]
fn on_fail_fence() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive_with("a", "", r#"on-fail="fence""#))
        .stopped("a")
        .ran("n2", "a", "start", 0, 0)
        .failed("n2", "a", "monitor", 10_000, 7)
        .transient("n2", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Fence (reboot) n2 'a failed there'
Recover a ( n2 -> n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- a_stop_0, stonith-n2-reboot n2
a_stop_0 <- stonith-n2-reboot n2
stonith-n2-reboot n2

"#]]
    );
}

#[test]
fn failed_stop_blocks_without_fencing() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "stop", 0, 1);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn failed_stop_fences() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .ran("n1", "a", "monitor", 0, 7)
        .ran("n2", "a", "start", 0, 0)
        .failed("n2", "a", "stop", 0, 1);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Fence (reboot) n2 'a failed there'
Recover a ( n2 -> n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- a_stop_0, stonith-n2-reboot n2
a_stop_0 <- stonith-n2-reboot n2
stonith-n2-reboot n2

"#]]
    );
}

#[test]
fn failed_start_goes_elsewhere() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .failed("n1", "a", "start", 0, 1)
        .transient("n1", "fail-count-a#start_0", "INFINITY")
        .transient("n1", "last-failure-a#start_0", "1699999000");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1

"#]]
    );
}

#[test]
fn too_many_failures_move() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("migration-threshold", "2")]))
        .running("n1", "a")
        .transient("n1", "fail-count-a#monitor_10000", "2");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1

"#]]
    );
}

#[test]
fn few_failures_do_not_move() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("migration-threshold", "3")]))
        .running("n1", "a")
        .transient("n1", "fail-count-a#monitor_10000", "2");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn old_failures_expire() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta(
            "a",
            &[("migration-threshold", "2"), ("failure-timeout", "60s")],
        ))
        .running("n2", "a")
        .transient("n1", "fail-count-a#monitor_10000", "2")
        .transient("n1", "last-failure-a#monitor_10000", "1699999000")
        .failed("n1", "a", "monitor", 10_000, 7);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
a_clear_failcount_0 n1

"#]]
    );
}

#[test]
fn wrongly_active_twice() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .ran("n1", "a", "start", 0, 0)
        .ran("n2", "a", "start", 0, 0);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Restart a ( n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- a_stop_0 n1, a_stop_0 n2
a_stop_0 n2
a_stop_0 n1

"#]]
    );
}

#[test]
fn wrongly_active_twice_blocked() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("multiple-active", "block")]))
        .ran("n1", "a", "start", 0, 0)
        .ran("n2", "a", "start", 0, 0);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--

"#]]
    );
}

#[test]
fn found_by_a_probe() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .ran("n1", "a", "monitor", 0, 0)
        .ran("n2", "a", "monitor", 0, 7);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
a_monitor_10000 n1

"#]]
    );
}

#[test]
fn no_quorum_stop() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .stopped("b")
        .without_quorum()
        .option("no-quorum-policy", "stop");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to no quorum
Start b ( n2 ) due to no quorum (blocked)
--
a_stop_0 n1

"#]]
    );
}

#[test]
fn no_quorum_freeze() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .stopped("b")
        .without_quorum()
        .option("no-quorum-policy", "freeze");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start b ( n2 ) due to quorum freeze (blocked)
--

"#]]
    );
}

#[test]
fn no_quorum_ignore() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .stopped("b")
        .without_quorum()
        .option("no-quorum-policy", "ignore");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start b ( n2 )
--
b_monitor_10000 n2 <- b_start_0 n2
b_start_0 n2

"#]]
    );
}

#[test]
fn no_quorum_demote() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .resource(&primitive("b"))
        .running("n1", "a")
        .stopped("b")
        .without_quorum()
        .option("no-quorum-policy", "demote");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to no quorum
Start b ( n2 ) due to no quorum (blocked)
--
a_stop_0 n1

"#]]
    );
}

#[test]
fn no_quorum_fence_is_stop_until_there_was_quorum() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n1", "a")
        .without_quorum()
        .option("no-quorum-policy", "suicide");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop fence ( n1 ) due to no quorum
Stop a ( n1 ) due to no quorum
--
fence_stop_0 n1
fence_monitor_0 n2
a_stop_0 n1

"#]]
    );
}

#[test]
fn no_quorum_fence_once_there_was_quorum() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n1", "a")
        .without_quorum()
        .had_quorum()
        .option("no-quorum-policy", "suicide");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Fence (reboot) n2 'cluster does not have quorum'
Fence (reboot) n1 'cluster does not have quorum'
Stop fence ( n1 ) due to node availability
Stop a ( n1 ) due to node availability
--
fence_stop_0
a_stop_0 <- stonith-n1-reboot n1
stonith-n2-reboot n2
stonith-n1-reboot n1 <- stonith-n2-reboot n2

"#]]
    );
}

/// It is in the membership, but its controller is gone.
#[test]
fn node_known_to_its_peers_only_is_fenced() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n2", "a")
        .state(
            "n2",
            r#"in_ccm="true" crmd="offline" join="down" expected="member""#,
        );
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Fence (reboot) n2 'peer process is no longer available'
Move a ( n2 -> n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- a_stop_0, stonith-n2-reboot n2
a_stop_0 <- stonith-n2-reboot n2
stonith-n2-reboot n2

"#]]
    );
}

#[test]
fn shutdown_noted_in_the_node_state() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .state(
            "n1",
            r#"in_ccm="true" crmd="online" join="member" expected="member" shutdown="1699999999""#,
        );
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move a ( n1 -> n2 )
--
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1
a_stop_0 n1
do_shutdown-n1 n1 <- a_stop_0 n1

"#]]
    );
}

#[test]
fn shutdown_of_the_last_node() {
    let cib = Cib::new(&["n1"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .transient("n1", "shutdown", "1699999999");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to node availability
--
a_stop_0 n1
do_shutdown-n1 n1 <- a_stop_0 n1

"#]]
    );
}

#[test]
fn on_fail_demote_is_restart_for_what_has_no_roles() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_with("a", "", r#"on-fail="demote""#))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a ( n1 )
--
a_start_0 n1 <- a_stop_0 n1
a_stop_0 n1
a_monitor_10000 n1 <- a_start_0 n1

"#]]
    );
}

#[test]
fn resource_sets() {
    let cib = Cib::new(&["n1", "n2"]).resource(&primitive("a")).resource(&primitive("b")).resource(&primitive("c")).stopped("a").stopped("b").stopped("c").constraint(r#"<rsc_order id="o"><resource_set id="s"><resource_ref id="a"/><resource_ref id="b"/></resource_set><resource_set id="t"><resource_ref id="c"/></resource_set></rsc_order>"#).constraint(r#"<rsc_colocation id="k" score="INFINITY"><resource_set id="u"><resource_ref id="a"/><resource_ref id="b"/><resource_ref id="c"/></resource_set></rsc_colocation>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n1 )
Start b ( n1 )
Start c ( n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1
b_monitor_10000 n1 <- b_start_0 n1
b_start_0 n1 <- a_start_0 n1
c_monitor_10000 n1 <- c_start_0 n1
c_start_0 n1 <- b_start_0 n1

"#]]
    );
}

#[test]
fn other_spelling_of_options() {
    let cib = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(&primitive("a"))
        .running("n2", "a")
        .state("n2", LOST)
        .option("stonith-enabled", "")
        .option("fencing-enabled", "true")
        .option("fencing-action", "off");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Fence (off) n2 'peer is no longer part of the cluster'
Move a ( n2 -> n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- a_stop_0, stonith-n2-off n2
a_stop_0 <- stonith-n2-off n2
stonith-n2-off n2

"#]]
    );
}

#[test]
fn group_starts_in_order() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(
            r#"<group id="g">{}{}</group>"#,
            primitive("a"),
            primitive("b")
        ))
        .stopped("a")
        .stopped("b");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a ( n1 )
Start b ( n1 )
--
g_running_0 <- a_start_0 n1, b_start_0 n1, g_start_0
g_start_0
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- g_start_0
b_monitor_10000 n1 <- b_start_0 n1
b_start_0 n1 <- a_start_0 n1, g_start_0

"#]]
    );
}

#[test]
fn group_moves_as_one() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(
            r#"<group id="g">{}{}</group>"#,
            primitive("a"),
            primitive("b")
        ))
        .running("n1", "a")
        .running("n1", "b")
        .attribute("n1", "standby", "on");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Move a ( n1 -> n2 )
Move b ( n1 -> n2 )
--
g_stopped_0 <- a_stop_0 n1, b_stop_0 n1, g_stop_0
g_stop_0
g_running_0 <- a_start_0 n2, b_start_0 n2, g_start_0
g_start_0 <- g_stopped_0
a_monitor_10000 n2 <- a_start_0 n2
a_start_0 n2 <- a_stop_0 n1, g_start_0
a_stop_0 n1 <- b_stop_0 n1, g_stop_0
b_monitor_10000 n2 <- b_start_0 n2
b_start_0 n2 <- a_start_0 n2, b_stop_0 n1, g_start_0
b_stop_0 n1 <- g_stop_0

"#]]
    );
}

/// What comes after the failed member is restarted, what comes before is not.
#[test]
fn group_member_fails() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(
            r#"<group id="g">{}{}{}</group>"#,
            primitive("a"),
            primitive("b"),
            primitive("c")
        ))
        .running("n1", "a")
        .running("n1", "c")
        .stopped("b")
        .ran("n1", "b", "start", 0, 0)
        .failed("n1", "b", "monitor", 10_000, 7);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover b ( n1 )
Restart c ( n1 ) due to required b start
--
g_stopped_0 <- b_stop_0 n1, c_stop_0 n1, g_stop_0
g_stop_0
g_running_0 <- b_start_0 n1, c_start_0 n1, g_start_0
g_start_0 <- g_stopped_0
b_start_0 n1 <- b_stop_0 n1, g_start_0
b_stop_0 n1 <- c_stop_0 n1, g_stop_0
b_monitor_10000 n1 <- b_start_0 n1
c_start_0 n1 <- b_start_0 n1, c_stop_0 n1, g_start_0
c_stop_0 n1 <- g_stop_0
c_monitor_10000 n1 <- c_start_0 n1

"#]]
    );
}

#[test]
fn group_stops_backwards() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(
            r#"<group id="g">{}{}{}</group>"#,
            meta_attributes("g", &[("target-role", "Stopped")]),
            primitive("a"),
            primitive("b")
        ))
        .running("n1", "a")
        .running("n1", "b");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Stop a ( n1 ) due to node availability
Stop b ( n1 ) due to node availability
--
g_stopped_0 <- a_stop_0 n1, b_stop_0 n1, g_stop_0
g_stop_0
a_stop_0 n1 <- b_stop_0 n1, g_stop_0
b_stop_0 n1 <- g_stop_0

"#]]
    );
}

#[test]
fn clone_starts_everywhere() {
    let cib =
        Cib::new(&["n1", "n2"]).resource(&format!(r#"<clone id="k">{}</clone>"#, primitive("a")));
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a:0 ( n1 )
Start a:1 ( n2 )
--
a:0_monitor_10000 n1 <- a:0_start_0 n1
a:0_start_0 n1 <- k_start_0
a:0_monitor_0 n1
a:1_monitor_10000 n2 <- a:1_start_0 n2
a:1_start_0 n2 <- k_start_0
a:1_monitor_0 n2
k_running_0 <- a:0_start_0 n1, a:1_start_0 n2, k_start_0
k_start_0 <- a:0_monitor_0 n1, a:1_monitor_0 n2

"#]]
    );
}

#[test]
fn clone_on_a_lost_node() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(r#"<clone id="k">{}</clone>"#, primitive("a")))
        .ran("n1", "a", "start", 0, 0)
        .ran("n2", "a", "start", 0, 0)
        .state("n2", LOST);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
a_monitor_10000 n1

"#]]
    );
}

#[test]
fn clone_with_a_limit() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(
            r#"<clone id="k">{}{}</clone>"#,
            meta_attributes("k", &[("clone-max", "1")]),
            primitive("a")
        ))
        .stopped("a");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a:0 ( n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- k_start_0
k_running_0 <- a_start_0 n1, k_start_0
k_start_0

"#]]
    );
}

#[test]
fn unique_clone() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(
            r#"<clone id="k">{}{}</clone>"#,
            meta_attributes(
                "k",
                &[
                    ("globally-unique", "true"),
                    ("clone-max", "2"),
                    ("clone-node-max", "2")
                ]
            ),
            primitive("a")
        ))
        .attribute("n2", "standby", "on");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a:0 ( n1 )
Start a:1 ( n1 )
--
a:0_monitor_10000 n1 <- a:0_start_0 n1
a:0_start_0 n1 <- k_start_0
a:0_monitor_0 n2
a:0_monitor_0 n1
a:1_monitor_10000 n1 <- a:1_start_0 n1
a:1_start_0 n1 <- k_start_0
a:1_monitor_0 n2
a:1_monitor_0 n1
k_running_0 <- a:0_start_0 n1, a:1_start_0 n1, k_start_0
k_start_0 <- a:0_monitor_0 n1, a:0_monitor_0 n2, a:1_monitor_0 n1, a:1_monitor_0 n2

"#]]
    );
}

#[test]
fn clone_of_group() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(
            r#"<clone id="k"><group id="g">{}{}</group></clone>"#,
            primitive("a"),
            primitive("b")
        ))
        .stopped("a")
        .stopped("b");
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a:0 ( n1 )
Start b:0 ( n1 )
Start a:1 ( n2 )
Start b:1 ( n2 )
--
g:0_running_0 <- a_start_0 n1, b_start_0 n1, g:0_start_0
g:0_start_0 <- k_start_0
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- g:0_start_0
b_monitor_10000 n1 <- b_start_0 n1
b_start_0 n1 <- a_start_0 n1, g:0_start_0
g:1_running_0 <- a:1_start_0 n2, b:1_start_0 n2, g:1_start_0
g:1_start_0 <- k_start_0
a:1_monitor_10000 n2 <- a:1_start_0 n2
a:1_start_0 n2 <- g:1_start_0
b:1_monitor_10000 n2 <- b:1_start_0 n2
b:1_start_0 n2 <- a:1_start_0 n2, g:1_start_0
k_running_0 <- g:0_running_0, g:1_running_0, k_start_0
k_start_0

"#]]
    );
}

#[test]
fn interleaved_clone_restarts_only_its_neighbour() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(r#"<clone id="k">{}</clone>"#, primitive("a")))
        .resource(&format!(
            r#"<clone id="m">{}{}</clone>"#,
            meta_attributes("m", &[("interleave", "true")]),
            primitive("b")
        ))
        .constraint(r#"<rsc_order id="o" first="k" then="m"/>"#)
        .running("n1", "a")
        .running("n1", "b")
        .running("n2", "b")
        .ran("n2", "a", "start", 0, 0)
        .failed("n2", "a", "monitor", 10_000, 7);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a:1 ( n2 )
Restart b:1 ( n2 ) due to required a:1 start
--
a_start_0 n2 <- a_stop_0 n2, k_start_0
a_stop_0 n2 <- b_stop_0 n2, k_stop_0
a_monitor_10000 n2 <- a_start_0 n2
k_stopped_0 <- a_stop_0 n2, k_stop_0
k_stop_0 <- m_stopped_0
k_running_0 <- a_start_0 n2, k_start_0
k_start_0 <- k_stopped_0
b_start_0 n2 <- a_start_0 n2, b_stop_0 n2, m_start_0
b_stop_0 n2 <- m_stop_0
b_monitor_10000 n2 <- b_start_0 n2
m_stopped_0 <- b_stop_0 n2, m_stop_0
m_stop_0
m_running_0 <- b_start_0 n2, m_start_0
m_start_0 <- k_running_0, m_stopped_0

"#]]
    );
}

#[test]
fn clone_not_interleaved_restarts_as_a_whole() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(r#"<clone id="k">{}</clone>"#, primitive("a")))
        .resource(&format!(
            r#"<clone id="m">{}{}</clone>"#,
            meta_attributes("m", &[("interleave", "false")]),
            primitive("b")
        ))
        .constraint(r#"<rsc_order id="o" first="k" then="m"/>"#)
        .running("n1", "a")
        .running("n1", "b")
        .running("n2", "b")
        .ran("n2", "a", "start", 0, 0)
        .failed("n2", "a", "monitor", 10_000, 7);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Recover a:1 ( n2 )
Restart b:0 ( n1 ) due to required k running
Restart b:1 ( n2 ) due to required k running
--
a_start_0 n2 <- a_stop_0 n2, k_start_0
a_stop_0 n2 <- k_stop_0
a_monitor_10000 n2 <- a_start_0 n2
k_stopped_0 <- a_stop_0 n2, k_stop_0
k_stop_0 <- m_stopped_0
k_running_0 <- a_start_0 n2, k_start_0
k_start_0 <- k_stopped_0
b_start_0 n1 <- b_stop_0 n1, m_start_0
b_stop_0 n1 <- m_stop_0
b_monitor_10000 n1 <- b_start_0 n1
b_start_0 n2 <- b_stop_0 n2, m_start_0
b_stop_0 n2 <- m_stop_0
b_monitor_10000 n2 <- b_start_0 n2
m_stopped_0 <- b_stop_0 n1, b_stop_0 n2, m_stop_0
m_stop_0
m_running_0 <- b_start_0 n1, b_start_0 n2, m_start_0
m_start_0 <- k_running_0, m_stopped_0

"#]]
    );
}

#[test]
fn after_a_clone() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&format!(r#"<clone id="k">{}</clone>"#, primitive("a")))
        .resource(&primitive("b"))
        .stopped("a")
        .stopped("b")
        .constraint(r#"<rsc_order id="o" first="k" then="b"/>"#)
        .constraint(r#"<rsc_colocation id="c" rsc="b" with-rsc="k" score="INFINITY"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
Start a:0 ( n1 )
Start a:1 ( n2 )
Start b ( n1 )
--
a_monitor_10000 n1 <- a_start_0 n1
a_start_0 n1 <- k_start_0
a:1_monitor_10000 n2 <- a:1_start_0 n2
a:1_start_0 n2 <- k_start_0
k_running_0 <- a:1_start_0 n2, a_start_0 n1, k_start_0
k_start_0
b_monitor_10000 n1 <- b_start_0 n1
b_start_0 n1 <- k_running_0

"#]]
    );
}

#[test]
fn reference_to_nothing_is_named() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .constraint(r#"<rsc_order id="o" first="a" then="nobody"/>"#);
    assert_data_eq!(
        cib.outcome(),
        str![[r#"
--
note: constraint o: ignored, because resource nobody does not exist

"#]]
    );
}
