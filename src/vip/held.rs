//! Which resource holds which address here.

use super::burst::Tally;
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
        match table.get(resource) {
            Some(old) if old.same_place(&new) => old.clone(),
            _ => {
                table.insert(resource.to_owned(), new.clone());
                new
            }
        }
    }

    pub(super) fn forget(&self, resource: &str) {
        self.lock().remove(resource);
    }

    pub(super) fn all(&self) -> Vec<(String, Held)> {
        let table = self.lock();
        let copy = |(name, held): (&String, &Held)| (name.clone(), held.clone());
        table.iter().map(copy).collect()
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
