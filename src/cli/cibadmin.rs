//! `cibadmin`: the CIB as XML, whole or in parts, asked for and changed.

use super::backend::{self, Backend, Lazy};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_optional, with_value};
use super::tool::{self, Tool};
use cib::{Cib, Element, Patch, Section, XPath, update};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, |console, found| {
        if found.has("empty") {
            console.print(&empty(&found.words)?.to_xml());
            return Ok(());
        }
        found.no_words()?;
        // What is given with the command asks nobody.
        let mut backend = Lazy::new(None);
        run(&mut backend, console, found)
    })
}

const TOOL: Tool = Tool {
    name: "cibadmin",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "Call failed: ",
};

/// A CIB without anything in it, of a schema that a word may name.
fn empty(words: &[String]) -> Result<Cib, Failure> {
    let mut root = Cib::empty().into_root();
    match words {
        [] => {}
        [schema] if schema.starts_with("pacemaker-") => root.set("validate-with", schema),
        [other] => {
            return Err(Failure::usage(format!(
                "there is no schema {other}: they are called pacemaker-3.9 and the like"
            )));
        }
        [_, more, ..] => return Err(Failure::usage(format!("`{more}` makes no sense here"))),
    }
    Ok(Cib::from_element(root)?)
}

/// One command line.
fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    if let Some(option) = found.first_of(&["node", "host", "no-bcast"]) {
        return Err(Failure::new(
            Exit::Unimplemented,
            format!(
                "--{option} is not offered: every node has the same CIB, and changes go to the whole cluster"
            ),
        ));
    }
    if found.has("bump") {
        return Err(Failure::new(
            Exit::Unimplemented,
            "--bump is not offered: the epoch grows with every change, and no older configuration can take this one's place",
        ));
    }
    // These two may do everything, with lists and without.
    let almighty = ["root", "hacluster"];
    let somebody = found.value("user").filter(|u| !almighty.contains(u));
    let shown = found.has("show-access").then_some("show-access");
    if let Some(option) = shown.or(somebody.map(|_| "user")) {
        return Err(Failure::new(
            Exit::Unimplemented,
            format!(
                "--{option} is not offered: access control lists are not enforced; CIB_user=NAME records for whom root changes something"
            ),
        ));
    }
    let section = match found.value("scope") {
        None => None,
        Some("all") => None,
        Some(name) => Some(Section::from_tag(name).ok_or_else(|| {
            Failure::new(Exit::Config, format!("there is no section {name} in a CIB"))
        })?),
    };
    let command = found.first_of(&COMMANDS);
    let other = found.last_of(&COMMANDS);
    if let (Some(one), Some(other)) = (command, other.filter(|o| Some(*o) != command)) {
        return Err(Failure::usage(format!(
            "--{one} and --{other}: one at a time"
        )));
    }
    match command {
        Some("query") => query(backend, console, found, section),
        // What Pacemaker's tool asks for, too.
        None => Err(Failure::usage("say what to do: --query prints the CIB")),
        Some("create") => change(backend, |cib| {
            let object = input(found)?;
            Ok(update::create(cib, place(section, &object)?, object)?)
        }),
        Some("modify") => modify(backend, found, section),
        Some("replace") => replace(backend, found, section),
        Some("delete" | "delete-all") => delete(backend, found, section),
        Some("erase") => erase(backend, found),
        Some("patch") => patch(backend, found),
        Some(sum @ ("md5-sum" | "md5-sum-versioned")) => {
            let root = match tool::xml_input(found)? {
                Some(text) => cib::xml::parse(&text)?,
                None => backend::cib(backend, false)?.into_root(),
            };
            let (what, digest) = digest(&root, sum);
            // What reads the digest reads it alone.
            console.err_text(&what);
            console.line(&digest);
            Ok(())
        }
        // Every schema is read as it is: there is nothing that a newer one would add.
        Some("upgrade") => {
            console.line("Upgrade unnecessary: Schema is already the latest available");
            Ok(())
        }
        Some(other) => Err(Failure::usage(format!("--{other} is no command"))),
    }
}

/// What it is, and the digest of a document.
fn digest(root: &Element, sum: &str) -> (String, String) {
    let version = root.attr("crm_feature_set").unwrap_or("(null)");
    match sum {
        "md5-sum" => ("Digest: ".to_owned(), cib::digest::on_disk(root)),
        _ => (
            format!("Versioned ({version}) digest: "),
            cib::digest::cib(root),
        ),
    }
}

