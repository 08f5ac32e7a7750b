//! Golden cases: what people paste, and what becomes of it.

use crate::cli::backend::CibFile;
use crate::cli::console::Console;
use crate::cli::crm::{Options, run_on};
use cib::Cib;
use proptest::prelude::*;
use std::path::PathBuf;

/// Two nodes, nothing else.
fn two_nodes() -> CibFile {
    CibFile::in_memory(
        Cib::parse(
            "<cib epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\" have-quorum=\"1\"><configuration>\
             <crm_config/><nodes><node id=\"1\" uname=\"node1\"/><node id=\"2\" uname=\"node2\"/>\
             </nodes><resources/><constraints/></configuration><status/></cib>",
        )
        .unwrap(),
    )
}

/// Runs one case: commands, each `$ crm …` with its words or `| ` lines for standard input, each
/// followed by what is expected: output lines, `! ` error lines, `= 1` for an exit code that is
/// not 0. The answer is the same text with what really came.
fn replay(case: &str) -> String {
    let mut file = two_nodes();
    let mut answer = String::new();
    let mut lines = case.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ crm") else {
            if line.starts_with("## ") || line.is_empty() {
                answer.push_str(line);
                answer.push('\n');
            }
            continue;
        };
        answer.push_str(line);
        answer.push('\n');
        let mut input = String::new();
        while let Some(typed) = lines.next_if(|l| l.starts_with('|')) {
            answer.push_str(typed);
            answer.push('\n');
            input.push_str(typed.strip_prefix("| ").unwrap_or(""));
            input.push('\n');
        }
        let words = crate::cli::crm::words::split(command).unwrap();
        let mut console = Console::buffers();
        let options = Options {
            words,
            ..Options::default()
        };
        let exit = run_on(
            &mut file,
            &mut console,
            options,
            agents(),
            &mut input.as_bytes(),
        );
        let (out, err) = console.into_texts();
        answer.push_str(&out);
        for line in err.lines() {
            answer.push_str(&format!("! {line}\n"));
        }
        if exit.code() != 0 {
            answer.push_str(&format!("= {}\n", exit.code()));
        }
    }
    answer
}

/// A machine with a few agents, the same everywhere.
fn agents() -> crate::cli::crm::agents::Agents {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap().keep();
    let dir = root.join("usr/lib/ocf/resource.d");
    for agent in [
        "heartbeat/apache",
        "heartbeat/Dummy",
        "heartbeat/mysql",
        "heartbeat/IPaddr2",
        "pacemaker/Dummy",
        "pacemaker/Stateful",
    ] {
        let path = dir.join(agent);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    crate::cli::crm::agents::Agents::new(crate::paths::Paths::below(root))
}

#[test]
fn golden_cases() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 4, "{cases:?}");
    for path in cases {
        let expected = std::fs::read_to_string(&path).unwrap();
        let found = replay(&expected);
        crate::golden::compare(&path, &found);
    }
}

/// `show` prints what `show` reads: a second cluster fed with it prints the same.
#[test]
fn what_show_prints_reads_back() {
    let text = std::fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/every-object.txt"),
    )
    .unwrap();
    let mut first = two_nodes();
    let commands: String = text
        .lines()
        .filter_map(|l| l.strip_prefix("| "))
        .map(|l| format!("{l}\n"))
        .collect();
    let shown = |file: &mut CibFile, input: &str| {
        let mut console = Console::buffers();
        let exit = run_on(
            file,
            &mut console,
            Options::default(),
            agents(),
            &mut input.as_bytes(),
        );
        let (out, err) = console.into_texts();
        assert_eq!(exit.code(), 0, "{err}");
        out
    };
    shown(&mut first, &commands);
    let once = shown(&mut first, "configure show\n");
    let mut second = two_nodes();
    shown(&mut second, &format!("configure\n{once}commit\n"));
    assert_eq!(shown(&mut second, "configure show\n"), once);
    let resources = |file: &CibFile| {
        file.cib()
            .section(cib::Section::Constraints)
            .map(|s| s.children.len())
    };
    assert_eq!(resources(&first), resources(&second));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_line_panics(
        verb in proptest::sample::select(&super::EDITS[..]),
        words in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(&[
                    "params", "meta", "op", "rule", "inf:", "(", ")", "[", "{", "a=b", "$id=x", "x",
                    "ocf:heartbeat:Dummy", "date", "and", "defined", "op_params", "/a/", "ip:Master",
                    "=", ":", "monitor", "interval=1s", "Mandatory:", "<a/>",
                ][..]).prop_map(str::to_owned),
                "\\PC{0,8}",
            ],
            0..9,
        ),
    ) {
        let mut file = two_nodes();
        let mut cib = file.cib().clone();
        let before = cib.clone();
        let agents = crate::cli::crm::agents::Agents::new(crate::paths::Paths::below("/nonexistent"));
        if super::run(&mut cib, verb, &words, &agents).is_err() {
            prop_assert_eq!(&cib, &before, "a command that fails changes nothing");
        }
        let text = super::show(&cib, &[]).unwrap();
        // What is shown can be read by the same program without a panic, whatever it says.
        let mut console = Console::buffers();
        run_on(&mut file, &mut console, Options::default(), agents, &mut text.as_bytes());
    }
}
