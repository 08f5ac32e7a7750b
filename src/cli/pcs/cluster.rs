//! `pcs cluster`: the CIB as a file, nodes that come and go, the services of this machine.

use super::change::known_node;
use super::level::{Level, Verb, below, misused, refused, verb};
use super::words::is_it;
use super::{CLIENT, Context, corosync_conf, node, setup, status};
use crate::cli::backend::{self, ask_done};
use crate::cli::elsewhere::{self, Order};
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::{self, Wanted};
use crate::cli::{crm, removal};
use crate::ipc::Request;
use cib::check::Severity;
use cib::{Cib, Element, Patch, Section};

const SYNC: &str = "the configuration (CIB) is the same on every node by itself; corosync.conf is kept on every node by the cluster once a node was let in (`pcs cluster node add`), before that copy it with scp and say `pcs cluster reload corosync`";
const CONF: &str =
    "edit /etc/corosync/corosync.conf on every node, then `systemctl reload mainstay`";

pub(super) const LEVEL: Level = Level {
    path: "pcs cluster",
    alone: None,
    rest: None,
    verbs: &[
        verb("status", "", &["file"], status::cluster),
        older("standby", |cx, words| {
            old_word(cx, "standby", "standby", words);
            node::standby(cx, words)
        }),
        older("online", |cx, words| {
            old_word(cx, "online", "unstandby", words);
            node::unstandby(cx, words)
        }),
        older("unstandby", |cx, words| {
            old_word(cx, "unstandby", "unstandby", words);
            node::unstandby(cx, words)
        }),
        verb("cib", "[FILE] [scope=SECTION]", &["file"], cib_out),
        verb(
            "cib-push",
            "FILE [scope=SECTION | diff-against=OLD-FILE]",
            &["file", "force", "wait", "config"],
            cib_push,
        ),
        verb("verify", "", &["file"], verify),
        verb("start", "[NODE]...", &["wait", "all"], |cx, words| {
            service(cx, words, "start")
        }),
        verb("stop", "[NODE]...", &["all"], |cx, words| {
            service(cx, words, "stop")
        }),
        verb("enable", "[NODE]...", &["all"], |cx, words| {
            service(cx, words, "enable")
        }),
        verb("disable", "[NODE]...", &["all"], |cx, words| {
            service(cx, words, "disable")
        }),
        verb("reload", "corosync", &[], reload),
        below("node", &NODES),
        below("config", &CONFIG),
        verb(
            "setup",
            "CLUSTER (NEWNODE [addr=ADDRESS]...)... [transport knet|udpu] [totem NAME=VALUE...] [quorum NAME=VALUE...]",
            &["start", "enable", "wait", "no-cluster-uuid", "no-keys-sync"],
            setup::setup,
        ),
        refused(
            "auth",
            "no passwords are needed: make the cluster with `pcs cluster setup`, and let the next machine in with `pcs cluster node add`, which says what to run there",
        ),
        refused("sync", SYNC),
        refused(
            "authkey",
            "make a new key with corosync-keygen and copy it to the other nodes",
        ),
        verb(
            "edit",
            "[scope=SECTION]",
            &["file", "force", "config", "wait"],
            edit,
        ),
        refused(
            "cib-upgrade",
            "the CIB is read in every version of its schema",
        ),
        refused(
            "destroy",
            "`systemctl disable --now mainstay` ends it here; the state lies in /var/lib/mainstay",
        ),
        refused("kill", "`pcs cluster stop` hands everything over first"),
        refused("link", CONF),
        refused(
            "uidgid",
            "members of the group haclient may use the cluster",
        ),
        refused("rename", CONF),
        verb("report", "[DESTINATION]", &["from", "to"], archive),
        refused("remote-node", "there are no remote nodes in this version"),
    ],
};

const NODES: Level = Level {
    path: "pcs cluster node",
    alone: None,
    rest: None,
    verbs: &[
        verb("remove", "NODE...", &["force", "file"], remove),
        super::level::also("delete", "remove"),
        verb(
            "add",
            "NEWNODE [addr=ADDRESS]...",
            &["start", "enable", "wait"],
            setup::add,
        ),
        refused(
            "clear",
            "`pcs cluster node remove NODE --force` takes a lost node out",
        ),
        refused("add-remote", "there are no remote nodes in this version"),
        refused("add-guest", "there are no guest nodes in this version"),
    ],
};

const CONFIG: Level = Level {
    path: "pcs cluster config",
    alone: Some("show"),
    rest: None,
    verbs: &[
        verb("show", "", &["output-format"], corosync_conf::show),
        refused("update", CONF),
        refused(
            "uuid",
            "the cluster has a uuid of its own, which is not changed by hand",
        ),
    ],
};

