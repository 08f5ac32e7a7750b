//! `crm_attribute`: one attribute of a node, or one cluster option: asked for, set, deleted.

use super::attributes;
use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_optional, with_value};
use super::tool::Tool;
use cib::config::Config;
use cib::edit::{self, SetKind};
use cib::{Cib, Element, Section};
use regex_lite::Regex;

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
    RscDefaults,
    OpDefaults,
}

impl Scope {
    const fn name(&self) -> &'static str {
        match self {
            Self::Nodes(_) | Self::Utilization(_) => "nodes",
            Self::Status(_) => "status",
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
    match &scope {
        Scope::Status(node) => set_transient(backend, node, &which, value),
        _ => set_permanent(backend, console, found, &scope, &which, value),
    }
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
}

/// A POSIX extended regular expression, as far as this one agrees with those.
pub(super) fn pattern(text: &str) -> Result<Regex, Failure> {
    Regex::new(text).map_err(|e| Failure::usage(format!("the pattern `{text}`: {e}")))
}

fn set_transient(
    backend: &mut dyn Backend,
    node: &str,
    which: &Which,
    value: Option<&str>,
) -> Result<(), Failure> {
    if let Some(pattern) = &which.pattern {
        let present = attributes::list(backend, Some(node), None)?;
        for attribute in present.iter().filter(|a| pattern.is_match(&a.name)) {
            attributes::set(backend, node, &attribute.name, value)?;
        }
        return Ok(());
    }
    let name = which.name.as_deref().ok_or_else(nameless)?;
    attributes::set(backend, node, name, value)
}

fn set_permanent(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    scope: &Scope,
    which: &Which,
    value: Option<&str>,
) -> Result<(), Failure> {
    if which.pattern.is_some() {
        return Err(Failure::usage(
            "-P changes attributes that end with the node's daemon alone: say -l reboot",
        ));
    }
    if which.name.is_none() && which.id.is_none() {
        return Err(nameless());
    }
    let cib = backend::cib(backend, false)?;
    let before = places(&cib, scope, which);
    for warning in set(backend, scope, which, value)? {
        console.err_line(&warning);
    }
    if value.is_none() && !is_quiet(found) {
        let kind = match scope {
            Scope::CrmConfig | Scope::RscDefaults | Scope::OpDefaults => "option",
            _ => "attribute",
        };
        for (id, name) in before {
            console.line(&format!(
                "Deleted {} {kind}: id={id} name={name}",
                scope.name()
            ));
        }
    }
    Ok(())
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

fn query(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    scope: &Scope,
    which: &Which,
) -> Result<(), Failure> {
    let cib = backend::cib(backend, true)?;
    let mut pairs = match which.is_plain() {
        true => all_in(&cib, scope),
        false => named_pairs(&cib, scope, which),
    };
    pairs.retain(|(name, _)| which.fits(name));
    let name = which.name.as_deref().unwrap_or_default();
    if pairs.is_empty() {
        pairs.extend(found.value("default").map(|value| (name, value)));
    }
    if pairs.is_empty() {
        return Err(Failure::new(Exit::NoSuch, "No such device or address"));
    }
    let quiet = is_quiet(found);
    for (name, value) in pairs {
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
        _ if found.has("utilization") => Ok(Scope::Utilization(node)),
        (Some("reboot"), _) | (None, Some("status")) => Ok(Scope::Status(node)),
        (Some("forever") | None, _) => Ok(Scope::Nodes(node)),
        (Some(other), _) => Err(Failure::usage(format!(
            "-l {other}: a lifetime is `reboot` or `forever`"
        ))),
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
        Scope::RscDefaults => config.rsc_defaults().into_iter().collect(),
        Scope::OpDefaults => config.op_defaults().into_iter().collect(),
    }
}

fn pairs(set: &cib::Element) -> impl Iterator<Item = (&str, &str)> {
    let pairs = set.all("nvpair");
    pairs.filter_map(|p| Some((p.attr("name")?, p.attr("value")?)))
}

/// The element whose sets a scope means, and their tag.
fn parent<'a>(cib: &'a Cib, scope: &Scope) -> Option<&'a Element> {
    match scope {
        Scope::Nodes(node) | Scope::Utilization(node) => {
            Config::new(cib).node(node).map(|n| n.element)
        }
        Scope::Status(_) => None,
        Scope::CrmConfig => cib.section(Section::CrmConfig),
        Scope::RscDefaults => cib.section(Section::RscDefaults),
        Scope::OpDefaults => cib.section(Section::OpDefaults),
    }
}

const fn set_tag(scope: &Scope) -> &'static str {
    match scope {
        Scope::CrmConfig => "cluster_property_set",
        Scope::RscDefaults | Scope::OpDefaults => "meta_attributes",
        Scope::Utilization(_) => "utilization",
        Scope::Nodes(_) | Scope::Status(_) => "instance_attributes",
    }
}

