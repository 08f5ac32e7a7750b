//! Failures, and what is done about them.

use crate::common::{Cib, primitive, primitive_meta, primitive_with};
use snapbox::{assert_data_eq, str};

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
