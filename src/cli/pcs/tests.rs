//! Golden cases: what people paste, what pcs 0.11 would say to it, and what becomes of the CIB.

use super::level::Act;
use super::*;
use crate::cli::backend::CibFile;
use crate::cli::cases::{self, Answer, machine, two_nodes};
use crate::cli::forms::{self, Program};
use crate::cli::getopt::{Opt, Value};
use cib::Cib;
use proptest::prelude::*;

fn call(file: &mut CibFile, words: &[String]) -> Answer {
    let mut console = Console::buffers();
    let exit = match flags::parse(words) {
        Ok((flags, words)) => run(file, &mut console, machine(), flags, &words),
        Err(failure) => report(&mut console, &failure),
    };
    let (out, err) = console.into_texts();
    (exit, out, err)
}

/// As [`call`]; a failure changes nothing.
fn checked(file: &mut CibFile, words: &[String], _: &str) -> Answer {
    let before = file.cib().clone();
    let answer = call(file, words);
    if answer.0 != Exit::Ok {
        assert_eq!(
            *file.cib(),
            before,
            "{words:?}: failed, and changed something"
        );
    }
    answer
}

#[test]
fn golden_cases() {
    cases::all("pcs", 3, |case| cases::replay(case, "pcs", checked));
}

/// Says the same twice: the second time nothing changes, and it is no failure.
#[test]
fn what_holds_already_is_a_success() {
    let mut file = two_nodes();
    let lines = [
        "resource create a ocf:heartbeat:Dummy state=/run/a op monitor interval=15s",
        "resource create b ocf:heartbeat:Dummy",
        "resource create c ocf:heartbeat:Dummy --group g",
        "resource create d ocf:heartbeat:Dummy clone",
        "resource create s ocf:pacemaker:Stateful promotable",
        "constraint colocation add a with b INFINITY",
        "constraint order a then b",
        "constraint order set a b",
        "constraint location a prefers node1=50 node2",
        "constraint location b rule score=100 #uname eq node1",
        "property set stonith-enabled=false",
        "resource disable a",
        "resource ban b node1",
        "resource group add g c",
        "node standby node1",
        "node attribute node1 rack=a",
        "resource defaults update resource-stickiness=100",
        "stonith create f fence_lab ip=1.2.3.4 pcmk_host_list=node1",
        "stonith level add 1 node1 f",
        "tag create t a b",
        "alert create path=/bin/true id=al",
        "alert recipient add al value=root",
    ];
    for line in lines {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (exit, _, err) = call(&mut file, &words);
        assert_eq!(exit, Exit::Ok, "{line}: {err}");
        let once = file.cib().clone();
        let (exit, _, err) = call(&mut file, &words);
        assert_eq!(exit, Exit::Ok, "{line}, again: {err}");
        assert_eq!(*file.cib(), once, "{line}, again");
    }
    assert!(
        cib::check::verify(file.cib())
            .iter()
            .all(|f| f.severity != cib::check::Severity::Error)
    );
}

/// The commands that a configuration is written as make the same configuration.
#[test]
fn commands_make_the_configuration_again() {
    let mut first = two_nodes();
    for line in [
        "resource create a ocf:heartbeat:Dummy state=/run/a fake='x y' op monitor interval=15s meta priority=3",
        "resource create c ocf:heartbeat:Dummy --group g",
        "resource create s ocf:pacemaker:Stateful promotable notify=true",
        "constraint colocation add a with s-clone 20",
        "constraint order promote s-clone then start a",
        "constraint order set a g sequential=false setoptions kind=Optional",
        "constraint location a prefers node1=50",
    ] {
        let words = crate::cli::crm::words::split(line).unwrap();
        let (exit, _, err) = call(&mut first, &words);
        assert_eq!(exit, Exit::Ok, "{line}: {err}");
    }
    let mut second = two_nodes();
    for what in ["resource config", "constraint config"] {
        let show = format!("{what} --output-format=cmd");
        let words: Vec<String> = show.split(' ').map(str::to_owned).collect();
        let (_, commands, _) = call(&mut first, &words);
        for command in commands.replace("\\\n", " ").split(";\n") {
            let words = crate::cli::crm::words::split(command).unwrap();
            let (exit, _, err) = call(&mut second, &words[1..]);
            assert_eq!(exit, Exit::Ok, "{command}: {err}");
        }
    }
    for what in ["resource config", "constraint --full"] {
        let words: Vec<String> = what.split(' ').map(str::to_owned).collect();
        assert_eq!(call(&mut first, &words).1, call(&mut second, &words).1);
    }
}

