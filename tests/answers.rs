//! Answers of the tools as other programs get them: whole processes on a CIB in a file. XML is
//! well-formed and ends with the status that is the exit code; where Pacemaker's api schemas are given
//! (`PCMK_API_SCHEMAS`; Debian's pacemaker-common has them in /usr/share/pacemaker/api), it follows
//! them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tools that take `--output-as=xml`, with what they are asked and what they exit with.
const QUESTIONS: &[(&str, i32)] = &[
    ("crm_mon -1", 0),
    ("crm_mon -1 -r -n", 0),
    ("crm_mon -1 -r -R -f -A -o -t -c -L -m 3", 0),
    ("crm_mon -1 --include=none,nodes", 0),
    ("crm_mon --version", 0),
    ("crm_resource -L", 0),
    ("crm_resource -l", 0),
    ("crm_resource -O", 0),
    ("crm_resource -o", 0),
    ("crm_resource -W -r pa", 0),
    ("crm_resource -W -r nobody", 105),
    ("crm_resource -q -r g", 0),
    ("crm_resource -r dis -m -g target-role", 0),
    ("crm_resource -r dis -G type", 0),
    ("crm_resource -r dis -m -p priority -v 5", 0),
    ("crm_resource -r dis -m -d priority", 0),
    ("crm_resource --why", 0),
    ("crm_resource --why -r dis", 0),
    ("crm_resource --why -N node1", 0),
    ("crm_resource -a -r ip", 0),
    ("crm_resource -A -r ip", 0),
    ("crm_resource --digests -r ip -N node1", 0),
    ("crm_resource --list-standards", 0),
    ("crm_resource --list-ocf-providers", 0),
    ("crm_resource --list-agents ocf:heartbeat", 0),
    ("crm_resource --version", 0),
    ("crm_attribute -n dc-version -G", 0),
    ("crm_attribute -G", 0),
    ("crm_attribute -n nobody -G", 105),
    ("crm_attribute -N node1 -n rack -v 7", 0),
    ("crm_attribute -N node1 -n rack -D", 0),
    ("attrd_updater -N node1 -n colour -U red", 0),
    ("attrd_updater -N node1 -n colour -Q", 0),
    ("attrd_updater -N node1 -n nobody -Q", 105),
    ("crm_simulate -s -U", 0),
    ("crm_simulate -R -d node1", 0),
    ("crm_simulate -S -f node1", 0),
    ("crm_verify -L", 0),
    ("crm_rule -c -r nobody", 105),
    ("crm_rule -c -r now", 0),
    ("crm_error -X 105", 0),
    ("crm_error -l -n", 0),
    ("crmadmin -N", 0),
    ("pacemakerd --version", 0),
    ("pacemakerd --features", 0),
    ("stonith_admin -L", 0),
    ("stonith_admin -H *", 0),
    ("stonith_admin --version", 0),
    ("iso8601 -d 2024-02-29", 0),
    ("iso8601 -D P1M -d 2024-01-31", 0),
    ("iso8601 -p 2024-01-01/P1Y", 0),
];

fn dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A cluster with everything that can be said, and a rule with a date; made once for a folder.
fn cib(folder: &Path) -> PathBuf {
    let path = folder.join("cib.xml");
    if path.exists() {
        return path;
    }
    let text = std::fs::read_to_string(dir().join("tests/cli/status/three-nodes.xml")).unwrap();
    let rule = "<constraints><rsc_location id=\"l-now\" rsc=\"ip\"><rule id=\"now\" score=\"1\"><date_expression id=\"now-e\" operation=\"gt\" start=\"2020-01-01\"/></rule></rsc_location>";
    let with = text
        .replacen("<constraints/>", "<constraints></constraints>", 1)
        .replacen("<constraints>", rule, 1);
    assert_ne!(with, text, "there are constraints");
    std::fs::write(&path, with).unwrap();
    path
}

