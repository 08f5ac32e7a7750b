//! How every verb is called: one table, from which mistakes and `help` are answered, and which the
//! tests go through. A word in capitals stands for a value, `[…]` may be left out, `…` may go on, and
//! ` | ` stands between two forms.

use super::shell::Level;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use cib::config::Config;
use cib::{Cib, Section};

/// What follows the verb; `None` for a verb that there is not.
pub(super) fn form(level: Level, verb: &str) -> Option<&'static str> {
    let table = match level {
        Level::Configure => CONFIGURE,
        Level::Node => NODE,
        Level::Resource => RESOURCE,
        Level::Ra => RA,
        Level::Cib => CIB,
        Level::Cluster => CLUSTER,
        Level::Corosync => COROSYNC,
        Level::History => HISTORY,
        Level::Options => OPTIONS,
        Level::Site => SITE,
        Level::Maintenance => MAINTENANCE,
        Level::Template => TEMPLATE,
        Level::Assist => ASSIST,
        Level::CibStatus => CIBSTATUS,
        Level::Script => SCRIPT,
    };
    let found = table.iter().find(|(name, _)| *name == verb);
    found.map(|(_, form)| *form)
}

/// `usage: crm configure tag ID OBJECT …`.
pub(super) fn line(level: Level, verb: &str) -> String {
    let form = form(level, verb).unwrap_or_default();
    let line = format!("usage: crm {} {verb} {form}", level.name());
    line.trim_end().to_owned()
}

/// A verb that was called wrongly; [`explain`] says how it is called.
pub(super) fn misused() -> Failure {
    Failure::usage("")
}

/// Every word behind the verb is one too many.
///
/// # Errors
/// There is one.
pub(super) fn alone(words: &[String]) -> Result<(), Failure> {
    match words {
        [] => Ok(()),
        _ => Err(misused()),
    }
}

/// Puts the right form to a mistake of use.
pub(super) fn explain(level: Level, verb: &str, failure: Failure) -> Failure {
    let cure = failure.cure.as_deref().unwrap_or_default();
    let said = failure.text.contains("usage: ") || cure.contains("usage: ");
    if failure.exit != Exit::Usage || said {
        return failure;
    }
    let line = line(level, verb);
    match failure.text.is_empty() {
        true => Failure {
            text: line,
            ..failure
        },
        false if cure.is_empty() => Failure {
            cure: Some(line),
            ..failure
        },
        false => failure,
    }
}

/// Names that somebody may have meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    nodes: Vec<String>,
    resources: Vec<String>,
    /// Everything else that has a name of its own.
    others: Vec<String>,
}

impl Names {
    /// Those of a configuration.
    pub(super) fn of(cib: &Cib) -> Self {
        let config = Config::new(cib);
        let constraints = config.constraints().into_iter();
        let mut others: Vec<String> = constraints.map(|c| c.id.to_owned()).collect();
        let templates = config.templates().into_iter();
        others.extend(templates.filter_map(|t| t.id()).map(str::to_owned));
        for section in [Section::Tags, Section::Alerts] {
            let objects = cib.section(section).into_iter().flat_map(|s| &s.children);
            others.extend(objects.filter_map(|o| o.id()).map(str::to_owned));
        }
        let nodes = config.nodes().into_iter();
        let resources = config.resources().into_iter();
        Self {
            nodes: nodes.map(|n| n.uname.to_owned()).collect(),
            resources: resources.map(|r| r.id.to_owned()).collect(),
            others,
        }
    }

    /// Of the kind that a failure says there is none of: a node is no resource.
    fn of_kind(&self, failure: &str) -> Vec<&str> {
        let begins = |words: &[&str]| words.iter().any(|w| failure.starts_with(w));
        let has = |words: &[&str]| words.iter().any(|w| failure.contains(w));
        let kinds: &[&Vec<String>] = if begins(&["Resource", "Primitive"])
            || has(&[" is not a member of ", ": resource \"", ": fence device \""])
        {
            &[&self.resources]
        } else if begins(&["Node", "node"]) || has(&[" is not a node ", ": node \""]) {
            &[&self.nodes]
        } else {
            &[&self.nodes, &self.resources, &self.others]
        };
        let names = kinds.iter().flat_map(|kind| kind.iter());
        names.map(String::as_str).collect()
    }
}

