//! `crm_standby`: a node's standby, asked for, set, taken away. `crm_attribute` under another name,
//! as Pacemaker's script of that name.

use super::attributes;
use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::Tool;
use cib::Element;
use cib::config::Config;
use cib::edit;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_standby",
    options: OPTIONS,
    usage: USAGE,
    prefix: "crm_standby: ",
};

fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let node = attributes::target(backend, found.value("node"))?;
    let cib = backend::cib(backend, true)?;
    if Config::new(&cib).node(&node).is_none() {
        return Err(Failure::no_such(format!(
            "Could not map name={node} to a UUID: there is no such node; `crm_node -l` lists them"
        )));
    }
    let lifetime = lifetime(found)?;
    match (found.value("update"), found.has("delete")) {
        (Some(_), true) => Err(Failure::usage("--update and --delete exclude each other")),
        (Some(value), false) if cib::value::parse_bool(value).is_err() => Err(Failure::new(
            Exit::DataErr,
            format!("-v {value}: standby is `on` (or true) or `off` (or false)"),
        )),
        (Some(value), false) => match lifetime {
            Some(Lifetime::Reboot) => attributes::set(backend, &node, NAME, Some(value)),
            _ => set_for_ever(backend, &node, Some(value)),
        },
        (None, true) => delete(backend, console, &node, lifetime, &cib),
        (None, false) => {
            let (scope, value) = standing(&cib, &node, lifetime);
            match found.has("quiet") {
                true => console.line(&value),
                false => console.line(&format!("scope={scope}  name={NAME} value={value}")),
            }
            Ok(())
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    Forever,
    Reboot,
}

fn lifetime(found: &Found) -> Result<Option<Lifetime>, Failure> {
    match found.value("lifetime") {
        None => Ok(None),
        Some("forever") => Ok(Some(Lifetime::Forever)),
        Some("reboot") => Ok(Some(Lifetime::Reboot)),
        Some(other) => Err(Failure::usage(format!(
            "-l {other}: a lifetime is `reboot` or `forever`"
        ))),
    }
}

/// Where standby is set, the permanent one first, and its value; `off` when it is nowhere.
fn standing(cib: &cib::Cib, node: &str, lifetime: Option<Lifetime>) -> (&'static str, String) {
    let permanent = Config::new(cib).node(node);
    let permanent = permanent.and_then(|n| n.attributes.get(NAME).map(|v| (*v).to_owned()));
    let transient = attributes::valid(cib, node).into_iter();
    let transient = transient
        .filter(|(name, _)| *name == NAME)
        .map(|(_, v)| v.to_owned())
        .next();
    match (lifetime, permanent, transient) {
        (None | Some(Lifetime::Forever), Some(value), _) => ("nodes", value),
        (None | Some(Lifetime::Reboot), _, Some(value)) => ("status", value),
        (Some(Lifetime::Forever), ..) => ("nodes", "off".to_owned()),
        _ => ("status", "off".to_owned()),
    }
}

fn delete(
    backend: &mut dyn Backend,
    console: &mut Console,
    node: &str,
    lifetime: Option<Lifetime>,
    cib: &cib::Cib,
) -> Result<(), Failure> {
    let said = |scope: &str, id: &str| format!("Deleted {scope} attribute: id={id} name={NAME}");
    let in_config = Config::new(cib).node(node).map(|n| n.element);
    let of_node: Vec<&Element> = in_config.into_iter().collect();
    let permanent = standing(cib, node, Some(Lifetime::Forever)).1 != "off";
    if lifetime != Some(Lifetime::Reboot) && permanent {
        set_for_ever(backend, node, None)?;
        console.line(&said("nodes", pair_id(&of_node)));
    }
    let transient = attributes::valid(cib, node);
    if lifetime != Some(Lifetime::Forever) && transient.iter().any(|(name, _)| *name == NAME) {
        attributes::set(backend, node, NAME, None)?;
        console.line(&said("status", pair_id(&attributes::transient(cib, node))));
    }
    Ok(())
}

/// The id of the attribute's pair in one of these.
fn pair_id<'a>(parents: &[&'a Element]) -> &'a str {
    let sets = parents.iter().flat_map(|p| p.all("instance_attributes"));
    let mut pairs = sets.flat_map(|s| s.all("nvpair"));
    let pair = pairs.find(|p| p.attr("name") == Some(NAME));
    pair.and_then(|p| p.id()).unwrap_or_default()
}

fn set_for_ever(backend: &mut dyn Backend, node: &str, value: Option<&str>) -> Result<(), Failure> {
    backend::edit(backend, "crm_standby", |cib| {
        Ok(edit::set_node_attribute(cib, node, NAME, value)?)
    })
    .map(|_| ())
}

/// The attribute.
const NAME: &str = "standby";

/// crm_standby(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('G', "query"),
    flag('D', "delete"),
    flag('q', "quiet"),
    flag('Q', "quiet"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    with_value('v', "update"),
    with_value('N', "node"),
    with_value('U', "node"),
    with_value('l', "lifetime"),
    with_value('i', "id"),
];

const USAGE: &str = "usage: crm_standby [-N NODE] [-l reboot|forever] -G [-q] | -v on|off | -D";

#[cfg(test)]
mod tests {
    use super::super::backend::CibFile;
    use super::super::getopt;
    use super::*;

    /// Runs command lines on one CIB; what each printed, or its exit code.
    fn talk(lines: &[&str]) -> Vec<String> {
        let text = r#"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes><node id="1" uname="a"/></nodes><resources/><constraints/></configuration><status><node_state id="1" uname="a"/></status></cib>"#;
        let mut backend = CibFile::in_memory(cib::Cib::parse(text).unwrap());
        let mut answers = Vec::new();
        for line in lines {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut console = Console::buffers();
            let found = getopt::parse(OPTIONS, &args).unwrap();
            answers.push(match run(&mut backend, &mut console, &found) {
                Ok(()) => console.into_texts().0.trim_end().to_owned(),
                Err(failure) => failure.exit.code().to_string(),
            });
        }
        answers
    }

    #[test]
    fn standby_for_ever_and_until_a_reboot() {
        assert_eq!(
            talk(&[
                "-G -N a",
                "-v on -N a",
                "-G -N a",
                "-G -N a -q",
                "-D -N a",
                "-D -N a",
                "-l reboot -v on -N a",
                "-G -N a",
                "-D -N a",
                "-G -N a",
                "-G -N nobody",
                "-l never -v on -N a",
                "-D -v on -N a",
            ]),
            [
                "scope=status  name=standby value=off",
                "",
                "scope=nodes  name=standby value=on",
                "on",
                "Deleted nodes attribute: id=nodes-1-standby name=standby",
                "",
                "",
                "scope=status  name=standby value=on",
                "Deleted status attribute: id=status-1-standby name=standby",
                "scope=status  name=standby value=off",
                "105",
                "64",
                "64",
            ]
        );
    }
}
