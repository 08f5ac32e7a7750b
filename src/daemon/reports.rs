//! What every node reports of itself, and the CIB's status made of it.

use super::local::is_active;
use super::peer::{DcReport, Item, WireReport};
use crate::controller::{Presence, StatusNode, compose};
use crate::replica::{Replica, Standing};
use crate::transport::Peers;
use crate::view::{VipMove, VipStatus};
use cib::Element;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use wire::{Identity, NodeId};

/// One node's report.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeReport {
    identity: Option<Identity>,
    /// View as of which the report is whole.
    ready: Option<u64>,
    shutdown: Option<i64>,
    history: BTreeMap<String, Lrm>,
    attributes: BTreeMap<String, String>,
    /// What attributes will be when their dampening is over; `None` = gone.
    dampened: BTreeMap<String, Option<String>>,
    private: BTreeMap<String, String>,
    capacities: BTreeMap<String, String>,
    vips: BTreeMap<String, VipStatus>,
    /// Grants given up, by resource.
    freed: BTreeMap<String, u64>,
    moves: BTreeMap<String, VipMove>,
    dc: Option<DcReport>,
    wire: Option<WireReport>,
}

/// What a node told of one resource. It changes several times between two plans, and only a plan or
/// a status needs it as a tree.
#[derive(Clone, Debug)]
struct Lrm {
    xml: String,
    tree: OnceCell<Option<Element>>,
}

impl Lrm {
    fn told(xml: String) -> Self {
        Self {
            xml,
            tree: OnceCell::new(),
        }
    }

    /// Nothing where it cannot be read: such a node is of another version, or broken.
    fn element(&self) -> Option<&Element> {
        let read = || {
            let read = cib::xml::parse(&self.xml);
            read.inspect_err(|error| tracing::warn!(%error, "unreadable history of a node"))
                .ok()
        };
        self.tree.get_or_init(read).as_ref()
    }

    fn is_active(&self) -> bool {
        self.element().is_some_and(is_active)
    }
}

/// All nodes' reports.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports {
    nodes: BTreeMap<NodeId, NodeReport>,
    /// Grows with every change.
    revision: u64,
}

/// What a change of a report means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReportChange {
    /// The plan may be wrong because of it; in words.
    pub(super) plan: Option<String>,
    /// The DC's own report changed.
    pub(super) dc: bool,
    /// Attributes that are to wait for further changes: name and milliseconds.
    pub(super) dampened: Vec<(String, u64)>,
    /// Attributes that changed for good.
    pub(super) settled: Vec<String>,
}

impl Reports {
    /// Takes items of a node over.
    pub(super) fn apply(
        &mut self,
        from: Identity,
        reset: bool,
        items: &[(String, Option<Vec<u8>>)],
    ) -> ReportChange {
        self.revision += 1;
        let node = self.nodes.entry(from.node).or_default();
        if reset || node.identity != Some(from) {
            *node = NodeReport {
                identity: Some(from),
                ..NodeReport::default()
            };
        }
        let mut change = ReportChange::default();
        for (key, value) in items {
            match value {
                Some(value) => match Item::parse(key, value) {
                    Some(item) => node.set(item, &mut change),
                    None => tracing::debug!(node = %from.node, key, "unknown report item"),
                },
                None => node.unset(key, &mut change),
            }
        }
        change
    }

    /// Takes over changes that came beside a node's report, ahead of it.
    pub(super) fn amend(&mut self, from: Identity, items: &[(String, Option<Vec<u8>>)]) {
        let known = self.nodes.get(&from.node);
        if known.is_some_and(|n| n.identity == Some(from)) {
            self.apply(from, false, items);
        }
    }

    /// Ends the wait of an attribute on every node at once; true when a value changed by it.
    pub(super) fn settle(&mut self, name: &str) -> bool {
        self.revision += 1;
        let mut changed = false;
        for node in self.nodes.values_mut() {
            match node.dampened.remove(name) {
                None => {}
                Some(None) => changed |= node.attributes.remove(name).is_some(),
                Some(Some(value)) => {
                    let before = node.attributes.insert(name.to_owned(), value.clone());
                    changed |= before != Some(value);
                }
            }
        }
        changed
    }