/// Asks; the exit code and what came on standard output.
fn ask(folder: &Path, question: &str) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .args(question.split(' '))
        .arg("--output-as=xml")
        .env("CIB_file", cib(folder))
        .env("MAINSTAY_ROOT", dir().join("tests/cli/machine"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn xml_ends_with_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (question, code) in QUESTIONS {
        let (exit, text) = ask(folder.path(), question);
        let root = cib::xml::parse(&text);
        let status = root.as_ref().ok().and_then(|r| r.children.last());
        let told = status.filter(|s| s.name == "status");
        let told = told.and_then(|s| s.attr("code"));
        if exit != *code || told != Some(code.to_string().as_str()) {
            wrong.push(format!("{question}: exit {exit}, told {told:?}: {text}"));
        }
        // Something was asked, and is answered.
        let answered = root.is_ok_and(|r| r.children.len() > 1);
        let silent = ["-p", "-d", "-v", "-U", "-D", "-H", "-L"];
        let may_be_silent = question.split(' ').any(|w| silent.contains(&w));
        if exit == 0 && !answered && !may_be_silent {
            wrong.push(format!("{question}: no answer in {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn xml_follows_the_published_schemas() {
    let Some(schema) = schema() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, (question, _)) in QUESTIONS.iter().enumerate() {
        // No part of Pacemaker's own schemas.
        if question.starts_with("iso8601") {
            continue;
        }
        let file = folder.path().join(format!("{number}.xml"));
        std::fs::write(&file, ask(folder.path(), question).1).unwrap();
        files.push((question.to_string(), file));
    }
    follow(&schema, &files);
}

/// Groups, clones, bundles, guests, tickets, utilization, failures: the scheduler's own cases, as
/// they stand, would be and are afterwards.
#[test]
fn simulations_and_monitors_follow_the_published_schemas() {
    let Some(schema) = schema() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cases = std::fs::read_dir(dir().join("scheduler/tests/cases")).unwrap();
    let cases = cases.map(|entry| entry.unwrap().path());
    let mut files = Vec::new();
    for case in cases.filter(|path| path.extension().is_some_and(|e| e == "xml")) {
        let name = case.file_stem().unwrap().to_string_lossy().into_owned();
        for (number, tool) in ["crm_simulate -S -s -U -A", "crm_mon -1 -r"]
            .iter()
            .enumerate()
        {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
            command.args(tool.split(' ')).arg("--output-as=xml");
            if number == 0 {
                command.arg("-x").arg(&case);
            }
            command.env("CIB_file", &case).stdin(Stdio::null());
            let file = folder.path().join(format!("{name}-{number}.xml"));
            std::fs::write(&file, command.output().unwrap().stdout).unwrap();
            files.push((format!("{name}: {tool}"), file));
        }
    }
    assert!(files.len() > 100, "the cases are there");
    follow(&schema, &files);
    let told = |kind: &str| {
        let texts = files
            .iter()
            .map(|(_, file)| std::fs::read_to_string(file).unwrap());
        texts.filter(|text| text.contains(kind)).count()
    };
    for kind in [
        "id_as_resource=",
        "<bundle ",
        "<rsc_action ",
        "<node_action ",
        "<utilization",
    ] {
        assert!(told(kind) > 0, "{kind} is among the answers");
    }
}

/// Pacemaker's schema of answers, where it and what checks with it are at hand.
fn schema() -> Option<PathBuf> {
    let given = std::env::var_os("PCMK_API_SCHEMAS").map(PathBuf::from);
    let installed = PathBuf::from("/usr/share/pacemaker/api");
    let schema = given.unwrap_or(installed).join("api-result-2.25.rng");
    if !schema.exists() {
        println!("skipped: {} is not there", schema.display());
        return None;
    }
    if Command::new("xmllint").arg("--version").output().is_err() {
        println!("skipped: xmllint is not installed (libxml2-utils)");
        return None;
    }
    Some(schema)
}

/// Checks answers, each with what was asked.
fn follow(schema: &Path, answers: &[(String, PathBuf)]) {
    let output = Command::new("xmllint")
        .args(["--noout", "--relaxng"])
        .arg(schema)
        .args(answers.iter().map(|(_, file)| file))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let wrong: Vec<String> = answers
        .iter()
        .filter(|(_, file)| said.contains(&format!("{} fails to validate", file.display())))
        .map(|(question, file)| {
            let name = file.display().to_string();
            let why: Vec<&str> = said.lines().filter(|l| l.contains(&name)).collect();
            let text = std::fs::read_to_string(file).unwrap();
            format!("{question}:\n{}\n{text}", why.join("\n"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(output.status.success(), "{said}");
}
