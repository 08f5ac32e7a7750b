//! What may come next on a command line: verbs, and names that the cluster knows.

use super::agents::Agents;
use super::shell::{ALIASES, GENERAL, Level, STATUS_OPTIONS, TOP};
use super::wizards::{self, WIZARDS};
use super::{cibstatus, corosync, history, maintenance, preferences, ra, site, templates};
use crate::cli::backend::{self, Backend, shadow};
use crate::cli::options::cluster::NAMES as PROPERTIES;
use crate::cli::options::primitive;
use cib::Cib;
use cib::config::Config;
use std::collections::BTreeSet;

/// Where names come from; asked when the first is wanted.
pub(in crate::cli) struct Source<'a> {
    backend: &'a mut dyn Backend,
    agents: &'a Agents,
    cib: Option<Cib>,
}

impl<'a> Source<'a> {
    /// Names of a cluster, and agents of this machine.
    pub(in crate::cli) const fn new(backend: &'a mut dyn Backend, agents: &'a Agents) -> Self {
        Self {
            backend,
            agents,
            cib: None,
        }
    }

    /// The configuration; nobody is told of a cluster that does not answer.
    fn cib(&mut self) -> &Cib {
        let Self { backend, cib, .. } = self;
        cib.get_or_insert_with(|| backend::cib(*backend, false).unwrap_or_else(|_| Cib::empty()))
    }

    /// Names of nodes.
    pub(in crate::cli) fn nodes(&mut self) -> Vec<String> {
        let nodes = Config::new(self.cib()).nodes().into_iter();
        nodes.map(|n| n.uname.to_owned()).collect()
    }

    /// Ids of resources.
    pub(in crate::cli) fn resources(&mut self) -> Vec<String> {
        let resources = Config::new(self.cib()).resources().into_iter();
        resources.map(|r| r.id.to_owned()).collect()
    }

    /// Ids of everything that `configure show` prints a line for.
    fn objects(&mut self) -> Vec<String> {
        let mut ids = self.resources();
        ids.extend(self.nodes());
        let config = Config::new(self.cib());
        ids.extend(config.constraints().iter().map(|c| c.id.to_owned()));
        ids.extend(
            config
                .templates()
                .iter()
                .filter_map(|t| t.id())
                .map(str::to_owned),
        );
        ids
    }

    /// Agents as `primitive` takes them.
    pub(in crate::cli) fn agents(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for provider in self.agents.providers() {
            let kinds = self.agents.list("ocf", Some(&provider));
            found.extend(kinds.iter().map(|k| format!("ocf:{provider}:{k}")));
        }
        for class in ["stonith", "systemd", "lsb"] {
            let kinds = self.agents.list(class, None);
            found.extend(kinds.iter().map(|k| format!("{class}:{k}")));
        }
        found
    }

    /// `name=` of an agent's parameters.
    fn parameters(&self, spec: &str) -> Vec<String> {
        let read = self.agents.resolve(spec).and_then(|agent| {
            let text = ra::meta_data(self.agents, &agent)?;
            ra::parse_meta(&agent, &text)
        });
        let Ok(element) = read else {
            return Vec::new();
        };
        let parameters = element.first("parameters").into_iter();
        let names = parameters
            .flat_map(|p| p.all("parameter"))
            .filter_map(|p| p.attr("name"));
        names.map(|n| format!("{n}=")).collect()
    }

    /// The agent of a resource, as `primitive` takes it.
    fn agent_of(&mut self, id: &str) -> Option<String> {
        let config = Config::new(self.cib());
        let agent = config.agent(&config.resource(id)?)?;
        let parts = [Some(agent.class), agent.provider, Some(agent.kind)];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(":"))
    }
}

/// Words that may stand where `partial` begins, behind `words`, on the level that is open.
pub(in crate::cli) fn next(
    open: Option<&'static str>,
    words: &[String],
    partial: &str,
    source: &mut Source<'_>,
) -> Vec<String> {
    let level = open.and_then(level_named);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = match (level, words.as_slice()) {
        (Some(level), words) => on_level(level, words, source),
        (None, []) => {
            let mut names = strings(TOP.iter().map(|(name, _)| *name));
            names.extend(strings(GENERAL));
            names
        }
        (None, ["status", ..]) => strings(STATUS_OPTIONS),
        (None, [first, rest @ ..]) => match level_named(first) {
            Some(level) => on_level(level, rest, source),
            None => Vec::new(),
        },
    };
    fitting(found, partial)
}

/// Those that begin so, each once, in order.
pub(in crate::cli) fn fitting(found: Vec<String>, partial: &str) -> Vec<String> {
    let fits = found.into_iter().filter(|word| word.starts_with(partial));
    fits.collect::<BTreeSet<String>>().into_iter().collect()
}

