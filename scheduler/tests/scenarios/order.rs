//! What comes before what.

use crate::common::{Cib, primitive, primitive_meta};
use snapbox::{assert_data_eq, str};

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