/// Puts the nearest known name to a failure about one that does not exist.
pub(super) fn suggest(failure: Failure, words: &[String], names: &Names) -> Failure {
    if failure.exit != Exit::NoSuch || failure.text.contains(": is it ") {
        return failure;
    }
    let names = names.of_kind(&failure.text);
    // Nothing is called as a pattern is written.
    let told = |word: &&str| {
        if word.contains(['*', '?', '[']) {
            return false;
        }
        let mut said = failure
            .text
            .split(|c: char| c.is_whitespace() || "\"`',;:()".contains(c));
        said.any(|part| part == *word) && !names.contains(word)
    };
    let words = words.iter().flat_map(|w| w.split([':', ',']));
    let near = words.filter(told).map(|w| is_it(w, names.iter().copied()));
    let Some(near) = near.into_iter().find(|near| !near.is_empty()) else {
        return failure;
    };
    // Where all of them are listed does not matter to whom the right one is told.
    let what = failure.text.split("; `").next().unwrap_or_default();
    let text = format!("{what}{near}");
    Failure { text, ..failure }
}

const CONFIGURE: &[(&str, &str)] = &[
    (
        "primitive",
        "ID AGENT [params NAME=VALUE …] [meta NAME=VALUE …] [utilization NAME=VALUE …] [op ACTION NAME=VALUE …] …",
    ),
    (
        "rsc_template",
        "ID AGENT [params NAME=VALUE …] [meta NAME=VALUE …] [op ACTION NAME=VALUE …] …",
    ),
    ("group", "ID RESOURCE … [meta NAME=VALUE …]"),
    ("clone", "ID RESOURCE [meta NAME=VALUE …]"),
    ("promotable", "ID RESOURCE [meta NAME=VALUE …]"),
    ("ms", "ID RESOURCE [meta NAME=VALUE …]"),
    ("master", "ID RESOURCE [meta NAME=VALUE …]"),
    (
        "location",
        "ID RESOURCE SCORE: NODE | ID RESOURCE rule SCORE: ATTRIBUTE eq VALUE",
    ),
    ("colocation", "ID SCORE: RESOURCE[:ROLE] OTHER[:ROLE] …"),
    ("collocation", "ID SCORE: RESOURCE[:ROLE] OTHER[:ROLE] …"),
    ("order", "ID KIND: RESOURCE[:ACTION] OTHER[:ACTION] …"),
    ("property", "NAME=VALUE …"),
    ("rsc_defaults", "NAME=VALUE …"),
    ("op_defaults", "NAME=VALUE …"),
    (
        "node",
        "NODE [attributes NAME=VALUE …] [utilization NAME=VALUE …]",
    ),
    ("xml", "ELEMENT"),
    ("delete", "OBJECT …"),
    (
        "rsc_ticket",
        "ID TICKET: RESOURCE[:ROLE] … [loss-policy=POLICY]",
    ),
    ("tag", "ID OBJECT …"),
    ("fencing_topology", "[TARGET:] DEVICE[,DEVICE] …"),
    (
        "alert",
        "ID PATH [attributes NAME=VALUE …] [meta NAME=VALUE …] [select KIND …] [[to] RECIPIENT …]",
    ),
    ("rename", "OBJECT ID"),
    ("erase", ""),
    ("commit", "[force]"),
    (
        "show",
        "[xml] [OBJECT | GLOB | type:KIND | tag:TAG | related:OBJECT | changed | and | or | obscure:GLOB] …",
    ),
    ("verify", ""),
    ("refresh", ""),
    ("reset", ""),
    ("save", "[xml] FILE"),
    ("load", "[xml] replace|update FILE"),
    ("edit", "[OBJECT …]"),
    ("simulate", "[scores]"),
    ("ptest", "[scores]"),
    ("validate-all", "RESOURCE"),
    (
        "modgroup",
        "GROUP add RESOURCE [after|before OTHER] | GROUP remove RESOURCE",
    ),
    ("monitor", "RESOURCE[:ROLE] INTERVAL[:TIMEOUT]"),
    ("get_property", "PROPERTY …"),
];