/// A word of nodes that pcs 0.9 knew here, or that tutorials made up.
const fn older(
    name: &'static str,
    run: fn(&mut Context<'_>, &[String]) -> Result<(), Failure>,
) -> Verb {
    verb(name, "[NODE]...", &["file", "all", "wait"], run)
}

/// What such a word is called now.
fn old_word(cx: &mut Context<'_>, old: &str, new: &str, words: &[String]) {
    let words = words.iter().map(|word| format!(" {word}"));
    let now = format!("pcs node {new}{}", words.collect::<String>());
    cx.warning(&format!("`pcs cluster {old}` is the older form of `{now}`"));
}

/// The CIB, or a section of it, to standard output or a file.
fn cib_out(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (mut file, mut scope) = (None, None);
    for word in words {
        match word.split_once('=') {
            Some(("scope", name)) => scope = Some(section(name)?),
            None if file.is_none() => file = Some(word),
            _ => return Err(misused()),
        }
    }
    let cib = backend::cib(cx.backend, true)?;
    let text = match scope {
        None => cib.to_xml(),
        Some(scope) => match cib.section(scope) {
            Some(element) => cib::xml::format(element),
            None => cib::xml::format(&Element::new(scope.tag())),
        },
    };
    match file {
        None => cx.console.print(&text),
        Some(path) => std::fs::write(path, text)
            .map_err(|e| Failure::new(Exit::CantCreat, format!("{path}: {e}")))?,
    }
    Ok(())
}

fn section(name: &str) -> Result<Section, Failure> {
    let known = || Section::CONFIGURATION.iter().map(|s| s.tag());
    Section::from_tag(name).ok_or_else(|| {
        Failure::usage(format!(
            "there is no section `{name}`{}; there are {}",
            is_it(name, known()),
            known().collect::<Vec<_>>().join(", ")
        ))
    })
}

/// `cib-push FILE`: the configuration of a file takes the place of the cluster's; with
/// `diff-against`, only what differs between two files is brought there.
fn cib_push(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (mut file, mut scope, mut against) = (None, None, None);
    for word in words {
        match word.split_once('=') {
            Some(("scope", name)) => scope = Some(section(name)?),
            Some(("diff-against", path)) => against = Some(path),
            None if file.is_none() => file = Some(word.as_str()),
            _ => return Err(misused()),
        }
    }
    let path = file.ok_or_else(misused)?;
    if scope.is_some() && against.is_some() {
        return Err(Failure::usage("scope and diff-against cannot be combined"));
    }
    let text = read(path)?;
    if let Some(old) = against {
        let (old, new) = (parse(old, &read(old)?)?, parse(path, &text)?);
        let patch = Patch::between(old.root(), new.root())?;
        cx.edit(|cib| {
            let version = cib.version();
            let root = patch.apply_unversioned(cib.root())?;
            *cib = Cib::from_element(root)?;
            cib.set_version(version);
            Ok(())
        })?;
    } else {
        let new = cib::xml::parse(&text).map_err(|e| bad(path, &e))?;
        let scope = scope.unwrap_or(Section::Configuration);
        let wanted = match new.name == scope.tag() {
            true => Some(&new),
            false => find(&new, scope.tag()),
        };
        let wanted = wanted.cloned().ok_or_else(|| {
            Failure::new(Exit::DataErr, format!("{path} has no <{}>", scope.tag()))
        })?;
        stale(cx, &new)?;
        cx.edit(|cib| {
            *cib.section_mut(scope) = wanted.clone();
            Ok(())
        })?;
    }
    cx.note("CIB updated");
    cx.settle()?;
    Ok(())
}

/// `edit [scope=SECTION]`: the configuration in an editor; what was changed there reaches the
/// cluster, beside what others change meanwhile.
fn edit(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let mut scope = cx.flags.has("config").then_some(Section::Configuration);
    for word in words {
        match word.split_once('=') {
            Some(("scope", _)) if scope.is_some() => {
                return Err(Failure::usage(
                    "--config and scope= say the same: give one of them",
                ));
            }
            Some(("scope", name)) => scope = Some(section(name)?),
            _ => return Err(misused()),
        }
    }
    let old = cx.cib()?;
    let before = match scope {
        None => old.to_xml(),
        Some(scope) => match old.section(scope) {
            Some(element) => cib::xml::format(element),
            None => cib::xml::format(&Element::new(scope.tag())),
        },
    };
    let after = crm::editor::edited(&before, None)?;
    if after == before {
        cx.note("CIB not updated, no changes detected");
        return Ok(());
    }
    let new = parsed(&old, scope, &after)?;
    let patch = Patch::between(old.root(), new.root())?;
    cx.edit(|cib| {
        let version = cib.version();
        *cib = Cib::from_element(patch.apply_unversioned(cib.root())?)?;
        cib.set_version(version);
        Ok(())
    })?;
    cx.note("CIB updated");
    cx.settle()?;
    Ok(())
}

/// The CIB with what came out of the editor.
fn parsed(old: &Cib, scope: Option<Section>, text: &str) -> Result<Cib, Failure> {
    let edited = cib::xml::parse(text).map_err(|e| bad("the edited text", &e))?;
    let wanted = scope.map_or("cib", Section::tag);
    if edited.name != wanted {
        return Err(Failure::new(
            Exit::DataErr,
            format!(
                "the edited text is a <{}>, not a <{wanted}>: nothing was changed",
                edited.name
            ),
        ));
    }
    let Some(scope) = scope else {
        return Cib::from_element(edited).map_err(|e| bad("the edited text", &e));
    };
    let mut new = old.clone();
    *new.section_mut(scope) = edited;
    Ok(new)
}

fn read(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("unable to read {path}: {e}")))
}

