//! Commands that come too late.

use crate::cluster::{Cluster, brief, is_online, started_on};
use crate::config::{Primitive, add, constrain, plain};

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
