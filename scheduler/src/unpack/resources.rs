//! `configuration/resources`: primitives, groups, clones and their instances.

use crate::cluster::{Cluster, NodeId, RscId};
use crate::node::{NodeKind, ProbeMode, Table};
use crate::options::{NoQuorum, section};
use crate::resource::bundle::Replica;
use crate::resource::{CloneData, Flags, MultipleActive, OpConfig, Resource, Role, Variant};
use crate::rule::{Facts, resolve_idref, unpack_nvpairs};
use crate::score::{self, INFINITY};
use crate::text::{is_true, parse_bool, parse_ms};
use cib::Element;
use std::collections::BTreeMap;

/// A role as far as overriding is concerned: unpromoted is what started is.
fn template_role(op: &OpConfig) -> Role {
    match op.role() {
        None | Some(Role::Started | Role::Unpromoted) => Role::Unknown,
        Some(role) => role,
    }
}

/// Score of the node inside a container for what runs there (Pacemaker bundle.c).
const INSIDE_SCORE: i32 = 500;

/// What a resource's `requires` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    Quorum,
    Fencing,
    Unfencing,
}

impl<'a> Cluster<'a> {
    /// Makes the resources and sorts them by priority (Pacemaker unpack.c:unpack_resources).
    pub(crate) fn unpack_resources(&mut self) {
        let Some(section) = section(self.cib, "resources") else {
            return;
        };
        for element in &section.children {
            if let Some(rsc) = self.unpack_resource(element, None, None) {
                self.top.push(rsc);
                self.documents.push(rsc);
            }
        }
        let rscs = &self.rscs;
        self.top
            .sort_by_key(|rsc| std::cmp::Reverse(rscs[*rsc].priority));
        if self.options.fencing && !self.have_fencing_device {
            self.warnings.push(
                "fencing is enabled but no fence device is configured: \
                 resources will not be started"
                    .to_owned(),
            );
        }
    }

    pub(super) fn unpack_resource(
        &mut self,
        element: &'a Element,
        parent: Option<RscId>,
        instance: Option<u32>,
    ) -> Option<RscId> {
        let Some(xml_id) = element.id() else {
            self.errors
                .push(format!("{}: ignored, because it has no id", element.name));
            return None;
        };
        let (variant, tag) = match element.name.as_str() {
            "primitive" => (Variant::Primitive, "primitive"),
            "group" => (Variant::Group, "group"),
            "clone" | "master" => (Variant::Clone, "clone"),
            "bundle" => (Variant::Bundle, "bundle"),
            _ => return None,
        };
        if variant == Variant::Bundle && element.first("replica").is_none() {
            self.refuse_bundle(xml_id, element);
            return None;
        }
        let id = match instance {
            Some(number) => format!("{xml_id}:{number}"),
            None => xml_id.to_owned(),
        };
        if self.by_id.contains_key(&id) {
            self.errors
                .push(format!("{id}: ignored, because this id is taken"));
            return None;
        }
        if !self.admits_resource() {
            return None;
        }
        let sources = self.sources(element)?;
        let rsc = self.add_resource(id, xml_id, tag, variant, sources, parent);
        self.unpack_meta(rsc, instance);
        self.unpack_attributes(rsc);
        self.unpack_utilization(rsc);
        match variant {
            Variant::Group => self.unpack_group(rsc, element, instance),
            Variant::Clone => self.unpack_clone(rsc, element),
            Variant::Bundle => self.unpack_bundle(rsc, element),
            Variant::Primitive => {
                self.force_anonymous(rsc);
                self.unpack_connection(rsc);
            }
        }
        // Where a guest's connection may be is decided by its container.
        let guest =
            self.rscs[rsc].remote_name.is_some() && self.rscs[rsc].meta.contains_key("container");
        if self.options.symmetric || guest {
            self.allow_everywhere(rsc);
        }
        Some(rsc)
    }

