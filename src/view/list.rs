//! Nodes and resources in the lists of Pacemaker's tools (lib/pengine: pe_output.c, native.c,
//! group.c, clone.c, bundle.c).

use super::printer::Printer;
use super::tell::node_state;
use super::{brief, leaves};
use cib::Element;
use scheduler::{NodeStatus, ResourceStatus, ShownReplica};
use std::collections::BTreeMap;

/// What lines depend on beside their resource.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    /// In display order.
    pub(crate) nodes: &'a [NodeStatus],
    /// Operations under way are shown.
    pub(crate) pending: bool,
    /// What runs nowhere is shown, too.
    pub(crate) inactive: bool,
    /// Instances one by one, the parts of bundles, ids of nodes.
    pub(crate) detail: bool,
    /// Numbers in place of a line for each primitive.
    pub(crate) brief: bool,
    /// A primitive's state without its place.
    pub(crate) placeless: bool,
}

impl<'a> Look<'a> {
    /// Everything, without details.
    pub(crate) const fn all(nodes: &'a [NodeStatus], pending: bool) -> Self {
        Self {
            nodes,
            pending,
            inactive: true,
            detail: false,
            brief: false,
            placeless: false,
        }
    }
}

/// The list of resources, or a line that there are none. Under `by_node` what runs stands with its
/// node already.
pub(crate) fn show_resources(
    out: &mut Printer,
    resources: &[ResourceStatus],
    look: Look<'_>,
    by_node: bool,
) {
    let before = out.lines();
    if look.brief && !by_node {
        let primitives: Vec<_> = resources.iter().filter(|r| is_primitive(r)).collect();
        for line in brief::lines(&primitives, look.inactive) {
            line_of(out, &line);
        }
    }
    for resource in resources {
        let partly = any_active(resource);
        let gone = resource.orphaned && !partly;
        let told = (by_node && is_active(resource)) || (look.brief && is_primitive(resource));
        if gone || told || !(partly || look.inactive) {
            continue;
        }
        show(out, resource, look);
    }
    if out.lines() == before {
        line_of(
            out,
            match (by_node, look.inactive) {
                (true, _) => "No inactive resources",
                (false, true) => "No resources",
                (false, false) => "No active resources",
            },
        );
    }
}

fn is_primitive(resource: &ResourceStatus) -> bool {
    !matches!(resource.kind.as_str(), "group" | "clone" | "bundle")
}

/// Every part of it is active.
pub(super) fn is_active(resource: &ResourceStatus) -> bool {
    match is_primitive(resource) {
        true => resource.active,
        false => resource.shown.fully_active,
    }
}

/// A part of it is active.
fn any_active(resource: &ResourceStatus) -> bool {
    let mut active = resource.active;
    leaves(resource, &mut |leaf| active |= leaf.active);
    active
}

/// Interchangeable instances are shown without their number.
pub(crate) fn shown_name(resource: &ResourceStatus) -> &str {
    let shown = &resource.shown;
    match shown.unique {
        true => &shown.name,
        false => shown.name.split(':').next().unwrap_or_default(),
    }
}

/// A line for every node with a state of its own, then those that are on or off together.
pub(crate) fn show_nodes(out: &mut Printer, look: Look<'_>) {
    let mut together: [(&str, Vec<&str>); 5] = [
        ("Online", Vec::new()),
        ("OFFLINE", Vec::new()),
        ("RemoteOnline", Vec::new()),
        ("RemoteOFFLINE", Vec::new()),
        ("GuestOnline", Vec::new()),
    ];
    for node in look.nodes {
        if look.detail || stands_alone(node) {
            line_of(out, &node_line(node, look.detail));
            continue;
        }
        let place = match (node.kind.as_str(), node.online) {
            ("guest", true) => 4,
            ("guest", false) => continue,
            ("remote", true) => 2,
            ("remote", false) => 3,
            (_, true) => 0,
            (_, false) => 1,
        };
        together[place].1.push(&node.name);
    }
    for (heading, names) in together {
        if !names.is_empty() {
            // Without headings there is none of these either.
            let heading = match out.is_plain() {
                true => String::new(),
                false => format!("{heading}: "),
            };
            line_of(out, &format!("{heading}[ {} ]", names.join(" ")));
        }
    }
}