fn parse(path: &str, text: &str) -> Result<Cib, Failure> {
    Cib::parse(text).map_err(|e| bad(path, &e))
}

fn bad(path: &str, error: &cib::Error) -> Failure {
    Failure::new(Exit::DataErr, format!("unable to parse {path}: {error}"))
}

fn find<'a>(element: &'a Element, tag: &str) -> Option<&'a Element> {
    let mut inside = element.children.iter();
    inside.find_map(|c| match c.name == tag {
        true => Some(c),
        false => find(c, tag),
    })
}

/// A file that was taken from an older configuration would undo what others did since.
fn stale(cx: &mut Context<'_>, new: &Element) -> Result<(), Failure> {
    if cx.flags.force() || new.name != "cib" {
        return Ok(());
    }
    let number =
        |e: &Element, name: &str| -> u64 { e.attr(name).and_then(|v| v.parse().ok()).unwrap_or(0) };
    let version = |e: &Element| (number(e, "admin_epoch"), number(e, "epoch"));
    let cluster = cx.cib()?;
    match version(new) < version(cluster.root()) {
        false => Ok(()),
        true => {
            let lost =
                Cib::from_element(new.clone()).map(|file| backend::difference(&cluster, &file));
            Err(Failure {
                cure: lost
                    .ok()
                    .map(|lost| format!("The push would have made of it:\n{}", lost.trim_end())),
                ..Failure::new(
                    Exit::Old,
                    "the configuration of the cluster is newer than the file's: nothing was changed; push with diff-against=OLD-FILE to bring only your changes, or with --force to undo what others did",
                )
            })
        }
    }
}

fn verify(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let findings = cib::check::verify(&cib);
    let errors = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    for finding in &findings {
        let text = crm::describe_finding(finding);
        match finding.severity {
            Severity::Error => cx.note(&format!("Error: {text}")),
            Severity::Warning | Severity::Notice => cx.warning(&text),
        }
    }
    match errors {
        0 => Ok(()),
        n => Err(Failure::new(
            Exit::Config,
            format!(
                "the configuration has {n} error{}",
                if n == 1 { "" } else { "s" }
            ),
        )),
    }
}

/// The service of this machine, and what is to be done on the others.
fn service(cx: &mut Context<'_>, words: &[String], verb: &str) -> Result<(), Failure> {
    let wanted = Order {
        program: "pcs",
        verb,
        nodes: words,
        all: cx.flags.has("all"),
        wait_ms: cx.flags.wait_ms()?,
    };
    elsewhere::service(cx.backend, &cx.paths, &wanted)
}

fn reload(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    match words {
        [word] if word == "corosync" => {
            let text = ask_done(cx.backend, &Request::Reload)?;
            cx.console.line(&text);
            Ok(())
        }
        _ => Err(misused()),
    }
}

/// What somebody who helps from afar asks for.
fn archive(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let mut words = words.to_vec();
    for name in ["from", "to"] {
        if let Some(time) = cx.flags.value(name) {
            words.push(format!("--{name}={time}"));
        }
    }
    let wanted = Wanted::read(&words, "usage: pcs cluster report [DESTINATION]")?;
    let path = report::write(cx.backend, &wanted)?;
    cx.note(&format!("{} holds what this node knows", path.display()));
    Ok(())
}

fn remove(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    let force = cx.flags.force();
    let cib = cx.cib()?;
    for name in words {
        known_node(&cib, name)?;
    }
    for name in words {
        for text in removal::remove(cx.backend, name, force, CLIENT)? {
            cx.warning(&text.replace("crm configure delete", "pcs constraint delete"));
        }
        cx.note(&format!("Node {name} removed"));
    }
    Ok(())
}