const NODE: &[(&str, &str)] = &[
    ("standby", "[NODE] [reboot | forever]"),
    ("online", "[NODE] [reboot | forever]"),
    ("maintenance", "[NODE] [reboot | forever]"),
    ("ready", "[NODE] [reboot | forever]"),
    ("show", "[NODE]"),
    ("status", "[NODE]"),
    ("list", "[NODE]"),
    (
        "attribute",
        "NODE set NAME VALUE | NODE delete NAME | NODE show NAME",
    ),
    ("fence", "NODE"),
    ("delete", "NODE"),
    ("server", ""),
    ("clearstate", "NODE"),
    (
        "status-attr",
        "NODE set NAME VALUE | NODE delete NAME | NODE show NAME",
    ),
    (
        "utilization",
        "NODE set NAME VALUE | NODE delete NAME | NODE show NAME",
    ),
];

const RESOURCE: &[(&str, &str)] = &[
    ("start", "RESOURCE …"),
    ("stop", "RESOURCE …"),
    ("restart", "RESOURCE"),
    ("cleanup", "[RESOURCE [NODE]] [force]"),
    ("refresh", "[RESOURCE [NODE]] [force]"),
    ("reprobe", "[RESOURCE [NODE]] [force]"),
    ("move", "RESOURCE [NODE] [LIFETIME] [force]"),
    ("migrate", "RESOURCE [NODE] [LIFETIME] [force]"),
    ("ban", "RESOURCE [NODE] [LIFETIME] [force]"),
    ("clear", "RESOURCE [NODE]"),
    ("unmove", "RESOURCE [NODE]"),
    ("unmigrate", "RESOURCE [NODE]"),
    ("unban", "RESOURCE [NODE]"),
    ("manage", "RESOURCE …"),
    ("unmanage", "RESOURCE …"),
    ("maintenance", "RESOURCE [on | off]"),
    ("promote", "RESOURCE …"),
    ("demote", "RESOURCE …"),
    (
        "meta",
        "RESOURCE set NAME VALUE | RESOURCE delete NAME | RESOURCE show NAME",
    ),
    (
        "param",
        "RESOURCE set NAME VALUE | RESOURCE delete NAME | RESOURCE show NAME",
    ),
    (
        "utilization",
        "RESOURCE set NAME VALUE | RESOURCE delete NAME | RESOURCE show NAME",
    ),
    ("trace", "RESOURCE [OPERATION [INTERVAL]] [DIRECTORY]"),
    ("untrace", "RESOURCE [OPERATION [INTERVAL]]"),
    ("status", "[RESOURCE]"),
    ("show", "[RESOURCE]"),
    ("list", "[RESOURCE]"),
    (
        "failcount",
        "RESOURCE show [NODE] | RESOURCE delete [NODE] | RESOURCE set NODE COUNT",
    ),
    ("locate", "RESOURCE"),
    ("constraints", "RESOURCE"),
    ("operations", "[RESOURCE [NODE]]"),
];

const RA: &[(&str, &str)] = &[
    ("classes", ""),
    ("list", "CLASS [PROVIDER]"),
    ("providers", "TYPE"),
    ("info", "AGENT"),
    ("meta", "AGENT"),
    ("validate", "AGENT [NAME=VALUE …]"),
];

const CIB: &[(&str, &str)] = &[
    ("new", "SHADOW [withstatus] [force] [empty]"),
    ("use", "[SHADOW | live]"),
    ("list", ""),
    ("show", ""),
    ("diff", "[SHADOW]"),
    ("commit", "[SHADOW] [force]"),
    ("reset", "[SHADOW]"),
    ("delete", "SHADOW"),
    ("import", "FILE [SHADOW]"),
];

const CLUSTER: &[(&str, &str)] = &[
    ("status", ""),
    ("health", ""),
    ("wait_for_startup", "[NODE] [SECONDS]"),
    ("start", "[NODE …]"),
    ("stop", "[NODE …]"),
    ("restart", "[NODE …]"),
    ("enable", "[NODE …]"),
    ("disable", "[NODE …]"),
    ("remove", "NODE"),
    ("init", "[-n NAME] [-i ADDRESS|INTERFACE] [-y]"),
    ("join", "-c HOST --token TOKEN [-i ADDRESS|INTERFACE] [-y]"),
    ("add", "NEWNODE"),
    ("rename", "NAME"),
    ("run", "COMMAND …"),
    ("copy", "FILE …"),
    ("diff", "[FILE]"),
];

const COROSYNC: &[(&str, &str)] = &[
    ("status", ""),
    ("show", ""),
    ("get", "KEY"),
    ("set", "KEY VALUE"),
    ("reload", ""),
    ("log", ""),
    ("edit", ""),
    ("diff", "[NODE …]"),
    ("push", "[NODE …]"),
    ("pull", "NODE"),
    ("link", ""),
];

