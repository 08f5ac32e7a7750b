//! Groups.

use crate::common::{Cib, meta_attributes, primitive};
use snapbox::{assert_data_eq, str};

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
