//! Whole clusters in virtual time: each test is one story, by what it is about.

mod channel;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod log;
mod roster;
mod two_nodes;

use common::{Cluster, MS};
use membership::*;
use wire::NodeId;

fn everywhere(c: &mut Cluster, payload: &[u8]) -> u64 {
    c.until("committed everywhere", 5_000 * MS, |c| {
        let has = |n: &common::Node| n.app.applied.iter().any(|(_, p)| p == payload);
        c.nodes.values().filter(|n| n.core.is_some()).all(has)
    })
}

fn other_than(c: &Cluster, not: u32) -> u32 {
    c.alive().into_iter().find(|id| *id != not).unwrap()
}