/// Pairs of a set or with an id that was named.
fn named_pairs<'a>(cib: &'a Cib, scope: &Scope, which: &Which) -> Vec<(&'a str, &'a str)> {
    elements(cib, scope, which)
        .into_iter()
        .filter_map(|p| Some((p.attr("name")?, p.attr("value")?)))
        .collect()
}

fn elements<'a>(cib: &'a Cib, scope: &Scope, which: &Which) -> Vec<&'a Element> {
    let tag = set_tag(scope);
    let sets = parent(cib, scope).into_iter().flat_map(move |p| p.all(tag));
    let sets = sets.filter(|s| which.set.as_deref().is_none_or(|id| s.id() == Some(id)));
    let pairs = sets.flat_map(|s| s.all("nvpair"));
    pairs
        .filter(|p| which.id.as_deref().is_none_or(|id| p.id() == Some(id)))
        .collect()
}

/// Ids and names of the pairs that are meant.
fn places(cib: &Cib, scope: &Scope, which: &Which) -> Vec<(String, String)> {
    let pairs = elements(cib, scope, which).into_iter();
    let fitting = pairs.filter(|p| p.attr("name").is_some_and(|n| which.fits(n)));
    let own = |p: &Element, attr| p.attr(attr).unwrap_or_default().to_owned();
    fitting.map(|p| (own(p, "id"), own(p, "name"))).collect()
}

