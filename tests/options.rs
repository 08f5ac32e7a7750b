//! Lists of options as crmsh, pcs and Hawk ask the programs for them, on a machine where nothing
//! runs.

use std::process::{Command, Output};

fn run(root: &std::path::Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .args(line.split_whitespace())
        .env("MAINSTAY_ROOT", root)
        .env_remove("CIB_file")
        .env_remove("CIB_shadow")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn lists_need_no_cluster() {
    let root = tempfile::tempdir().unwrap();
    for (line, agent, name) in [
        // crmsh/utils.py, get_cluster_option_metadata.
        (
            "crm_attribute --list-options=cluster --all --output-as=xml",
            "cluster-options",
            "stonith-enabled",
        ),
        // pcs/lib/resource_agent/xml.py.
        (
            "crm_attribute --list-options cluster --output-as xml",
            "cluster-options",
            "no-quorum-policy",
        ),
        (
            "crm_resource --list-options primitive --output-as xml",
            "primitive-meta",
            "resource-stickiness",
        ),
        (
            "crm_resource --list-options=fencing --all --output-as=xml",
            "fence-attributes",
            "pcmk_host_list",
        ),
    ] {
        let output = run(root.path(), line);
        assert!(output.status.success(), "{line}: {output:?}");
        assert_eq!(text(&output.stderr), "", "{line}");
        let answer = cib::xml::parse(text(&output.stdout)).unwrap();
        assert_eq!(answer.name, "pacemaker-result");
        assert_eq!(answer.first("status").unwrap().attr("code"), Some("0"));
        let list = answer.first("resource-agent").unwrap();
        assert_eq!(list.attr("name"), Some(agent));
        let mut options = list.first("parameters").unwrap().all("parameter");
        let found = options.any(|option| option.attr("name") == Some(name));
        assert!(found, "{line}: {name} is not there");
        // Scripts search single lines for this.
        let begins = format!("<parameter name=\"{name}\" advanced=\"");
        assert!(text(&output.stdout).contains(&begins), "{line}");
    }
}

/// crmsh 4 and pcs 0.11 start them by their path.
#[test]
fn daemons_tell_of_options_and_are_none() {
    let root = tempfile::tempdir().unwrap();
    for daemon in mainstay::cli::DAEMONS {
        let path = root.path().join(daemon.name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mainstay"), &path).unwrap();
        let run = |words: &[&str]| Command::new(&path).args(words).output().unwrap();
        let output = run(&["metadata"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stderr), "", "{}", daemon.name);
        let agent = cib::xml::parse(text(&output.stdout)).unwrap();
        assert_eq!(agent.name, "resource-agent");
        assert_eq!(agent.attr("name"), Some(daemon.name));
        for wanted in [&["--version"][..], &["--help"]] {
            let output = run(wanted);
            assert!(output.status.success(), "{output:?}");
            assert!(text(&output.stdout).contains("mainstay"), "{output:?}");
        }
        // A unit that starts it, with options or without.
        for words in [&[][..], &["-V"], &["--foreground"]] {
            let output = run(words);
            assert_eq!(output.status.code(), Some(64), "{output:?}");
            assert_eq!(text(&output.stdout), "");
            let told = text(&output.stderr);
            assert!(told.starts_with(&format!("{}: ", daemon.name)), "{told}");
            assert!(told.contains("the daemon is mainstayd"), "{told}");
        }
    }
}

#[test]
fn help_names_every_option() {
    let root = tempfile::tempdir().unwrap();
    // What pcs looks for before it asks.
    for (line, wanted) in [
        ("crm_attribute --help-all", vec!["--list-options"]),
        ("crm_resource --help-all", vec!["--digests", "--expired"]),
        ("crm_mon --help-all", vec!["--fence-history"]),
        (
            "stonith_admin --help-all",
            vec!["--history", "--broadcast", "--cleanup"],
        ),
    ] {
        let output = run(root.path(), line);
        assert!(output.status.success(), "{line}: {output:?}");
        for option in wanted {
            assert!(text(&output.stdout).contains(option), "{line}: {option}");
        }
    }
}

#[test]
fn another_list_is_wrong_use() {
    let root = tempfile::tempdir().unwrap();
    for (line, words) in [
        ("crm_attribute --list-options=primitive", "cluster"),
        ("crm_resource --list-options=cluster", "primitive, fencing"),
    ] {
        let output = run(root.path(), line);
        assert_eq!(output.status.code(), Some(64), "{line}: {output:?}");
        let first = text(&output.stderr).lines().next().unwrap();
        assert!(first.ends_with(&format!("known are {words}")), "{first}");
        assert_eq!(text(&output.stdout), "");
        let output = run(root.path(), &format!("{line} --output-as=xml"));
        let answer = cib::xml::parse(text(&output.stdout)).unwrap();
        let status = answer.first("status").unwrap();
        assert_eq!(status.attr("code"), Some("64"));
        assert!(status.first("errors").is_some());
    }
}
