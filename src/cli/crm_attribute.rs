//! `crm_attribute`: one attribute of a node, or one cluster option: asked for, set, deleted.

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{self, Found, Opt, flag, with_value};
use cib::config::Config;
use cib::{Cib, edit};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    let result = getopt::parse(&OPTIONS, args).and_then(|found| {
        if found.has("version") {
            console.line(&format!("Pacemaker {}", crate::DC_VERSION));
            return Ok(());
        }
        if found.has("help") {
            console.line(USAGE);
            return Ok(());
        }
        let mut backend = backend::open()?;
        run(backend.as_mut(), &mut console, &found)
    });
    match result {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            let text = match failure.exit {
                Exit::Usage => format!("crm_attribute: {failure}\n{USAGE}"),
                Exit::Disconnect => format!("crm_attribute: {failure}"),
                _ => format!("crm_attribute: Error performing operation: {failure}"),
            };
            console.err_line(&text);
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            failure.exit
        }
    }
}

/// Where an attribute lives.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Nodes(String),
    CrmConfig,
    RscDefaults,
    OpDefaults,
}

impl Scope {
    const fn name(&self) -> &'static str {
        match self {
            Self::Nodes(_) => "nodes",
            Self::CrmConfig => "crm_config",
            Self::RscDefaults => "rsc_defaults",
            Self::OpDefaults => "op_defaults",
        }
    }
}

fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let name = found
        .value("name")
        .or_else(|| found.value("attr-name"))
        .ok_or_else(|| Failure::usage("which attribute? say -n NAME"))?;
    let scope = scope(backend, found)?;
    let value = found.value("update").or_else(|| found.value("attr-value"));
    if found.has("delete") {
        return set(backend, &scope, name, None);
    }
    if let Some(value) = value {
        return set(backend, &scope, name, Some(value));
    }
    let cib = backend::cib(backend, true)?;
    let quiet = found.has("quiet") || found.has("Quiet");
    match get(&cib, &scope, name).or_else(|| found.value("default").map(str::to_owned)) {
        Some(value) if quiet => console.line(&value),
        Some(value) => {
            console.line(&format!(
                "scope={}  name={name} value={value}",
                scope.name()
            ));
        }
        None => return Err(Failure::new(Exit::NoSuch, "No such device or address")),
    }
    Ok(())
}

fn scope(backend: &mut dyn Backend, found: &Found) -> Result<Scope, Failure> {
    let transient = || {
        Failure::new(
            Exit::Unimplemented,
            "attributes that end with a reboot (-l reboot, -t status) are not offered yet; -l forever is",
        )
    };
    if found.value("lifetime") == Some("reboot") || found.has("promotion") {
        return Err(transient());
    }
    let kind = found.value("type");
    match kind {
        Some("crm_config") => return Ok(Scope::CrmConfig),
        Some("rsc_defaults") => return Ok(Scope::RscDefaults),
        Some("op_defaults") => return Ok(Scope::OpDefaults),
        Some("status") => return Err(transient()),
        Some("nodes") | None => {}
        Some(other) => {
            return Err(Failure::usage(format!(
                "-t {other}: known are nodes, crm_config, rsc_defaults, op_defaults"
            )));
        }
    }
    let named = found.value("node").or_else(|| found.value("uname"));
    let named = named.map(str::to_owned);
    // Without a node and a lifetime, it is a cluster option.
    if named.is_none() && kind.is_none() && !found.has("lifetime") {
        return Ok(Scope::CrmConfig);
    }
    match named {
        Some(node) if node != "localhost" => Ok(Scope::Nodes(node)),
        _ => Ok(Scope::Nodes(backend::local_node(backend)?)),
    }
}

fn get(cib: &Cib, scope: &Scope, name: &str) -> Option<String> {
    let config = Config::new(cib);
    let value = match scope {
        Scope::Nodes(node) => config.node(node)?.attributes.get(name).copied(),
        Scope::CrmConfig => config.property(name),
        Scope::RscDefaults => config.rsc_defaults().get(name).copied(),
        Scope::OpDefaults => config.op_defaults().get(name).copied(),
    };
    value.map(str::to_owned)
}

fn set(
    backend: &mut dyn Backend,
    scope: &Scope,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    backend::edit(backend, "crm_attribute", |cib| {
        match scope {
            Scope::Nodes(node) => {
                edit::set_node_attribute(cib, node, name, value)?;
            }
            Scope::CrmConfig => {
                edit::set_property(cib, name, value);
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
    Ok(())
}

/// crm_attribute(8).
pub(super) const OPTIONS: [Opt; 20] = [
    flag('G', "query"),
    flag('D', "delete"),
    flag('q', "quiet"),
    flag('Q', "Quiet"),
    flag('V', "verbose"),
    flag('z', "utilization"),
    flag('!', "inhibit-policy-engine"),
    flag('$', "version"),
    flag('?', "help"),
    with_value('v', "update"),
    with_value('\0', "attr-value"),
    with_value('n', "name"),
    with_value('a', "attr-name"),
    with_value('N', "node"),
    with_value('U', "uname"),
    with_value('t', "type"),
    with_value('l', "lifetime"),
    with_value('d', "default"),
    with_value('s', "set-name"),
    with_value('p', "promotion"),
];

const USAGE: &str = "usage: crm_attribute [-t nodes|crm_config|rsc_defaults|op_defaults] [-N NODE] -n NAME [-G [-q] [-d DEFAULT] | -v VALUE | -D]";
