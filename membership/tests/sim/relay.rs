//! What the drivers of two nodes do with packets that a third one passes on.

use membership::{LinkId, RELAY_LINK, Via, wrap};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

/// The packet that really leaves: to whom, how, and its bytes.
pub fn wrapped(me: Identity, to: Identity, via: Via, payload: Vec<u8>) -> (u32, Via, Vec<u8>) {
    let Via::Relay { hop, link } = via else {
        return (to.node.0, via, payload);
    };
    let sealed = sealed(me, to.process_boot, &payload);
    let via = link.map_or(Via::Stream, Via::Link);
    (hop.0, via, wrap(me.node, to.node, sealed))
}

/// Stands for sealing: who, for which process (a session is between two), and what it said.
fn sealed(me: Identity, to: ProcessBoot, payload: &[u8]) -> Vec<u8> {
    let mut sealed = me.node.0.to_be_bytes().to_vec();
    sealed.extend(me.machine_boot.0);
    sealed.extend(me.process_boot.0);
    sealed.extend(me.incarnation.to_be_bytes());
    sealed.extend(to.0);
    sealed.extend(payload);
    sealed
}

/// Who sealed it, for which process, and what it said.
pub fn unsealed(sealed: &[u8]) -> (Identity, ProcessBoot, Vec<u8>) {
    let me = Identity {
        node: NodeId(u32::from_be_bytes(sealed[..4].try_into().unwrap())),
        machine_boot: MachineBoot(sealed[4..20].try_into().unwrap()),
        process_boot: ProcessBoot(sealed[20..36].try_into().unwrap()),
        incarnation: u64::from_be_bytes(sealed[36..44].try_into().unwrap()),
    };
    let to = ProcessBoot(sealed[44..60].try_into().unwrap());
    (me, to, sealed[60..].to_vec())
}

/// No link of a simulated network has the number of the relay.
const _: () = assert!(RELAY_LINK > LinkId::MAX - 1);
