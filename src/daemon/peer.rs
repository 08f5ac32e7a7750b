//! What daemons say to each other beside the log: commands of the DC, answers, soft-state items.

use crate::executor::OpRequest;
use crate::ipc::AttributeChange;
use crate::view::{VipMove, VipStatus};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A command of the acting DC to a node's executor; travels with the DC's token, in a list: what one
/// turn of the DC's loop has for a node goes in one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NodeCommand {
    /// Run an operation; answered by [`NodeTell::OpDone`].
    Run(Box<OpRequest>),
    /// Make ready for a start: it is run by itself when the grant in turn of that number is its
    /// node's (R12). Answered by [`NodeTell::Prepared`] or [`NodeTell::Unused`], and in the end as
    /// `Run` is.
    Prepare {
        grant_no: u64,
        request: Box<OpRequest>,
    },
    /// Stop a recurring operation; answered by [`NodeTell::Confirmed`].
    Cancel {
        step: Step,
        rsc: String,
        operation: String,
        interval_ms: u64,
    },
    /// Forget a resource that is no longer configured.
    Forget { step: Step, rsc: String },
    /// Forget failures of an operation, or of all.
    ClearFailures {
        step: Step,
        rsc: String,
        operation: Option<(String, u64)>,
    },
    /// Everything that has to be stopped here is: leave. The node takes it once it has applied the
    /// log as far as the DC had: what was decided last may say that its resources stay.
    Shutdown { seq: u64 },
}

/// Which action of which transition of which controller a command belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    /// The controller that waits: every DC counts its transitions from one, so that an answer to
    /// an earlier DC's command would else pass for the answer to another action, a fencing even.
    pub(super) duty: DutyId,
    pub(super) transition: u32,
    pub(super) action: u32,
}

/// A controller of a process: drawn at random, so that no other process has the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DutyId(pub(super) u64);

/// Changes of a report: key to value, `None` = gone.
pub(super) type Items = Vec<(String, Option<Vec<u8>>)>;

/// Anything else one daemon tells another; travels in a list, as commands do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NodeTell {
    /// To the DC: an operation ended. The report items that it changed come along, because the
    /// soft state itself may be overtaken by this answer: a plan made between the two would act on
    /// a state that is over.
    OpDone {
        transition_key: String,
        rc: i32,
        op_status: i32,
        items: Items,
    },
    /// To the DC: a command other than `Run` is carried out.
    Confirmed { step: Step, ok: bool },
    /// To the DC: something changed here that no command asked for.
    Changed { why: String, items: Items },
    /// To the holder of a grant: say that it is free ([`Item::Free`]) if its address is not there;
    /// a grant in turn is given back, unless it is used.
    GiveUp { vip: String },
    /// To the DC: the log here names this node for the address in turn, its holder may stop.
    Prepared { vip: String, grant_no: u64 },
    /// To the DC: a start that waited for its turn will not be run by itself.
    Unused { vip: String, transition_key: String },
    /// To any node: forget failures and history of a resource (or of all), by hand.
    Cleanup { resource: Option<String> },
    /// To the DC: fence a node, by hand.
    Fence {
        target: u32,
        action: String,
        reason: String,
    },
    /// To any node: change a transient attribute of yours; answered by
    /// [`NodeTell::AttributeTaken`].
    Attribute {
        asker: u32,
        ask: u64,
        change: AttributeChange,
    },
    /// To the node that asked. What changed comes along, so that its next look finds it.
    AttributeTaken {
        ask: u64,
        result: Result<(), String>,
        items: Items,
    },
    /// To any node: a resource of yours counts as failed, by hand.
    Fail { rsc: String },
    /// To any node: forget fencings that are over, of a node or all.
    ForgetFencings { node: Option<String> },
}

/// What a DC publishes of its own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DcReport {
    /// It has nothing to do.
    pub(super) idle: bool,
    /// Last log entry that its newest plan has seen.
    pub(super) seq: u64,
    /// Actions done and in all, while a transition runs.
    pub(super) progress: Option<(u32, u32)>,
}

