//! House rules as an ordinary test: who may know whom, what pure means, where `unsafe` lives, and
//! a man page for every command and back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Rust files below a directory of the repository, with their text.
fn sources(dir: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {dir}");
    found.sort();
    found
}

/// Lines of code: comments, doc comments and everything from `#[cfg(test)]` on left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]\nmod").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.split("//").next().unwrap_or("")))
}

/// Fails with every line of `dir` that contains one of the words.
fn forbid(dir: &str, words: &[&str], why: &str) {
    let mut found = Vec::new();
    for (name, text) in sources(dir) {
        for (line, code) in code(&text) {
            for word in words {
                if code.contains(word) {
                    found.push(format!("{name}:{line}: `{word}`"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

/// Everything that ships.
const PRODUCT: [&str; 7] = [
    "src",
    "wire/src",
    "membership/src",
    "cib/src",
    "scheduler/src",
    "netlink/src",
    "store/src",
];

const PURE: [&str; 5] = [
    "wire/src",
    "membership/src",
    "cib/src",
    "scheduler/src",
    "src/controller",
];

#[test]
fn pure_parts_know_no_clock_disk_network_or_chance() {
    let world = [
        "tokio",
        "std::net",
        "std::fs",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "HashMap",
        "HashSet",
        "getrandom",
        "rand::",
        "std::env",
        "std::process",
    ];
    for dir in PURE {
        forbid(dir, &world, "a pure part names the world");
    }
}

#[test]
fn what_is_frozen_with_the_log_asks_nothing_that_changes() {
    let file = "src/replica/integrity.rs";
    let text = fs::read_to_string(root().join(file)).unwrap();
    let evolving = [
        "cib::check",
        "cib::config",
        "cib::edit",
        "super::",
        "crate::",
    ];
    for (line, code) in code(&text) {
        let asked = evolving.iter().find(|word| code.contains(**word));
        // What may see it is said by the same word.
        let asked = asked.filter(|_| !code.contains("pub(super)"));
        assert_eq!(asked, None, "{file}:{line}");
    }
}

/// Everything that reads the clock that people set, and what for: nothing that decides who may hold
/// what. The tests that step it (`tests/e2e/vip_faults`) rest on this list.
const WALL_CLOCK: [(&str, &str); 8] = [
    ("netlink/src/speakers.rs", "time stamps of frames, in labs"),
    ("src/alert/runner.rs", "what alert agents are told"),
    (
        "src/cli/backend/file.rs",
        "a CIB in a file, without a daemon",
    ),
    (
        "src/cli/crm_simulate/source.rs",
        "simulations without a time of their own",
    ),
    ("src/daemon/app.rs", "rules with dates, what people read"),
    ("src/daemon/log.rs", "lines of the log"),
    ("src/executor/worker.rs", "the history of operations"),
    ("src/fencing/fencer.rs", "the history of fencing"),
];

#[test]
fn the_wall_clock_is_read_for_people_alone() {
    let words = [
        "SystemTime",
        "Timestamp::now",
        "Zoned::now",
        "CLOCK_REALTIME",
        "gettimeofday",
    ];
    let mut readers = BTreeSet::new();
    for dir in PRODUCT {
        for (name, text) in sources(dir) {
            let in_tests = name
                .split('/')
                .any(|part| part == "tests" || part == "tests.rs");
            let reads = code(&text).any(|(_, code)| words.iter().any(|word| code.contains(word)));
            if reads && !in_tests {
                readers.insert(name);
            }
        }
    }
    let known: BTreeSet<String> = WALL_CLOCK
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(
        readers, known,
        "who reads the wall clock (left) and who may (right)"
    );
}

#[test]
fn crates_depend_only_as_drawn() {
    let ours = ["wire", "membership", "cib", "scheduler", "netlink", "store"];
    let allowed = |name: &str| -> &[&str] {
        match name {
            "membership" => &["wire"],
            "scheduler" => &["cib"],
            _ => &[],
        }
    };
    for name in ours {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let used: BTreeSet<&str> = manifest
            .lines()
            .filter_map(|l| l.split(['.', ' ', '=']).next())
            .filter(|word| ours.contains(word))
            .collect();
        let allowed: BTreeSet<&str> = allowed(name).iter().copied().collect();
        assert_eq!(used, allowed, "edges of crate {name}");
    }
}

#[test]
fn modules_of_the_program_depend_only_as_drawn() {
    forbid(
        "src/cli",
        &[
            "crate::daemon",
            "crate::transport",
            "crate::replica",
            "store::Store",
            "membership::",
        ],
        "commands talk to the daemon through ipc only",
    );
    forbid(
        "src/controller",
        &[
            "crate::daemon",
            "crate::transport",
            "crate::replica",
            "crate::ipc",
            "membership::",
        ],
        "the controller knows cib, scheduler and plain types",
    );
    for dir in [
        "src/conf",
        "src/controller",
        "src/executor",
        "src/fencing",
        "src/ipc",
        "src/replica",
        "src/transport",
        "src/view",
        "src/vip",
    ] {
        let mut words = vec!["crate::cli", "crate::lab"];
        // The protocol thread hands writes to the daemon's store thread.
        if dir != "src/transport" {
            words.push("crate::daemon");
        }
        forbid(dir, &words, "nothing imports the programs");
    }
}

#[test]
fn unsafe_lives_in_one_module() {
    for dir in PRODUCT {
        for (name, text) in sources(dir) {
            if name == "netlink/src/sys.rs" {
                continue;
            }
            for (line, code) in code(&text) {
                let word = code
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|w| w == "unsafe");
                assert!(!word, "{name}:{line}: unsafe outside of netlink/src/sys.rs");
            }
        }
    }
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let markers: Vec<String> = ["TO", "FIX"]
        .iter()
        .zip(["DO", "ME"])
        .map(|(a, b)| format!("{a}{b}"))
        .collect();
    for dir in [
        "src",
        "tests",
        "wire",
        "membership",
        "cib",
        "scheduler",
        "netlink",
        "store",
    ] {
        for (name, text) in sources(dir) {
            for (line, content) in text.lines().enumerate() {
                for marker in &markers {
                    assert!(
                        !content.contains(marker.as_str()),
                        "{name}:{}: {marker}",
                        line + 1
                    );
                }
            }
        }
    }
}

/// Commands that exist: programs, and the names and verbs under which `mainstay` answers.
fn commands() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["mainstayd", "mainstay-lab", "mainstay-witness"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    names.extend(
        mainstay::cli::COMMANDS
            .iter()
            .chain(mainstay::cli::DAEMONS)
            .map(|c| c.man_page.to_owned()),
    );
    names
}

#[test]
fn every_command_has_its_man_page_and_every_page_its_command() {
    let pages: BTreeSet<String> = fs::read_dir(root().join("man"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    // The page of a program that another one stands for.
    let stand_ins = ["corosync.8"];
    let of_commands: BTreeSet<String> = pages
        .iter()
        .filter(|page| !stand_ins.contains(&page.as_str()))
        .filter_map(|p| p.strip_suffix(".8").or_else(|| p.strip_suffix(".1")))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        of_commands,
        commands(),
        "man pages (left) and commands (right)"
    );
    for page in &pages {
        let text = fs::read_to_string(root().join("man").join(page)).unwrap();
        let ok = Path::new(page)
            .extension()
            .is_some_and(|e| ["1", "5", "7", "8"].contains(&e.to_str().unwrap()));
        assert!(ok, "{page} is no man page");
        // Another name of a page that is there (man(7), "so").
        if let Some(other) = text.strip_prefix(".so ") {
            let (_, name) = other.trim_end().split_once('/').unwrap();
            assert!(pages.contains(name), "{page} stands for {name}");
            continue;
        }
        for heading in ["NAME", "DESCRIPTION"] {
            assert!(text.contains(heading), "{page} has no section {heading}");
        }
    }
}
