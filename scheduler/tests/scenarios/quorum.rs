//! Without quorum.

use crate::common::{Cib, primitive};
use snapbox::{assert_data_eq, str};

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