    /// All nodes there are so far, as in symmetric clusters, but the insides of bundles
    /// (Pacemaker complex.c:resource_node_score).
    pub(super) fn allow_everywhere(&mut self, rsc: RscId) {
        for node in 0..self.nodes.len() {
            let n = &self.nodes[node];
            if n.to_come || n.bundled || self.rscs[rsc].allowed.get(node).is_some() {
                continue;
            }
            let base = n.base_score;
            self.rscs[rsc].allowed.entry(node, base);
        }
    }

    /// Nothing could be made of a bundle (Pacemaker bundle.c:pe__unpack_bundle).
    fn refuse_bundle(&mut self, id: &str, element: &Element) {
        let network = element.first("network");
        let has = |name: &str| network.is_some_and(|n| n.attr(name).is_some());
        let reachable = has("ip-range-start") || has("control-port");
        let why = match element.first("primitive").and_then(Element::id) {
            Some(inside) if !reachable => format!(
                "{inside} inside cannot be controlled without an ip-range-start or a control-port"
            ),
            _ => "it has no usable container description".to_owned(),
        };
        self.errors
            .push(format!("bundle {id}: ignored, because {why}"));
    }

    /// Pacemaker bundle.c:pe__unpack_bundle. The parts are made by [`crate::expand::bundle`].
    fn unpack_bundle(&mut self, bundle: RscId, element: &'a Element) {
        let inner = element.first("clone");
        if let Some(inner) = inner
            && let Some(clone) = self.unpack_resource(inner, Some(bundle), None)
        {
            self.rscs[bundle].children.push(clone);
        }
        let clone = self.bundled_clone(bundle);
        let number = |name: &str| {
            let agent = element.first("docker").or_else(|| element.first("podman"));
            agent.and_then(|a| a.attr(name)?.trim().parse::<u32>().ok())
        };
        let data = clone.and_then(|clone| self.rscs[clone].clone);
        let replicas = element.all("replica").count();
        let max = u32::try_from(replicas).unwrap_or(u32::MAX);
        let node_max = data.map_or(number("replicas-per-host").unwrap_or(1), |d| d.node_max);
        let meta = &self.rscs[bundle].meta;
        let interleave = is_true(meta.get("interleave").map(String::as_str));
        self.rscs[bundle].clone = Some(CloneData {
            max,
            node_max: node_max.max(1),
            promoted_max: data.map_or(0, |d| d.promoted_max),
            promoted_node_max: 1,
            ordered: false,
            interleave,
            total: max,
        });
        self.rscs[bundle].flags.unique = node_max > 1;
        let mut parts = Vec::new();
        for (offset, replica) in element.all("replica").enumerate() {
            let child = clone.and_then(|c| self.rscs[c].children.get(offset).copied());
            parts.extend(self.unpack_replica(bundle, replica, child));
        }
        // What is inside comes last.
        let inside = std::mem::take(&mut self.rscs[bundle].children);
        self.rscs[bundle].children = parts.into_iter().chain(inside).collect();
    }

    fn unpack_replica(
        &mut self,
        bundle: RscId,
        element: &'a Element,
        child: Option<RscId>,
    ) -> Vec<RscId> {
        let mut made = Vec::new();
        for part in &element.children {
            made.extend(self.unpack_resource(part, Some(bundle), None));
        }
        let find = |kinds: &[&str]| {
            let is = |rsc: &RscId| kinds.contains(&self.rscs[*rsc].kind.as_str());
            made.iter().copied().find(is)
        };
        let Some(container) = find(&["docker", "podman"]) else {
            return made;
        };
        let (ip, remote) = (find(&["IPaddr2"]), find(&["remote"]));
        let node = remote.and_then(|remote| self.find_node(&self.rscs[remote].id));
        self.rscs[container].flags.replica_container = true;
        if let Some(child) = child {
            self.enclose(child, container, node, element.attr("ip"));
        }
        if let (Some(remote), Some(node)) = (remote, node) {
            self.rscs[remote].flags.remote_nesting = true;
            self.rscs[remote].allowed.ban(node);
            for other in 0..self.nodes.len() {
                if self.nodes[other].kind == NodeKind::Remote {
                    self.rscs[remote].allowed.ban(other);
                }
            }
        }
        self.rscs[bundle].replicas.push(Replica {
            container,
            ip,
            remote,
            child,
            node,
        });
        made
    }