/// What a node says of its keys and of the protocol it speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireReport {
    /// Name of the authkey in use.
    pub(super) in_use: [u8; 2],
    /// Names of those it accepts.
    pub(super) accepted: Vec<[u8; 2]>,
    /// Every session of it is under the one in use.
    pub(super) renewed: bool,
    /// Lowest and highest version of the protocol that it speaks.
    pub(super) versions: (u8, u8),
}

/// Soft-state items of a node (R2), by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The report is whole as of this view: what it does not list is not known to run there, and
    /// no command given before that view can change it any more (R2).
    Ready(u64),
    /// It wants to stop, since these seconds.
    Shutdown(i64),
    /// History of a resource, XML.
    History { rsc: String, xml: String },
    /// A transient attribute.
    Attribute { name: String, value: String },
    /// A transient attribute that waits for further changes: what it will be (`None` = gone), and
    /// how long to wait after the last change of this attribute on any node.
    Dampened {
        name: String,
        value: Option<String>,
        dampen_ms: u64,
    },
    /// A transient attribute that never shows in the CIB.
    Private { name: String, value: String },
    /// A capacity of the node, as long as its daemon runs.
    Capacity { name: String, value: String },
    /// A floating address held there.
    Vip(Box<VipStatus>),
    /// A floating address that is gone from there for certain: the grant that its holder gives up.
    Free { vip: String, grant_no: u64 },
    /// The last move of a floating address that this DC has made.
    Move(Box<VipMove>),
    /// The DC's own work.
    Dc(DcReport),
    /// Its keys and versions.
    Wire(WireReport),
}

impl Item {
    /// The key under which the item is published.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Ready(_) => READY_KEY.to_owned(),
            Self::Shutdown(_) => "shutdown".to_owned(),
            Self::History { rsc, .. } => history_key(rsc),
            Self::Attribute { name, .. } => attribute_key(name),
            Self::Dampened { name, .. } => dampened_key(name),
            Self::Private { name, .. } => private_key(name),
            Self::Capacity { name, .. } => capacity_key(name),
            Self::Vip(vip) => vip_key(&vip.resource),
            Self::Free { vip, .. } => free_key(vip),
            Self::Move(moved) => format!("move/{}", moved.resource),
            Self::Dc(_) => DC_KEY.to_owned(),
            Self::Wire(_) => WIRE_KEY.to_owned(),
        }
    }

    /// The bytes under the key.
    pub(super) fn value(&self) -> Vec<u8> {
        match self {
            Self::Ready(view_no) => encode(view_no),
            Self::Shutdown(at) => encode(at),
            Self::History { xml, .. } => xml.clone().into_bytes(),
            Self::Attribute { value, .. }
            | Self::Private { value, .. }
            | Self::Capacity { value, .. } => value.clone().into_bytes(),
            Self::Dampened {
                value, dampen_ms, ..
            } => encode(&(value, dampen_ms)),
            Self::Vip(vip) => encode(vip),
            Self::Free { grant_no, .. } => encode(grant_no),
            Self::Move(moved) => encode(moved),
            Self::Dc(report) => encode(report),
            Self::Wire(report) => encode(report),
        }
    }

    /// An item from its key and bytes; `None` for what a newer version may have invented.
    pub(super) fn parse(key: &str, value: &[u8]) -> Option<Self> {
        let text = || String::from_utf8(value.to_vec()).ok();
        Some(match key.split_once('/') {
            None if key == READY_KEY => Self::Ready(decode(value)?),
            None if key == "shutdown" => Self::Shutdown(decode(value)?),
            None if key == DC_KEY => Self::Dc(decode(value)?),
            None if key == WIRE_KEY => Self::Wire(decode(value)?),
            Some(("lrm", rsc)) => Self::History {
                rsc: rsc.to_owned(),
                xml: text()?,
            },
            Some(("attr", name)) => Self::Attribute {
                name: name.to_owned(),
                value: text()?,
            },
            Some(("damp", name)) => {
                let (value, dampen_ms) = decode(value)?;
                Self::Dampened {
                    name: name.to_owned(),
                    value,
                    dampen_ms,
                }
            }
            Some(("private", name)) => Self::Private {
                name: name.to_owned(),
                value: text()?,
            },
            Some(("capacity", name)) => Self::Capacity {
                name: name.to_owned(),
                value: text()?,
            },
            Some(("vip", _)) => Self::Vip(decode(value)?),
            Some(("free", vip)) => Self::Free {
                vip: vip.to_owned(),
                grant_no: decode(value)?,
            },
            Some(("move", _)) => Self::Move(decode(value)?),
            _ => return None,
        })
    }
}

