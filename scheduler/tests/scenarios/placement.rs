//! Where resources go: location, stickiness, colocation.

use crate::common::{Cib, primitive, primitive_meta};
use snapbox::{assert_data_eq, str};

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