    /// Another number whenever something changed.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// A node's report.
    pub(super) fn of(&self, node: NodeId) -> Option<&NodeReport> {
        self.nodes.get(&node)
    }

    /// Floating addresses of every member.
    pub(super) fn vips<'a>(
        &'a self,
        members: &'a [u32],
    ) -> impl Iterator<Item = &'a VipStatus> + 'a {
        let of_members = self.nodes.iter().filter(|(id, _)| members.contains(&id.0));
        of_members.flat_map(|(_, n)| n.vips.values())
    }

    /// The newest move of a floating address that any DC has told of.
    pub(super) fn last_move(&self, vip: &str) -> Option<&VipMove> {
        let moves = self.nodes.values().filter_map(|n| n.moves.get(vip));
        moves.max_by_key(|m| m.at)
    }

    /// Members whose report is not whole as of view `view_no`, besides those that are not there at
    /// all. A report of an earlier view does not do: the member may have carried out an earlier
    /// DC's command since, or stopped everything on its own while it was cut off.
    pub(super) fn awaited(
        &self,
        replica: &Replica,
        absent: &BTreeSet<u32>,
        view_no: u64,
    ) -> Vec<u32> {
        let standings = replica.standings();
        let missing = |id: &&u32| {
            if absent.contains(*id) {
                return false;
            }
            let identity = standings.identity(**id);
            !self
                .nodes
                .get(&NodeId(**id))
                .is_some_and(|n| n.ready >= Some(view_no) && n.identity == identity)
        };
        standings
            .members()
            .iter()
            .filter(missing)
            .copied()
            .collect()
    }

    /// The whole CIB as of now; `absent` members count as lost.
    pub(super) fn cib(
        &self,
        replica: &Replica,
        peers: &Peers,
        quorate: bool,
        dc: Option<u32>,
        absent: &BTreeSet<u32>,
    ) -> Element {
        let nodes: Vec<StatusNode> = self
            .known(replica, peers)
            .into_iter()
            .map(|id| self.status_node(id, replica, peers, absent))
            .collect();
        compose(replica.cib().root(), &nodes, quorate, dc)
    }

    /// The CIB as a node without quorum sees it: itself, and nobody else.
    pub(super) fn lone_cib(&self, replica: &Replica, peers: &Peers) -> Element {
        let mut me = self.status_node(peers.me.0, replica, peers, &BTreeSet::new());
        me.presence = Presence::Member;
        let mut cib = compose(replica.cib().root(), &[me], false, Some(peers.me.0));
        super::self_fence::stop_meanwhile(&mut cib);
        cib
    }

    fn known(&self, replica: &Replica, peers: &Peers) -> BTreeSet<u32> {
        let configured = replica.cib().section(cib::Section::Nodes).into_iter();
        let configured = configured.flat_map(|nodes| &nodes.children);
        let ids = configured.filter_map(|n| n.id()?.parse().ok());
        ids.chain(peers.names.keys().map(|n| n.0)).collect()
    }

    fn status_node(
        &self,
        id: u32,
        replica: &Replica,
        peers: &Peers,
        absent: &BTreeSet<u32>,
    ) -> StatusNode {
        let standings = replica.standings();
        let report = self.nodes.get(&NodeId(id));
        let presence = if standings.members().contains(&id) && !absent.contains(&id) {
            // Good enough to show, and the plan is not made before every report is newer.
            let ready = !self.awaited(replica, absent, 0).contains(&id);
            if ready {
                Presence::Member
            } else {
                Presence::Pending
            }
        } else {
            match standings.of(id) {
                Some(Standing::Member(_)) => Presence::Lost,
                Some(Standing::Left(_) | Standing::Fenced(_)) => Presence::Down,
                None => Presence::Unseen,
            }
        };
        StatusNode {
            id,
            name: peers.name(NodeId(id)),
            presence,
            shutdown: report.and_then(|r| r.shutdown),
            history: report.map(NodeReport::history).unwrap_or_default(),
            attributes: report.map(|r| r.attributes.clone()).unwrap_or_default(),
            capacities: report.map(|r| r.capacities.clone()).unwrap_or_default(),
        }
    }
}

