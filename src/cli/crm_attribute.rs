//! `crm_attribute`: one attribute of a node, or one cluster option: asked for, set, deleted.

use super::attributes;
use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_optional, with_value};
use super::tool::Tool;
use cib::config::Config;
use cib::edit::{self, SetKind};
use cib::{Cib, Section};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_attribute",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "crm_attribute: Error performing operation: ",
};

/// Where an attribute lives.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Nodes(String),
    Utilization(String),
    /// Until the node's daemon ends.
    Status(String),
    CrmConfig,
    /// A set of cluster options that is not the usual one.
    CrmConfigSet(String),
    RscDefaults,
    OpDefaults,
}

impl Scope {
    const fn name(&self) -> &'static str {
        match self {
            Self::Nodes(_) | Self::Utilization(_) => "nodes",
            Self::Status(_) => "status",
            Self::CrmConfig | Self::CrmConfigSet(_) => "crm_config",
            Self::RscDefaults => "rsc_defaults",
            Self::OpDefaults => "op_defaults",
        }
    }
}

fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    refuse_unknown(found)?;
    let name = match found.value("promotion") {
        Some(resource) => Some(promotion_name(resource)?),
        None => found
            .value("name")
            .or_else(|| found.value("attr-name"))
            .map(str::to_owned),
    };
    let scope = scope(backend, found)?;
    let value = found.value("update").or_else(|| found.value("attr-value"));
    let delete = found.has("delete") || found.has("delete-attr");
    if !delete && value.is_none() {
        return query(backend, console, found, &scope, name.as_deref());
    }
    let name = name.ok_or_else(|| Failure::usage("which attribute? say -n NAME"))?;
    let value = value.filter(|_| !delete);
    if let Scope::Status(node) = &scope {
        return attributes::set(backend, node, &name, value);
    }
    for warning in set(backend, &scope, &name, value)? {
        console.err_line(&warning);
    }
    Ok(())
}

fn refuse_unknown(found: &Found) -> Result<(), Failure> {
    let cures = [
        ("pattern", "name the attributes one by one with -n"),
        ("id", "name the attribute with -n"),
    ];
    match cures.iter().find(|(option, _)| found.has(option)) {
        None => Ok(()),
        Some((option, cure)) => Err(Failure::new(
            Exit::Unimplemented,
            format!("--{option} is not offered: {cure}"),
        )),
    }
}

/// The attribute that holds a resource's promotion score: of the named one, or of the agent's own
/// (Pacemaker lib/pengine/utils.c, `pcmk_promotion_score_name`).
fn promotion_name(resource: &str) -> Result<String, Failure> {
    let own = || std::env::var("OCF_RESOURCE_INSTANCE").ok();
    let resource = Some(resource.to_owned())
        .filter(|r| !r.is_empty())
        .or_else(own);
    match resource.filter(|r| !r.is_empty()) {
        Some(resource) => Ok(format!("master-{resource}")),
        None => Err(Failure::usage(
            "-p/--promotion must be called from an OCF resource agent or with a resource ID specified",
        )),
    }
}

fn query(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    scope: &Scope,
    name: Option<&str>,
) -> Result<(), Failure> {
    let cib = backend::cib(backend, true)?;
    let mut pairs = all_in(&cib, scope);
    pairs.retain(|(n, _)| name.is_none_or(|wanted| wanted == *n));
    let default = found
        .value("default")
        .map(|value| (name.unwrap_or_default(), value));
    if pairs.is_empty() {
        pairs.extend(default);
    }
    if pairs.is_empty() {
        return Err(Failure::new(Exit::NoSuch, "No such device or address"));
    }
    let quiet = ["quiet", "Quiet", "get-value"].iter().any(|q| found.has(q));
    for (name, value) in pairs {
        match quiet {
            true => console.line(value),
            false => console.line(&format!(
                "scope={}  name={name} value={value}",
                scope.name()
            )),
        }
    }
    Ok(())
}

