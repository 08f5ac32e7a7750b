//! Golden cases: what people paste, and what becomes of it.

use crate::cli::backend::CibFile;
use crate::cli::cases::{self, Answer, two_nodes};
use crate::cli::console::Console;
use crate::cli::crm::agents::Agents;
use crate::cli::crm::{Options, run_on};
use proptest::prelude::*;
use std::path::PathBuf;

fn call(file: &mut CibFile, words: &[String], typed: &str) -> Answer {
    let mut console = Console::buffers();
    let options = Options {
        words: words.to_vec(),
        ..Options::default()
    };
    let exit = run_on(file, &mut console, options, agents(), &mut typed.as_bytes());
    let (out, err) = console.into_texts();
    (exit, out, err)
}

/// A machine with more agents than [`cases::machine`]: some have the same type.
fn agents() -> Agents {
    use std::os::unix::fs::PermissionsExt;
    static ROOT: std::sync::LazyLock<tempfile::TempDir> = std::sync::LazyLock::new(|| {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("usr/lib/ocf/resource.d");
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
        root
    });
    Agents::new(crate::paths::Paths::below(ROOT.path()))
}

#[test]
fn golden_cases() {
    cases::all("", 4, |case| cases::replay(case, "crm", call));
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
        let (exit, out, err) = call(file, &[], input);
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
        let agents = Agents::new(crate::paths::Paths::below("/nonexistent"));
        if super::run(&mut cib, verb, &words, &agents).is_err() {
            prop_assert_eq!(&cib, &before, "a command that fails changes nothing");
        }
        let text = super::show(&cib, None, &[]).unwrap();
        // What is shown can be read by the same program without a panic, whatever it says.
        let mut console = Console::buffers();
        run_on(&mut file, &mut console, Options::default(), agents, &mut text.as_bytes());
    }
}