/// Every word of every level.
fn all_words(level: &'static Level, found: &mut Vec<&'static str>) {
    for verb in level.verbs {
        found.push(verb.name);
        if let Act::Below(inner) = verb.act {
            all_words(inner, found);
        }
    }
}

#[test]
fn every_verb_leads_somewhere() {
    fn check(level: &'static Level) {
        for verb in level.verbs {
            match verb.act {
                Act::As(other) => {
                    assert!(level.verbs.iter().any(|v| v.name == other), "{}", verb.name);
                }
                Act::Below(inner) => {
                    assert_eq!(inner.path, format!("{} {}", level.path, verb.name));
                    check(inner);
                }
                _ => {}
            }
        }
        if let Some(alone) = level.alone {
            assert!(
                level.verbs.iter().any(|v| v.name == alone),
                "{}",
                level.path
            );
        }
    }
    check(&ROOT);
}

/// Every verb of every level, called wrongly.
#[test]
fn every_verb_names_the_right_form_for_a_wrong_one() {
    let mut file = two_nodes();
    for line in [
        "property set stonith-enabled=false",
        "resource create web ocf:heartbeat:Dummy",
        "resource create db ocf:heartbeat:Dummy",
        "stonith create power fence_lab ip=1",
        "resource create member ocf:heartbeat:Dummy --group grp",
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (exit, _, err) = call(&mut file, &words);
        assert_eq!(exit, Exit::Ok, "{line}: {err}");
    }
    let mut program = Program {
        cib: file.cib().clone(),
        call: &call,
        error: "Error: ",
        value: &|placeholder| {
            let value = match placeholder {
                "RESOURCE" => "web",
                "DEVICE" => "power",
                "NODE" => "node1",
                "AGENT" | "TYPE" => "ocf:heartbeat:Dummy",
                "ACTION" => "monitor",
                "LEVEL" => "1",
                "GROUP" => "grp",
                "EXPRESSION" => "#uname eq node1",
                "NAME=VALUE" => "batch-limit=5",
                "FILE" => "/nonexistent/file",
                other => other,
            };
            value.to_owned()
        },
        right: &["usage: pcs ", "not offered", "missing", "must specify"],
        wrong: Vec::new(),
    };
    fn check(program: &mut Program<'_>, level: &'static Level, above: &[&'static str]) {
        let verbs: Vec<&str> = level.verbs.iter().map(|v| v.name).collect();
        for verb in level.verbs {
            let path = [above, &[verb.name]].concat();
            if level.rest.is_none() {
                program.misspelt_verb(&path, &verbs);
            }
            match verb.act {
                Act::Below(inner) => check(program, inner, &path),
                Act::Run(_) => program.mistakes(&path, verb.usage),
                Act::As(_) | Act::Refused(_) => {}
            }
        }
        if let Some(verb) = &level.rest {
            program.mistakes(above, verb.usage);
        }
    }
    check(&mut program, &ROOT, &[]);
    program.judge();
}

/// Every option with every verb: one that the verb does not know, one with two letters swapped,
/// values that are missing, surplus or none.
#[test]
fn every_verb_names_the_option_that_it_cannot_take() {
    let none = |_: &str| String::new();
    let mut program = Program {
        cib: two_nodes().cib().clone(),
        call: &call,
        error: "Error: ",
        value: &none,
        right: &[],
        wrong: Vec::new(),
    };
    fn check(program: &mut Program<'_>, level: &'static Level, above: &[&'static str]) {
        for verb in level.verbs {
            let path = [above, &[verb.name]].concat();
            match verb.act {
                Act::Below(inner) => check(program, inner, &path),
                Act::Run(_) => wrong_options(program, &path, verb.flags),
                Act::As(_) | Act::Refused(_) => {}
            }
        }
    }
    check(&mut program, &ROOT, &[]);
    program.judge();
}

fn wrong_options(program: &mut Program<'_>, path: &[&str], known: &[&str]) {
    let with = |option: String| -> Vec<String> {
        let words = path.iter().map(|w| (*w).to_owned());
        words.chain([option]).collect()
    };
    let own = |opt: &Opt| known.contains(&opt.long);
    for opt in &flags::OPTIONS {
        let name = opt.long;
        let shown = if name == "file" {
            "-f".to_owned()
        } else {
            format!("--{name}")
        };
        let given = match (name, opt.value) {
            ("file", _) => "-fx".to_owned(),
            (_, Value::Needed) => format!("{shown}=x"),
            _ => shown.clone(),
        };
        if !own(opt) && !["help", "version", "debug"].contains(&name) {
            let told = format!("Specified option '{shown}' is not supported in this command");
            program.refuses(&with(given), &[told]);
        }
        if !own(opt) || name == "file" {
            continue;
        }
        let swapped = forms::misspelt(name);
        if flags::OPTIONS.iter().all(|o| o.long != swapped) {
            program.refuses(&with(format!("--{swapped}")), &[format!("is it {shown}?")]);
        }
        match opt.value {
            Value::None => {
                let told = format!("option {shown} must not have an argument");
                program.refuses(&with(format!("{shown}=1")), &[told]);
            }
            Value::Needed => {
                let told = format!("option {shown} requires an argument");
                program.refuses(&with(shown), &[told]);
            }
            Value::Optional => {
                program.refuses(&with(format!("{shown}=soon")), &["soon".to_owned()]);
            }
        }
        if name == "output-format" {
            let told = "Supported values are: cmd, json, text".to_owned();
            program.refuses(&with("--output-format=yaml".to_owned()), &[told]);
        }
    }
}

/// Two nodes and two resources.
static TWO_RESOURCES: std::sync::LazyLock<Cib> = std::sync::LazyLock::new(|| {
    let mut file = two_nodes();
    for id in ["a", "b"] {
        let line = format!("resource create {id} ocf:heartbeat:Dummy");
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        call(&mut file, &words);
    }
    file.cib().clone()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_line_panics_and_a_failure_changes_nothing(
        top in 0_usize..64,
        words in proptest::collection::vec(
            prop_oneof![
                (0_usize..512).prop_map(|n| {
                    let mut all = Vec::new();
                    all_words(&ROOT, &mut all);
                    all[n % all.len()].to_owned()
                }),
                proptest::sample::select(&[
                    "a", "b", "node1", "x=1", "=", "set", "then", "with", "op", "meta", "rule",
                    "prefers", "--force", "--wait", "-f", "--", "score=5", "(", ")", "and", "date",
                    "eq", "#uname", "id=x", "-100", "monitor", "interval=1s", "1", "INFINITY",
                    "ocf:heartbeat:Dummy", "clone", "promotable", "setoptions", "ticket=T",
                ][..]).prop_map(str::to_owned),
                "\\PC{0,6}",
            ],
            0..8,
        ),
    ) {
        let mut file = CibFile::in_memory(TWO_RESOURCES.clone());
        let verb = ROOT.verbs[top % ROOT.verbs.len()].name.to_owned();
        // What writes files or asks services is left out.
        let outside = [
            "cib", "cib-push", "start", "stop", "enable", "disable", "report", "setup",
        ];
        prop_assume!(verb != "cluster" || !words.iter().any(|w| outside.contains(&w.as_str())));
        let line: Vec<String> = std::iter::once(verb).chain(words).collect();
        let before = file.cib().clone();
        let (exit, _, err) = call(&mut file, &line);
        if exit != Exit::Ok {
            prop_assert_eq!(file.cib(), &before);
            prop_assert!(err.starts_with("Error: ") || err.contains("\nError: "), "{}", err);
        }
    }
}
