//! Who may hold which floating address, by the log.

use membership::{EntryBody, Grant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Standing grants, by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants(BTreeMap<String, Grant>);

impl Grants {
    /// The grant of an address that stands; `None` = nobody may hold it.
    #[must_use]
    pub fn of(&self, vip: &str) -> Option<&Grant> {
        self.0.get(vip)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Grant> {
        self.0.values()
    }

    /// Takes an entry over; the resource whose grant changed.
    pub(super) fn note(&mut self, body: &EntryBody) -> Option<String> {
        match body {
            EntryBody::Grant(grant) => {
                self.0.insert(grant.vip.clone(), grant.clone());
                Some(grant.vip.clone())
            }
            EntryBody::Revoke { grant_no } => self.end(*grant_no),
            EntryBody::Released { grant_no, .. } => self.end(*grant_no),
            _ => None,
        }
    }

    fn end(&mut self, grant_no: u64) -> Option<String> {
        let of = self.0.iter().find(|(_, g)| g.grant_no == grant_no);
        let vip = of.map(|(vip, _)| vip.clone())?;
        self.0.remove(&vip);
        Some(vip)
    }
}