impl NodeReport {
    /// The DC's own work, if this node is the DC.
    pub(super) fn dc(&self) -> Option<DcReport> {
        self.dc
    }

    /// Its keys and versions.
    pub(super) fn wire(&self) -> Option<&WireReport> {
        self.wire.as_ref()
    }

    /// A transient attribute as the node itself has it: dampening does not hide it.
    pub(super) fn attribute(&self, name: &str) -> Option<&String> {
        match self.dampened.get(name) {
            Some(value) => value.as_ref(),
            None => {
                let others = || self.private.get(name).or_else(|| self.capacities.get(name));
                self.attributes.get(name).or_else(others)
            }
        }
    }

    /// Names of every attribute that [`NodeReport::attribute`] may know.
    pub(super) fn attribute_names(&self) -> BTreeSet<&String> {
        let names = self.attributes.keys().chain(self.dampened.keys());
        let names = names.chain(self.private.keys());
        names.chain(self.capacities.keys()).collect()
    }

    /// What an attribute will be when its dampening is over; the outer `None`: it does not wait.
    pub(super) fn dampened(&self, name: &str) -> Option<&Option<String>> {
        self.dampened.get(name)
    }

    /// The attribute never shows in the CIB.
    pub(super) fn is_private(&self, name: &str) -> bool {
        self.private.contains_key(name)
    }

    /// The attribute is a capacity of the node.
    pub(super) fn is_capacity(&self, name: &str) -> bool {
        self.capacities.contains_key(name)
    }