fn stands_alone(node: &NodeStatus) -> bool {
    node.unclean
        || node.pending
        || node.standby
        || node.standby_on_fail
        || node.maintenance
        || node.health <= 0
}

/// A node by itself; in detail with its id and what it speaks.
pub(crate) fn node_line(node: &NodeStatus, detail: bool) -> String {
    let id = match detail {
        true => format!(" ({})", node.id),
        false => String::new(),
    };
    let set = match detail && node.online && node.kind == "member" {
        true => format!(", feature set {}", node.feature_set),
        false => String::new(),
    };
    format!(
        "{} {}{id}: {}{set}",
        word(node),
        node.name,
        told_state(node)
    )
}

/// The state, and the health where that is not green (lib/pengine/pe_output.c).
pub(crate) fn told_state(node: &NodeStatus) -> String {
    let health = match node.health {
        ..0 => " (health is RED)",
        0 => " (health is YELLOW)",
        1.. => "",
    };
    format!("{}{health}", node_state(node))
}

fn word(node: &NodeStatus) -> &'static str {
    match node.kind.as_str() {
        "guest" => "GuestNode",
        "remote" => "RemoteNode",
        _ => "Node",
    }
}

/// A resource with what is in it.
pub(crate) fn show(out: &mut Printer, resource: &ResourceStatus, look: Look<'_>) {
    match resource.kind.as_str() {
        "group" => show_group(out, resource, look),
        "clone" => show_clone(out, resource, look),
        "bundle" => show_bundle(out, resource, look),
        _ if resource.shown.internal => {}
        _ => {
            let name = shown_name(resource);
            let place = match look.placeless {
                true => &None,
                false => &resource.shown.place,
            };
            line_of(out, &line(resource, name, place, look.pending));
        }
    }
}

fn show_group(out: &mut Printer, group: &ResourceStatus, look: Look<'_>) {
    let idle = group.children.iter().filter(|c| !is_active(c)).count();
    let idle = (idle > 0 && !look.inactive).then(|| {
        let s = if idle == 1 { "" } else { "s" };
        format!("{idle} member{s} inactive")
    });
    let mut notes = Vec::new();
    notes.extend(idle.as_deref());
    notes.extend(management(group));
    notes.extend(group.shown.disabled.then_some("disabled"));
    let title = format!("Resource Group: {}{}", group.id, bracketed(&notes));
    out.list(&title, Element::default(), |out| {
        if look.brief {
            let members: Vec<_> = group.children.iter().collect();
            for line in brief::lines(&members, true) {
                line_of(out, &line);
            }
            return;
        }
        let shown = |member: &&ResourceStatus| look.inactive || any_active(member);
        for member in group.children.iter().filter(shown) {
            show(out, member, look);
        }
    });
}

fn show_bundle(out: &mut Printer, bundle: &ResourceStatus, look: Look<'_>) {
    let replicas = &bundle.shown.replicas;
    let set = if replicas.len() > 1 { " set" } else { "" };
    let unique = if bundle.shown.unique { " (unique)" } else { "" };
    let unmanaged = bracketed(&management(bundle).into_iter().collect::<Vec<_>>());
    let (id, image) = (&bundle.id, &bundle.shown.image);
    let title = format!("Container bundle{set}: {id} [{image}]{unique}{unmanaged}");
    out.list(&title, Element::default(), |out| {
        for ShownReplica {
            name, inner, place, ..
        } in replicas
        {
            line_of(out, &line(inner, name, place, look.pending));
        }
    });
}

