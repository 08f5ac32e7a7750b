//! Nodes that are lost, late, in standby, in maintenance or about to leave.

use crate::common::{Cib, DOWN, LOST, NEVER, PENDING, primitive};
use snapbox::{assert_data_eq, str};

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
