//! Clones.

use crate::common::{Cib, LOST, meta_attributes, primitive};
use snapbox::{assert_data_eq, str};

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
