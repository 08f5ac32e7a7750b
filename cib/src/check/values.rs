//! Are the values what their options take, and do they fit what they are options of?

use std::collections::BTreeMap;

use super::grammar::{ON_FAIL, REQUIRES, ROLES};
use super::properties::fences;
use super::{Findings, nearest};
use crate::config::{Config, Kind, Resource};
use crate::document::{Cib, Section};
use crate::tree::Element;
use crate::value::{Score, parse_bool, parse_interval_ms};

pub(super) fn check(cib: &Cib, findings: &mut Findings) {
    let config = Config::new(cib);
    let resources = config.resources();
    // Of equal ids the first counts: it stands in front of all that is inside of it, so that the
    // way from a resource outwards ends, even where one contains another of its own id.
    let outwards = resources.iter().rev();
    let around: BTreeMap<&str, &Resource<'_>> = outwards.map(|r| (r.id, r)).collect();
    let fences = fences(&config);
    for resource in &resources {
        for op in config.ops(resource) {
            operation(op.element, findings);
            on_fail(op.element, fences, findings);
        }
        let context = Context {
            kind: resource.kind,
            fences,
            promotable: promotable(resource, &around),
        };
        for pair in meta_pairs(resource.element) {
            meta(pair, context, findings);
        }
        instances(resource, &config, context, findings);
    }
    // They hold for resources of every kind.
    let anything = Context {
        kind: Kind::Primitive,
        fences,
        promotable: None,
    };
    let defaults = cib.section(Section::RscDefaults).into_iter();
    for pair in defaults.flat_map(meta_pairs) {
        meta(pair, anything, findings);
    }
    let defaults = cib.section(Section::OpDefaults).into_iter();
    for pair in defaults.flat_map(meta_pairs) {
        operation_default(pair, findings);
    }
    let holders = [Section::Nodes, Section::Resources];
    for holder in holders.into_iter().filter_map(|s| cib.section(s)) {
        amounts(holder, findings, DEPTH_MAX);
    }
    for constraint in config.constraints() {
        self::constraint(constraint.element, findings);
    }
}

/// What a resource's values are judged by.
#[derive(Clone, Copy)]
struct Context {
    kind: Kind,
    /// Fencing is on.
    fences: bool,
    /// It is, or stands in, something that has promoted instances; not known of what a bundle
    /// contains.
    promotable: Option<bool>,
}

fn meta_pairs(element: &Element) -> impl Iterator<Item = &Element> {
    let sets = element.all("meta_attributes");
    sets.flat_map(|set| set.all("nvpair"))
}

fn meta_is(resource: &Resource<'_>, name: &str) -> bool {
    let mut pairs = meta_pairs(resource.element);
    pairs.any(|p| {
        p.attr("name") == Some(name) && p.attr("value").is_some_and(|v| parse_bool(v) == Ok(true))
    })
}

fn promotable(resource: &Resource<'_>, around: &BTreeMap<&str, &Resource<'_>>) -> Option<bool> {
    let mut at = Some(resource);
    while let Some(resource) = at {
        match resource.kind {
            Kind::Bundle => return None,
            Kind::Clone => {
                return Some(resource.element.name == "master" || meta_is(resource, "promotable"));
            }
            _ => {}
        }
        at = resource.parent.and_then(|id| around.get(id).copied());
    }
    Some(false)
}

/// What a clone asks of its instances, and its agents can do (Pacemaker lib/pengine/clone.c:
/// clone_unpack, native.c:native_unpack).
fn instances(
    resource: &Resource<'_>,
    config: &Config<'_>,
    context: Context,
    findings: &mut Findings,
) {
    let is_clone = matches!(resource.kind, Kind::Clone);
    if is_clone && !meta_is(resource, "globally-unique") {
        let several = |p: &&Element| {
            let count = p.attr("value").and_then(|v| v.trim().parse::<i64>().ok());
            p.attr("name") == Some("clone-node-max") && count.is_some_and(|n| n > 1)
        };
        if let Some(pair) = meta_pairs(resource.element).find(several) {
            let what =
                "instances that are all alike run once on a node at most, so this counts as 1";
            let cure =
                "take it away, or set globally-unique=true if the agent tells instances apart";
            findings.warning(pair, what.to_owned(), cure);
        }
    }
    let class = config.agent(resource).map(|agent| agent.class);
    if let (Kind::Primitive, Some(class), Some(true)) = (resource.kind, class, context.promotable)
        && class != "ocf"
    {
        let what = format!("agents of class {class} cannot be promoted");
        let cure = "take promotable away from the clone, or use an OCF agent that can be promoted";
        findings.error(resource.element, what, cure);
    }
}

