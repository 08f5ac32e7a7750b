//! A configuration change as the log carries it.

use super::integrity;
use crate::ipc::Edit;
use cib::check::refused;
use cib::{Cib, Element, Patch};
use serde::{Deserialize, Serialize};

/// What a client asked, with who, where and when: everything that goes into the CIB with it.
///
/// How it is applied belongs to its format: every node applies the log for itself, and one that came
/// to other bytes than the rest would keep them. What else a release has against a change is said by
/// the node that takes it, before it proposes it ([`super::Replica::judge`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedChange {
    /// Format of this record.
    pub format: u8,
    /// Seconds since the epoch on the node that took the request.
    pub at: i64,
    /// Name of that node.
    pub origin: String,
    /// Program.
    pub client: String,
    /// User.
    pub user: String,
    /// `(admin_epoch, epoch)` it was made against.
    pub base: Option<(u64, u64)>,
    /// The change.
    pub edit: Edit,
}

/// Why a change was not made; the same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Rejection {
    /// Kind.
    pub kind: RejectionKind,
    /// What, where, why, what to do.
    pub text: String,
}

/// Kinds of rejections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectionKind {
    /// Not readable or not applicable.
    Invalid,
    /// The configuration would be invalid.
    Config,
    /// The CIB has moved since.
    Conflict,
}

impl LoggedChange {
    /// A change of the cluster itself, made by the DC.
    #[must_use]
    pub fn own(at: i64, origin: &str, edit: Edit) -> Self {
        let (client, user) = ("mainstayd".to_owned(), "hacluster".to_owned());
        Self {
            format: FORMAT,
            at,
            origin: origin.to_owned(),
            client,
            user,
            base: None,
            edit,
        }
    }

    /// A client's change.
    #[must_use]
    pub fn of(at: i64, origin: &str, change: crate::ipc::Change) -> Self {
        let crate::ipc::Change {
            base,
            edit,
            client,
            user,
            ..
        } = change;
        Self {
            format: FORMAT,
            at,
            origin: origin.to_owned(),
            client,
            user,
            base,
            edit,
        }
    }

    /// A change of nothing. Whoever has applied it has applied everything that was committed before
    /// it was proposed, anywhere.
    #[must_use]
    pub fn of_nothing(at: i64, origin: &str) -> Self {
        Self::own(at, origin, Edit::Patch(NOTHING.to_owned()))
    }