const HISTORY: &[(&str, &str)] = &[
    ("info", ""),
    ("events", ""),
    ("log", "[NODE]"),
    ("transition", "[TRANSITION]"),
    ("transitions", ""),
    ("peinputs", ""),
    ("diff", "TRANSITION [TRANSITION | live]"),
    ("show", "TRANSITION"),
    ("resource", "RESOURCE …"),
    ("node", "NODE …"),
    ("limit", "[FROM [TO]]"),
    ("timeframe", "[FROM [TO]]"),
    ("latest", ""),
    ("refresh", ""),
];

const OPTIONS: &[(&str, &str)] = &[
    ("show", "[all | OPTION]"),
    ("list", "[all | OPTION]"),
    ("set", "OPTION VALUE"),
    ("save", ""),
    ("reset", ""),
    ("editor", "PROGRAM"),
    ("pager", "PROGRAM"),
    ("user", "USER"),
    ("skill-level", "operator|administrator|expert"),
    ("output", "plain|color|color-always|uppercase"),
    ("colorscheme", "COLOURS"),
    ("check-frequency", "always|on-verify|never"),
    ("check-mode", "strict|relaxed"),
    ("sort-elements", "yes|no"),
    ("wait", "yes|no"),
    ("add-quotes", "yes|no"),
    ("manage-children", "ask|always|never"),
];

const SITE: &[(&str, &str)] = &[(
    "ticket",
    "grant|revoke|delete|standby|activate|show|time TICKET",
)];

const MAINTENANCE: &[(&str, &str)] = &[
    ("on", "[OBJECT]"),
    ("off", "[OBJECT]"),
    (
        "action",
        "RESOURCE monitor|start|stop|promote|demote|validate-all",
    ),
];

const TEMPLATE: &[(&str, &str)] = &[
    ("list", "[templates | configs]"),
    ("new", "[CONFIG] TEMPLATE [params NAME=VALUE …]"),
    ("load", "[CONFIG]"),
    ("edit", "[CONFIG]"),
    ("show", "[CONFIG]"),
    ("apply", "[update | replace] [CONFIG]"),
    ("delete", "CONFIG [force]"),
];

const ASSIST: &[(&str, &str)] = &[
    ("template", "RESOURCE OTHER …"),
    ("weak-bond", "RESOURCE OTHER …"),
];

const CIBSTATUS: &[(&str, &str)] = &[
    ("load", "live | shadow:SHADOW | FILE"),
    ("save", "[shadow:SHADOW | FILE]"),
    ("show", "[changed]"),
    ("origin", ""),
    ("node", "NODE online|offline|unclean"),
    ("op", "OPERATION[:SECONDS] RESOURCE RESULT [STATUS] [NODE]"),
    ("quorum", "true|false"),
    ("ticket", "TICKET grant|revoke|standby|activate"),
    ("run", "[scores] [utilization]"),
    ("simulate", "[scores] [utilization]"),
];

const SCRIPT: &[(&str, &str)] = &[
    ("list", "[all] [names]"),
    ("show", "SCRIPT"),
    ("verify", "SCRIPT [NAME=VALUE …]"),
    ("run", "SCRIPT [NAME=VALUE …]"),
    ("json", "REQUEST"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_of_the_right_kind() {
        let names = Names {
            nodes: vec!["node1".to_owned()],
            resources: vec!["mode".to_owned(), "web".to_owned()],
            others: vec!["nod1-with-web".to_owned()],
        };
        let told = |text: &str, word: &str| {
            suggest(Failure::no_such(text), &[word.to_owned()], &names).text
        };
        let resource = "Resource not found: nodd1; `crm resource status` lists them";
        assert_eq!(told(resource, "nodd1"), resource, "a node is no resource");
        let node = told("Node \"moden\" is not a cluster node", "moden");
        assert_eq!(node, "Node \"moden\" is not a cluster node: is it `node1`?");
        let near = told("Resource not found: wen", "wen");
        assert_eq!(near, "Resource not found: wen: is it `web`?");
        let pattern = "object nod* does not exist";
        assert_eq!(told(pattern, "nod*"), pattern);
        let any = told("object nodd1 does not exist", "nodd1");
        assert!(any.ends_with("is it `node1`?"), "{any}");
    }
}
