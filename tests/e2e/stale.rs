//! Commands that come too late.

use crate::cluster::{Cluster, STILLNESS, brief, is_online, started_on};
use crate::config::{Primitive, add, constrain, plain};
use std::time::{Duration, Instant};

/// A node is cut off with a command for it on its way; by the time the cable is sound again, its DC
/// has given the work to another node.
#[test]
fn a_command_from_before_a_node_was_cut_off_is_refused() {
    let test = "a_command_from_before_a_node_was_cut_off_is_refused";
    // Long enough for a change to be planned before the cut is noticed, on a busy machine too.
    let Some(c) = Cluster::up(test, 3, |o| o.token_ms = Some(5000)) else {
        return;
    };
    c.must_edit("node1", plain);
    c.wait_idle("node1");
    let dc = c.status("node1").dc.unwrap();
    let target = c.other_than(&[&dc]);
    c.cut(&target).unwrap();
    c.must_edit(&dc, |cib| {
        add(cib, Primitive::new("late", "ocf:pacemaker:Dummy"));
        let rule = format!(r#"<rsc_location id="there" rsc="late" node="{target}" score="50"/>"#);
        constrain(cib, &rule);
    });
    let elsewhere = c.wait_started(&dc, "late", Some(&target));
    assert!(
        !is_online(&c.status(&dc), &target),
        "{target} was not cut off"
    );

    c.heal(&target).unwrap();
    c.wait_online();
    c.wait_until("the old command to be refused", &target, || {
        let log = c.log_of(&target);
        let words = ["came too late", "was refused"];
        match words.iter().any(|words| log.contains(words)) {
            true => Ok(()),
            false => Err("no word of it".to_owned()),
        }
    });
    c.wait_idle(&dc);
    let status = c.status(&dc);
    assert_eq!(
        started_on(&status, "late"),
        [elsewhere],
        "{}",
        brief(&status)
    );
    let log = c.log_of(&target);
    assert!(
        !log.contains("rsc=\"late\" operation=\"start\""),
        "{target} started it, too:\n{log}"
    );
}

/// The coordinator is frozen with work in its hands: a start that it waits for, and eight that come
/// after. Another one gives all of it to somebody else. Thawed after ten seconds, the old one starts
/// and stops nothing, as the agents' own record shows.
#[test]
fn a_coordinator_that_was_frozen_commands_nothing() {
    let test = "a_coordinator_that_was_frozen_commands_nothing";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    let call = "echo $1 $OCF_RESOURCE_INSTANCE $(uname -n) >>/run/lab/shared/calls";
    let closed = "[ $OCF_RESOURCE_INSTANCE = gate ] && [ ! -e /run/lab/shared/open ]";
    c.install_agent(
        "recorded",
        &format!(
            "start) {call}; while {closed}; do sleep 0.1; done; touch $state; exit 0 ;;
stop) {call}; rm -f $state; exit 0 ;;"
        ),
    );
    c.power_on();
    c.must_edit("node1", plain);
    c.wait_idle("node1");
    let old = c.status("node1").dc.unwrap();
    let target = c.other_than(&[&old]);
    let third = c.other_than(&[&old, &target]);
    c.must_edit(&old, |cib| {
        let gate = Primitive::new("gate", "ocf:mainstay:recorded");
        add(cib, gate.op("start", "0s", "120s"));
        constrain(cib, &place("at", "gate", &target, "100"));
        for work in works() {
            add(cib, Primitive::new(&work, "ocf:mainstay:recorded"));
            constrain(cib, &place("at", &work, &target, "100"));
            let order = format!(r#"<rsc_order id="{work}-waits" first="gate" then="{work}"/>"#);
            constrain(cib, &order);
        }
    });
    c.wait_until("the start that others wait for", &target, || {
        match calls(&c) == [format!("start gate {target}")] {
            true => Ok(()),
            false => Err(format!("{:?}", calls(&c))),
        }
    });
    c.freeze(&old).unwrap();
    let thaw = Instant::now() + Duration::from_secs(10);
    c.wait_for(&third, "another coordinator", |s| match &s.dc {
        Some(dc) if *dc != old => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // The old one would have eight starts to command now.
    std::fs::write(c.shared_dir().join("open"), "").unwrap();
    c.must_edit(&third, |cib| {
        for rsc in works().chain(["gate".to_owned()]) {
            constrain(cib, &place("now", &rsc, &third, "INFINITY"));
        }
    });
    for work in works() {
        c.wait_started_on(&third, &work, &third);
    }
    std::thread::sleep(thaw.saturating_duration_since(Instant::now()));
    let before = (done(&c), calls(&c));

    c.thaw(&old).unwrap();
    c.wait_online();
    c.wait_idle(&third);
    std::thread::sleep(STILLNESS);
    let status = c.status(&old);
    for work in works() {
        let here = started_on(&status, &work);
        assert_eq!(here, [third.as_str()], "{}", brief(&status));
    }
    let after = (done(&c), calls(&c));
    assert_eq!(after, before, "something was started or stopped");
}

fn works() -> impl Iterator<Item = String> {
    (0..8).map(|n| format!("work{n}"))
}

fn place(why: &str, rsc: &str, node: &str, score: &str) -> String {
    format!(r#"<rsc_location id="{why}-{rsc}" rsc="{rsc}" node="{node}" score="{score}"/>"#)
}

/// What agents were called for, in their own words: action, resource, node.
fn calls(c: &Cluster) -> Vec<String> {
    let text = std::fs::read_to_string(c.shared_dir().join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Starts and stops in all logs, by node.
fn done(c: &Cluster) -> Vec<usize> {
    let names = c.powered();
    let counts = names.iter().map(|node| {
        let log = c.log_of(node);
        let acts = |line: &&str| {
            line.contains("operation=\"start\"") || line.contains("operation=\"stop\"")
        };
        log.lines().filter(acts).count()
    });
    counts.collect()
}