fn level_named(word: &str) -> Option<Level> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word);
    let name = alias.map_or(word, |(_, name)| *name);
    TOP.iter().find(|(n, _)| *n == name)?.1
}

fn strings<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn on_level(level: Level, words: &[&str], source: &mut Source<'_>) -> Vec<String> {
    let Some((verb, rest)) = words.split_first() else {
        let mut verbs = strings(level.verbs());
        verbs.extend(strings(GENERAL));
        verbs.extend(level.inner().iter().map(|l| l.name().to_owned()));
        return verbs;
    };
    if let Some(inner) = level.inner().iter().find(|l| l.name() == *verb) {
        return on_level(*inner, rest, source);
    }
    match level {
        Level::Configure => configure(verb, rest, source),
        Level::Node => node(verb, rest, source),
        Level::Resource => resource(verb, rest, source),
        Level::Ra => agent(verb, rest, source),
        Level::Cib if rest.is_empty() => shadow::names(),
        Level::Cluster if *verb == "remove" && rest.is_empty() => source.nodes(),
        Level::Corosync if ["get", "set"].contains(verb) && rest.is_empty() => {
            corosync::known_keys()
        }
        Level::History => match *verb {
            "transition" | "show" if rest.is_empty() => history::decision_names(),
            "diff" if rest.len() < 2 => {
                let mut names = history::decision_names();
                names.push("live".to_owned());
                names
            }
            "resource" => source.resources(),
            "node" | "log" => source.nodes(),
            _ => Vec::new(),
        },
        Level::Options => preferences::next(verb, rest),
        Level::Site if rest.is_empty() => strings(site::SUBCOMMANDS),
        Level::Maintenance => maintenance(verb, rest, source),
        Level::Assist => source.resources(),
        Level::CibStatus => imagined(verb, rest, source),
        Level::Script | Level::Template => made(verb, rest),
        _ => Vec::new(),
    }
}

fn maintenance(verb: &str, rest: &[&str], source: &mut Source<'_>) -> Vec<String> {
    match (verb, rest) {
        ("action", []) => source.resources(),
        ("action", [_]) => strings(maintenance::ACTIONS.map(|(name, _)| name)),
        (_, []) => [source.resources(), source.nodes()].concat(),
        _ => Vec::new(),
    }
}

fn imagined(verb: &str, rest: &[&str], source: &mut Source<'_>) -> Vec<String> {
    match (verb, rest) {
        ("node", []) => source.nodes(),
        ("node", [_]) => strings(["online", "offline", "unclean"]),
        ("ticket", [_]) => strings(["grant", "revoke", "standby", "activate"]),
        ("quorum", []) => strings(["true", "false"]),
        ("op", []) => strings(cibstatus::OPERATIONS),
        ("op", [_]) => source.resources(),
        ("op", [_, _]) => strings(cibstatus::RESULTS.map(|(name, _)| name)),
        ("op", [_, _, _, ..]) => source.nodes(),
        ("load" | "save", []) => {
            let shadows = shadow::names().into_iter().map(|n| format!("shadow:{n}"));
            shadows.chain(["live".to_owned()]).collect()
        }
        ("show", []) => strings(["changed"]),
        ("run" | "simulate", _) => strings(["scores", "utilization"]),
        _ => Vec::new(),
    }
}

/// What `script` and `template` make.
fn made(verb: &str, rest: &[&str]) -> Vec<String> {
    let scripts = || strings(WIZARDS.iter().map(|w| w.name));
    let configs = || {
        let preferences = preferences::Preferences::of_this_user();
        preferences
            .dir()
            .map(templates::names_in)
            .unwrap_or_default()
    };
    match (verb, rest) {
        ("list", _) => strings(["all", "names", "templates", "configs"]),
        ("show" | "edit" | "load" | "delete" | "apply", []) => [configs(), scripts()].concat(),
        ("verify" | "run" | "new", []) => scripts(),
        ("new", [_]) => [scripts(), strings(["params"])].concat(),
        ("verify" | "run" | "new", names) => {
            let found = names.iter().find_map(|name| wizards::find(name).ok());
            let names = found.into_iter().flat_map(|w| w.parameters);
            names.map(|p| format!("{}=", p.name)).collect()
        }
        _ => Vec::new(),
    }
}

fn node(verb: &str, rest: &[&str], source: &mut Source<'_>) -> Vec<String> {
    match (verb, rest) {
        ("server" | "list", _) => Vec::new(),
        (_, []) => source.nodes(),
        ("attribute" | "status-attr" | "utilization", [_]) => strings(["set", "delete", "show"]),
        ("standby" | "online" | "maintenance" | "ready", [_]) => strings(["reboot", "forever"]),
        _ => Vec::new(),
    }
}