    /// Resources that run there, by this report.
    pub(super) fn active(&self) -> impl Iterator<Item = String> + '_ {
        let active = self.history.iter().filter(|(_, lrm)| lrm.is_active());
        active.map(|(rsc, _)| rsc.clone())
    }

    fn history(&self) -> BTreeMap<String, Element> {
        let known = self.history.iter();
        let readable = known.filter_map(|(rsc, lrm)| Some((rsc.clone(), lrm.element()?.clone())));
        readable.collect()
    }

    /// The grant of an address that the node says it has given up.
    pub(super) fn freed(&self, vip: &str) -> Option<u64> {
        self.freed.get(vip).copied()
    }

    fn set(&mut self, item: Item, change: &mut ReportChange) {
        match item {
            Item::Ready(view_no) => {
                self.ready = Some(view_no);
                change.plan = Some("a node reported what runs there".to_owned());
            }
            Item::Shutdown(at) => {
                self.shutdown = Some(at);
                change.plan = Some("a node asked to be stopped".to_owned());
            }
            // Results of operations come with an answer of their own, which decides.
            Item::History { rsc, xml } => drop(self.history.insert(rsc, Lrm::told(xml))),
            Item::Attribute { name, value } => {
                let failure = name.starts_with("fail-count-") || name.starts_with("last-failure-");
                if self.attributes.insert(name.clone(), value.clone()) != Some(value) && !failure {
                    change.plan = Some(format!("attribute {name} changed"));
                    change.settled.push(name);
                }
            }
            Item::Dampened {
                name,
                value,
                dampen_ms,
            } => {
                self.dampened.insert(name.clone(), value);
                change.dampened.push((name, dampen_ms));
            }
            Item::Private { name, value } => drop(self.private.insert(name, value)),
            Item::Capacity { name, value } => {
                if self.capacities.insert(name.clone(), value.clone()) != Some(value) {
                    change.plan = Some(format!("capacity {name} changed"));
                }
            }
            Item::Vip(vip) => drop(self.vips.insert(vip.resource.clone(), *vip)),
            Item::Free { vip, grant_no } => drop(self.freed.insert(vip, grant_no)),
            Item::Move(moved) => drop(self.moves.insert(moved.resource.clone(), *moved)),
            Item::Dc(report) => {
                self.dc = Some(report);
                change.dc = true;
            }
            Item::Wire(report) => self.wire = Some(report),
        }
    }

    fn unset(&mut self, key: &str, change: &mut ReportChange) {
        match key.split_once('/') {
            Some(("lrm", rsc)) => drop(self.history.remove(rsc)),
            Some(("vip", rsc)) => drop(self.vips.remove(rsc)),
            Some(("free", rsc)) => drop(self.freed.remove(rsc)),
            Some(("move", rsc)) => drop(self.moves.remove(rsc)),
            Some(("attr", name)) if self.attributes.remove(name).is_some() => {
                change.plan = Some(format!("attribute {name} was cleared"));
                change.settled.push(name.to_owned());
            }
            Some(("damp", name)) => drop(self.dampened.remove(name)),
            Some(("private", name)) => drop(self.private.remove(name)),
            Some(("capacity", name)) if self.capacities.remove(name).is_some() => {
                change.plan = Some(format!("capacity {name} was cleared"));
            }
            None if key == "shutdown" => {
                self.shutdown = None;
                change.plan = Some("a node withdrew its wish to stop".to_owned());
            }
            None if key == super::peer::DC_KEY => {
                self.dc = None;
                change.dc = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use membership::{Ballot, Entry, EntryBody, Member, View};
    use wire::{MachineBoot, ProcessBoot};

    fn identity(node: u32, process: u8) -> Identity {
        Identity {
            node: NodeId(node),
            machine_boot: MachineBoot([1; 16]),
            process_boot: ProcessBoot([process; 16]),
            incarnation: u64::from(process),
        }
    }

    fn replica_with(view_no: u64, members: &[Identity]) -> Replica {
        let mut replica = Replica::default();
        let view = View {
            ballot: Ballot::default(),
            view_no,
            members: members
                .iter()
                .map(|id| Member {
                    identity: *id,
                    votes: 1,
                })
                .collect(),
        };
        replica.apply(&Entry {
            seq: 1,
            ballot: Ballot::default(),
            body: EntryBody::View(view),
        });
        replica
    }

    fn items(all: &[Item]) -> Vec<(String, Option<Vec<u8>>)> {
        all.iter().map(|i| (i.key(), Some(i.value()))).collect()
    }

    fn history(rsc: &str, xml: &str) -> Item {
        Item::History {
            rsc: rsc.to_owned(),
            xml: xml.to_owned(),
        }
    }

    #[test]
    fn a_report_of_an_earlier_view_is_awaited_anew() {
        let mut reports = Reports::default();
        let replica = replica_with(8, &[identity(1, 1), identity(2, 1)]);
        let nobody = BTreeSet::new();
        reports.apply(identity(1, 1), false, &items(&[Item::Ready(8)]));
        reports.apply(identity(2, 1), false, &items(&[Item::Ready(7)]));
        assert_eq!(reports.awaited(&replica, &nobody, 8), [2]);
        assert!(
            reports
                .awaited(&replica, &BTreeSet::from([2]), 8)
                .is_empty()
        );
        // The protocol hands over what it has, in parts; only the last word counts.
        reports.apply(identity(2, 1), true, &items(&[Item::Ready(7)]));
        assert_eq!(reports.awaited(&replica, &nobody, 8), [2]);
        reports.apply(identity(2, 1), false, &items(&[Item::Ready(8)]));
        assert!(reports.awaited(&replica, &nobody, 8).is_empty());
    }

    #[test]
    fn a_new_process_knows_nothing_of_what_the_old_one_reported() {
        let mut reports = Reports::default();
        let replica = replica_with(8, &[identity(2, 2)]);
        reports.apply(identity(2, 1), false, &items(&[Item::Ready(9)]));
        assert_eq!(reports.awaited(&replica, &BTreeSet::new(), 8), [2]);
        let ip = items(&[history("ip", "<lrm_resource id=\"ip\"/>")]);
        reports.apply(identity(2, 1), false, &ip);
        reports.apply(identity(2, 2), false, &items(&[Item::Ready(8)]));
        assert!(reports.nodes[&NodeId(2)].history.is_empty());
        // What the old process said beside its report arrives too late.
        reports.amend(identity(2, 1), &ip);
        assert!(reports.nodes[&NodeId(2)].history.is_empty());
        reports.amend(identity(2, 2), &ip);
        assert_eq!(reports.nodes[&NodeId(2)].history.len(), 1);
    }
}
