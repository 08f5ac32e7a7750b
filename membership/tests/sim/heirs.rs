//! A VIP's successor is named before its holder stops (R12): who is told in turn, who gives such a
//! grant back, and by what rules anybody holds a VIP at all.

use std::collections::BTreeMap;

use membership::*;
use wire::Identity;

use crate::world::World;

/// Until when each node may rely on each VIP by the rules alone, in true time: what its process was
/// told by [`Core::leases`] and has not been told to be over. A kernel answers for less than this.
#[derive(Debug, Default)]
pub struct Rights(BTreeMap<String, BTreeMap<u32, Right>>);

#[derive(Clone, Copy, Debug)]
struct Right {
    generation: u64,
    until: u64,
}

impl Rights {
    /// The machine is off, or everything on it was stopped: nothing is left of what it was told.
    pub fn forget(&mut self, id: u32) {
        for of_vip in self.0.values_mut() {
            of_vip.remove(&id);
        }
    }

    /// The process there has seen that its machine answers for the VIP no more, whichever process
    /// let it.
    pub fn over(&mut self, id: u32, vip: &str) {
        if let Some(of_vip) = self.0.get_mut(vip) {
            of_vip.remove(&id);
        }
    }
}

impl World {
    /// The invariant beside the kernels' own: no two nodes may rely on grants of one VIP at any
    /// time, whether their kernels answer or not. What a process is told no more is over, except
    /// that its successor knows nothing of what the kernel may still do.
    pub fn one_right(&mut self, id: u32, leases: &[Lease], lease_us: u64) {
        let node = self.node(id);
        let (generation, clock) = (node.generation, node.clock);
        for vip in self.kernels.vips.clone() {
            let told = leases.iter().find(|l| l.vip == vip);
            let rights = self.kernels.rights.0.entry(vip.clone()).or_default();
            match told.map(|l| l.stamp) {
                None => rights.retain(|n, r| *n != id || r.generation != generation),
                Some(None) => {}
                Some(Some(stamp)) => {
                    let until = clock.truly(Time(stamp.0 + lease_us));
                    rights.insert(id, Right { generation, until });
                }
            }
            let now = self.now;
            let live = |n: &u32| rights.get(n).is_some_and(|r| r.until > now);
            let other = rights.keys().copied().find(|n| *n != id && live(n));
            if let Some(other) = other.filter(|_| live(&id) && !self.kernels.tolerant) {
                let text = format!(
                    "nodes {other} and {id} both have a right to {vip}\n{}",
                    self.picture()
                );
                self.oracle.now = now;
                self.oracle.fail("R12", text);
            }
        }
    }

    /// The coordinator names who is to have the VIP once its holder gives it up.
    pub fn grant_in_turn(&mut self, dc: u32, vip: &str, to: Identity) {
        let core = self.node(dc).core.as_ref();
        let standing = core.and_then(|c| c.log_state().grants.get(vip).cloned());
        if let Some(standing) = standing {
            let op = self.new_op();
            let grant = Grant::in_turn(vip, to, standing.grant_no);
            self.propose(dc, op, EntryBody::Grant(grant));
        }
    }

    /// A process gives up a grant that it has or waits for; said to whom it concerns, final.
    pub fn say_given_up(&mut self, id: u32, vip: &str, grant_no: u64) {
        let grants = vec![(vip.to_owned(), grant_no)];
        self.input(id, Input::GivenUp { grants });
    }

    /// Its turn has come: the log is to know that the grant before it is over, if it does not yet. A
    /// coordinator that asks on a slow disk may be behind: this node's own grant may stand by now.
    pub fn inherited(&mut self, id: u32, vip: &str) {
        let core = self.node(id).core.as_ref();
        let heir = core.and_then(|c| c.log_state().heirs.get(vip));
        let before = heir.and_then(|g| g.after);
        if let Some(before) = before.filter(|_| self.kernels.on && !self.kernels.word_only) {
            self.tell_released(id, vip, before);
        }
    }

    pub fn tell_released(&mut self, id: u32, vip: &str, grant_no: u64) {
        let op = self.new_op();
        let vip = vip.to_owned();
        self.propose(id, op, EntryBody::Released { vip, grant_no });
    }

    /// Who waits for the VIP is asked to give that up, as coordinators do before they plan anew. If
    /// its turn has come already, the log learns of that.
    pub fn settle_heir(&mut self, asked_by: u32, vip: &str) {
        let core = self.node(asked_by).core.as_ref();
        let Some(heir) = core.and_then(|c| c.log_state().heirs.get(vip).cloned()) else {
            return;
        };
        let id = heir.node().0;
        let node = self.node(id);
        let awake = node.up() && node.paused_until <= self.now;
        let Some(core) = node.core.as_ref().filter(|_| awake) else {
            return;
        };
        let used = core.leases().iter().any(|l| l.grant_no == heir.grant_no);
        if used {
            return self.inherited(id, vip);
        }
        if core.log_state().heirs.get(vip) == Some(&heir) {
            if heir.holder != node.me {
                // Its predecessor may have used it: that is looked at, and ended.
                self.kernels.silence(id, vip);
            }
            self.say_given_up(id, vip, heir.grant_no);
            self.tell_released(id, vip, heir.grant_no);
        }
    }
}
