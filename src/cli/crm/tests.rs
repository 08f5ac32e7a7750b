//! Every verb of every level, called wrongly.

use super::shell::{Level, TOP};
use super::*;
use crate::cli::cases::{Answer, machine, two_nodes};
use crate::cli::forms::{Program, forms};
use cib::Cib;

fn call(file: &mut CibFile, words: &[String]) -> Answer {
    let mut console = Console::buffers();
    let options = Options {
        words: words.to_vec(),
        ..Options::default()
    };
    let agents = Agents::new(machine());
    let exit = run_on(file, &mut console, options, agents, &mut "".as_bytes());
    let (out, err) = console.into_texts();
    (exit, out, err)
}

/// Resources that the names of the forms stand for.
fn with_resources() -> Cib {
    let mut file = two_nodes();
    for line in [
        "property stonith-enabled=false",
        "primitive web ocf:heartbeat:Dummy op monitor interval=10s",
        "primitive db ocf:heartbeat:Dummy",
        "primitive free ocf:heartbeat:Dummy",
        "primitive power stonith:fence_lab params ip=1",
        "primitive left ocf:heartbeat:Dummy",
        "group pair left",
    ] {
        let words: Vec<String> = format!("configure {line}")
            .split(' ')
            .map(str::to_owned)
            .collect();
        let (exit, _, err) = call(&mut file, &words);
        assert_eq!(exit, Exit::Ok, "{line}: {err}");
    }
    file.cib().clone()
}

fn value(placeholder: &str) -> String {
    let value = match placeholder {
        "RESOURCE" | "OBJECT" => "web",
        "OTHER" => "db",
        "DEVICE" => "power",
        "NODE" => "node1",
        "AGENT" => "ocf:heartbeat:Dummy",
        "ID" | "SHADOW" => "new1",
        "SCORE:" => "inf:",
        "KIND:" => "Mandatory:",
        "TICKET:" => "ticket:",
        "NAME=VALUE" => "batch-limit=5",
        "COUNT" => "3",
        "OPERATION" => "start",
        "GROUP" => "pair",
        "INTERVAL" => "33s",
        "PROPERTY" => "stonith-enabled",
        "RESULT" => "generic",
        "FILE" | "PATH" => "/nonexistent/file",
        "ELEMENT" => "<tag/>",
        other => other,
    };
    value.to_owned()
}

fn program() -> Program<'static> {
    Program {
        cib: with_resources(),
        call: &call,
        error: "ERROR: ",
        value: &value,
        right: &["usage: crm ", "not offered"],
        wrong: Vec::new(),
    }
}

#[test]
fn every_verb_names_the_right_form_for_a_wrong_one() {
    let mut program = program();
    let tops: Vec<&str> = TOP.iter().map(|(name, _)| *name).collect();
    for (name, level) in TOP {
        program.misspelt_verb(&[name], &tops);
        let Some(level) = level else {
            continue;
        };
        let verbs = level.verbs();
        for verb in &verbs {
            let form = usage::form(level, verb);
            let form = form.unwrap_or_else(|| panic!("crm {name} {verb} has no form"));
            program.misspelt_verb(&[name, verb], &verbs);
            program.mistakes(&[name, verb], form);
        }
    }
    program.refuses(&["status".to_owned(), "surplus".to_owned()], &[]);
    program.judge();
}

