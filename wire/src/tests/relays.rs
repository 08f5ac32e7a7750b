//! What a third node passes on is judged like what came directly, and only there.

use super::*;

/// Two nodes without a common link: everything goes through somebody else's hands.
fn by_relay_alone() -> Net {
    let mut net = Net::new(1, 2, 1);
    net.dead_links = vec![0];
    for endpoint in net.nodes.values_mut() {
        endpoint.allow_relay();
    }
    net
}

#[test]
fn a_session_comes_up_through_a_third_node() {
    let mut net = by_relay_alone();
    net.connect(1, 2);
    net.run_for(200_000);
    assert_eq!(net.established(2, identity(1, 1)).len(), 1);
    assert_eq!(net.established(1, identity(2, 1)).len(), 1);
}

#[test]
fn a_relayed_packet_counts_on_no_link_and_a_direct_one_not_as_relayed() {
    let mut net = by_relay_alone();
    net.connect(1, 2);
    net.run_for(200_000);
    let Net { nodes, rng, .. } = &mut net;
    let [relayed, direct] =
        [RELAY_LINK, 0].map(|link| nodes.get_mut(&1).unwrap().seal(NodeId(2), link, b"x", rng));
    let (relayed, direct) = (relayed.unwrap(), direct.unwrap());
    let receiver = nodes.get_mut(&2).unwrap();
    let at = |endpoint: &mut Endpoint, link, bytes: &[u8], rng: &mut Seeded| {
        endpoint.handle(1_000_000, link, bytes, rng)
    };
    let mismatch = |r: &Received| matches!(r, Received::Rejected(Reject::LinkMismatch { .. }));
    assert!(mismatch(&at(receiver, 0, &relayed, rng)));
    assert!(mismatch(&at(receiver, RELAY_LINK, &direct, rng)));
    let taken = at(receiver, RELAY_LINK, &relayed, rng);
    assert!(matches!(
        taken,
        Received::Payload {
            link: RELAY_LINK,
            ..
        }
    ));
    let again = at(receiver, RELAY_LINK, &relayed, rng);
    assert!(
        matches!(again, Received::Rejected(Reject::Replayed { .. })),
        "{again:?}"
    );
}

#[test]
fn what_would_take_a_stream_goes_by_relay_in_one_piece() {
    let mut net = by_relay_alone();
    net.connect(1, 2);
    net.run_for(200_000);
    let Net { nodes, rng, .. } = &mut net;
    let large = vec![7; 300_000];
    let sealed = nodes
        .get_mut(&1)
        .unwrap()
        .seal(NodeId(2), RELAY_LINK, &large, rng)
        .unwrap();
    let receiver = nodes.get_mut(&2).unwrap();
    let direct = receiver.handle(1_000_000, 0, &sealed, rng);
    assert!(matches!(direct, Received::Rejected(Reject::TooLong { .. })));
    let Received::Payload { bytes, .. } = receiver.handle(1_000_000, RELAY_LINK, &sealed, rng)
    else {
        panic!("not taken");
    };
    assert_eq!(bytes, large);
    let got = RELAYED_LEN_MAX;
    let refused = receiver.seal(NodeId(1), RELAY_LINK, &vec![0; got], rng);
    assert_eq!(refused, Err(SealError::TooLong { got }));
}

#[test]
fn without_leave_nothing_is_relayed() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(200_000);
    let Net { nodes, rng, .. } = &mut net;
    let refused = nodes
        .get_mut(&1)
        .unwrap()
        .seal(NodeId(2), RELAY_LINK, b"x", rng);
    assert_eq!(refused, Err(SealError::UnknownLink(RELAY_LINK)));
}
