//! Against the real thing, where it is installed: `crm_diff` applies our patches and we apply
//! its, `cibadmin` computes the digests that we compute.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cib::{Cib, Element, Patch, digest, xml};

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
