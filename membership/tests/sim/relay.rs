//! What the drivers of two nodes do with packets that a third one passes on.

#[path = "../common/sealed.rs"]
mod sealed;

pub use sealed::unseal;

use membership::{LinkId, RELAY_LINK, Via, wrap};
use sealed::seal;
use wire::Identity;

/// The packet that really leaves: to whom, how, and its bytes.
pub fn wrapped(me: Identity, to: Identity, via: Via, payload: Vec<u8>) -> (u32, Via, Vec<u8>) {
    let Via::Relay { hop, link } = via else {
        return (to.node.0, via, payload);
    };
    let sealed = seal(me, to.process_boot, &payload);
    let via = link.map_or(Via::Stream, Via::Link);
    (hop.0, via, wrap(me.node, to.node, sealed))
}

/// No link of a simulated network has the number of the relay.
const _: () = assert!(RELAY_LINK > LinkId::MAX - 1);
