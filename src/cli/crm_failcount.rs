//! `crm_failcount`: how often a resource failed on a node, and forgetting it; as Pacemaker's script
//! of that name.

use super::attributes;
use super::backend::{self, Backend, ask_done};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::Tool;
use crate::ipc::Request;
use crate::view;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_failcount",
    options: OPTIONS,
    usage: USAGE,
    prefix: "crm_failcount: ",
};

fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    if found.has("update") {
        return Err(Failure::usage(
            "a fail count cannot be set: -D takes it away, `crm_resource --fail` adds to it",
        ));
    }
    let resource = found.value("resource").filter(|r| !r.is_empty());
    let resource = resource.ok_or_else(|| Failure::usage("resource name required"))?;
    if found.value("node").is_none() && !backend.live() {
        return Err(Failure::usage("node name required"));
    }
    let node = attributes::target(backend, found.value("node"))?;
    let operation = match found.value("operation") {
        None => None,
        Some(name) => {
            let interval = found.value("interval").unwrap_or("0");
            let interval_ms = cib::value::parse_interval_ms(interval)?;
            Some(format!("{name}_{interval_ms}"))
        }
    };
    match found.first_of(&["query", "get-value", "delete", "delete-attr"]) {
        Some("delete" | "delete-attr") => delete(backend, console, resource, &node, operation),
        Some(_) => query(backend, console, found, resource, &node, operation),
        None => Err(Failure::usage("say -G to ask for it, or -D to forget it")),
    }
}

fn query(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    resource: &str,
    node: &str,
    operation: Option<String>,
) -> Result<(), Failure> {
    let status = backend::status(backend)?;
    let base = |id: &str| id.split(':').next().unwrap_or_default().to_owned();
    let same = |id: &str| id == resource || base(id) == resource;
    let counts = status.failcounts.iter().filter(|f| {
        f.node == node && same(&f.resource) && operation.as_ref().is_none_or(|o| *o == f.operation)
    });
    let total = counts.map(|f| f.count).fold(0, u32::saturating_add);
    let value = view::score(total);
    let what = operation.map(|o| format!("#{o}")).unwrap_or_default();
    match found.has("quiet") {
        true => console.line(&value),
        false => console.line(&format!(
            "scope=status  name=fail-count-{resource}{what} value={value}"
        )),
    }
    Ok(())
}

fn delete(
    backend: &mut dyn Backend,
    console: &mut Console,
    resource: &str,
    node: &str,
    operation: Option<String>,
) -> Result<(), Failure> {
    // An operation's count is an attribute, with which the history forgets its failure.
    if let Some(operation) = operation {
        return attributes::set(
            backend,
            node,
            &format!("fail-count-{resource}#{operation}"),
            None,
        );
    }
    let request = Request::Cleanup {
        resource: Some(resource.to_owned()),
        node: Some(node.to_owned()),
    };
    let text = ask_done(backend, &request)?;
    console.line(&text);
    Ok(())
}

/// crm_failcount(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('G', "query"),
    flag('\0', "get-value"),
    flag('D', "delete"),
    flag('\0', "delete-attr"),
    flag('q', "quiet"),
    flag('Q', "quiet"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    with_value('r', "resource"),
    with_value('n', "operation"),
    with_value('I', "interval"),
    with_value('N', "node"),
    with_value('U', "node"),
    with_value('v', "update"),
    with_value('i', "id"),
    with_value('l', "lifetime"),
];

const USAGE: &str =
    "usage: crm_failcount -G|-D -r RESOURCE [-N NODE] [-n OPERATION [-I TIME]] [-q]";

#[cfg(test)]
mod tests {
    use super::super::backend::CibFile;
    use super::super::getopt;
    use super::*;

    #[test]
    fn counts_of_a_resource_and_of_an_operation() {
        let text = include_str!("../../tests/cli/status/three-nodes.xml");
        for (line, answer) in [
            (
                "-G -r f -N node1",
                "scope=status  name=fail-count-f value=1",
            ),
            (
                "-G -r f -N node2",
                "scope=status  name=fail-count-f value=0",
            ),
            ("-G -q -r f -N node1", "1"),
            (
                "-G -r f -N node1 -n monitor -I 10s",
                "scope=status  name=fail-count-f#monitor_10000 value=1",
            ),
            ("-G -r f -N node1 -n start -q", "0"),
            ("-G -N node1", "64"),
            ("-G -r f", "64"),
            ("-r f -N node1", "64"),
            ("-r f -N node1 -v 7", "64"),
        ] {
            let mut backend = CibFile::in_memory(cib::Cib::parse(text).unwrap());
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut console = Console::buffers();
            let found = getopt::parse(OPTIONS, &args).unwrap();
            let found = match run(&mut backend, &mut console, &found) {
                Ok(()) => console.into_texts().0.trim_end().to_owned(),
                Err(failure) => failure.exit.code().to_string(),
            };
            assert_eq!(found, answer, "{line}");
        }
    }
}
