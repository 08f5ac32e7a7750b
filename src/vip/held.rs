//! Which resource holds which address here.

use super::burst::Tally;
use crate::executor::OpRequest;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An address held on this node, for status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldVip {
    /// Resource id.
    pub resource: String,
    /// `10.0.2.10/24`.
    pub address: String,
    /// Device.
    pub device: String,
    /// Announcements sent since this process started or took it over.
    pub announces: u64,
    /// Why the last announcement could not be sent; empty when all is well.
    pub trouble: String,
    /// Claims of others to the address heard since this process started or took it over.
    pub conflicts: u64,
    /// Who claimed it within the last minute: hardware address, with the name of the cluster
    /// member where it is one; empty when nobody did.
    pub foreign: String,
}

/// What is known of a held address.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
    pub(super) index: u32,
    pub(super) device: String,
    /// Announce in reply form.
    pub(super) reply: bool,
    pub(super) tally: Arc<Tally>,
    /// The operation that last found or made it so: how it is to be announced.
    pub(super) request: Arc<OpRequest>,
    /// It is being given up: nobody may put it back or announce it any more.
    pub(super) leaving: bool,
}

impl Held {
    fn same_place(&self, other: &Self) -> bool {
        (self.ip, self.prefix, self.index) == (other.ip, other.prefix, other.index)
    }
}

/// By resource.
#[derive(Debug, Default)]
pub(super) struct HeldTable(Mutex<BTreeMap<String, Held>>);

impl HeldTable {
    pub(super) fn get(&self, resource: &str) -> Option<Held> {
        self.lock().get(resource).cloned()
    }

    /// Notes it and returns what stands: the old entry when it is the same address in the same
    /// place, so that its count goes on.
    pub(super) fn note(&self, resource: &str, new: Held) -> Held {
        let mut table = self.lock();
        match table.get_mut(resource) {
            Some(old) if old.same_place(&new) => {
                old.request = new.request;
                old.leaving = false;
                old.clone()
            }
            _ => {
                table.insert(resource.to_owned(), new.clone());
                new
            }
        }
    }

    /// It is given up from now on: once this has returned, nobody puts it back or announces it.
    pub(super) fn leave(&self, resource: &str) {
        if let Some(held) = self.lock().get_mut(resource) {
            held.leaving = true;
        }
    }

    /// As [`HeldTable::leave`], for whom claims it, if it is still the address that was meant.
    pub(super) fn leave_to(&self, resource: &str, meant: &Arc<Tally>) -> bool {
        let mut table = self.lock();
        let held = table.get_mut(resource);
        let Some(held) = held.filter(|held| Arc::ptr_eq(&held.tally, meant)) else {
            return false;
        };
        held.leaving = true;
        held.tally.give_up();
        true
    }

    /// Does something with an address that is held and not being given up; it stays held until
    /// that is done.
    pub(super) fn while_held<T>(&self, resource: &str, act: impl FnOnce(&Held) -> T) -> Option<T> {
        let table = self.lock();
        table.get(resource).filter(|h| !h.leaving).map(act)
    }

    /// What is held and not being given up, by resource.
    pub(super) fn all(&self) -> Vec<(String, Held)> {
        let table = self.lock();
        let held = table.iter().filter(|(_, held)| !held.leaving);
        held.map(|(id, held)| (id.clone(), held.clone())).collect()
    }

    /// The resource that holds an address in this place and is not giving it up.
    pub(super) fn holder_of(&self, ip: IpAddr, prefix: u8, index: u32) -> Option<String> {
        let table = self.lock();
        let fits = |h: &Held| !h.leaving && (h.ip, h.prefix, h.index) == (ip, prefix, index);
        let mut held = table.iter().filter(|(_, held)| fits(held));
        held.next().map(|(id, _)| id.clone())
    }

    pub(super) fn forget(&self, resource: &str) {
        self.lock().remove(resource);
    }

    pub(super) fn list(&self) -> Vec<HeldVip> {
        self.lock()
            .iter()
            .map(|(resource, held)| HeldVip {
                resource: resource.clone(),
                address: format!("{}/{}", held.ip, held.prefix),
                device: held.device.clone(),
                announces: held.tally.sent(),
                trouble: held.tally.trouble(),
                conflicts: held.tally.conflicts(),
                foreign: held.tally.foreign(),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