fn query(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    section: Option<Section>,
) -> Result<(), Failure> {
    let whole = ["xpath", "no-children"].iter().all(|o| !found.has(o));
    if whole && section.is_none() {
        // As it comes: the daemon writes it as we would.
        console.print(&backend::cib_text(backend, true)?);
        return Ok(());
    }
    let cib = backend::cib(backend, true)?;
    let root = match section {
        None => cib.root(),
        Some(section) => cib.section(section).ok_or_else(nothing)?,
    };
    let Some(xpath) = found.value("xpath") else {
        if found.has("no-children") {
            let mut alone = root.clone();
            alone.children.clear();
            console.print(&cib::xml::format(&alone));
            return Ok(());
        }
        console.print(&cib::xml::format(root));
        return Ok(());
    };
    let matches = XPath::parse(xpath)?.select(cib.root())?;
    if matches.is_empty() {
        return Err(nothing());
    }
    let mut elements = Vec::new();
    for found_match in &matches {
        if found.has("node-path") {
            console.line(&found_match.place.path(cib.root()));
            continue;
        }
        if let Some(element) = found_match.place.get(cib.root()) {
            let mut element = element.clone();
            if found.has("no-children") {
                element.children.clear();
            }
            elements.push(element);
        }
    }
    match elements.as_slice() {
        [] => {}
        [one] => console.print(&cib::xml::format(one)),
        _ => {
            let mut list = Element::new("xpath-query");
            list.children = elements;
            console.print(&cib::xml::format(&list));
        }
    }
    Ok(())
}

fn modify(
    backend: &mut dyn Backend,
    found: &Found,
    section: Option<Section>,
) -> Result<(), Failure> {
    let object = input(found)?;
    let may_create = found.has("allow-create");
    change(backend, |cib| {
        if object.name == "cib" {
            update::merge(cib.root_mut(), &object);
            return Ok(());
        }
        if let Some(xpath) = found.value("xpath") {
            let place = only_place(cib, xpath)?;
            let target = place.get_mut(cib.root_mut()).ok_or_else(nothing)?;
            update::merge(target, &object);
            return Ok(());
        }
        let section = place(section, &object)?;
        Ok(update::modify(cib, section, &object, may_create)?)
    })
}

fn replace(
    backend: &mut dyn Backend,
    found: &Found,
    section: Option<Section>,
) -> Result<(), Failure> {
    let object = input(found)?;
    change(backend, |cib| {
        if object.name == "cib" {
            let new = Cib::from_element(object.clone())?;
            // The configuration is what can be replaced; versions and status are the cluster's.
            let configuration = new.section(Section::Configuration).cloned();
            *cib.section_mut(Section::Configuration) = configuration.ok_or_else(nothing)?;
            // An old configuration is read by the schema that it was written for.
            if let Some(schema) = new.root().attr("validate-with") {
                cib.root_mut().set("validate-with", schema);
            }
            return Ok(());
        }
        if let Some(xpath) = found.value("xpath") {
            let place = only_place(cib, xpath)?;
            *place.get_mut(cib.root_mut()).ok_or_else(nothing)? = object.clone();
            return Ok(());
        }
        let section = place(section, &object)?;
        update::replace(cib, section, object.clone())?;
        Ok(())
    })
}

/// Deleting what is not there is a success: the wanted state holds.
fn delete(
    backend: &mut dyn Backend,
    found: &Found,
    section: Option<Section>,
) -> Result<(), Failure> {
    let all = found.has("delete-all");
    if let Some(xpath) = found.value("xpath") {
        if all && !found.has("force") {
            return Err(unsafe_without_force("--delete-all"));
        }
        return change(backend, |cib| {
            let matches = XPath::parse(xpath)?.select(cib.root())?;
            let mut places: Vec<_> = matches.into_iter().map(|m| m.place).collect();
            if !all {
                places.truncate(1);
            }
            cib::xpath::remove_all(cib.root_mut(), &places);
            Ok(())
        });
    }
    let object = input(found)?;
    // What a node that is gone left in the status section is gone with it already.
    if section == Some(Section::Status) && !stands_in_status(backend, &object)? {
        return Ok(());
    }
    change(backend, |cib| {
        update::delete(cib, place(section, &object)?, &object);
        Ok(())
    })
}