    /// Whether it was made as [`LoggedChange::of_nothing`].
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(&self.edit, Edit::Patch(xml) if xml == NOTHING)
    }

    /// For the log.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers only: postcard has no way to fail on them.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Rejection> {
        match postcard::from_bytes::<Self>(payload) {
            Ok(change) if change.format == FORMAT => Ok(change),
            _ => Err(invalid(
                "the change is written in a form that this version does not know",
            )),
        }
    }

    /// What the log carries, for people; `None` where it is something else, or newer than this.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        Self::decode(payload).ok()
    }

    /// The CIB after this change, by what belongs to its format alone: the same on every node, of
    /// whatever release.
    pub(super) fn apply_to(&self, cib: &Cib) -> Result<Cib, Rejection> {
        match self.draft(cib)? {
            Some(new) => self.sealed(cib, new),
            // Nothing to do is a success, and no new version.
            None => Ok(cib.clone()),
        }
    }

    /// Whether this release would propose it: what [`LoggedChange::apply_to`] refuses, and new faults
    /// by the full rules ([`refused`]), which say it in their words.
    pub(super) fn judge(&self, cib: &Cib) -> Result<(), Rejection> {
        let Some(new) = self.draft(cib)? else {
            return Ok(());
        };
        refuse(&refused(cib, &new))?;
        self.sealed(cib, new).map(drop)
    }

    /// Whether a refusal against this CIB may be of the past: it was made against a newer one, or
    /// says of none. A CIB that has moved on is not waited for: it never moves back.
    pub(super) fn may_be_ahead_of(&self, cib: &Cib) -> bool {
        let version = cib.version();
        self.base
            .is_none_or(|base| base > (version.admin_epoch, version.epoch))
    }

    /// The CIB with the edit made and nothing else; none where it changes nothing.
    fn draft(&self, cib: &Cib) -> Result<Option<Cib>, Rejection> {
        let version = cib.version();
        if let Some((admin_epoch, epoch)) = self.base
            && (admin_epoch, epoch) != (version.admin_epoch, version.epoch)
        {
            let text = format!(
                "the configuration has changed meanwhile (it is at {}.{}, the change was made against {admin_epoch}.{epoch}): look at it again and repeat the change",
                version.admin_epoch, version.epoch
            );
            return Err(Rejection {
                kind: RejectionKind::Conflict,
                text,
            });
        }
        let root = self.edited(cib)?;
        if root == *cib.root() {
            return Ok(None);
        }
        let new = Cib::from_element(root).map_err(|e| invalid(&e.to_string()))?;
        Ok(Some(new))
    }

    /// The new CIB with version and stamps, if the log takes it.
    fn sealed(&self, old: &Cib, mut new: Cib) -> Result<Cib, Rejection> {
        refuse(&integrity::added(old.root(), new.root()))?;
        new.set_version(old.version());
        new.bump_epoch();
        new.stamp(&utc(self.at), &self.origin, &self.client, &self.user);
        // What is written to the disk has to be read again, names of whoever asked included.
        cib::xml::check_bounds(new.root()).map_err(|e| invalid(&e.to_string()))?;
        Ok(new)
    }

    fn edited(&self, cib: &Cib) -> Result<Element, Rejection> {
        match &self.edit {
            Edit::Patch(xml) => {
                let diff = cib::xml::parse(xml).map_err(|e| invalid(&e.to_string()))?;
                let patch = Patch::from_xml(&diff).map_err(|e| invalid(&e.to_string()))?;
                let mut root = patch
                    .apply_unversioned(cib.root())
                    .map_err(|e| invalid(&e.to_string()))?;
                keep_own_attributes(cib.root(), &mut root);
                Ok(root)
            }
            Edit::Configuration(xml) => {
                let configuration = cib::xml::parse(xml).map_err(|e| invalid(&e.to_string()))?;
                if configuration.name != "configuration" {
                    let found = &configuration.name;
                    return Err(invalid(&format!(
                        "expected <configuration>, found <{found}>"
                    )));
                }
                let mut root = cib.root().clone();
                match root.first_mut("configuration") {
                    Some(old) => *old = configuration,
                    None => root.children.insert(0, configuration),
                }
                Ok(root)
            }
        }
    }
}

/// Version and stamps are the replica's to write; a patch carries its maker's.
fn keep_own_attributes(old: &Element, new: &mut Element) {
    for name in OWN_ATTRIBUTES {
        match old.attr(name) {
            Some(value) => new.set(name, value),
            None => new.attrs.retain(|(n, _)| n != name),
        }
    }
    let tickets = new
        .first("status")
        .and_then(|s| s.first("tickets"))
        .cloned();
    new.children.retain(|c| c.name != "status");
    let Some(mut status) = old.first("status").cloned() else {
        return;
    };
    // Tickets are the one thing in the status section that no node can tell of itself.
    status.children.retain(|c| c.name != "tickets");
    status.children.extend(tickets);
    new.children.push(status);
}

/// New faults are refused; old ones do not keep an administrator from repairing others.
fn refuse(faults: &[impl ToString]) -> Result<(), Rejection> {
    if faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Err(Rejection {
        kind: RejectionKind::Config,
        text: faults.join("\n"),
    })
}

fn invalid(text: &str) -> Rejection {
    Rejection {
        kind: RejectionKind::Invalid,
        text: text.to_owned(),
    }
}

/// `cib-last-written` as Pacemaker writes it, but always in UTC: the bytes are the same on every
/// node.
fn utc(at: i64) -> String {
    jiff::Timestamp::from_second(at)
        .map(|t| t.strftime("%a %b %e %H:%M:%S %Y").to_string())
        .unwrap_or_default()
}

const OWN_ATTRIBUTES: [&str; 9] = [
    "admin_epoch",
    "epoch",
    "num_updates",
    "cib-last-written",
    "update-origin",
    "update-client",
    "update-user",
    "have-quorum",
    "dc-uuid",
];

/// A patch without a change.
const NOTHING: &str = "<diff format=\"2\"/>";
/// Format of the record, and of how it is applied: see [`super::integrity`].
const FORMAT: u8 = 1;
