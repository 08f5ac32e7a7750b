//! The shells' completion files, in the shells: each is read without a complaint, asks the program
//! with the right words, and hands on what it answers.

mod skip;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that answers a few questions as `mainstay complete` does.
const PROGRAM: &str = r#"#!/bin/sh
shift; program=$1; shift 2
case "$program $*" in
"crm node stand") echo standby ;;
"crm node standby ") printf 'node1\nnode2\n' ;;
"crm ra info ocf:heartbeat:IP") printf 'ocf:heartbeat:IPaddr\nocf:heartbeat:IPaddr2\n' ;;
"pcs property set stonith-e") echo stonith-enabled= ;;
"mainstay li") echo lint ;;
*) exit 1 ;;
esac
"#;

/// Lines as far as they are typed, and what may come next.
const CASES: [(&str, &str); 6] = [
    ("crm node stand", "standby"),
    ("crm node standby ", "node1 node2"),
    (
        "crm ra info ocf:heartbeat:IP",
        "ocf:heartbeat:IPaddr ocf:heartbeat:IPaddr2",
    ),
    ("pcs property set stonith-e", "stonith-enabled="),
    ("mainstay li", "lint"),
    ("crm nonsense ", ""),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts/completion")
        .join(name)
}

/// Runs a script in a shell beside the program; what it printed, in one line. `None` = there is no
/// such shell here.
fn run(shell: &str, options: &[&str], script: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o755)
        .open(dir.path().join("mainstay"))
        .and_then(|mut file| file.write_all(PROGRAM.as_bytes()))
        .unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(shell)
        .args(options)
        .arg("-c")
        .arg(script)
        .env("PATH", format!("{}:{path}", dir.path().display()))
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{shell}: {error}"),
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "{shell}: {script}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn fish_completes() {
    let file = file("mainstay.fish");
    for (line, wanted) in CASES {
        let script = format!("source {}; complete -C '{line}'", file.display());
        let Some(found) = run("fish", &["--no-config"], &script) else {
            return skip::skip("fish_completes", "fish is not installed");
        };
        assert_eq!(found, wanted, "{line}");
    }
}

#[test]
fn zsh_completes() {
    let file = file("_mainstay");
    // compadd belongs to the line editor, which a script has not.
    let begin = "compadd() { [[ $1 == -S ]] && shift 2; shift; print -r -- $* };";
    for (line, wanted) in CASES {
        let words: Vec<String> = line.split(' ').map(|w| format!("'{w}'")).collect();
        let script = format!(
            "{begin} words=({}); CURRENT={}; source {} || true",
            words.join(" "),
            words.len(),
            file.display()
        );
        let Some(found) = run("zsh", &["-f"], &script) else {
            return skip::skip("zsh_completes", "zsh is not installed");
        };
        assert_eq!(found, wanted, "{line}");
    }
    let folder = file.parent().unwrap().display();
    let script = format!(
        "fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[crm] $_comps[pcs] $_comps[mainstay]"
    );
    let found = run("zsh", &["-f"], &script).unwrap();
    assert_eq!(found, "_mainstay _mainstay _mainstay");
}

#[test]
fn bash_completes() {
    let file = file("mainstay.bash");
    for (line, wanted) in CASES {
        let program = line.split(' ').next().unwrap();
        let script = format!(
            "source {}; COMP_LINE='{line}' COMP_POINT={}; _mainstay_complete {program}; echo \"${{COMPREPLY[*]-}}\"",
            file.display(),
            line.len()
        );
        let found = run("bash", &["--norc"], &script).unwrap();
        // bash takes the word for begun anew behind a colon.
        assert_eq!(found, wanted.replace("ocf:heartbeat:", ""), "{line}");
    }
}
