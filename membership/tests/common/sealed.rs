//! What stands for the sealing of a packet that a third node passes on.

use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

/// Stands for sealing: who, for which process (a session is between two), and what it said.
pub fn seal(me: Identity, to: ProcessBoot, payload: &[u8]) -> Vec<u8> {
    let mut sealed = me.node.0.to_be_bytes().to_vec();
    sealed.extend(me.machine_boot.0);
    sealed.extend(me.process_boot.0);
    sealed.extend(me.incarnation.to_be_bytes());
    sealed.extend(to.0);
    sealed.extend(payload);
    sealed
}

/// Who sealed it, for which process, and what it said.
pub fn unseal(sealed: &[u8]) -> (Identity, ProcessBoot, Vec<u8>) {
    let me = Identity {
        node: NodeId(u32::from_be_bytes(sealed[..4].try_into().unwrap())),
        machine_boot: MachineBoot(sealed[4..20].try_into().unwrap()),
        process_boot: ProcessBoot(sealed[20..36].try_into().unwrap()),
        incarnation: u64::from_be_bytes(sealed[36..44].try_into().unwrap()),
    };
    let to = ProcessBoot(sealed[44..60].try_into().unwrap());
    (me, to, sealed[60..].to_vec())
}