/// Changes the configuration; returns what is to be said about it.
fn set(
    backend: &mut dyn Backend,
    scope: &Scope,
    which: &Which,
    value: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let (_, committed) = backend::edit(backend, "crm_attribute", |cib| {
        if !which.is_plain() {
            return set_named(cib, scope, which, value);
        }
        let name = which.name.as_deref().ok_or_else(nameless)?;
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

/// In the set, or on the pair, that was named.
fn set_named(
    cib: &mut Cib,
    scope: &Scope,
    which: &Which,
    value: Option<&str>,
) -> Result<(), Failure> {
    if let (Scope::CrmConfig, Some(set), Some(name), None) =
        (scope, &which.set, &which.name, &which.id)
    {
        edit::set_property_in(cib, set, name, value);
        return Ok(());
    }
    let tag = set_tag(scope);
    let parent = match scope {
        Scope::Nodes(node) | Scope::Utilization(node) => {
            let id = Config::new(cib).node(node).map(|n| n.id.to_owned());
            let mut nodes = cib.section_mut(Section::Nodes).children.iter_mut();
            let found = id.and_then(|id| nodes.find(|n| n.id() == Some(&id)));
            found.ok_or_else(|| Failure::no_such(format!("there is no node {node}")))?
        }
        Scope::RscDefaults => cib.section_mut(Section::RscDefaults),
        Scope::OpDefaults => cib.section_mut(Section::OpDefaults),
        Scope::CrmConfig | Scope::Status(_) => cib.section_mut(Section::CrmConfig),
    };
    let fits = |pair: &Element| {
        let same_id = which.id.as_deref().is_none_or(|id| pair.id() == Some(id));
        same_id && pair.attr("name").is_some_and(|n| which.fits(n))
    };
    let mut there = false;
    for set in parent.children.iter_mut().filter(|c| c.name == tag) {
        if which.set.as_deref().is_some_and(|id| set.id() != Some(id)) {
            continue;
        }
        match value {
            None => set.children.retain(|p| !fits(p)),
            Some(value) => {
                for pair in set.children.iter_mut().filter(|p| fits(p)) {
                    pair.set("value", value);
                    there = true;
                }
            }
        }
    }
    let (Some(value), false) = (value, there) else {
        return Ok(());
    };
    let name = which
        .name
        .as_deref()
        .ok_or_else(|| Failure::no_such("no attribute has that id: say -n NAME to make one"))?;
    make_pair(parent, tag, which, name, value);
    Ok(())
}

/// A new pair, in a new set where there is none.
fn make_pair(parent: &mut Element, tag: &str, which: &Which, name: &str, value: &str) {
    let of_parent = parent.id().unwrap_or(&parent.name).to_owned();
    let set_id = which
        .set
        .clone()
        .unwrap_or_else(|| format!("{of_parent}-{tag}"));
    let pair_id = edit::sanitize_id(&format!("{set_id}-{name}"));
    let pair = Element::new("nvpair")
        .with("id", which.id.as_deref().unwrap_or(&pair_id))
        .with("name", name)
        .with("value", value);
    let mut sets = parent.children.iter_mut();
    match sets.find(|s| s.name == tag && s.id() == Some(&set_id)) {
        Some(set) => set.children.push(pair),
        None => {
            let set = Element::new(tag).with("id", &set_id);
            parent.children.push(set.child(pair));
        }
    }
}

/// crm_attribute(8).
pub(super) const OPTIONS: [Opt; 27] = [
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
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: crm_attribute [-t nodes|status|crm_config|rsc_defaults|op_defaults] [-N NODE] [-l reboot|forever] -n NAME|-p [RESOURCE] [-G [-q] [-d DEFAULT] | -v VALUE | -D]";

#[cfg(test)]
mod tests {
    use super::super::backend::CibFile;
    use super::super::getopt;
    use super::*;

    /// Runs command lines on one CIB; what each printed, or its exit code.
    fn talk(cases: &[(&str, &str)]) {
        let text = include_str!("../../tests/cli/status/three-nodes.xml");
        let mut backend = CibFile::in_memory(Cib::parse(text).unwrap());
        for (line, answer) in cases {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut console = Console::buffers();
            let found = getopt::parse(&OPTIONS, &args).unwrap();
            let found = match run(&mut backend, &mut console, &found) {
                Ok(()) => console.into_texts().0,
                Err(failure) => failure.exit.code().to_string(),
            };
            assert_eq!(found, *answer, "{line}");
        }
    }

    #[test]
    fn attributes_of_nodes_as_agents_ask_for_them() {
        talk(&[
            ("-N node1 -n foo -v bar", ""),
            ("-N node1 -n foo -G", "scope=nodes  name=foo value=bar\n"),
            ("-N node1 -n foo -G -q", "bar\n"),
            ("-N node1 --name foo --query --quiet", "bar\n"),
            (
                "-N node1 -n foo -D",
                "Deleted nodes attribute: id=nodes-1-foo name=foo\n",
            ),
            ("-N node1 -n foo -D", ""),
            ("-N node1 -n foo -G", "105"),
            ("-N node1 -n foo -G -d x", "scope=nodes  name=foo value=x\n"),
            ("-N node1 -z -n cpu -v 4", ""),
            ("-N node1 -z -n cpu -G", "scope=nodes  name=cpu value=4\n"),
            ("-N node1 -n tt -l reboot -v 3", ""),
            (
                "-N node1 -n tt -t status -G",
                "scope=status  name=tt value=3\n",
            ),
            ("-N node1 -n tt -l reboot -D", ""),
            ("-N node1 -p web -v 7", ""),
            (
                "-N node1 -p web -G",
                "scope=status  name=master-web value=7\n",
            ),
            ("-N node1 -l sometimes -n x -G", "64"),
            ("-N node1 -v 7", "64"),
            ("-t rubbish -n x -G", "64"),
        ]);
    }

    #[test]
    fn options_sets_ids_and_patterns() {
        talk(&[
            ("-n zz -v 1", ""),
            (
                "-n zz -D",
                "Deleted crm_config option: id=cib-bootstrap-options-zz name=zz\n",
            ),
            (
                "-P ^d -G",
                "scope=crm_config  name=dc-version value=2.1.5-a3f44794f94\n",
            ),
            ("-N node1 -s mine -n a -v 1", ""),
            ("-N node1 -s mine -n a -G", "scope=nodes  name=a value=1\n"),
            ("-N node1 -s other -n a -G", "105"),
            ("-N node1 -n a -G", "scope=nodes  name=a value=1\n"),
            ("-N node1 -i mine-a -v 2", ""),
            ("-N node1 -i mine-a -G -q", "2\n"),
            (
                "-N node1 -i mine-a -D",
                "Deleted nodes attribute: id=mine-a name=a\n",
            ),
            ("-N node1 -i nobody -v 2", "105"),
            ("-N node1 -l reboot -n ping-a -v 1", ""),
            ("-N node1 -l reboot -n ping-b -v 1", ""),
            ("-N node1 -l reboot -P ^ping- -v 5", ""),
            ("-N node1 -l reboot -n ping-b -G -q", "5\n"),
            ("-N node1 -l reboot -P ^ping- -D", ""),
            ("-N node1 -l reboot -n ping-a -G", "105"),
            ("-N node1 -l forever -P ^ping- -D", "64"),
            ("-t rsc_defaults -n failure-timeout -v 60s", ""),
            ("-t rsc_defaults -s rd -n x -v 1", ""),
            ("-t rsc_defaults -s rd -n x -G -q", "1\n"),
            ("-P ( -G", "64"),
        ]);
    }

    #[test]
    fn the_answer_in_xml() {
        let text = include_str!("../../tests/cli/status/three-nodes.xml");
        let mut backend = CibFile::in_memory(Cib::parse(text).unwrap());
        let args = ["-n", "dc-version", "-G"].map(str::to_owned);
        let mut console = Console::buffers();
        console.answer_in_xml();
        run(
            &mut backend,
            &mut console,
            &getopt::parse(&OPTIONS, &args).unwrap(),
        )
        .unwrap();
        let answer = console.take_answer().unwrap();
        assert_eq!(
            cib::xml::compact(&answer[0]),
            r#"<attribute name="dc-version" value="2.1.5-a3f44794f94" scope="crm_config"/>"#
        );
    }
}