/// Whether the status section has such a child.
fn stands_in_status(backend: &mut dyn Backend, pattern: &Element) -> Result<bool, Failure> {
    let cib = backend::cib(backend, true)?;
    let status = cib.section(Section::Status);
    let mut same_tag = status.into_iter().flat_map(|s| s.all(&pattern.name));
    let fits = |e: &Element| pattern.attrs.iter().all(|(n, v)| e.attr(n) == Some(v));
    Ok(same_tag.any(fits))
}

fn erase(backend: &mut dyn Backend, found: &Found) -> Result<(), Failure> {
    if !found.has("force") {
        return Err(unsafe_without_force("--erase"));
    }
    change(backend, |cib| {
        let empty = Cib::empty();
        let configuration = empty.section(Section::Configuration).cloned();
        *cib.section_mut(Section::Configuration) = configuration.unwrap_or_default();
        Ok(())
    })
}

fn patch(backend: &mut dyn Backend, found: &Found) -> Result<(), Failure> {
    let patch = Patch::from_xml(&input(found)?)?;
    change(backend, |cib| {
        let root = patch.apply_unversioned(cib.root())?;
        *cib = Cib::from_element(root)?;
        Ok(())
    })
}

/// One change, made again when somebody else was faster. What would not pass `crm_verify` is
/// refused by the daemon.
fn change(
    backend: &mut dyn Backend,
    edit: impl Fn(&mut Cib) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (_, committed) = backend::edit(backend, "cibadmin", edit)?;
    for warning in committed.warnings {
        Console::process().err_line(&warning);
    }
    Ok(())
}

fn only_place(cib: &Cib, xpath: &str) -> Result<cib::xpath::Place, Failure> {
    let matches = XPath::parse(xpath)?.select(cib.root())?;
    let mut places = matches.into_iter().map(|m| m.place);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (None, _) => Err(nothing()),
        (Some(_), Some(_)) => Err(Failure::new(
            Exit::DataErr,
            format!("{xpath} matches more than one element: make it more specific"),
        )),
    }
}

/// The section that was named, or where such an object belongs.
fn place(section: Option<Section>, object: &Element) -> Result<Section, Failure> {
    let by_tag = || {
        Section::from_tag(&object.name).or(Some(match object.name.as_str() {
            "primitive" | "group" | "clone" | "master" | "bundle" | "template" => {
                Section::Resources
            }
            "rsc_location" | "rsc_colocation" | "rsc_order" | "rsc_ticket" => Section::Constraints,
            "node" => Section::Nodes,
            "cluster_property_set" => Section::CrmConfig,
            _ => Section::Configuration,
        }))
    };
    section
        .or_else(by_tag)
        .filter(|s| *s != Section::Status)
        .ok_or_else(|| {
            Failure::new(
                Exit::DataErr,
                "the status section is made from what the nodes report and cannot be written: use `crm resource cleanup`, or crm_attribute",
            )
        })
}

/// XML from `-X TEXT`, `-x FILE` or `-p`.
fn input(found: &Found) -> Result<Element, Failure> {
    let text = tool::xml_input(found)?
        .ok_or_else(|| Failure::usage("Please supply XML to process with -X, -x or -p"))?;
    Ok(cib::xml::parse(&text)?)
}

fn unsafe_without_force(command: &str) -> Failure {
    Failure::new(
        Exit::Unsafe,
        format!("{command} takes much away at once: say --force if it shall be done"),
    )
}

fn nothing() -> Failure {
    Failure::new(Exit::NoSuch, "No such device or address")
}

const COMMANDS: [&str; 11] = [
    "query",
    "create",
    "modify",
    "replace",
    "delete",
    "delete-all",
    "erase",
    "patch",
    "md5-sum",
    "md5-sum-versioned",
    "upgrade",
];