    /// What is inside runs on its own node only, which is there from now on.
    fn enclose(&mut self, child: RscId, container: RscId, node: Option<NodeId>, ip: Option<&str>) {
        let usage = std::mem::take(&mut self.rscs[child].utilization);
        self.rscs[container].utilization = usage;
        self.rscs[child].flags.exclusive_probes = true;
        if let Some(ip) = ip {
            let meta = &mut self.rscs[child].meta;
            meta.insert("external-ip".to_owned(), ip.to_owned());
        }
        let parent = self.rscs[child].parent;
        if self.rscs[child].flags.notify
            && let Some(clone) = parent
        {
            self.rscs[clone].flags.notify = true;
        }
        let target = self.rscs[child]
            .meta
            .get("container-attribute-target")
            .cloned();
        if let (Some(target), Some(clone)) = (target, parent) {
            let meta = &mut self.rscs[clone].meta;
            meta.insert("container-attribute-target".to_owned(), target);
        }
        let Some(node) = node else {
            return;
        };
        self.nodes[node].to_come = false;
        let mut allowed = Table::default();
        allowed.entry(node, INSIDE_SCORE).probe = ProbeMode::Exclusive;
        self.rscs[child].allowed = allowed;
        if let Some(clone) = parent {
            self.rscs[clone].allowed.entry(node, -INFINITY).score = -INFINITY;
        }
    }

