//! The gates against the running kernel, in namespaces of their own.

mod elements;

use super::{Belts, GateOptions, Gates};
use crate::testing::machine;
use crate::{Kernel, NetNs};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// A machine with gates on a kernel that can do everything, or nothing as in `machine`.
fn gated(test: &str) -> Option<(NetNs, Kernel, Gates)> {
    let (netns, kernel) = machine(test)?;
    let (gates, belts) = raise(&netns, &GateOptions::default());
    assert_eq!(belts.weaker, Vec::<String>::new());
    assert!(belts.gates && belts.owned && belts.egress);
    Some((netns, kernel, gates))
}

fn raise(netns: &NetNs, options: &GateOptions) -> (Gates, Belts) {
    netns.run(|| Gates::raise(options)).unwrap().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
