//! What goes beside the log: commands, soft state, status (R2, I13).

use super::*;

#[test]
fn commands_carry_tokens_and_arrive_in_order() {
    let mut c = Cluster::running(3, 22);
    let dc = c.dc().unwrap();
    let target = other_than(&c, dc);
    for n in 0..200u8 {
        c.input(
            dc,
            Input::Command {
                to: NodeId(target),
                payload: vec![n],
            },
        );
        c.input(
            target,
            Input::Tell {
                to: NodeId(dc),
                payload: vec![n],
            },
        );
    }
    c.loss_percent = 20;
    c.run(3_000 * MS);
    let got: Vec<u8> = c.nodes[&target]
        .events
        .iter()
        .filter_map(|(_, e)| match e {
            Event::Command { payload, .. } => Some(payload[0]),
            _ => None,
        })
        .collect();
    assert_eq!(got, (0..200).collect::<Vec<u8>>());
    let told = c.nodes[&dc]
        .events
        .iter()
        .filter(|(_, e)| matches!(e, Event::Told { .. }));
    assert_eq!(told.count(), 200);
    c.input(
        target,
        Input::Command {
            to: NodeId(dc),
            payload: vec![1],
        },
    );
    // Whoever waits for it must learn that it did not go out.
    let unsent = |e: &Event| matches!(e, Event::CommandUnsent { to, payload, .. } if to.0 == dc && *payload == [1]);
    assert!(c.nodes[&target].saw(unsent));
}

#[test]
fn a_command_that_lay_in_a_queue_while_its_node_was_out_is_known_as_such() {
    for seed in 0..10 {
        let mut c = Cluster::running(3, 40 + seed);
        let dc = c.dc().unwrap();
        let target = other_than(&c, dc);
        c.isolate(target);
        c.run(20 * MS);
        let command = Input::Command {
            to: NodeId(target),
            payload: b"start it".to_vec(),
        };
        c.input(dc, command);
        c.until("a view without it", 2_000 * MS, |c| {
            c.nodes[&dc].saw(|e| matches!(e, Event::View(v) if v.members.len() == 2))
        });
        c.heal();
        c.settle();
        c.run(500 * MS);
        // Refused, or handed over after a view that shows its age: never in the view it is of.
        let mut view_no = 0;
        let mut came = false;
        for (_, event) in &c.nodes[&target].events {
            match event {
                Event::View(view) => view_no = view.view_no,
                Event::Command { token, .. } => {
                    assert!(view_no > token.view_no, "seed {seed}: {}", c.picture());
                    came = true;
                }
                Event::CommandRefused { .. } => came = true,
                _ => {}
            }
        }
        assert!(came, "seed {seed}: it never came; {}", c.picture());
    }
}

#[test]
fn soft_state_is_whole_again_after_every_view() {
    let mut c = Cluster::running(3, 23);
    for id in 1..=3 {
        let items = vec![("k".to_owned(), Some(vec![id as u8]))];
        c.input(id, Input::Publish { items });
    }
    c.run(100 * MS);
    let dc = c.dc().unwrap();
    let gone = other_than(&c, dc);
    c.kill(gone);
    c.run(700 * MS);
    c.start(gone);
    c.settle();
    c.run(100 * MS);
    let node = &c.nodes[&dc];
    let last_view = node
        .events
        .iter()
        .rposition(|(_, e)| matches!(e, Event::View(_)))
        .unwrap();
    for id in 1..=3u32 {
        let whole = node.events[last_view..].iter().any(
            |(_, e)| matches!(e, Event::Soft { from, reset: true, .. } if from.node == NodeId(id)),
        );
        assert!(whole, "node {id} did not resend its state");
    }
}

#[test]
fn a_status_is_serialisable_and_says_why() {
    let c = Cluster::running(3, 30);
    let status = c.status(1);
    assert_eq!(
        (
            status.votes_expected,
            status.votes_present,
            status.votes_needed
        ),
        (3, 3, 2)
    );
    assert!(
        status.quorate_why.contains("quorum"),
        "{}",
        status.quorate_why
    );
    assert!(status.peers.iter().all(|p| p.member && p.hears.len() == 2));
    let me = status.me.node;
    assert!(
        !status
            .peers
            .iter()
            .any(|p| p.node == me || p.node == NodeId(0))
    );
}
