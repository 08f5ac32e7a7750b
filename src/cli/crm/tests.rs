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
        "FILE" | "PATH" => "/nonexistent/file",
        "ELEMENT" => "<tag/>",
        other => other,
    };
    value.to_owned()
}

#[test]
fn every_verb_names_the_right_form_for_a_wrong_one() {
    let mut program = Program {
        cib: with_resources(),
        call: &call,
        error: "ERROR: ",
        value: &value,
        right: &["usage: crm ", "not offered"],
        wrong: Vec::new(),
    };
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
    for level in [Level::Configure, Level::Node, Level::Resource, Level::Ra] {
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
    let mut program = Program {
        cib: with_resources(),
        call: &call,
        error: "ERROR: ",
        value: &value,
        right: &["usage: crm ", "not offered"],
        wrong: Vec::new(),
    };
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
