//! What is started, watched, changed, stopped and forgotten.

use crate::common::{Cib, LOST, primitive, primitive_meta};
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
