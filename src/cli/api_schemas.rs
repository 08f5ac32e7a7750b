//! Answers in XML against Pacemaker's published schemas, where a directory of them is given
//! (`PCMK_API_SCHEMAS`; Debian's pacemaker-common has them in /usr/share/pacemaker/api).

use super::backend::{Backend, CibFile};
use super::console::Console;
use super::exit::Failure;
use super::getopt::{self, Found, Opt};
use super::options::List;
use super::{crm_attribute, crm_error, crm_mon, crm_resource, crm_simulate, crmadmin};
use crate::view::xml;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

type Run = fn(&mut dyn Backend, &mut Console, &Found) -> Result<(), Failure>;

/// A tool's answer to a command line.
fn answer(backend: &mut CibFile, name: &str, table: &[Opt], run: Run, line: &str) -> String {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let found = getopt::parse(table, &args).unwrap();
    let mut console = Console::buffers();
    console.answer_in_xml();
    let result = run(backend, &mut console, &found);
    let parts = console.take_answer().unwrap();
    let request = super::tool::request(name, &args);
    match result {
        Ok(()) => xml::answer(&request, parts, 0, "OK", &[]),
        Err(f) => xml::answer(&request, parts, f.exit.code(), f.exit.text(), &[f.text]),
    }
}

fn documents() -> Vec<(String, String)> {
    let mut backend = crm_mon::tests::cluster();
    let mut all = vec![(
        "crm_mon".to_owned(),
        cib::xml::format(&crm_mon::tests::document(&mut backend)),
    )];
    let mut add = |name: &str, table: &[Opt], run: Run, lines: &[&str]| {
        for line in lines {
            let text = answer(&mut backend, name, table, run, line);
            all.push((format!("{name} {line}"), text));
        }
    };
    add(
        "crm_resource",
        crm_resource::OPTIONS,
        crm_resource::run,
        &[
            "-L",
            "-l",
            "-O",
            "-W -r p",
            "-W -r nobody",
            "-q -r dis",
            "-r dis -m -g target-role",
            "--why",
            "--why -r dis",
            "--why -N node1",
            "-a -r ip",
            "--digests -r ip -N node1",
        ],
    );
    add(
        "crm_attribute",
        &crm_attribute::OPTIONS,
        crm_attribute::run,
        &["-n dc-version -G", "-n nobody -G"],
    );
    add(
        "crmadmin",
        crmadmin::OPTIONS,
        crmadmin::run,
        &["-D", "-N", "-S node1", "-P"],
    );
    add(
        "crm_error",
        crm_error::OPTIONS,
        |_, console, found| crm_error::run(console, found),
        &["-X 105", "-l -n"],
    );
    let cluster = concat!(
        "-x ",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cli/status/three-nodes.xml"
    );
    add(
        "crm_simulate",
        &crm_simulate::OPTIONS,
        |_, console, found| crm_simulate::run(console, found),
        &[
            &format!("{cluster} --output-as=xml -S"),
            &format!("{cluster} --output-as=xml -R -s -U -A -c"),
            &format!("{cluster} --output-as=xml -S -d node1 -u other -q 1 -w 0 -g t"),
        ],
    );
    all
}

/// Where the schemas are and can be asked; `None`, with the reason printed, where not.
fn schemas() -> Option<PathBuf> {
    let Some(dir) = std::env::var_os("PCMK_API_SCHEMAS").map(PathBuf::from) else {
        println!("skipped: PCMK_API_SCHEMAS names no directory of Pacemaker's api schemas");
        return None;
    };
    let found = Command::new("xmllint")
        .arg("--version")
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        println!("skipped: xmllint is not installed (libxml2-utils)");
        return None;
    }
    Some(dir)
}

/// What is wrong with a document; empty where nothing is.
fn faults(schema: &Path, text: &str) -> String {
    let mut child = Command::new("xmllint")
        .args(["--noout", "--relaxng"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => String::new(),
        false => format!("{}\n{text}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn answers_in_xml_follow_the_published_schemas() {
    let Some(dir) = schemas() else { return };
    let schema = dir.join("api-result-2.25.rng");
    assert!(schema.exists(), "{} is not there", schema.display());
    let all = documents().into_iter();
    let all = all.map(|(what, text)| (what, faults(&schema, &text)));
    let wrong: Vec<String> = all
        .filter(|(_, faults)| !faults.is_empty())
        .map(|(what, faults)| format!("{what}:\n{faults}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Schemas have them since Pacemaker 2.1.8, in a file of their own.
#[test]
fn lists_of_options_follow_the_published_schema() {
    let Some(dir) = schemas() else { return };
    let schema = dir.join("options-2.37.rng");
    if !schema.exists() {
        println!("skipped: {} is not there", schema.display());
        return;
    }
    let lists = [List::Cluster, List::Primitive, List::Fencing];
    for asked in ["cluster", "primitive", "fencing"] {
        let mut console = Console::buffers();
        console.answer_in_xml();
        List::told(&mut console, asked, &lists, false).unwrap();
        let parts = console.take_answer().unwrap();
        let [part] = parts.as_slice() else {
            panic!("{asked}: {} parts", parts.len());
        };
        let faults = faults(&schema, &cib::xml::format(part));
        assert_eq!(faults, "", "{asked}");
    }
}