    /// The element and the template it refers to.
    fn sources(&mut self, element: &'a Element) -> Option<Vec<&'a Element>> {
        let mut sources = vec![element];
        if let Some(name) = element.attr("template") {
            let template = section(self.cib, "resources")
                .and_then(|s| s.all("template").find(|t| t.id() == Some(name)));
            let Some(template) = template else {
                self.errors.push(format!(
                    "{}: ignored, because its template {name} does not exist",
                    element.id().unwrap_or("resource")
                ));
                return None;
            };
            sources.push(template);
        }
        Some(sources)
    }

    /// Adds an arena entry with neutral values.
    pub(crate) fn add_resource(
        &mut self,
        id: String,
        xml_id: &str,
        tag: &'static str,
        variant: Variant,
        sources: Vec<&'a Element>,
        parent: Option<RscId>,
    ) -> RscId {
        let attr = |name: &str| {
            sources
                .iter()
                .find_map(|source| source.attr(name))
                .map(str::to_owned)
        };
        let rsc = self.rscs.len();
        self.by_id.insert(id.clone(), rsc);
        let ops = self.unpack_ops(&sources);
        self.rscs.push(Resource {
            id,
            xml_id: xml_id.to_owned(),
            tag,
            variant,
            parent,
            children: Vec::new(),
            class: attr("class").unwrap_or_default(),
            provider: attr("provider"),
            kind: attr("type").unwrap_or_default(),
            sources,
            ops,
            meta: BTreeMap::new(),
            flags: Flags::default(),
            role: Role::Stopped,
            next_role: Role::Unknown,
            priority: 0,
            stickiness: 0,
            migration_threshold: INFINITY as u32,
            failure_timeout_ms: 0,
            multiple_active: MultipleActive::StopStart,
            clone: None,
            group_ordered: true,
            group_colocated: true,
            allowed: Table::default(),
            known_on: Vec::new(),
            active: Vec::new(),
            assigned: None,
            assigned_score: 0,
            promotion_sort: 0,
            tickets: Vec::new(),
            lock: None,
            utilization: BTreeMap::new(),
            partial_source: None,
            partial_target: None,
            dangling: Vec::new(),
            remote_name: None,
            reconnect_ms: 0,
            container: None,
            fillers: Vec::new(),
            replicas: Vec::new(),
            history_id: None,
            pending_action: None,
            pending_node: None,
            actions: Vec::new(),
            this_with: Vec::new(),
            with_this: Vec::new(),
        });
        rsc
    }

    /// Operations of the resource, then those only its template has.
    fn unpack_ops(&self, sources: &[&'a Element]) -> Vec<OpConfig<'a>> {
        let mut ops: Vec<OpConfig<'a>> = Vec::new();
        for source in sources {
            let Some(operations) = source.first("operations") else {
                continue;
            };
            let known = ops.len();
            for op in resolve_idref(self.cib, operations).all("op") {
                let op = resolve_idref(self.cib, op);
                let config = OpConfig {
                    xml: op,
                    interval_ms: op.attr("interval").and_then(parse_ms).unwrap_or(0),
                    enabled: parse_bool(op.attr("enabled")) != Some(false),
                };
                // A template's operation gives way to one of the same name and role, whatever
                // the intervals (Pacemaker complex.c:template_op_key).
                let overridden = ops[..known].iter().any(|other| {
                    other.name() == config.name() && template_role(other) == template_role(&config)
                });
                if !overridden {
                    ops.push(config);
                }
            }
        }
        ops
    }

    /// Own meta attributes, then the parents', then the defaults
    /// (Pacemaker complex.c:get_meta_attributes).
    fn unpack_meta(&mut self, rsc: RscId, instance: Option<u32>) {
        let r = &self.rscs[rsc];
        let facts = Facts {
            agent: Some((&r.class, r.provider.as_deref().unwrap_or(""), &r.kind)),
            ..self.facts()
        };
        let mut meta = BTreeMap::new();
        if let Some(number) = instance {
            meta.insert("clone".to_owned(), number.to_string());
        }
        for (name, value) in [("class", &r.class), ("type", &r.kind)] {
            if !value.is_empty() {
                meta.insert(name.to_owned(), value.clone());
            }
        }
        unpack_nvpairs(self.cib, &r.sources, "meta_attributes", &facts, &mut meta);
        if let Some(parent) = r.parent {
            for (name, value) in &self.rscs[parent].meta {
                let entry = meta.entry(name.clone());
                entry.or_insert_with(|| value.clone());
            }
        }
        if let Some(defaults) = section(self.cib, "rsc_defaults") {
            unpack_nvpairs(self.cib, &[defaults], "meta_attributes", &facts, &mut meta);
        }
        self.rscs[rsc].meta = meta;
    }

    fn unpack_utilization(&mut self, rsc: RscId) {
        let mut values = BTreeMap::new();
        let facts = self.facts();
        let sources = &self.rscs[rsc].sources;
        unpack_nvpairs(self.cib, sources, "utilization", &facts, &mut values);
        self.rscs[rsc].utilization = crate::utilization::amounts(&values);
    }

    /// What the meta attributes mean (Pacemaker complex.c:pe__unpack_resource).
    pub(crate) fn unpack_attributes(&mut self, rsc: RscId) {
        let meta = std::mem::take(&mut self.rscs[rsc].meta);
        let get = |name: &str| meta.get(name).map(String::as_str);
        let top = self.top_of(rsc);
        let in_clone = self.is_clone(top);
        let fence_device = self.rscs[rsc].class.eq_ignore_ascii_case("stonith");
        self.have_fencing_device |= fence_device;

        let connection = crate::expand::is_remote_connection(self.rscs[rsc].sources[0]);
        let mut flags = Flags {
            unassigned: true,
            // What is no boolean is as good as false.
            managed: get("is-managed")
                .is_none_or(|v| v.eq_ignore_ascii_case("default") || is_true(Some(v))),
            critical: get("critical").is_none() || is_true(get("critical")),
            notify: is_true(get("notify")),
            migratable: is_true(get("allow-migrate")),
            fence_device,
            ..Flags::default()
        };
        if is_true(get("maintenance")) || self.options.maintenance {
            flags.managed = false;
            flags.maintenance = true;
        }
        if in_clone {
            flags.unique = self.globally_unique(rsc, &meta);
            let master = self.rscs[top].sources.iter().any(|s| s.name == "master");
            flags.promotable = master || is_true(get("promotable"));
        } else {
            flags.unique = true;
        }
        let needs = self.requires(get("requires"), fence_device, connection);
        flags.needs_fencing = matches!(needs, Needs::Fencing | Needs::Unfencing);
        flags.needs_unfencing = needs == Needs::Unfencing;
        flags.needs_quorum = needs == Needs::Quorum;

        let r = &mut self.rscs[rsc];
        r.flags = flags;
        r.priority = get("priority").and_then(score::parse).unwrap_or(0);
        r.stickiness = get("resource-stickiness")
            .and_then(score::parse)
            .unwrap_or(0);
        r.migration_threshold = match get("migration-threshold").map(score::parse) {
            None => INFINITY as u32,
            Some(Some(count)) => u32::try_from(count).unwrap_or(INFINITY as u32),
            Some(None) => INFINITY as u32,
        };
        r.failure_timeout_ms = get("failure-timeout").and_then(parse_ms).unwrap_or(0);
        r.multiple_active = match get("multiple-active") {
            Some("stop_only") => MultipleActive::StopOnly,
            Some("block") => MultipleActive::Block,
            Some("stop_unexpected") => MultipleActive::StopUnexpected,
            _ => MultipleActive::StopStart,
        };
        r.meta = meta;
        if let Some(role) = self.target_role(rsc) {
            self.set_next_role(rsc, role);
        }
    }

    /// Whether instances are told apart
    /// (Pacemaker complex.c:detect_unique, native.c:native_unpack).
    fn globally_unique(&self, rsc: RscId, meta: &BTreeMap<String, String>) -> bool {
        let class = &self.rscs[rsc].class;
        if !class.is_empty() && !super::instances::can_be_unique(class) {
            return false;
        }
        match meta.get("globally-unique") {
            Some(value) => is_true(Some(value)),
            None => meta
                .get("clone-node-max")
                .and_then(|v| v.parse::<u32>().ok())
                .is_some_and(|max| max > 1),
        }
    }

    /// `requires`: whether fencing, and whether quorum, must be given before a start
    /// (Pacemaker complex.c:unpack_requires).
    fn requires(&self, value: Option<&str>, fence_device: bool, connection: bool) -> Needs {
        let fencing = self.options.fencing;
        match value.map(str::to_ascii_lowercase).as_deref() {
            Some("nothing") => Needs::Nothing,
            Some("quorum") => Needs::Quorum,
            Some("fencing") => Needs::Fencing,
            Some("unfencing") if fencing && !fence_device => Needs::Unfencing,
            Some("unfencing") => Needs::Quorum,
            _ if fence_device || connection => Needs::Quorum,
            _ if self.options.unfencing && fencing => Needs::Unfencing,
            _ if fencing => Needs::Fencing,
            _ if self.options.no_quorum == NoQuorum::Ignore => Needs::Nothing,
            _ => Needs::Quorum,
        }
    }

    /// `target-role` where it limits the resource (Pacemaker complex.c:get_target_role).
    pub(crate) fn target_role(&self, rsc: RscId) -> Option<Role> {
        let value = self.rscs[rsc].meta.get("target-role")?;
        match Role::parse(value)? {
            Role::Stopped => Some(Role::Stopped),
            Role::Unpromoted if self.rscs[self.top_of(rsc)].flags.promotable => {
                Some(Role::Unpromoted)
            }
            _ => None,
        }
    }

    fn unpack_group(&mut self, rsc: RscId, element: &'a Element, instance: Option<u32>) {
        let meta = &self.rscs[rsc].meta;
        let flag = |name: &str| parse_bool(meta.get(name).map(String::as_str)).unwrap_or(true);
        (self.rscs[rsc].group_ordered, self.rscs[rsc].group_colocated) =
            (flag("ordered"), flag("collocated"));
        for member in element.all("primitive") {
            if let Some(member) = self.unpack_resource(member, Some(rsc), instance) {
                self.rscs[rsc].children.push(member);
            }
        }
    }
}