fn resource(verb: &str, rest: &[&str], source: &mut Source<'_>) -> Vec<String> {
    match (verb, rest) {
        (_, []) => source.resources(),
        ("start" | "stop" | "manage" | "unmanage" | "promote" | "demote", _) => source.resources(),
        ("maintenance", [_]) => strings(["on", "off"]),
        ("meta" | "param" | "utilization", [_]) => strings(["set", "delete", "show"]),
        ("failcount", [_]) => strings(["show", "delete"]),
        ("meta", [_, _]) => meta(),
        ("param", [id, _]) => {
            let agent = source.agent_of(id);
            let names = agent.map(|agent| source.parameters(&agent));
            let names = names.unwrap_or_default().into_iter();
            names.map(|n| n.trim_end_matches('=').to_owned()).collect()
        }
        ("failcount", [_, _])
        | (
            "move" | "migrate" | "ban" | "clear" | "unmove" | "unmigrate" | "unban" | "cleanup"
            | "refresh" | "operations",
            [_],
        ) => source.nodes(),
        ("trace" | "untrace", [_]) => strings(OPERATIONS),
        _ => Vec::new(),
    }
}

fn agent(verb: &str, rest: &[&str], source: &mut Source<'_>) -> Vec<String> {
    match (verb, rest) {
        ("list", []) => strings(["ocf", "lsb", "systemd", "service", "stonith"]),
        ("list", ["ocf"]) => source.agents.providers(),
        ("info" | "meta" | "validate", []) => source.agents(),
        ("validate", [spec, ..]) => source.parameters(spec),
        ("providers", []) => source.agents.list("ocf", None),
        _ => Vec::new(),
    }
}

fn configure(verb: &str, rest: &[&str], source: &mut Source<'_>) -> Vec<String> {
    match (verb, rest) {
        ("property", _) => strings(PROPERTIES).into_iter().map(|n| n + "=").collect(),
        ("rsc_defaults", _) => meta().into_iter().map(|n| n + "=").collect(),
        ("op_defaults", _) => strings(OPERATION_OPTIONS)
            .into_iter()
            .map(|n| n + "=")
            .collect(),
        ("show", _) => {
            let mut words = source.objects();
            words.extend(strings(["xml", "changed"]));
            words
        }
        ("delete" | "edit", _) | ("rename", []) => source.objects(),
        ("node", []) => source.nodes(),
        ("primitive" | "rsc_template", [_, rest @ ..]) => primitive(rest, source),
        ("group" | "clone" | "ms" | "master" | "promotable" | "tag", [_, ..]) => {
            let mut words = source.resources();
            words.push("meta".to_owned());
            words
        }
        ("location", [_]) | ("rsc_ticket", [_, _, ..]) => source.resources(),
        ("location", [_, _]) => strings(["inf:", "-inf:", "100:", "rule"]),
        ("location", [_, _, score]) if score.ends_with(':') => source.nodes(),
        ("colocation" | "collocation", [_]) => strings(["inf:", "-inf:"]),
        ("order", [_]) => strings(["Mandatory:", "Optional:", "Serialize:"]),
        ("colocation" | "collocation" | "order", [_, _, ..]) => source.resources(),
        ("fencing_topology", _) => {
            let mut words: Vec<String> = source.nodes().iter().map(|n| format!("{n}:")).collect();
            words.extend(source.resources());
            words
        }
        ("modgroup", []) | ("modgroup", [_, "add" | "remove"]) | ("monitor", []) => {
            source.resources()
        }
        ("modgroup", [_]) => strings(["add", "remove"]),
        ("modgroup", [_, "add", _]) => strings(["after", "before"]),
        ("modgroup", [_, _, _, _]) => source.resources(),
        ("get_property", _) => strings(PROPERTIES),
        ("load", []) => strings(["replace", "update", "xml"]),
        ("load", ["xml"]) => strings(["replace"]),
        ("save", []) => strings(["xml"]),
        _ => Vec::new(),
    }
}

/// Behind the id of a primitive.
fn primitive(rest: &[&str], source: &mut Source<'_>) -> Vec<String> {
    let Some((agent, rest)) = rest.split_first() else {
        return source.agents();
    };
    let keyword = rest.iter().rev().find(|w| PRIMITIVE_WORDS.contains(w));
    let mut words = match (keyword, rest.last()) {
        (Some(&"params"), _) | (None, Some(_)) => source.parameters(agent),
        (Some(&"meta"), _) => meta().into_iter().map(|n| n + "=").collect(),
        (Some(&"op"), Some(&"op")) => return strings(OPERATIONS),
        (Some(&"op"), _) => strings(OPERATION_OPTIONS)
            .into_iter()
            .map(|n| n + "=")
            .collect(),
        _ => Vec::new(),
    };
    words.extend(strings(PRIMITIVE_WORDS));
    words
}

