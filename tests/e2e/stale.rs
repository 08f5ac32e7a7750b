//! Commands that come too late.

use crate::cluster::{Cluster, brief, is_online, started_on};
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

/// The coordinator is frozen with work in its hands. Another one gives that work to somebody else.
/// Thawed after ten seconds, the old one starts and stops nothing.
#[test]
fn a_coordinator_that_was_frozen_commands_nothing() {
    let test = "a_coordinator_that_was_frozen_commands_nothing";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    c.wait_idle("node1");
    let old = c.status("node1").dc.unwrap();
    let target = c.other_than(&[&old]);
    let third = c.other_than(&[&old, &target]);
    c.must_edit(&old, |cib| {
        for n in 0..8 {
            let name = format!("work{n}");
            add(cib, Primitive::new(&name, "ocf:pacemaker:Dummy"));
            let rule =
                format!(r#"<rsc_location id="at{n}" rsc="{name}" node="{target}" score="100"/>"#);
            constrain(cib, &rule);
        }
    });
    c.freeze(&old).unwrap();
    let thaw = Instant::now() + Duration::from_secs(10);
    c.wait_for(&third, "another coordinator", |s| match &s.dc {
        Some(dc) if *dc != old => Ok(()),
        other => Err(format!("{other:?}")),
    });
    c.must_edit(&third, |cib| {
        for n in 0..8 {
            let rule = format!(
                r#"<rsc_location id="now{n}" rsc="work{n}" node="{third}" score="INFINITY"/>"#
            );
            constrain(cib, &rule);
        }
    });
    for n in 0..8 {
        c.wait_started_on(&third, &format!("work{n}"), &third);
    }
    std::thread::sleep(thaw.saturating_duration_since(Instant::now()));
    let before = done(&c);

    c.thaw(&old).unwrap();
    c.wait_online();
    c.wait_idle(&third);
    let status = c.status(&old);
    for n in 0..8 {
        let name = format!("work{n}");
        assert_eq!(
            started_on(&status, &name),
            [third.as_str()],
            "{}",
            brief(&status)
        );
    }
    assert_eq!(done(&c), before, "something was started or stopped");
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
