//! Against the real thing, where it is installed: `crm_diff` applies our patches and we apply
//! its, `cibadmin` computes the digests that we compute.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cib::{Cib, Element, Patch, digest, xml};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

mod common;

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("mainstay-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn installed(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {tool} (pacemaker-cli-utils) is not installed"
        );
    }
    found
}

fn run(tool: &str, options: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(tool);
    for (option, file) in options.iter().zip(files) {
        command.arg(option).arg(file);
    }
    command.output().unwrap()
}

/// Versions of one CIB, each an edit that people make.
fn story() -> Vec<Element> {
    let mut steps = Vec::new();
    let mut cib = Cib::empty();
    cib.bump_epoch();
    let mut step = |change: &dyn Fn(&mut Cib)| {
        change(&mut cib);
        cib.bump_epoch();
        steps.push(cib.root().clone());
    };
    let primitive = |id: &str| {
        let ops = [("interval", "10s"), ("timeout", "20s")];
        Element::new("primitive")
            .with("id", id)
            .with("class", "ocf")
            .with("provider", "heartbeat")
            .with("type", "Dummy")
            .child(Element::new("operations").child(cib::edit::operation(id, "monitor", ops)))
    };
    let add = |cib: &mut Cib, section, element| cib::edit::insert(cib, section, element).unwrap();
    use cib::Section::{Constraints, Resources};
    step(&|c| {
        for id in ["a", "b", "c", "d"] {
            add(c, Resources, primitive(id));
        }
    });
    step(&|c| assert!(cib::edit::set_property(c, "stonith-enabled", Some("false"))));
    step(&|c| {
        assert!(cib::edit::set_property(
            c,
            "no-quorum-policy",
            Some("a<b>&\"'é")
        ))
    });
    step(&|c| assert!(cib::edit::set_meta(c, "b", "target-role", Some("Stopped")).unwrap()));
    step(&|c| assert!(cib::edit::set_meta(c, "b", "target-role", Some("Started")).unwrap()));
    step(&|c| c.section_mut(Resources).children.reverse());
    step(&|c| c.section_mut(Resources).children.swap(0, 2));
    let pair = Element::new("rsc_colocation")
        .with("id", "ab")
        .with("rsc", "a")
        .with("with-rsc", "b");
    step(&|c| add(c, Constraints, pair.clone()));
    step(&|c| {
        cib::edit::wrap(c, Element::new("group").with("id", "g"), &["c", "d"]).unwrap();
    });
    step(&|c| {
        c.section_mut(Resources).children.rotate_left(1);
        add(c, Resources, primitive("e"));
        c.section_mut(Resources).children.rotate_right(2);
        cib::edit::delete(c, "a").unwrap();
    });
    step(&|c| c.section_mut(Resources).children[0].attrs.swap(1, 2));
    steps
}

#[test]
fn crm_diff_applies_our_patches() {
    if !installed("crm_diff") {
        return;
    }
    let scratch = Scratch::new("ours");
    let story = story();
    for (i, a) in story.iter().enumerate() {
        for b in &story[i + 1..] {
            let patch = Patch::between(a, b).unwrap();
            let old = scratch.file("old.xml", &xml::format(a));
            let diff = scratch.file("diff.xml", &xml::format(&patch.to_xml()));
            let out = run("crm_diff", &["-o", "-p"], &[&old, &diff]);
            let result = xml::parse(&String::from_utf8_lossy(&out.stdout)).unwrap();
            assert_eq!(&result, b, "{}", xml::format(&patch.to_xml()));
        }
    }
}

#[test]
fn we_apply_the_patches_of_crm_diff() {
    if !installed("crm_diff") {
        return;
    }
    let scratch = Scratch::new("theirs");
    let story = story();
    for (i, a) in story.iter().enumerate() {
        for b in &story[i + 1..] {
            let old = scratch.file("old.xml", &xml::format(a));
            let new = scratch.file("new.xml", &xml::format(b));
            let out = run("crm_diff", &["-o", "-n"], &[&old, &new]);
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let patch = Patch::from_xml(&xml::parse(&text).unwrap()).unwrap();
            assert_eq!(&patch.apply(a).unwrap(), b, "{text}");
        }
    }
}

