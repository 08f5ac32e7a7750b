//! Whole clusters in virtual time: each test is one story.

mod common;

use common::{Cluster, MS};
use membership::*;
use wire::NodeId;

#[test]
fn three_nodes_found_a_cluster_and_commit() {
    let mut c = Cluster::new(3, 1);
    c.start_all();
    let took = c.settle();
    assert!(took < 1_500 * MS, "cold start took {} ms", took / MS);
    c.propose(2, 9, b"hello");
    c.until("committed everywhere", 1_000 * MS, |c| {
        c.nodes.values().all(|n| n.app.applied.iter().any(|(_, p)| p == b"hello"))
    });
    assert!(matches!(c.outcome(2, 9), Some(Ok(_))));
}
