//! Notifications: clones with `notify=true` are told before and after their instances change
//! (Pacemaker pe_notif.c; Pacemaker Explained, "Clone Notifications").

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::relation;
use crate::resource::{Role, Variant};
use crate::score::INFINITY;
use std::collections::BTreeMap;

/// Operations that are notified, in the order in which their notifications are made.
pub(crate) const NOTIFIED: [&str; 4] = ["start", "stop", "promote", "demote"];

/// Notifications around one operation of a clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notification {
    task: String,
    pre: Option<ActId>,
    pre_done: Option<ActId>,
    post: Option<ActId>,
    post_done: Option<ActId>,
    data: Entries,
    keys: BTreeMap<String, String>,
}

/// Who is in which state, and who is about to do what.
#[derive(Clone, Debug, Default)]
struct Entries {
    lists: BTreeMap<&'static str, Vec<(RscId, Option<NodeId>)>>,
}

impl Entries {
    fn add(&mut self, list: &'static str, rsc: RscId, node: Option<NodeId>) {
        self.lists.entry(list).or_default().push((rsc, node));
    }

    fn has(&self, list: &str) -> bool {
        self.lists.contains_key(list)
    }
}

/// `start` → `"start"` as a list's name, where there is one.
fn list_of(task: &str) -> Option<&'static str> {
    NOTIFIED.into_iter().find(|name| *name == task)
}

