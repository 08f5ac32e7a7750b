//! Fence devices that lie, take their time, or strike at the wrong moment.

use crate::cluster::{Cluster, PATIENCE, STILLNESS, brief, is_online, started_on};
use crate::config::{Primitive, add, constrain, ip_and_web, plain, properties};
use mainstay::ipc::Request;

/// Pid of a node's first process: another one after every power-off.
pub(crate) fn life(c: &Cluster, node: &str) -> Option<i32> {
    let nodes = c.nodes().unwrap();
    let node = nodes.into_iter().find(|n| n.name == node).unwrap();
    node.running().ok().map(|r| r.pid)
}

/// The lab's fence agent, but for what happens first when it is to kill.
pub(crate) fn fence_lab_unless(first: &str) -> String {
    format!(
        "[ $# -gt 0 ] && exec /usr/sbin/fence_lab \"$@\"
input=$(cat)
case $input in
*action=reboot*|*action=off*) {first} ;;
esac
printf '%s\\n' \"$input\" | /usr/sbin/fence_lab"
    )
}

/// Fencing by this agent; where a device runs moves nothing else.
fn fencing(cib: &mut cib::Cib, agent: &str) {
    plain(cib);
    properties(cib, &[("stonith-enabled", "true")]);
    add(cib, Primitive::new("power", &format!("stonith:{agent}")));
}

#[test]
fn a_node_that_is_certified_dead_and_lives_stops_what_it_runs_and_ends() {
    let test = "a_node_that_is_certified_dead_and_lives_stops_what_it_runs_and_ends";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    // Says that it did everything, and does nothing.
    c.install_fence_agent("fence_liar", &fence_lab_unless("exit 0"));
    c.power_on();
    c.must_edit("node1", |cib| {
        fencing(cib, "fence_liar");
        ip_and_web(cib);
    });
    let liar = c.wait_started("node1", "web", None);
    let before = life(&c, &liar);
    let witness = c.other_than(&[&liar]);
    let pid = c.run(&liar, "cat /run/resource-agents/demo-web-web.pid");
    c.freeze(&liar).unwrap();
    let taker = c.wait_started(&witness, "web", Some(&liar));

    c.thaw(&liar).unwrap();
    c.wait_until("the daemon of the dead node to end", &liar, || {
        let daemon = c.daemon(&liar).map_err(|e| e.to_string())?;
        match daemon.ended.as_deref() {
            Some("exit 100") => Ok(()),
            _ => Err(format!("{daemon:?}")),
        }
    });
    assert_eq!(life(&c, &liar), before, "{liar} was really killed");
    assert!(!c.sh(&liar, &format!("kill -0 {pid}")).ok(), "web lives on");
    c.wait_sole_holder(&taker);
    let log = c.log_of(&liar);
    for word in ["counts it as dead", "check the fence device", "reboot"] {
        assert!(log.contains(word), "no {word:?} in {liar}'s log:\n{log}");
    }
    assert_eq!(started_on(&c.status(&witness), "web"), [taker.as_str()]);

    // A new boot of the machine is believed.
    c.poweroff(&liar).unwrap();
    c.poweron(&liar).unwrap();
    c.wait_online();
}