/// Instances about which there is something to say have lines of their own; the others are told
/// by the names of their nodes.
fn show_clone(out: &mut Printer, clone: &ResourceStatus, look: Look<'_>) {
    let shown = &clone.shown;
    let mut notes = Vec::new();
    notes.extend(shown.promotable.then_some("promotable"));
    notes.extend(shown.unique.then_some("unique"));
    notes.extend(shown.disabled.then_some("disabled"));
    notes.extend(management(clone));
    let notes = bracketed(&notes);
    let title = format!("Clone Set: {} [{}]{notes}", clone.id, shown.cloned);
    out.list(&title, Element::default(), |out| {
        let (mut promoted, mut started) = (Vec::new(), Vec::new());
        for instance in &clone.children {
            match place_in_clone(clone, instance, look) {
                Place::Alone => show(out, instance, look),
                Place::Promoted(node) => promoted.push(node),
                Place::Started(node) => started.push(node),
                Place::Nowhere => {}
            }
        }
        let active = promoted.len() + started.len();
        let started_word = match (shown.promotable, shown.disabled) {
            (true, true) if !is_stopped(clone) => "Unpromoted (target-role)",
            (true, _) => "Unpromoted",
            (false, _) => "Started",
        };
        for (word, mut names) in [("Promoted", promoted), (started_word, started)] {
            names.sort_by_key(|name| look.nodes.iter().position(|n| n.name == *name));
            if !names.is_empty() {
                line_of(out, &format!("{word}: [ {} ]", names.join(" ")));
            }
        }
        if look.inactive && !look.detail && !shown.unique && shown.instances_max as usize > active {
            show_idle(out, clone);
        }
    });
}

/// Where no instance is, by the reason.
fn show_idle(out: &mut Printer, clone: &ResourceStatus) {
    let mut by_state: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in &clone.shown.idle_nodes {
        let probe = clone.shown.failed_probes.iter().find(|(n, _)| n == node);
        let state = match probe {
            Some((_, rc)) => format!("Stopped ({})", exit_text(*rc)),
            None if is_stopped(clone) => "Stopped (disabled)".to_owned(),
            None => "Stopped".to_owned(),
        };
        by_state.entry(state).or_default().push(node);
    }
    for (state, names) in by_state {
        line_of(out, &format!("{state}: [ {} ]", names.join(" ")));
    }
}

/// The role configured for a clone, or what is in it, is none.
fn is_stopped(clone: &ResourceStatus) -> bool {
    let own = clone.target_role.as_deref();
    let child = clone.children.first();
    let role = own.or_else(|| child.and_then(|c| c.target_role.as_deref()));
    role.is_some_and(|role| role.eq_ignore_ascii_case("stopped"))
}

/// How an instance is told of.
enum Place<'a> {
    Alone,
    Promoted(&'a str),
    Started(&'a str),
    Nowhere,
}

fn place_in_clone<'a>(
    clone: &ResourceStatus,
    instance: &'a ResourceStatus,
    look: Look<'_>,
) -> Place<'a> {
    if look.detail {
        return Place::Alone;
    }
    if clone.shown.unique {
        return match instance.active || !clone.orphaned {
            true => Place::Alone,
            false => Place::Nowhere,
        };
    }
    if look.pending && instance.pending.is_some() {
        return Place::Alone;
    }
    if !instance.active {
        return Place::Nowhere;
    }
    let mut plain = true;
    let mut nodes: Vec<&str> = Vec::new();
    leaves(instance, &mut |leaf| {
        plain &= !leaf.orphaned && leaf.managed && !leaf.failed;
        nodes.extend(leaf.nodes.iter().map(String::as_str));
        plain &= !leaf.shown.place.as_ref().is_some_and(|(_, lost)| *lost);
    });
    nodes.dedup();
    match nodes.as_slice() {
        [node] if plain && instance.shown.fully_active => match instance.role.as_str() {
            "Promoted" => Place::Promoted(node),
            _ => Place::Started(node),
        },
        _ => Place::Alone,
    }
}

