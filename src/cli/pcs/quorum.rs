//! `pcs quorum`: votes as they stand, and what corosync.conf says of them.

use super::Context;
use super::flags::Format;
use super::level::{Level, misused, refused, verb};
use crate::cli::corosync_quorumtool;
use crate::cli::exit::{Exit, Failure};
use std::fmt::Write as _;

const BY_FILE: &str = "write it in the quorum section of corosync.conf on every node and run `systemctl reload mainstay`";

pub(super) const LEVEL: Level = Level {
    path: "pcs quorum",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("status", "", &[], status),
        verb("config", "", &["output-format"], config),
        refused("update", BY_FILE),
        verb("expected-votes", "VOTES", &[], expected_votes),
        refused(
            "device",
            "the witness stands in the quorum section of corosync.conf, `device { model: net ... }`; see mainstay-witness(8)",
        ),
        refused(
            "unblock",
            "a node that is really off is confirmed with `pcs stonith confirm NODE --force`",
        ),
    ],
};

/// What `corosync-quorumtool -p` prints and an empty line, as pcs 0.11; without quorum it is no
/// failure.
pub(super) fn status(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let text = corosync_quorumtool::parsable_status(cx.backend)?;
    cx.console.line(&text);
    Ok(())
}

/// So many votes are expected, whatever the files say.
fn expected_votes(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [votes] = words else {
        return Err(misused());
    };
    corosync_quorumtool::expect(cx.backend, votes).map(drop)
}

/// The quorum section of corosync.conf.
fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let options = options(cx)?;
    let out = match cx.flags.format()? {
        Format::Text => text(&options),
        Format::Json => {
            let map: serde_json::Map<String, serde_json::Value> = options
                .into_iter()
                .map(|(n, v)| (n, serde_json::Value::String(v)))
                .collect();
            format!("{}\n", serde_json::json!({"options": map, "device": null}))
        }
        Format::Cmd => {
            return Err(Failure::new(
                Exit::Unimplemented,
                format!("no command makes them again: {BY_FILE}"),
            ));
        }
    };
    cx.console.print(&out);
    Ok(())
}

pub(super) fn text(options: &[(String, String)]) -> String {
    let mut text = String::from("Options:\n");
    for (name, value) in options {
        let _ = writeln!(text, "  {name}: {value}");
    }
    text
}

/// Options of the `quorum` section, without the provider.
///
/// # Errors
/// corosync.conf cannot be read.
pub(super) fn options(cx: &Context<'_>) -> Result<Vec<(String, String)>, Failure> {
    let path = cx.paths.corosync_conf();
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))?;
    Ok(section(&text, "quorum")
        .into_iter()
        .filter(|(n, _)| n != "provider")
        .collect())
}

/// The keys of a top-level section, as written.
pub(super) fn section(text: &str, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') {
            continue;
        }
        if let Some(opened) = line.strip_suffix('{') {
            open.push(opened.trim());
        } else if line == "}" {
            open.pop();
        } else if open == [name]
            && let Some((key, value)) = line.split_once(':')
        {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}
