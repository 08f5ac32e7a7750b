//! What the configuration says of the cluster itself: its nodes and the properties that tools read.

use super::app::{App, now_s};
use crate::ipc::Edit;
use crate::replica::LoggedChange;
use cib::edit;
use membership::{EntryBody, Input};

impl App {
    /// Nodes and the properties that tell tools what cluster this is.
    pub(super) fn describe_cluster(&mut self) {
        if self.standing.acting.is_none() {
            return;
        }
        let mut new = self.replica.cib().clone();
        for (id, name) in &self.peers.names {
            let known = cib::config::Config::new(&new).nodes().into_iter();
            let known = known.filter(|n| n.id == id.to_string());
            let before = known.map(|n| n.uname.to_owned()).next();
            if let Some(before) = before.filter(|before| before != name) {
                rename_in(new.section_mut(cib::Section::Constraints), &before, name);
            }
            edit::ensure_node(&mut new, &id.to_string(), name);
        }
        let directory = self.replica.directory();
        let removed = |n: &cib::Element| {
            let id = n.id().and_then(|id| id.parse().ok());
            n.name == "node" && id.is_some_and(|id| directory.was_removed(id))
        };
        let nodes = &mut new.section_mut(cib::Section::Nodes).children;
        nodes.retain(|n| !removed(n));
        edit::set_property(&mut new, "have-watchdog", Some("false"));
        edit::set_property(&mut new, "dc-version", Some(crate::DC_VERSION));
        edit::set_property(&mut new, "cluster-infrastructure", Some("corosync"));
        if !self.conf.cluster_name.is_empty() {
            edit::set_property(&mut new, "cluster-name", Some(&self.conf.cluster_name));
        }
        if new.root() == self.replica.cib().root() {
            return;
        }
        let Ok(patch) = cib::Patch::between(self.replica.cib().root(), new.root()) else {
            return;
        };
        let diff = Edit::Patch(cib::xml::compact(&patch.to_xml()));
        let change = LoggedChange::own(now_s(), &self.peers.name(self.me.node), diff);
        // Whoever proposes a change judges it, be it the cluster itself: the log refuses little.
        if let Err(why) = self.replica.judge(&change) {
            let text = format!(
                "the nodes and what cluster this is could not be written into the configuration: {why}"
            );
            return self.notice_once("describe", text);
        }
        let op = Self::new_op();
        let body = EntryBody::App {
            op,
            origin: self.me.node,
            payload: change.encode(),
        };
        self.input(Input::Propose { op, body });
    }

    /// A cluster property that is a time, in milliseconds.
    pub(super) fn option_ms(&self, name: &str, default: u64) -> u64 {
        let config = cib::config::Config::new(self.replica.cib());
        config
            .property(name)
            .and_then(|text| cib::value::parse_interval_ms(text).ok())
            .unwrap_or(default)
    }

    /// A cluster property.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        cib::config::Config::new(self.replica.cib())
            .property(name)
            .map(str::to_owned)
    }
}

/// Constraints name nodes by their names.
fn rename_in(element: &mut cib::Element, before: &str, after: &str) {
    if element.attr("node") == Some(before) {
        element.set("node", after);
    }
    for child in &mut element.children {
        rename_in(child, before, after);
    }
}