impl Cluster<'_> {
    /// Notifications before `begin` and after `end` of a clone's operation
    /// (Pacemaker pe_notif.c:pe__action_notif_pseudo_ops).
    pub(crate) fn create_notification(
        &mut self,
        clone: RscId,
        task: &str,
        begin: Option<ActId>,
        end: Option<ActId>,
    ) {
        let known = self.notifications.get(&clone);
        if known.is_some_and(|list| list.iter().any(|n| n.task == task)) {
            return;
        }
        let Some(made) = self.new_notification(clone, task, begin, end) else {
            return;
        };
        self.notifications.entry(clone).or_default().push(made);
        let order = relation::ORDERED;
        match task {
            "stop" => self.order_notifications(clone, &[("stop", "start")], order),
            "demote" => self.order_notifications(
                clone,
                &[
                    ("stop", "promote"),
                    ("start", "promote"),
                    ("demote", "promote"),
                    ("demote", "start"),
                    ("demote", "stop"),
                ],
                order,
            ),
            _ => {}
        }
    }

    fn order_notifications(&mut self, clone: RscId, pairs: &[(&str, &str)], kind: u32) {
        for (first, then) in pairs {
            let list = self.notifications.get(&clone);
            let find = |task: &str| list.and_then(|l| l.iter().find(|n| n.task == task));
            let done = find(first).and_then(|n| n.post_done);
            if let (Some(done), Some(pre)) = (done, find(then).and_then(|n| n.pre)) {
                self.relate(done, pre, kind);
            }
        }
    }

    fn new_notification(
        &mut self,
        rsc: RscId,
        task: &str,
        begin: Option<ActId>,
        end: Option<ActId>,
    ) -> Option<Notification> {
        if !self.rscs[rsc].flags.notify {
            return None;
        }
        let mut made = Notification {
            task: task.to_owned(),
            ..Notification::default()
        };
        if let Some(begin) = begin {
            let pre = self.notify_pseudo(rsc, begin, "notify", "pre", task);
            let done = self.notify_pseudo(rsc, begin, "notified", "confirmed-pre", task);
            for id in [pre, done] {
                self.actions[id].flags |= flag::RUNNABLE;
            }
            self.relate(pre, done, relation::ORDERED);
            self.relate(done, begin, relation::ORDERED);
            (made.pre, made.pre_done) = (Some(pre), Some(done));
        }
        if let Some(end) = end {
            let post = self.notify_pseudo(rsc, end, "notify", "post", task);
            let done = self.notify_pseudo(rsc, end, "notified", "confirmed-post", task);
            let runnable = self.actions[end].flags & flag::RUNNABLE;
            for id in [post, done] {
                let action = &mut self.actions[id];
                action.priority = INFINITY;
                action.flags = action.flags & !flag::RUNNABLE | runnable;
            }
            self.relate(end, post, relation::FIRST_IMPLIES_THEN);
            self.relate(post, done, relation::FIRST_IMPLIES_THEN);
            (made.post, made.post_done) = (Some(post), Some(done));
        }
        if let (Some(pre_done), Some(post)) = (made.pre_done, made.post) {
            self.relate(pre_done, post, relation::ORDERED);
        }
        Some(made)
    }

    /// Pacemaker pe_notif.c:new_notify_pseudo_action.
    fn notify_pseudo(
        &mut self,
        rsc: RscId,
        around: ActId,
        task: &str,
        when: &str,
        notified: &str,
    ) -> ActId {
        let (about, optional) = {
            let action = &self.actions[around];
            (action.task.clone(), action.is(flag::OPTIONAL))
        };
        let op = format!("{when}_notify_{about}");
        let id = self.action_for_task(rsc, &op, task, 0, None, optional);
        let action = &mut self.actions[id];
        action.flags |= flag::PSEUDO;
        let kind = when.trim_start_matches("confirmed-");
        for (name, value) in [
            ("notify_key_type", when),
            ("notify_key_operation", about.as_str()),
            ("notify_type", kind),
            ("notify_operation", notified),
        ] {
            action.meta.insert_if_absent(name, value);
        }
        id
    }

    /// Notifications of a clone's instances, once it is known what they will do
    /// (Pacemaker clone.c:pe__create_clone_notifications).
    pub(crate) fn create_notifications(&mut self, clone: RscId) {
        let Some(mut list) = self.notifications.remove(&clone) else {
            return;
        };
        for task in NOTIFIED {
            if let Some(notification) = list.iter_mut().find(|n| n.task == task) {
                self.collect_entries(clone, true, &mut notification.data);
                self.notify_keys(clone, notification);
                self.notify_instances(clone, notification);
            }
        }
        self.notifications.insert(clone, list);
    }

    /// A stop that fencing implies is told to the others after it
    /// (Pacemaker pe_notif.c:pe__order_notifs_after_fencing).
    pub(crate) fn notify_after_fencing(&mut self, stop: ActId, rsc: RscId, fencing: ActId) {
        let Some(mut made) = self.new_notification(rsc, "stop", None, Some(fencing)) else {
            return;
        };
        self.collect_entries(rsc, false, &mut made.data);
        let node = self.actions[stop].node;
        let name = node.map_or("", |node| &self.nodes[node].name).to_owned();
        let id = self.rscs[rsc].id.clone();
        made.keys.insert("notify_stop_resource".to_owned(), id);
        made.keys.insert("notify_stop_uname".to_owned(), name);
        let top = self.top_of(rsc);
        self.notify_instances(top, &made);
    }

    /// Pacemaker pe_notif.c:collect_resource_data.
    fn collect_entries(&self, rsc: RscId, activity: bool, data: &mut Entries) {
        let r = &self.rscs[rsc];
        for child in &r.children {
            self.collect_entries(*child, activity, data);
        }
        if r.variant != Variant::Primitive {
            return;
        }
        let node = r.active.first().copied();
        match r.role {
            Role::Stopped => data.add("inactive", rsc, node),
            Role::Started => data.add("active", rsc, node),
            Role::Unpromoted => {
                data.add("unpromoted", rsc, node);
                data.add("active", rsc, node);
            }
            Role::Promoted => {
                data.add("promoted", rsc, node);
                data.add("active", rsc, node);
            }
            Role::Unknown => {}
        }
        if !activity {
            return;
        }
        for id in r.actions.iter().rev() {
            let action = &self.actions[*id];
            let (Some(list), Some(node)) = (list_of(&action.task), action.node) else {
                continue;
            };
            let certain = action.is(flag::RUNNABLE) || (list == "stop" && self.nodes[node].unclean);
            if !action.is(flag::OPTIONAL) && certain {
                data.add(list, rsc, Some(node));
            }
        }
    }

    /// Ids, each once, and the names of their nodes; a blank for nobody.
    fn entry_texts(&self, data: &Entries, list: &str) -> (String, String) {
        let id = |rsc: RscId| self.rscs[rsc].id.as_str();
        let node_id = |node: Option<NodeId>| node.map(|n| self.nodes[n].id.as_str());
        let mut entries = data.lists.get(list).cloned().unwrap_or_default();
        entries.sort_by(|a, b| {
            id(a.0)
                .cmp(id(b.0))
                .then_with(|| node_id(a.1).cmp(&node_id(b.1)))
        });
        let with_nodes = list != "inactive";
        entries.retain(|(_, node)| node.is_some() || !with_nodes);
        entries.dedup_by_key(|(rsc, _)| *rsc);
        let ids: Vec<&str> = entries.iter().map(|(rsc, _)| id(*rsc)).collect();
        let names: Vec<&str> = entries
            .iter()
            .filter_map(|(_, node)| Some(self.nodes[(*node)?].name.as_str()))
            .collect();
        (words(&ids), words(&names))
    }

    /// Pacemaker pe_notif.c:add_notif_keys.
    fn notify_keys(&mut self, clone: RscId, notification: &mut Notification) {
        let data = &notification.data;
        let mut keys = BTreeMap::new();
        for list in [
            "stop",
            "start",
            "demote",
            "promote",
            "active",
            "unpromoted",
            "promoted",
        ] {
            let (ids, names) = self.entry_texts(data, list);
            let older = match list {
                "unpromoted" => Some("slave"),
                "promoted" => Some("master"),
                _ => None,
            };
            for name in std::iter::once(list).chain(older) {
                keys.insert(format!("notify_{name}_resource"), ids.clone());
                keys.insert(format!("notify_{name}_uname"), names.clone());
            }
        }
        let (inactive, _) = self.entry_texts(data, "inactive");
        keys.insert("notify_inactive_resource".to_owned(), inactive);
        let allowed = self.rscs[clone].allowed.nodes();
        let name = |node: NodeId| self.nodes[node].name.as_str();
        let available: Vec<&str> = allowed.into_iter().map(name).collect();
        keys.insert("notify_available_uname".to_owned(), words(&available));
        let all: Vec<&str> = (0..self.nodes.len()).map(name).collect();
        keys.insert("notify_all_uname".to_owned(), words(&all));
        let target = self.rscs[clone].meta.get("container-attribute-target");
        if target.is_some_and(|target| target == "host") {
            let hosts: Vec<&str> = (0..self.nodes.len())
                .map(|node| name(self.host_of(node)))
                .collect();
            keys.insert("notify_all_hosts".to_owned(), words(&hosts));
        }
        notification.keys = keys;
        if data.has(&notification.task) {
            let points = [
                notification.pre,
                notification.pre_done,
                notification.post,
                notification.post_done,
            ];
            for id in points.into_iter().flatten() {
                self.actions[id].flags &= !flag::OPTIONAL;
            }
        }
    }

    fn add_notify_keys(&mut self, id: ActId, notification: &Notification) {
        for (name, value) in &notification.keys {
            self.actions[id].meta.insert_if_absent(name, value);
        }
    }

    /// Pacemaker pe_notif.c:create_notify_actions.
    fn notify_instances(&mut self, rsc: RscId, notification: &Notification) {
        for child in self.rscs[rsc].children.clone() {
            self.notify_instances(child, notification);
        }
        if !self.is_primitive(rsc) {
            return;
        }
        for id in self.rscs[rsc].actions.clone() {
            let action = &self.actions[id];
            let told = !action.is(flag::OPTIONAL) && action.node.is_some();
            if told && list_of(&action.task).is_some() {
                self.add_notify_keys(id, notification);
            }
        }
        // A stop may be implied by fencing, so its notifications do not depend on the list.
        let task = notification.task.as_str();
        if task != "stop" && !notification.data.has(task) {
            return;
        }
        let r = &self.rscs[rsc];
        if matches!(task, "stop" | "demote") {
            if r.role != Role::Stopped {
                self.notify_going_down(rsc, notification);
            }
        } else if r.next_role != Role::Stopped {
            self.notify_coming_up(rsc, notification);
        }
    }

    fn notify_going_down(&mut self, rsc: RscId, notification: &Notification) {
        let stop = self.first_action(rsc, "stop", None);
        for node in self.rscs[rsc].active.clone() {
            // Nobody is left to be told on a node that is fenced.
            let implied = stop.is_some_and(|id| self.actions[id].is(flag::PSEUDO));
            if implied && (self.nodes[node].unclean || self.nodes[node].remote_reset) {
                continue;
            }
            self.notify_before(rsc, node, notification);
            let stays = stop.is_none_or(|id| self.actions[id].is(flag::OPTIONAL));
            if notification.task == "demote" || stays {
                self.notify_after(rsc, node, notification);
            }
        }
    }

    fn notify_coming_up(&mut self, rsc: RscId, notification: &Notification) {
        let start = self.first_action(rsc, "start", None);
        let behind = start
            .and_then(|id| self.actions[id].node)
            .and_then(|node| self.nodes[node].connection)
            .and_then(|connection| self.first_action(connection, "start", None));
        if behind.is_some_and(|id| !self.actions[id].is(flag::RUNNABLE)) {
            return;
        }
        let Some(node) = self.rscs[rsc].assigned else {
            return;
        };
        let runs = start.is_none_or(|id| self.actions[id].is(flag::OPTIONAL));
        if notification.task != "start" || runs {
            self.notify_before(rsc, node, notification);
        }
        self.notify_after(rsc, node, notification);
    }

    fn notify_before(&mut self, rsc: RscId, node: NodeId, notification: &Notification) {
        self.notify_action(
            rsc,
            node,
            notification.pre,
            notification.pre_done,
            notification,
        );
    }

    /// Also keeps recurring monitors back until all are told.
    fn notify_after(&mut self, rsc: RscId, node: NodeId, notification: &Notification) {
        let (post, done) = (notification.post, notification.post_done);
        if let Some(id) = self.notify_action(rsc, node, post, done, notification) {
            self.actions[id].priority = INFINITY;
        }
        let Some(done) = done else {
            return;
        };
        for id in self.rscs[rsc].actions.clone().into_iter().rev() {
            let action = &self.actions[id];
            if action.meta.contains_key("interval") && action.task != "cancel" {
                self.relate(done, id, relation::ORDERED);
            }
        }
    }

    /// Pacemaker pe_notif.c:new_notify_action.
    fn notify_action(
        &mut self,
        rsc: RscId,
        node: NodeId,
        point: Option<ActId>,
        done: Option<ActId>,
        notification: &Notification,
    ) -> Option<ActId> {
        let (point, done) = (point?, done?);
        let action = &self.actions[point];
        if !self.nodes[node].online || !action.is(flag::RUNNABLE) {
            return None;
        }
        let when = action.meta.get("notify_type")?.to_owned();
        let about = action.meta.get("notify_operation")?.to_owned();
        let (optional, meta) = (action.is(flag::OPTIONAL), action.meta.clone());
        let op = format!("{when}_notify_{about}");
        let id = self.action_for_task(rsc, &op, "notify", 0, Some(node), optional);
        for (name, value) in meta.iter() {
            self.actions[id].meta.insert_if_absent(name, value);
        }
        self.add_notify_keys(id, notification);
        self.relate(point, id, relation::ORDERED);
        self.relate(id, done, relation::ORDERED);
        Some(id)
    }
}

/// Words with blanks between; one blank for none.
fn words(list: &[&str]) -> String {
    if list.is_empty() {
        " ".to_owned()
    } else {
        list.join(" ")
    }
}
