//! Q = 1: cold start, certificates, class U (R5, R11).

use super::*;

fn two(seed: u64, fencing: bool, wait_for_all: bool) -> Cluster {
    let mut c = Cluster::new(2, seed);
    c.voters.two_node = true;
    c.voters.wait_for_all = wait_for_all;
    c.fencing = fencing;
    c
}

#[test]
fn two_nodes_wait_for_each_other_at_a_cold_start() {
    let mut c = two(10, false, true);
    c.start_all();
    c.settle();
    c.propose(1, 9, b"both");
    everywhere(&mut c, b"both");
    c.kill(1);
    c.kill(2);
    c.run(1_000 * MS);
    c.start(1);
    c.run(5_000 * MS);
    assert_eq!(c.dc(), None, "{}", c.picture());
    assert!(
        c.status(1).election_why.contains("wait_for_all"),
        "{}",
        c.picture()
    );
    c.start(2);
    c.settle();
}

#[test]
fn the_survivor_of_two_without_fencing_goes_on_as_class_u() {
    let mut c = two(11, false, true);
    c.start_all();
    c.settle();
    let survivor = 2;
    c.kill(1);
    let took = c.until("alone", 3_000 * MS, |c| {
        c.dc() == Some(survivor) && c.members(2) == [2]
    });
    assert!(took < 600 * MS, "took {} ms", took / MS);
    c.propose(survivor, 9, b"alone");
    everywhere(&mut c, b"alone");
    let status = c.status(survivor);
    assert!(status.class_u && status.restricted, "{}", c.picture());
    c.start(1);
    c.settle();
    everywhere(&mut c, b"alone");
    let status = c.status(c.dc().unwrap());
    assert!(!status.class_u && !status.restricted, "{}", c.picture());
}

#[test]
fn the_survivor_of_two_with_fencing_needs_a_certificate() {
    let mut c = two(12, true, true);
    c.start_all();
    c.settle();
    c.kill(1);
    c.until("alone", 3_000 * MS, |c| {
        c.dc() == Some(2)
            && c.nodes[&2].saw(|e| matches!(e, Event::View(v) if v.members.len() == 1))
    });
    c.propose(2, 1, b"too early");
    assert_eq!(c.outcome(2, 1), Some(Err(Refusal::Restricted)));
    let boot = c.nodes[&1].config.as_ref().unwrap().me.machine_boot;
    let intent = FenceIntent {
        fence_no: 0,
        target: NodeId(1),
        machine_boot: Some(boot),
        action: "off".into(),
        reason: "silent".into(),
    };
    let op = OpId([2; 16]);
    c.input(
        2,
        Input::Propose {
            op,
            body: EntryBody::FenceIntent(intent),
        },
    );
    c.run(50 * MS);
    let local = |e: &Event| matches!(e, Event::FenceIntentLocal(i) if i.fence_no == 1);
    assert!(c.nodes[&2].saw(local), "{}", c.picture());
    assert_eq!(c.outcome(2, 2), None);
    let result = FenceResult {
        fence_no: 1,
        target: NodeId(1),
        machine_boot: Some(boot),
        incarnation: None,
        outcome: Ok("pdu".into()),
    };
    c.input(
        2,
        Input::Propose {
            op: OpId([3; 16]),
            body: EntryBody::FenceResult(result),
        },
    );
    c.run(50 * MS);
    assert!(matches!(c.outcome(2, 3), Some(Ok(_))), "{}", c.picture());
    c.propose(2, 4, b"certified");
    everywhere(&mut c, b"certified");
    let status = c.status(2);
    assert!(!status.class_u && !status.restricted, "{}", c.picture());
    // The certified survivor may start alone again (R5).
    c.kill(2);
    c.run(1_000 * MS);
    c.start(2);
    c.until("alone again", 3_000 * MS, |c| c.dc() == Some(2));
    // The fenced boot is refused, its next boot is not.
    c.start(1);
    c.run(500 * MS);
    assert_eq!(c.status(1).state, NodeState::Poisoned);
    c.kill(1);
    c.power_cycle(1);
    c.start(1);
    c.settle();
    everywhere(&mut c, b"certified");
}

#[test]
fn two_lone_halves_meet_and_the_loser_is_kept_as_a_conflict() {
    let mut c = two(13, false, true);
    c.start_all();
    c.settle();
    c.propose(1, 1, b"common");
    everywhere(&mut c, b"common");
    c.cut_both(1, 2);
    c.until("both alone", 3_000 * MS, |c| c.dcs().len() == 2);
    c.propose(1, 2, b"left");
    c.propose(2, 3, b"right");
    c.run(100 * MS);
    assert!(matches!(
        (c.outcome(1, 2), c.outcome(2, 3)),
        (Some(Ok(_)), Some(Ok(_)))
    ));
    c.heal();
    let took = c.settle();
    assert!(took < 2_000 * MS, "met after {} ms", took / MS);
    assert_eq!(c.nodes[&1].app.applied, c.nodes[&2].app.applied);
    let conflict = |e: &Event| matches!(e, Event::Conflict { lost } if !lost.is_empty());
    assert!(c.nodes.values().any(|n| n.saw(conflict)), "{}", c.picture());
}