/// A primitive's line (Pacemaker native.c:pcmk__native_output_string).
pub(crate) fn line(
    resource: &ResourceStatus,
    name: &str,
    place: &Option<(String, bool)>,
    pending: bool,
) -> String {
    let shown = &resource.shown;
    let locked = shown.locked_to.as_deref();
    let several = resource.nodes.len() > 1;
    let node = place.as_ref().map(|(node, _)| node.as_str()).or(locked);
    let node = node.filter(|_| !several);
    let mut text = format!("{name}\t({}):\t", resource.agent);
    if resource.orphaned {
        text.push_str(" ORPHANED");
    }
    if resource.failed {
        text.push_str(" FAILED");
        if resource.role == "Promoted" {
            text.push_str(" Promoted");
        }
    } else {
        let under_way = resource.pending.as_deref().filter(|_| pending);
        let under_way = under_way.filter(|word| *word != "Monitoring");
        text.push(' ');
        text.push_str(under_way.unwrap_or(&resource.role));
    }
    if let Some(node) = node {
        text.push(' ');
        text.push_str(node);
    }
    if resource.role == "Stopped" {
        let mut probes = shown.failed_probes.iter();
        let probe = probes.find(|(n, _)| node.is_none_or(|node| node == n));
        if let Some((_, rc)) = probe {
            text.push_str(&format!(" ({}) ", exit_text(*rc)));
        }
    }
    let lost = node.is_some() && place.as_ref().is_some_and(|(_, lost)| *lost);
    text.push_str(&bracketed(&notes(resource, node, lost, pending)));
    if several {
        text.push_str(&format!(" [ {} ]", resource.nodes.join(" ")));
    }
    text
}

fn notes<'a>(
    resource: &'a ResourceStatus,
    node: Option<&str>,
    lost: bool,
    pending: bool,
) -> Vec<&'a str> {
    let shown = &resource.shown;
    let mut notes = Vec::new();
    notes.extend(lost.then_some("UNCLEAN"));
    let locked = node.is_some() && node == shown.locked_to.as_deref();
    notes.extend(locked.then_some("LOCKED"));
    let monitoring = pending && resource.pending.as_deref() == Some("Monitoring");
    notes.extend(monitoring.then_some("Monitoring"));
    match resource.target_role.as_deref() {
        Some(role) if role.eq_ignore_ascii_case("stopped") => notes.push("disabled"),
        Some("Unpromoted") if shown.promotable => notes.push("target-role:Unpromoted"),
        Some("Slave") if shown.promotable => notes.push("target-role:Slave"),
        _ => {}
    }
    if resource.blocked {
        notes.push("blocked");
    } else {
        notes.extend(management(resource));
    }
    notes.extend(shown.failure_ignored.then_some("failure ignored"));
    notes
}

fn management(resource: &ResourceStatus) -> Option<&'static str> {
    match (resource.maintenance, resource.managed) {
        (true, _) => Some("maintenance"),
        (false, false) => Some("unmanaged"),
        (false, true) => None,
    }
}

/// The status as XML is made elsewhere.
fn line_of(out: &mut Printer, text: &str) {
    out.item(text, Element::default);
}

fn bracketed(notes: &[&str]) -> String {
    match notes {
        [] => String::new(),
        notes => format!(" ({})", notes.join(", ")),
    }
}

/// An exit code in words (Pacemaker results.c:crm_exit_str).
pub(crate) const fn exit_text(rc: i32) -> &'static str {
    match rc {
        0 => "OK",
        1 => "Error occurred",
        2 => "Invalid parameter",
        3 => "Unimplemented",
        4 => "Insufficient privileges",
        5 => "Not installed",
        6 => "Not configured",
        7 => "Not running",
        8 => "Promoted",
        9 => "Failed in promoted role",
        _ => "Unknown exit status",
    }
}
