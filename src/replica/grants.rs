//! Who may hold which floating address, by the log.

use membership::{EntryBody, Grant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Standing grants, and those that wait for them, by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    standing: BTreeMap<String, Grant>,
    heirs: BTreeMap<String, Grant>,
}

impl Grants {
    /// The grant of an address that stands; `None` = nobody may hold it.
    #[must_use]
    pub fn of(&self, vip: &str) -> Option<&Grant> {
        self.standing.get(vip)
    }

    /// The grant that counts once the standing one is given up.
    #[must_use]
    pub fn heir(&self, vip: &str) -> Option<&Grant> {
        self.heirs.get(vip)
    }

    /// All that stand.
    pub fn all(&self) -> impl Iterator<Item = &Grant> {
        self.standing.values()
    }

    /// All that wait.
    pub fn heirs(&self) -> impl Iterator<Item = &Grant> {
        self.heirs.values()
    }

    /// Numbers of all that stand or wait.
    #[must_use]
    pub fn numbers(&self) -> BTreeSet<u64> {
        self.all().chain(self.heirs()).map(|g| g.grant_no).collect()
    }

    /// Takes an entry over, as the protocol core does; the resource whose grant changed.
    pub(super) fn note(&mut self, body: &EntryBody) -> Option<String> {
        match body {
            EntryBody::Grant(grant) => {
                let vip = grant.vip.clone();
                self.heirs.remove(&vip);
                match grant.after {
                    Some(_) => self.heirs.insert(vip.clone(), grant.clone()),
                    None => self.standing.insert(vip.clone(), grant.clone()),
                };
                Some(vip)
            }
            EntryBody::Revoke { grant_no } => self.end(*grant_no),
            EntryBody::Released { vip, grant_no } => {
                let ended = self.end(*grant_no);
                let waits = self.heirs.get(vip).and_then(|g| g.after);
                if waits != Some(*grant_no) {
                    return ended;
                }
                let heir = self.heirs.remove(vip)?;
                let grant = Grant {
                    after: None,
                    ..heir
                };
                self.standing.insert(vip.clone(), grant);
                Some(vip.clone())
            }
            _ => None,
        }
    }

    fn end(&mut self, grant_no: u64) -> Option<String> {
        for all in [&mut self.standing, &mut self.heirs] {
            let of = all.iter().find(|(_, g)| g.grant_no == grant_no);
            if let Some(vip) = of.map(|(vip, _)| vip.clone()) {
                all.remove(&vip);
                return Some(vip);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

    fn grant(node: u32, grant_no: u64, after: Option<u64>) -> EntryBody {
        let holder = Identity {
            node: NodeId(node),
            machine_boot: MachineBoot([1; 16]),
            process_boot: ProcessBoot([1; 16]),
            incarnation: 1,
        };
        EntryBody::Grant(Grant {
            grant_no,
            after,
            ..Grant::wanted("v", holder)
        })
    }

    #[test]
    fn an_heir_stands_when_the_one_before_it_is_given_up() {
        let released = |grant_no| EntryBody::Released {
            vip: "v".to_owned(),
            grant_no,
        };
        let numbers = |grants: &Grants| {
            let standing = grants.of("v").map(|g| g.grant_no);
            (standing, grants.heir("v").map(|g| g.grant_no))
        };
        let mut grants = Grants::default();
        for (body, told, then) in [
            (grant(1, 1, None), true, (Some(1), None)),
            (grant(2, 2, Some(1)), true, (Some(1), Some(2))),
            (released(2), true, (Some(1), None)),
            (released(2), false, (Some(1), None)),
            (grant(2, 3, Some(1)), true, (Some(1), Some(3))),
            (released(1), true, (Some(3), None)),
            (grant(1, 4, Some(3)), true, (Some(3), Some(4))),
            (EntryBody::Revoke { grant_no: 3 }, true, (None, Some(4))),
            (released(3), true, (Some(4), None)),
            (grant(2, 5, Some(4)), true, (Some(4), Some(5))),
            (grant(1, 6, None), true, (Some(6), None)),
        ] {
            assert_eq!(grants.note(&body).is_some(), told, "{body:?}");
            assert_eq!(numbers(&grants), then, "{body:?}");
        }
        assert_eq!(grants.of("v").and_then(|g| g.after), None);
    }
}