/// Meta-attributes of resources that mean something; of a clone's, what its agent must know.
fn meta() -> Vec<String> {
    let heeded = primitive::ALL.iter().filter(|known| known.heeded);
    let names = heeded.map(|known| known.name).chain(["notify"]);
    names.map(str::to_owned).collect()
}

/// Words that begin a part of a primitive.
const PRIMITIVE_WORDS: [&str; 5] = ["params", "meta", "op", "operations", "utilization"];
/// Operations of agents.
const OPERATIONS: [&str; 6] = [
    "monitor",
    "start",
    "stop",
    "promote",
    "demote",
    "migrate_to",
];
/// Options of operations.
const OPERATION_OPTIONS: [&str; 7] = [
    "interval",
    "timeout",
    "on-fail",
    "role",
    "start-delay",
    "record-pending",
    "enabled",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::backend::CibFile;
    use crate::paths::Paths;
    use std::path::PathBuf;

    fn found(open: Option<&'static str>, line: &str) -> Vec<String> {
        let cib = Cib::parse(
            "<cib epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\"><configuration><crm_config/>\
             <nodes><node id=\"1\" uname=\"alpha\"/><node id=\"2\" uname=\"beta\"/></nodes>\
             <resources><primitive id=\"web\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"/>\
             <primitive id=\"db\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/></resources>\
             <constraints><rsc_location id=\"l\" rsc=\"web\" node=\"alpha\" score=\"1\"/></constraints>\
             </configuration><status/></cib>",
        )
        .unwrap();
        let mut file = CibFile::in_memory(cib);
        let machine = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/machine");
        let agents = Agents::new(Paths::below(machine));
        let mut source = Source::new(&mut file, &agents);
        let mut words = super::super::words::split(line).unwrap();
        let partial = match line.ends_with(' ') || line.is_empty() {
            true => String::new(),
            false => words.pop().unwrap_or_default(),
        };
        next(open, &words, &partial, &mut source)
    }

    #[test]
    fn the_next_word_is_known() {
        let cases: [(Option<&'static str>, &str, &[&str]); 26] = [
            (None, "conf", &["configure"]),
            (None, "cl", &["cluster"]),
            (None, "node st", &["standby", "status", "status-attr"]),
            (None, "node standby ", &["alpha", "beta"]),
            (None, "node standby alpha f", &["forever"]),
            (Some("node"), "standby b", &["beta"]),
            (None, "rsc stop w", &["web"]),
            (None, "resource move web ", &["alpha", "beta"]),
            (None, "resource param web set cidr", &["cidr_netmask"]),
            (
                None,
                "configure delete ",
                &["alpha", "beta", "db", "l", "web"],
            ),
            (None, "configure property stonith-e", &["stonith-enabled="]),
            (
                Some("configure"),
                "location l2 web inf: ",
                &["alpha", "beta"],
            ),
            (
                Some("configure"),
                "primitive x ocf:heartbeat:Du",
                &["ocf:heartbeat:Dummy"],
            ),
            (
                Some("configure"),
                "primitive x ocf:heartbeat:IPaddr2 params cidr",
                &["cidr_netmask="],
            ),
            (Some("configure"), "primitive x Dummy op mon", &["monitor"]),
            (None, "status by", &["bynode"]),
            (None, "opt", &["options"]),
            (None, "options set core.skill_level op", &["operator"]),
            (Some("options"), "wait y", &["yes"]),
            (None, "site ticket gr", &["grant"]),
            (None, "maintenance action db st", &["start", "stop"]),
            (None, "maintenance on b", &["beta"]),
            (None, "cibstatus op start db gen", &["generic"]),
            (None, "configure assist weak-bond w", &["web"]),
            (None, "script run virtual-ip cidr", &["cidr_netmask="]),
            (Some("cibstatus"), "node alpha un", &["unclean"]),
        ];
        for (open, line, wanted) in cases {
            assert_eq!(found(open, line), wanted, "{open:?} {line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in "(conf|configure|node|resource|ra|cib|history|corosync|options|script|cibstatus)?( \\PC{0,6}){0,5}") {
            if super::super::words::split(&line).is_ok() {
                let _ = found(None, &line);
            }
        }
    }
}