/// cibadmin(8).
pub(super) const OPTIONS: [Opt; 33] = [
    flag('Q', "query"),
    flag('C', "create"),
    flag('M', "modify"),
    flag('R', "replace"),
    flag('D', "delete"),
    flag('d', "delete-all"),
    flag('E', "erase"),
    flag('P', "patch"),
    flag('B', "bump"),
    with_optional('S', "show-access"),
    with_value('U', "user"),
    flag('5', "md5-sum"),
    flag('6', "md5-sum-versioned"),
    flag('u', "upgrade"),
    flag('a', "empty"),
    flag('c', "allow-create"),
    flag('f', "force"),
    flag('l', "local"),
    flag('n', "no-children"),
    flag('s', "sync-call"),
    flag('e', "node-path"),
    flag('V', "verbose"),
    flag('p', "xml-pipe"),
    flag('?', "help"),
    flag('$', "version"),
    with_value('A', "xpath"),
    with_value('o', "scope"),
    with_value('X', "xml-text"),
    with_value('x', "xml-file"),
    with_value('t', "timeout"),
    with_value('N', "node"),
    with_value('h', "host"),
    flag('b', "no-bcast"),
];

const USAGE: &str = "usage: cibadmin -Q|-C|-M|-R|-D|-P|-E [-o SECTION] [--xpath EXPRESSION] [-X XML | -x FILE | -p] [--force]";

#[cfg(test)]
mod tests {
    use super::super::backend::CibFile;
    use super::super::getopt;
    use super::*;

    #[test]
    fn it_is_told_one_thing_to_do() {
        let mut file = CibFile::in_memory(Cib::empty());
        let mut told = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let found = getopt::parse(&OPTIONS, &args).unwrap();
            let done = run(&mut file, &mut Console::buffers(), &found);
            done.map_err(|failure| (failure.exit, failure.text))
        };
        for (line, text) in [
            ("", "say what to do: --query prints the CIB"),
            ("-o nodes", "say what to do: --query prints the CIB"),
            ("-Q -C -X <a/>", "--query and --create: one at a time"),
        ] {
            assert_eq!(told(line), Err((Exit::Usage, text.to_owned())), "{line}");
        }
        assert_eq!(told("-Q -Q -l"), Ok(()));
        assert_eq!(told("-Q -U root"), Ok(()));
        for line in ["-Q -U tony", "-Q -S", "-Q -h node1", "-Q -b"] {
            let (exit, text) = told(line).unwrap_err();
            assert_eq!(exit, Exit::Unimplemented, "{line}");
            assert!(text.contains("is not offered: "), "{line}: {text}");
        }
    }

    #[test]
    fn an_empty_one_is_of_the_schema_that_is_named() {
        let told = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let schema = |cib: Cib| cib.root().attr("validate-with").map(str::to_owned);
            empty(&words).map(schema).map_err(|failure| failure.exit)
        };
        assert_eq!(told("pacemaker-3.1"), Ok(Some("pacemaker-3.1".to_owned())));
        assert!(told("").unwrap().is_some());
        assert_eq!(told("rubbish"), Err(Exit::Usage));
        assert_eq!(told("pacemaker-3.1 more"), Err(Exit::Usage));
    }

    /// Nobody answers.
    struct Nobody;

    impl Backend for Nobody {
        fn call(&mut self, _: &crate::ipc::Request) -> Result<crate::ipc::Response, Failure> {
            Err(Failure::new(Exit::Disconnect, "nobody answers"))
        }

        fn live(&self) -> bool {
            true
        }
    }

    #[test]
    fn what_is_given_with_the_command_asks_nobody() {
        let told = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let found = getopt::parse(&OPTIONS, &args).unwrap();
            let done = run(&mut Nobody, &mut Console::buffers(), &found);
            done.map_err(|failure| failure.exit)
        };
        assert_eq!(told("-5 -X <cib/>"), Ok(()));
        assert_eq!(told("-6 -X <cib/>"), Ok(()));
        assert_eq!(told("-5"), Err(Exit::Disconnect));
        assert_eq!(told(""), Err(Exit::Usage));
    }

    /// Digests that Pacemaker 2.1.5 printed.
    #[test]
    fn digests_as_pacemakers_tool_prints_them() {
        let text = r#"<cib crm_feature_set="3.15.0" update-user="x"><a crm-debug-origin="y" b="1"/></cib>"#;
        let root = cib::xml::parse(text).unwrap();
        let told = |sum: &str| {
            let (what, digest) = digest(&root, sum);
            what + &digest
        };
        assert_eq!(told("md5-sum"), "Digest: d946ebe55148171c6592f625bc18bec6");
        assert_eq!(
            told("md5-sum-versioned"),
            "Versioned (3.15.0) digest: b0ecda40e82950697ba32552c3bae1dd"
        );
    }
}