#[test]
fn a_node_that_a_slow_fence_device_is_about_to_kill_is_given_nothing() {
    let test = "a_node_that_a_slow_fence_device_is_about_to_kill_is_given_nothing";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    let slow = "while [ -e /run/hold-fencing ]; do sleep 0.1; done";
    c.install_fence_agent("fence_slow", &fence_lab_unless(slow));
    c.power_on();
    c.must_edit("node1", |cib| {
        fencing(cib, "fence_slow");
        properties(cib, &[("stonith-timeout", "120s")]);
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let dc = c.status(&holder).dc.unwrap();
    let victim = c.other_than(&[&holder, &dc]);
    for node in c.powered() {
        c.run(&node, "touch /run/hold-fencing");
    }
    let before = life(&c, &victim);
    // The answer comes when it is over, long after this command gave up.
    let asked = Request::Fence {
        node: victim.clone(),
        action: "reboot".to_owned(),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| c.ask(&holder, &asked));
        about_to_be_killed(&c, &holder, &victim, before);
    });
    c.wait_until("the victim's next life", &holder, || {
        match life(&c, &victim) {
            now if now.is_some() && now != before => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    c.wait_online();
    c.wait_started_on(&holder, "new", &victim);
    assert_eq!(started_on(&c.status(&holder), "web"), [holder.as_str()]);
}

/// While the agent that is to kill `victim` waits: a resource comes that would rather be there.
fn about_to_be_killed(c: &Cluster, holder: &str, victim: &str, before: Option<i32>) {
    let under_way = format!("fencing {victim}");
    c.wait_until("the fencing to begin", holder, || {
        let mut logs = c.powered().into_iter().map(|n| c.log_of(&n));
        match logs.any(|log| log.contains(&under_way)) {
            true => Ok(()),
            false => Err("nobody fences".to_owned()),
        }
    });

    // It lives, and it is where the newcomer would rather be. Whether the newcomer waits for the
    // end or goes elsewhere is the plan's business.
    c.must_edit(holder, |cib| {
        add(cib, Primitive::new("new", "ocf:pacemaker:Dummy"));
        let rule = format!(r#"<rsc_location id="there" rsc="new" node="{victim}" score="500"/>"#);
        constrain(cib, &rule);
    });
    std::thread::sleep(2 * STILLNESS);
    assert_eq!(life(c, victim), before, "the device was not slow");
    let given = c.log_of(victim);
    assert!(
        !given.contains("rsc=\"new\" operation=\"start\""),
        "{victim} was given something while it was about to be killed:\n{given}"
    );
    // What the service loses meanwhile it has back before the device is done.
    c.wait_until(
        "the service beside the fencing",
        holder,
        || match &started_on(&c.status(holder), "web")[..] {
            [place] if place == holder => Ok(()),
            other => Err(format!("web runs on {other:?}")),
        },
    );

    for node in c.powered().iter().filter(|n| **n != victim) {
        c.run(node, "rm -f /run/hold-fencing");
    }
}

#[test]
fn a_node_stopped_in_maintenance_mode_is_not_fenced() {
    let test = "a_node_stopped_in_maintenance_mode_is_not_fenced";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        fencing(cib, "fence_lab");
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let other = c.other_than(&[&holder]);
    let before = life(&c, &holder);
    let pid = c.run(&holder, "cat /run/resource-agents/demo-web-web.pid");
    c.must_edit(&other, |cib| {
        properties(cib, &[("maintenance-mode", "true")])
    });
    c.wait_idle(&other);
    c.stop_daemon(&holder, PATIENCE).unwrap();
    c.wait_for(&other, "the stopped node to be gone", |s| {
        match is_online(s, &holder) {
            false => Ok(()),
            true => Err(brief(s)),
        }
    });
    std::thread::sleep(STILLNESS);
    c.wait_idle(&other);
    assert_eq!(life(&c, &holder), before, "{holder} was fenced");
    c.run(&holder, &format!("kill -0 {pid}"));
    for node in c.powered() {
        let log = c.log_of(&node);
        assert!(
            !log.contains(&format!("fencing {holder}")),
            "{node}:\n{log}"
        );
    }

    // Back before anybody manages again: found where it was.
    c.start_daemon(&holder).unwrap();
    c.wait_online();
    c.wait_idle(&other);
    c.must_edit(&other, |cib| {
        properties(cib, &[("maintenance-mode", "false")])
    });
    assert_eq!(c.wait_started(&other, "web", None), holder);
    assert_eq!(life(&c, &holder), before);
    assert_eq!(
        c.run(&holder, "cat /run/resource-agents/demo-web-web.pid"),
        pid
    );
}
