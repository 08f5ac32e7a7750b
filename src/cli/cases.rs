//! Golden cases of command lines: what people paste, what is said to it, and what becomes of the
//! CIB. A case is a text of commands, each `$ PROGRAM …` with `| ` lines for standard input,
//! followed by what is expected: output, `! ` lines for standard error, `= 1` for an exit code that
//! is not 0. Lines that begin with `## ` are headings.

use super::backend::CibFile;
use super::crm::words;
use super::exit::Exit;
use crate::paths::Paths;
use cib::Cib;
use std::path::{Path, PathBuf};

/// Two nodes, nothing else.
pub(super) fn two_nodes() -> CibFile {
    CibFile::in_memory(
        Cib::parse(
            "<cib epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\" have-quorum=\"1\"><configuration>\
             <crm_config/><nodes><node id=\"1\" uname=\"node1\"/><node id=\"2\" uname=\"node2\"/>\
             </nodes><resources/><constraints/></configuration><status/></cib>",
        )
        .unwrap(),
    )
}

/// A machine with a few agents, the same everywhere.
pub(super) fn machine() -> Paths {
    Paths::below(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/machine"))
}

/// What a command line came to: its exit code, output and errors.
pub(super) type Answer = (Exit, String, String);

/// Runs a case on two nodes; the answer is the same text with what really came. `run` takes the
/// words behind the program's name, and what is typed.
pub(super) fn replay(
    case: &str,
    program: &str,
    run: impl Fn(&mut CibFile, &[String], &str) -> Answer,
) -> String {
    let mut file = two_nodes();
    let mut answer = String::new();
    let prompt = format!("$ {program}");
    let mut lines = case.lines().peekable();
    while let Some(line) = lines.next() {
        let command = line.strip_prefix(&prompt);
        if command.is_some() || line.starts_with("## ") {
            answer.push_str(line);
            answer.push('\n');
        }
        let Some(command) = command else {
            continue;
        };
        let mut input = String::new();
        while let Some(typed) = lines.next_if(|l| l.starts_with('|')) {
            answer.push_str(&format!("{typed}\n"));
            input.push_str(&format!("{}\n", typed.strip_prefix("| ").unwrap_or("")));
        }
        let words = words::split(command).unwrap();
        let (exit, out, err) = run(&mut file, &words, &input);
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

/// Every case (`*.txt`) below `tests/cli/FOLDER`, of which there are `least`, comes out as written.
pub(super) fn all(folder: &str, least: usize, replay: impl Fn(&str) -> String) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli")
        .join(folder);
    let entries = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path());
    let mut cases: Vec<PathBuf> = entries
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    cases.sort();
    assert!(cases.len() >= least, "{cases:?}");
    for path in cases {
        let expected = std::fs::read_to_string(&path).unwrap();
        crate::golden::compare(&path, &replay(&expected));
    }
}
