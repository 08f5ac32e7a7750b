//! `no-quorum-policy=fence`, and `suicide`, its old name: who lost its quorum is killed.

use crate::cluster::{Cluster, STILLNESS, brief, started_on};
use crate::config::{Primitive, add, plain, properties};
use crate::fencing::{fence_lab_unless, life};

/// Takes the power of all nodes but one.
fn leave_alone(c: &Cluster, survivor: &str) {
    for node in c.powered().iter().filter(|n| *n != survivor) {
        c.poweroff(node).unwrap();
    }
}

/// Gives everybody power again, and the service a place. A node may be back while the others' switch
/// still has an order to reboot it: what follows begins once all have lived for a while.
fn bring_back(c: &Cluster) -> String {
    c.poweron_all().unwrap();
    let lives = || ["node1", "node2", "node3"].map(|node| life(c, node));
    let mut before = lives();
    c.wait_until("everybody to live on", "node1", || {
        c.wait_online();
        std::thread::sleep(2 * STILLNESS);
        match std::mem::replace(&mut before, lives()) {
            old if old == before => Ok(()),
            old => Err(format!("{old:?}, then {before:?}")),
        }
    });
    c.wait_started("node1", "work", None)
}

#[test]
fn a_node_without_quorum_has_itself_killed_once_where_the_policy_wants_it() {
    let test = "a_node_without_quorum_has_itself_killed_once_where_the_policy_wants_it";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    let broken = "[ -e /run/no-power-switch ] && exit 1";
    c.install_fence_agent("fence_own", &fence_lab_unless(broken));
    c.power_on();
    c.must_edit("node1", |cib| {
        plain(cib);
        properties(
            cib,
            &[("stonith-enabled", "true"), ("no-quorum-policy", "fence")],
        );
        add(cib, Primitive::new("power", "stonith:fence_own"));
        add(cib, Primitive::new("work", "ocf:pacemaker:Dummy"));
    });
    let survivor = c.wait_started("node1", "work", None);
    let before = life(&c, &survivor);
    leave_alone(&c, &survivor);
    c.wait_until("its next life", &survivor, || match life(&c, &survivor) {
        now if now.is_some() && now != before => Ok(()),
        other => Err(format!("{other:?}")),
    });

    // It starts without quorum, which it had in no moment of this life: once is enough.
    let second = life(&c, &survivor);
    c.wait_for(&survivor, "no quorum, and nothing running", |s| {
        match !s.quorate && started_on(s, "work").is_empty() {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    std::thread::sleep(2 * STILLNESS);
    assert_eq!(life(&c, &survivor), second, "killed again");

    // A device that does not do it: what runs is stopped all the same, and somebody is told.
    let survivor = bring_back(&c);
    c.run(&survivor, "crm configure property no-quorum-policy=suicide");
    c.wait_idle(&survivor);
    c.run(&survivor, "touch /run/no-power-switch");
    let state = "test -e /var/run/Dummy-work.state";
    assert!(c.sh(&survivor, state).ok(), "it runs");
    let before = life(&c, &survivor);
    leave_alone(&c, &survivor);
    c.wait_for(&survivor, "nothing running, and the reason", |s| {
        let told = |t: &str| t.contains("could not have itself fenced") && t.contains("power");
        let told = s.notices.iter().any(|n| told(&n.text));
        match told && !s.quorate && started_on(s, "work").is_empty() {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    assert!(!c.sh(&survivor, state).ok(), "it runs on");
    assert_eq!(life(&c, &survivor), before);
    c.run(&survivor, "rm /run/no-power-switch");
    // Until it is on again: the switch gives it power by itself.
    c.wait_until("its next life, by the next try", &survivor, || {
        match life(&c, &survivor) {
            now if now.is_some() && now != before => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    bring_back(&c);
}