/// What the table says is right is not called wrong.
#[test]
fn the_forms_are_what_is_taken() {
    let cib = with_resources();
    let mut wrong = Vec::new();
    for level in [
        Level::Configure,
        Level::Node,
        Level::Resource,
        Level::Ra,
        Level::Assist,
        Level::Maintenance,
        Level::CibStatus,
        Level::Site,
    ] {
        for verb in level.verbs() {
            for form in forms(usage::form(level, verb).unwrap()) {
                let mut words = vec![level.name().to_owned(), verb.to_owned()];
                // The rest of these is not to be had from a form.
                let odd = [
                    "xml",
                    "location",
                    "clone",
                    "promotable",
                    "ms",
                    "master",
                    "edit",
                ];
                if odd.contains(&verb) {
                    continue;
                }
                words.extend(form.whole.iter().map(|w| value(w)));
                let mut file = CibFile::in_memory(cib.clone());
                let (_, _, err) = call(&mut file, &words);
                if err.contains("usage: ") {
                    wrong.push(format!("{words:?}: {err}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that contradict each other, or the configuration.
#[test]
fn contradictions_change_nothing() {
    let mut program = program();
    for (line, told) in [
        (
            "configure primitive web ocf:heartbeat:Dummy",
            "already used",
        ),
        (
            "configure primitive a ocf:heartbeat:Dummy op monitor interval=1 interval=2",
            "given twice",
        ),
        (
            "configure primitive a ocf:heartbeat:Dummy params x=1 params x=2",
            "same keyword twice",
        ),
        (
            "configure primitive a ocf:heartbeat:Dummy parms x=1",
            "is it `params`?",
        ),
        ("configure group g web web", "web"),
        ("configure colocation c inf: web web", "to itself"),
        ("configure order o Mandatory: web web", "to itself"),
        (
            "configure property batch-limit=1 batch-limit=2",
            "given twice",
        ),
        ("configure rename web db", "exists already"),
        (
            "configure load sideways /dev/null",
            "neither replace nor update",
        ),
        (
            "resource maintenance web perhaps",
            "usage: crm resource maintenance",
        ),
        ("resource move web node1 node2", "a lifetime is"),
        ("resource failcount web set node1 often", "is no count"),
        (
            "resource failcount web forget",
            "usage: crm resource failcount",
        ),
        ("node standby node1 sometimes", "bad lifetime"),
        ("cib use live withstatus", "usage: crm cib use"),
        ("cluster init -n a -n b", "given twice"),
        ("cluster join -c node1", "crm cluster add"),
        ("cluster init --nmae x", "is it `--name`?"),
        ("cluster start nod1", "is it `node1`?"),
        ("assist template web web", "named twice"),
        ("configure default-timeouts web", "not offered"),
        ("resource scores", "crm_simulate -L -s"),
        ("cluster geo_init", "crm site ticket"),
        ("maintenance action web start", "Not in maintenance mode"),
        ("script verify virtual-ip id=a id=b ip=::1", "given twice"),
        ("site ticket grant T", "say -F"),
        ("cibstatus op start web 0 done node9", "not a cluster node"),
        ("options wait sometimes", "neither yes nor no"),
        (
            "corosync set totem.tokne",
            "usage: crm corosync set KEY VALUE",
        ),
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        program.refuses(&words, &[told.to_owned()]);
    }
    program.judge();
}

/// As a user with a directory of its own.
fn prefer(dir: &std::path::Path, file: &mut CibFile, words: &str, typed: &str) -> Answer {
    let mut console = Console::buffers();
    let nobody = std::path::Path::new("/nonexistent");
    let preferences = preferences::Preferences::in_folders(Some(dir.to_owned()), nobody);
    let options = Options {
        words: words
            .split(' ')
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect(),
        preferences,
        ..Options::default()
    };
    let agents = Agents::new(machine());
    let exit = run_on(file, &mut console, options, agents, &mut typed.as_bytes());
    let (out, err) = console.into_texts();
    (exit, out, err)
}

#[test]
fn options_are_kept_and_hold() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = CibFile::in_memory(with_resources());
    let mut crm = |words: &str| prefer(dir.path(), &mut file, words, "");
    for (words, told) in [
        ("options show", ""),
        ("options output color-always", ""),
        ("options check-mode relaxed", ""),
        ("options set skill-level operator", ""),
        ("options pager sh", ""),
        (
            "options colorscheme yellow,normal,blue,red,green,magenta",
            "",
        ),
        ("options save", ""),
        ("options show color.attr_name", "color.attr_name = blue\n"),
    ] {
        let (exit, out, err) = crm(words);
        assert_eq!((exit, out.as_str()), (Exit::Ok, told), "{words}: {err}");
    }
    let kept = std::fs::read_to_string(dir.path().join("crm.conf")).unwrap();
    assert!(
        kept.contains("[core]\npager = sh\nskill_level = operator\n"),
        "{kept}"
    );
    // Who is an operator does not configure; errors are red.
    let (exit, _, err) = crm("configure show web");
    assert_eq!(exit, Exit::Error);
    let red = "\u{1b}[31;1mERROR\u{1b}[0m: configure: administrator skill level required";
    assert!(err.starts_with(red), "{err:?}");
    assert_eq!(crm("resource constraints web").0, Exit::Ok);
    assert_eq!(crm("options reset").0, Exit::Ok);
    let (_, out, err) = crm("options show");
    assert_eq!((out.as_str(), err.as_str()), ("", ""));
    assert_eq!(
        crm("configure show web").1,
        "primitive web Dummy \\\n\top monitor interval=10s\n"
    );
    let (_, _, err) = crm("options user hacluster");
    assert!(err.contains("changes nothing here"), "{err}");
}

#[test]
fn a_template_is_filled_and_applied() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = CibFile::in_memory(with_resources());
    let mut crm = |words: &str, typed: &str| prefer(dir.path(), &mut file, words, typed);
    let (exit, _, err) = crm("template new vip1 virtual-ip", "");
    assert_eq!(exit, Exit::Ok, "{err}");
    let (exit, _, err) = crm("template apply vip1", "");
    assert_eq!(exit, Exit::Error);
    assert!(
        err.contains("vip1: Missing required parameter(s): ip"),
        "{err}"
    );
    // The editor is any program.
    let editor = dir.path().join("editor");
    std::fs::write(
        &editor,
        "#!/bin/sh\nsed -i 's/^ip =$/ip = 10.0.0.5/' \"$1\"\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let set = format!("options editor {}", editor.display());
    assert_eq!(crm(&set, "").0, Exit::Ok);
    let script = "template\nload vip1\nedit\nshow\napply\nup\ncommit\nshow vip1\n";
    let (exit, out, err) = crm("", script);
    assert_eq!(exit, Exit::Ok, "{err}");
    let shown = "primitive vip1 IPaddr2 \\\n\tparams ip=10.0.0.5 \\\n\top monitor interval=10s timeout=20s\n";
    assert!(out.ends_with(shown), "{out}");
    for (words, told) in [
        ("template new vip1 virtual-ip", "already exists"),
        ("template show vip2", "is it `vip1`?"),
        ("template new a/b virtual-ip", "cannot name a configuration"),
        ("template new virtual-pi", "is it `virtual-ip`?"),
    ] {
        let (exit, _, err) = crm(words, "");
        assert_eq!(exit, Exit::Error, "{words}");
        assert!(err.contains(told), "{words}: {err}");
    }
    assert_eq!(crm("template delete vip1", "").0, Exit::Ok);
    let (_, out, _) = crm("template list configs", "");
    assert_eq!(out, "Configurations:\n");
}

/// Agents are asked at a commit; one that never answers is left alone, and the commit is made.
#[test]
fn an_agent_that_hangs_keeps_no_commit() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("usr/lib/ocf/resource.d/lab");
    std::fs::create_dir_all(&dir).unwrap();
    let agent = dir.join("hang");
    std::fs::write(&agent, "#!/bin/sh\nsleep 100000\n").unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut file = two_nodes();
    let mut console = Console::buffers();
    let line = "configure primitive a ocf:lab:hang op monitor interval=10s";
    let options = Options {
        words: line.split(' ').map(str::to_owned).collect(),
        ..Options::default()
    };
    let agents = Agents::new(crate::paths::Paths::below(root.path().to_owned()));
    let exit = run_on(&mut file, &mut console, options, agents, &mut "".as_bytes());
    let (_, err) = console.into_texts();
    assert_eq!(exit, Exit::Ok, "{err}");
    let config = cib::config::Config::new(file.cib());
    assert!(config.resource("a").is_some(), "{err}");
}

/// Most agents let a parameter pass that they do not know.
#[test]
fn a_parameter_that_the_agent_does_not_have_is_named() {
    let mut file = CibFile::in_memory(with_resources());
    let mut say = |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        call(&mut file, &words)
    };
    let agent = "ocf:heartbeat:Dummy";
    for (id, parameter, wrong) in [
        ("odd", "stat=/run/x", true),
        ("even", "state=/run/x", false),
        ("traced", "trace_ra=1", false),
    ] {
        let (exit, _, err) = say(&format!(
            "configure primitive {id} {agent} params {parameter}"
        ));
        assert_eq!(exit, Exit::Ok, "{err}");
        let (exit, _, err) = say(&format!("configure validate-all {id}"));
        assert_eq!(exit != Exit::Ok, wrong, "{id}: {err}");
        let expected = format!("{id}: {agent} has no parameter `stat`: is it `state`?");
        assert_eq!(err.contains(&expected), wrong, "{err}");
    }
}