pub(super) fn history_key(rsc: &str) -> String {
    format!("lrm/{rsc}")
}

pub(super) fn attribute_key(name: &str) -> String {
    format!("attr/{name}")
}

pub(super) fn dampened_key(name: &str) -> String {
    format!("damp/{name}")
}

pub(super) fn private_key(name: &str) -> String {
    format!("private/{name}")
}

pub(super) fn capacity_key(name: &str) -> String {
    format!("capacity/{name}")
}

pub(super) fn vip_key(rsc: &str) -> String {
    format!("vip/{rsc}")
}

pub(super) fn free_key(rsc: &str) -> String {
    format!("free/{rsc}")
}

/// Key of [`Item::Ready`]: after every history's, because the protocol sends in the order of keys.
const READY_KEY: &str = "ready";
/// Key of [`Item::Dc`].
pub(super) const DC_KEY: &str = "dc";
/// Key of a node's keys and versions.
const WIRE_KEY: &str = "wire";

/// Bytes for the wire, led by a version.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain data in memory: postcard has no way to fail on it.
    postcard::to_extend(value, vec![FORMAT]).unwrap_or_default()
}

/// From the wire; `None` when another version wrote it or it is damaged.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

/// Version of everything in this file. 2: starts that wait for their turn. 3: capacities.
const FORMAT: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back_from_their_keys() {
        let items = [
            Item::Ready(7),
            Item::Shutdown(1_700_000_000),
            Item::History {
                rsc: "web/1".to_owned(),
                xml: "<lrm_resource/>".to_owned(),
            },
            Item::Attribute {
                name: "fail-count-ip#monitor_10000".to_owned(),
                value: "1".to_owned(),
            },
            Item::Dampened {
                name: "pingd/x".to_owned(),
                value: Some("1000".to_owned()),
                dampen_ms: 5_000,
            },
            Item::Dampened {
                name: "pingd".to_owned(),
                value: None,
                dampen_ms: 1,
            },
            Item::Private {
                name: "secret".to_owned(),
                value: "x".to_owned(),
            },
            Item::Capacity {
                name: "cpu".to_owned(),
                value: "4".to_owned(),
            },
            Item::Vip(Box::new(VipStatus {
                resource: "ip".to_owned(),
                ..VipStatus::default()
            })),
            Item::Free {
                vip: "ip".to_owned(),
                grant_no: 300,
            },
            Item::Move(Box::default()),
            Item::Dc(DcReport {
                idle: true,
                seq: 9,
                progress: Some((1, 2)),
            }),
        ];
        for item in items {
            assert_eq!(Item::parse(&item.key(), &item.value()), Some(item));
        }
    }

    #[test]
    fn histories_go_ahead_of_the_word_that_the_report_is_whole() {
        assert!(history_key("~").as_str() < READY_KEY);
    }

    #[test]
    fn what_nobody_knows_is_passed_over() {
        assert_eq!(Item::parse("novelty/7", b"x"), None);
        assert_eq!(Item::parse("shutdown", b"x"), None);
        assert_eq!(decode::<NodeTell>(&[9, 9]), None);
        assert_eq!(decode::<NodeTell>(&[]), None);
    }
}