fn scope(backend: &mut dyn Backend, found: &Found) -> Result<Scope, Failure> {
    let named = found.value("node").or_else(|| found.value("uname"));
    let kind = found.value("type");
    match kind {
        Some("crm_config") => return Ok(crm_config(found)),
        Some("rsc_defaults") => return Ok(Scope::RscDefaults),
        Some("op_defaults") => return Ok(Scope::OpDefaults),
        Some("nodes" | "status") | None => {}
        Some(other) => {
            return Err(Failure::usage(format!(
                "-t {other}: known are nodes, status, crm_config, rsc_defaults, op_defaults"
            )));
        }
    }
    // A promotion score is for now, unless said otherwise.
    let lifetime = found
        .value("lifetime")
        .or(found.has("promotion").then_some("reboot"));
    // Without a node and a lifetime, it is a cluster option.
    let of_node =
        named.is_some() || kind.is_some() || lifetime.is_some() || found.has("utilization");
    if !of_node {
        return Ok(crm_config(found));
    }
    if found.has("set-name") {
        return Err(Failure::new(
            Exit::Unimplemented,
            "--set-name is offered for cluster options only (-t crm_config)",
        ));
    }
    let node = attributes::target(backend, named)?;
    match (lifetime, kind) {
        _ if found.has("utilization") => Ok(Scope::Utilization(node)),
        (Some("reboot"), _) | (None, Some("status")) => Ok(Scope::Status(node)),
        (Some("forever") | None, _) => Ok(Scope::Nodes(node)),
        (Some(other), _) => Err(Failure::usage(format!(
            "-l {other}: a lifetime is `reboot` or `forever`"
        ))),
    }
}

fn crm_config(found: &Found) -> Scope {
    match found.value("set-name") {
        Some(set) => Scope::CrmConfigSet(set.to_owned()),
        None => Scope::CrmConfig,
    }
}

/// Everything a scope holds.
fn all_in<'a>(cib: &'a Cib, scope: &Scope) -> Vec<(&'a str, &'a str)> {
    let config = Config::new(cib);
    match scope {
        Scope::Nodes(node) => match config.node(node) {
            Some(node) => node.attributes.into_iter().collect(),
            None => Vec::new(),
        },
        Scope::Utilization(node) => {
            let node = config.node(node).map(|n| n.element);
            let sets = node
                .into_iter()
                .flat_map(|n| n.all(SetKind::Utilization.tag()));
            sets.flat_map(pairs).collect()
        }
        Scope::Status(node) => attributes::valid(cib, node),
        Scope::CrmConfig => config.properties().into_iter().collect(),
        Scope::CrmConfigSet(id) => {
            let section = cib.section(Section::CrmConfig);
            let sets = section.into_iter().flat_map(|s| &s.children);
            sets.filter(|s| s.id() == Some(id))
                .flat_map(pairs)
                .collect()
        }
        Scope::RscDefaults => config.rsc_defaults().into_iter().collect(),
        Scope::OpDefaults => config.op_defaults().into_iter().collect(),
    }
}

fn pairs(set: &cib::Element) -> impl Iterator<Item = (&str, &str)> {
    let pairs = set.all("nvpair");
    pairs.filter_map(|p| Some((p.attr("name")?, p.attr("value")?)))
}

/// Changes the configuration; returns what is to be said about it.
fn set(
    backend: &mut dyn Backend,
    scope: &Scope,
    name: &str,
    value: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let (_, committed) = backend::edit(backend, "crm_attribute", |cib| {
        match scope {
            Scope::Nodes(node) => {
                edit::set_node_attribute(cib, node, name, value)?;
            }
            Scope::Utilization(node) => {
                edit::set_in_node(cib, node, SetKind::Utilization, name, value)?;
            }
            // It is no part of the configuration.
            Scope::Status(_) => {}
            Scope::CrmConfig => {
                edit::set_property(cib, name, value);
            }
            Scope::CrmConfigSet(set) => {
                edit::set_property_in(cib, set, name, value);
            }
            Scope::RscDefaults => {
                edit::set_rsc_default(cib, name, value);
            }
            Scope::OpDefaults => {
                edit::set_op_default(cib, name, value);
            }
        }
        Ok(())
    })?;
    Ok(committed.warnings)
}

/// crm_attribute(8).
pub(super) const OPTIONS: [Opt; 25] = [
    flag('G', "query"),
    flag('D', "delete"),
    flag('\0', "delete-attr"),
    flag('\0', "get-value"),
    flag('q', "quiet"),
    flag('Q', "Quiet"),
    flag('V', "verbose"),
    flag('z', "utilization"),
    flag('!', "inhibit-policy-engine"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    with_value('v', "update"),
    with_value('\0', "attr-value"),
    with_value('n', "name"),
    with_value('a', "attr-name"),
    with_value('i', "id"),
    with_value('P', "pattern"),
    with_value('N', "node"),
    with_value('U', "uname"),
    with_value('t', "type"),
    with_value('l', "lifetime"),
    with_value('d', "default"),
    with_value('s', "set-name"),
    with_optional('p', "promotion"),
];

const USAGE: &str = "usage: crm_attribute [-t nodes|status|crm_config|rsc_defaults|op_defaults] [-N NODE] [-l reboot|forever] -n NAME|-p [RESOURCE] [-G [-q] [-d DEFAULT] | -v VALUE | -D]";
