//! `crm_attribute`: one attribute of a node, or one cluster option: asked for, set, deleted.

mod change;
mod pairs;
#[cfg(test)]
mod tests;

use super::attributes;
use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_optional, with_value};
use super::options::List;
use super::tool::Tool;
use cib::Element;
use regex_lite::Regex;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, |console, found| {
        // What options there are is no question to the cluster.
        if let Some(asked) = found.value("list-options") {
            return List::told(console, asked, &[List::Cluster], found.has("all"));
        }
        let mut backend = backend::open()?;
        run(backend.as_mut(), console, found).map_err(worded)
    })
}

const TOOL: Tool = Tool {
    name: "crm_attribute",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "crm_attribute: ",
};

/// What failed, as Pacemaker's tool begins the line; some failures have a line of their own.
fn worded(mut failure: Failure) -> Failure {
    let own = matches!(
        failure.exit,
        Exit::Usage | Exit::Disconnect | Exit::Multiple
    );
    if !own && !failure.text.starts_with(pairs::NO_NODE) {
        failure.text.insert_str(0, "Error performing operation: ");
    }
    failure
}

/// Where an attribute lives.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Nodes(String),
    Utilization(String),
    /// Until the node's daemon ends.
    Status(String),
    /// Capacities of the node, until its daemon ends.
    Capacity(String),
    CrmConfig,
    RscDefaults,
    OpDefaults,
}

impl Scope {
    const fn name(&self) -> &'static str {
        match self {
            Self::Nodes(_) | Self::Utilization(_) => "nodes",
            Self::Status(_) | Self::Capacity(_) => "status",
            Self::CrmConfig => "crm_config",
            Self::RscDefaults => "rsc_defaults",
            Self::OpDefaults => "op_defaults",
        }
    }
}

pub(super) fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let name = match found.value("promotion") {
        Some(resource) => Some(promotion_name(resource)?),
        None => found
            .value("name")
            .or_else(|| found.value("attr-name"))
            .map(str::to_owned),
    };
    let which = Which {
        name,
        pattern: found.value("pattern").map(pattern).transpose()?,
        set: found.value("set-name").map(str::to_owned),
        id: found.value("id").map(str::to_owned),
    };
    let scope = scope(backend, found)?;
    let value = found.value("update").or_else(|| found.value("attr-value"));
    let delete = found.has("delete") || found.has("delete-attr");
    if !delete && value.is_none() {
        return query(backend, console, found, &scope, &which);
    }
    let value = value.filter(|_| !delete);
    change::run(backend, console, found, &scope, &which, value)
}

/// Which attributes of a scope are meant.
#[derive(Debug)]
struct Which {
    name: Option<String>,
    pattern: Option<Regex>,
    /// Only in the set of that id.
    set: Option<String>,
    /// Only the pair of that id.
    id: Option<String>,
}

impl Which {
    fn fits(&self, name: &str) -> bool {
        let by_pattern = self.pattern.as_ref().is_none_or(|p| p.is_match(name));
        // A pattern takes the place of a name.
        let by_name = self.pattern.is_some() || self.name.as_deref().is_none_or(|n| n == name);
        by_pattern && by_name
    }

    /// The scope's usual sets and every pair there.
    const fn is_plain(&self) -> bool {
        self.set.is_none() && self.id.is_none()
    }

    /// What was meant is one pair.
    const fn is_one(&self) -> bool {
        self.pattern.is_none() && self.id.is_none()
    }
}

/// A POSIX extended regular expression, as far as this one agrees with those.
pub(super) fn pattern(text: &str) -> Result<Regex, Failure> {
    Regex::new(text).map_err(|e| Failure::usage(format!("the pattern `{text}`: {e}")))
}

fn nameless() -> Failure {
    Failure::usage("which attribute? say -n NAME")
}

fn is_quiet(found: &Found) -> bool {
    ["quiet", "Quiet", "get-value"].iter().any(|q| found.has(q))
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

/// Prints every pair that is meant, in the order of the CIB: several sets may each have one.
fn query(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    scope: &Scope,
    which: &Which,
) -> Result<(), Failure> {
    let cib = backend::cib(backend, true)?;
    pairs::known(&cib, scope)?;
    let found_pairs = pairs::of(&cib, scope, which);
    let mut values: Vec<(&str, &str)> = found_pairs.iter().filter_map(|p| pairs::pair(p)).collect();
    let name = which.name.as_deref().unwrap_or_default();
    if values.is_empty() {
        values.extend(found.value("default").map(|value| (name, value)));
    }
    if values.is_empty() {
        return Err(Failure::new(Exit::NoSuch, "No such device or address"));
    }
    let quiet = is_quiet(found);
    for (name, value) in values {
        console.element(
            Element::new("attribute")
                .with("name", name)
                .with("value", value)
                .with("scope", scope.name()),
        );
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
        Some("crm_config") => return Ok(Scope::CrmConfig),
        Some("rsc_defaults") => return Ok(Scope::RscDefaults),
        Some("op_defaults") => return Ok(Scope::OpDefaults),
        Some("nodes" | "status") | None => {}
        Some("tickets") => {
            return Err(Failure::usage(
                "-t tickets: `crm_ticket` asks for tickets and changes them",
            ));
        }
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
        return Ok(Scope::CrmConfig);
    }
    let node = attributes::target(backend, named)?;
    match (lifetime, kind) {
        (Some("reboot"), _) | (None, Some("status")) => Ok(match found.has("utilization") {
            true => Scope::Capacity(node),
            false => Scope::Status(node),
        }),
        (Some("forever") | None, _) => Ok(match found.has("utilization") {
            true => Scope::Utilization(node),
            false => Scope::Nodes(node),
        }),
        (Some(other), _) => Err(Failure::usage(format!(
            "-l {other}: a lifetime is `reboot` or `forever`"
        ))),
    }
}

/// crm_attribute(8).
pub(super) const OPTIONS: [Opt; 31] = [
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
    with_value('\0', "list-options"),
    flag('\0', "all"),
    flag('\0', "help-all"),
    flag('\0', "text-fancy"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: crm_attribute [-t nodes|status|crm_config|rsc_defaults|op_defaults] [-N NODE] [-l reboot|forever] -n NAME|-p [RESOURCE] [-G [-q] [-d DEFAULT] | -v VALUE | -D] | --list-options=cluster [--all]";