fn operation(op: &Element, findings: &mut Findings) {
    for name in ["interval", "timeout", "start-delay"] {
        if let Some(value) = op.attr(name) {
            value_error(op, name, parse_interval_ms(value).err(), findings);
        }
    }
    if let Some(name) = op.attr("name") {
        misspelt(op, "operation", name, &ACTIONS, findings);
        let interval = op.attr("interval").map(parse_interval_ms);
        if ONCE.contains(&name) && matches!(interval, Some(Ok(1..))) {
            let what = format!("{name} is done once, not every so often, so this is ignored");
            findings.error(
                op,
                what,
                "set interval to 0s; what is repeated is a monitor",
            );
        }
    }
    // What is no attribute of an operation goes to the agent, as a parameter.
    let given = op.all("instance_attributes").flat_map(|s| s.all("nvpair"));
    for pair in given {
        if let Some(name) = pair.attr("name") {
            misspelt(pair, "option of operations", name, &OP_OPTIONS, findings);
        }
    }
}

fn operation_default(pair: &Element, findings: &mut Findings) {
    let (Some(name), Some(value)) = (pair.attr("name"), pair.attr("value")) else {
        return;
    };
    match name {
        "timeout" | "interval" | "start-delay" => {
            value_error(pair, name, parse_interval_ms(value).err(), findings);
        }
        "on-fail" => one_of(pair, name, value, ON_FAIL, findings),
        "enabled" | "record-pending" => {
            value_error(pair, name, parse_bool(value).err(), findings);
        }
        _ => misspelt(pair, "option of operations", name, &OP_OPTIONS, findings),
    }
}

/// What nodes have and resources need is counted in whole numbers.
fn amounts(element: &Element, findings: &mut Findings, depth: u32) {
    for child in &element.children {
        if child.name != "utilization" {
            if depth > 0 {
                amounts(child, findings, depth - 1);
            }
            continue;
        }
        for pair in child.all("nvpair") {
            let value = pair.attr("value").unwrap_or_default();
            if value.trim().parse::<i64>().is_err() {
                let what = format!(
                    "{}=\"{value}\" is not a whole number: only its first digits count, or 0",
                    pair.attr("name").unwrap_or_default()
                );
                findings.notice(pair, what, "write a whole number, without a unit");
            }
        }
    }
}

/// What is done about a failure, where it cannot be done (Pacemaker lib/pengine/pe_actions.c:
/// unpack_operation_on_fail).
fn on_fail(op: &Element, fences: bool, findings: &mut Findings) {
    let Some(on_fail) = op.attr("on-fail") else {
        return;
    };
    let promoted = matches!(op.attr("role"), Some("Promoted" | "Master"));
    match (on_fail, op.attr("name").unwrap_or_default()) {
        ("stop", "stop") => {
            let what = "what could not be stopped is not stopped once more, so this is ignored";
            findings.error(op, what.to_owned(), "use fence, block or ignore");
        }
        ("demote", name) if name != "promote" && !(name == "monitor" && promoted) => {
            let what = format!("a failed {name} is not answered by demote, so this is ignored");
            let cure = "use it for promote, and for monitors with role=\"Promoted\"";
            findings.error(op, what, cure);
        }
        ("fence", _) if !fences => {
            let what = "fencing is disabled, so this is ignored".to_owned();
            findings.warning(op, what, "configure fencing, or use another on-fail");
        }
        _ => {}
    }
}