#[test]
fn cibadmin_computes_our_digests() {
    if !installed("cibadmin") {
        return;
    }
    let scratch = Scratch::new("digests");
    for tree in story().iter().filter(|t| !xml::compact(t).contains('\'')) {
        let file = scratch.file("cib.xml", &xml::format(tree));
        for (option, ours) in [
            ("--md5-sum", digest::on_disk(tree)),
            ("--md5-sum-versioned", digest::full(tree)),
        ] {
            let out = Command::new("cibadmin")
                .args([option, "--xml-file"])
                .arg(&file)
                .output()
                .unwrap();
            let theirs = String::from_utf8_lossy(&out.stdout).into_owned();
            assert_eq!(theirs.trim(), ours, "{option}");
        }
    }
}

/// The same trees in every run: this test compares programs, it does not search.
#[test]
fn crm_diff_applies_our_patches_between_random_trees() {
    if !installed("crm_diff") {
        return;
    }
    let scratch = Scratch::new("random");
    let config = Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let edits = prop::collection::vec(any::<u8>(), 0..30);
    let trees = (
        common::tree(false),
        common::tree(false),
        edits,
        any::<bool>(),
    );
    TestRunner::new_with_rng(config, rng)
        .run(&trees, |(a, b, dice, unrelated)| {
            let a = common::cib_of(printable(a), 1);
            let b = if unrelated {
                printable(b)
            } else {
                common::edited(&a, &mut dice.into_iter())
            };
            let b = common::cib_of(b, 2);
            let patch = Patch::between(&a, &b).unwrap();
            let old = scratch.file("old.xml", &xml::format(&a));
            let diff = scratch.file("diff.xml", &xml::format(&patch.to_xml()));
            let out = run("crm_diff", &["-o", "-p"], &[&old, &diff]);
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            prop_assert_eq!(
                xml::parse(&text).unwrap(),
                b,
                "{}",
                xml::format(&patch.to_xml())
            );
            Ok(())
        })
        .unwrap();
}

/// Pacemaker 2.1 prints some values wrongly: line ends and tabs, `&` behind other scripts.
fn printable(mut tree: Element) -> Element {
    for (_, value) in &mut tree.attrs {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '/' | '[');
        *value = value.chars().filter(plain).collect();
    }
    tree.children = tree.children.into_iter().map(printable).collect();
    tree
}

#[test]
fn we_print_as_cibadmin_prints() {
    if !installed("cibadmin") {
        return;
    }
    let scratch = Scratch::new("print");
    for tree in story().iter().filter(|t| !xml::compact(t).contains('\'')) {
        let file = scratch.file("cib.xml", &xml::compact(tree));
        let out = Command::new("cibadmin")
            .arg("--query")
            .env("CIB_file", &file)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), xml::format(tree));
    }
}

#[test]
fn cibadmin_finds_what_we_find() {
    const EXPRESSIONS: [&str; 16] = [
        "//primitive",
        "//primitive/@id",
        "/cib",
        "//nvpair[@name='target-role']",
        "//primitive[1]",
        "//resources/*[last()]",
        "//*[@id]",
        "/cib/configuration/resources//op[@interval='10s']",
        "//primitive[@id='a' or @id='e']",
        "//primitive[not(@id='a')]/operations",
        "//group/primitive | //rsc_colocation",
        "//op[starts-with(@id, 'c')]/../..",
        "//*[count(primitive)>1]",
        "//primitive[.//nvpair/@value='Stopped']",
        "//resources/*[position()=2]",
        "//nothing",
    ];
    if !installed("cibadmin") {
        return;
    }
    let scratch = Scratch::new("xpath");
    for tree in story().iter().skip(3).step_by(3) {
        let file = scratch.file("cib.xml", &xml::format(tree));
        for expression in EXPRESSIONS {
            let out = Command::new("cibadmin")
                .args(["--query", "--node-path", "--xpath", expression])
                .env("CIB_file", &file)
                .output()
                .unwrap();
            let found = cib::xpath::select(tree, expression).unwrap();
            let ours: Vec<String> = found.iter().map(|m| m.place.path(tree)).collect();
            let theirs = String::from_utf8_lossy(&out.stdout).into_owned();
            assert_eq!(theirs.lines().collect::<Vec<_>>(), ours, "{expression}");
        }
    }
}
