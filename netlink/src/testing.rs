//! Rights for tests: a kernel of our own in throw-away namespaces.

use crate::{Kernel, NetNs};

/// A new namespace, or nothing with the reason printed when the machine does not let us.
pub(crate) fn netns(test: &str) -> Option<NetNs> {
    match NetNs::create() {
        Ok(netns) => Some(netns),
        Err(error) => {
            println!("SKIPPED {test}: {error}");
            None
        }
    }
}

/// A namespace with `lo` up and its handle.
pub(crate) fn machine(test: &str) -> Option<(NetNs, Kernel)> {
    let netns = netns(test)?;
    let mut kernel = Kernel::open_in(&netns).expect("netlink socket");
    kernel.loopback_up().expect("loopback up");
    Some((netns, kernel))
}