/// A name that is nearly one of those that mean something. Others are let pass: agents may have
/// operations, and people meta attributes, of their own.
fn misspelt(
    element: &Element,
    kind: &str,
    name: &str,
    known: &[&'static str],
    findings: &mut Findings,
) {
    if known.contains(&name) {
        return;
    }
    if let Some(near) = nearest(name, known) {
        let what = format!("there is no {kind} \"{name}\"");
        findings.notice(element, what, &format!("did you mean {near}?"));
    }
}

fn meta(pair: &Element, context: Context, findings: &mut Findings) {
    let (Some(name), Some(value)) = (pair.attr("name"), pair.attr("value")) else {
        return;
    };
    misspelt(pair, "meta attribute", name, &META, findings);
    // In old configurations, this stands for "as if not set".
    if matches!(value, "default" | "#default") {
        return;
    }
    match name {
        "target-role" => {
            one_of(pair, name, value, ROLES, findings);
            let promoted = PROMOTION.iter().any(|r| r.eq_ignore_ascii_case(value));
            if promoted && context.promotable == Some(false) {
                let what = format!("only instances of promotable clones can be {value}");
                findings.error(pair, what, "set Started or Stopped");
            }
        }
        "ordered" | "collocated"
            if matches!(context.kind, Kind::Group) && parse_bool(value) == Ok(false) =>
        {
            let what = format!("{name} is the old way to take a group apart");
            findings.warning(pair, what, "write constraints with resource sets instead");
        }
        "requires" => requires(pair, value, context, findings),
        "multiple-active" => {
            one_of(
                pair,
                name,
                value,
                &["block", "stop_only", "stop_start", "stop_unexpected"],
                findings,
            );
        }
        "is-managed" | "maintenance" | "critical" | "allow-migrate" | "interleave" | "ordered"
        | "notify" | "globally-unique" | "promotable" => {
            value_error(pair, name, parse_bool(value).err(), findings);
        }
        "priority" | "resource-stickiness" | "migration-threshold" => {
            let score = Score::parse(value);
            if name == "migration-threshold" && matches!(score, Ok(score) if score.get() < 0) {
                let what = "a number of failures cannot be negative, so this counts as 1";
                findings.warning(pair, what.to_owned(), "set 0 for any number, or 1 or more");
            }
            value_error(pair, name, score.err(), findings);
        }
        "failure-timeout" => value_error(pair, name, parse_interval_ms(value).err(), findings),
        _ => {}
    }
}

fn requires(pair: &Element, value: &str, context: Context, findings: &mut Findings) {
    one_of(pair, "requires", value, REQUIRES, findings);
    if !context.fences && matches!(value, "fencing" | "unfencing") {
        let what = format!("it requires {value}, but fencing is disabled, so quorum is enough");
        findings.warning(pair, what, "set quorum, or configure fencing");
    }
}

/// Two ends that are one, and what does not go together.
fn constraint(element: &Element, findings: &mut Findings) {
    if let Some(influence) = element.attr("influence") {
        value_error(element, "influence", parse_bool(influence).err(), findings);
    }
    let all = element.attr("require-all").map(parse_bool);
    if element.name == "rsc_order" && all == Some(Ok(false)) {
        let what = "require-all is the old way to wait for some instances of a clone".to_owned();
        findings.warning(
            element,
            what,
            "set the meta attribute clone-min of the clone instead",
        );
    }
    let symmetrical = element.attr("symmetrical").map(parse_bool);
    if element.attr("kind") == Some("Serialize") && symmetrical == Some(Ok(true)) {
        let what = "what is only not to run at the same time has no reverse order".to_owned();
        findings.warning(element, what, "take symmetrical away");
    }
    for ends in [["rsc", "with-rsc"], ["first", "then"]] {
        let [a, b] = ends.map(|n| element.attr(n));
        if a.is_some() && a == b {
            let what = format!("it binds \"{}\" to itself", a.unwrap_or_default());
            findings.notice(element, what, "name two different resources");
        }
    }
}

pub(super) fn value_error(
    element: &Element,
    name: &str,
    error: Option<crate::error::Error>,
    findings: &mut Findings,
) {
    if let Some(crate::error::Error::Value {
        value,
        expected,
        cure,
    }) = error
    {
        findings.error(
            element,
            format!("{name}=\"{value}\" is not {expected}"),
            cure,
        );
    }
}

pub(super) fn one_of(
    element: &Element,
    name: &str,
    value: &str,
    words: &[&str],
    findings: &mut Findings,
) {
    if words.iter().any(|w| w.eq_ignore_ascii_case(value)) {
        return;
    }
    let what = format!("{name}=\"{value}\" has no meaning");
    findings.error(element, what, &format!("use one of {}", words.join(", ")));
}

/// Operations that mean something to the cluster, or to whoever calls agents by hand.
const ACTIONS: [&str; 13] = [
    "start",
    "stop",
    "monitor",
    "promote",
    "demote",
    "notify",
    "migrate_to",
    "migrate_from",
    "reload",
    "reload-agent",
    "validate-all",
    "meta-data",
    "status",
];
/// What is said about an operation in the operation itself, or as its meta attribute.
const OP_OPTIONS: [&str; 12] = [
    "name",
    "interval",
    "interval-origin",
    "timeout",
    "start-delay",
    "on-fail",
    "role",
    "enabled",
    "record-pending",
    "requires",
    "description",
    "failure-timeout",
];
/// Meta attributes of resources.
const META: [&str; 32] = [
    "priority",
    "critical",
    "target-role",
    "is-managed",
    "maintenance",
    "resource-stickiness",
    "requires",
    "provides",
    "migration-threshold",
    "failure-timeout",
    "multiple-active",
    "allow-migrate",
    "allow-unhealthy-nodes",
    "container-attribute-target",
    "remote-node",
    "remote-port",
    "remote-addr",
    "remote-connect-timeout",
    "remote-allow-migrate",
    "resource-discovery-enabled",
    "clone-max",
    "clone-min",
    "clone-node-max",
    "globally-unique",
    "interleave",
    "notify",
    "ordered",
    "promotable",
    "promoted-max",
    "promoted-node-max",
    "master-max",
    "master-node-max",
];
/// Resources lie at most so deep in each other: a bundle's or clone's group and its members.
const DEPTH_MAX: u32 = 6;
/// Actions that are never repeated (Pacemaker lib/pacemaker/pcmk_sched_recurring.c).
const ONCE: [&str; 4] = ["start", "stop", "promote", "demote"];
/// Roles that only promotable clones have.
const PROMOTION: [&str; 4] = ["Promoted", "Unpromoted", "Master", "Slave"];
