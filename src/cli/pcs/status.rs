//! `pcs status`: the cluster as crm_mon shows it, and views of its parts.

use super::Context;
use super::level::{Level, misused, refused, verb};
use super::resource;
use crate::cli::exit::Failure;
use crate::cli::{backend, corosync_quorumtool};
use crate::view::{self, Status};
use cib::config::Config;
use std::fmt::Write as _;

pub(super) const LEVEL: Level = Level {
    path: "pcs status",
    alone: Some("status"),
    rest: None,
    verbs: &[
        verb(
            "status",
            "",
            &["file", "full", "hide-inactive", "legacy"],
            status,
        ),
        verb(
            "resources",
            "[RESOURCE] [node=NODE]",
            &["file", "hide-inactive"],
            |cx, words| {
                let text = resource::show::list_of(cx, words, false)?;
                cx.console.print(&text);
                Ok(())
            },
        ),
        verb("cluster", "", &["file"], cluster),
        verb("corosync", "", &[], corosync),
        verb("quorum", "", &[], super::quorum::status),
        verb("nodes", "[corosync | both | config]", &["file"], nodes),
        verb("pcsd", "", &[], pcsd),
        verb("xml", "", &["file"], xml),
        verb("wait", "[SECONDS]", &[], wait),
        refused(
            "booth",
            "tickets are granted and revoked with `crm_ticket`; booth itself is not offered",
        ),
        refused(
            "qdevice",
            "quorum devices are not offered in this version; use a third node as witness",
        ),
        refused("query", "read `pcs status xml`"),
    ],
};

pub(super) fn status(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let status = backend::status(cx.backend)?;
    if cx.flags.has("legacy") {
        cx.console.print(&view::legacy::document(&status));
        return Ok(());
    }
    let mut text = format!("Cluster name: {}\n", status.cluster_name);
    let warnings = warnings(cx, &status)?;
    if !warnings.is_empty() {
        let _ = write!(text, "\nWARNINGS:\n{warnings}\n");
    }
    let full = cx.flags.has("full");
    let options = view::text::Options {
        inactive: !cx.flags.has("hide-inactive"),
        failcounts: full,
        attributes: full,
        bans: full,
        ..view::text::Options::default()
    };
    text.push_str(&view::text::document(&status, options));
    if cx.backend.live() {
        text.push_str(&daemons(cx));
    }
    cx.console.print(&text);
    Ok(())
}

/// What a person should know before anything else.
fn warnings(cx: &mut Context<'_>, status: &Status) -> Result<String, Failure> {
    let cib = cx.cib()?;
    let config = Config::new(&cib);
    let fencing = config.property("stonith-enabled");
    let fencing = fencing.is_none_or(|v| cib::value::parse_bool(v).unwrap_or(true));
    let has_device = config
        .resources()
        .iter()
        .any(|r| r.element.attr("class") == Some("stonith"));
    let mut text = String::new();
    if fencing && !has_device {
        text.push_str("No stonith devices and stonith-enabled is not false\n");
    }
    for risk in view::risks(status) {
        let _ = writeln!(text, "{risk}");
    }
    Ok(text)
}

fn daemons(cx: &Context<'_>) -> String {
    let wanted = cx
        .paths
        .root()
        .join("etc/systemd/system/multi-user.target.wants");
    let enabled = ["mainstay", "corosync", "pacemaker"].iter().any(|unit| {
        wanted
            .join(format!("{unit}.service"))
            .symlink_metadata()
            .is_ok()
    });
    let enabled = if enabled { "enabled" } else { "disabled" };
    let mut text = String::from("\nDaemon Status:\n");
    for name in ["corosync", "pacemaker"] {
        let _ = writeln!(text, "  {name}: active/{enabled}");
    }
    text.push_str("  pcsd: inactive/disabled\n");
    text
}

/// The summary and the nodes.
pub(super) fn cluster(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let status = backend::status(cx.backend)?;
    let options = view::text::Options::default();
    let text = view::text::document(&status, options);
    let end = text.find("\nActive Resources:").unwrap_or(text.len());
    let mut out = String::from("Cluster Status:\n");
    for line in text[..end].trim_end().lines() {
        let line = format!(" {line}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    cx.console.print(&out);
    Ok(())
}

/// The membership, a line for each node: what `corosync-quorumtool -l` prints.
fn corosync(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let text = corosync_quorumtool::list(cx.backend)?;
    cx.console.print(&text);
    Ok(())
}

/// `nodes [corosync | both | config]`.
pub(super) fn nodes(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let status = backend::status(cx.backend)?;
    let members = membership(&status);
    let text = match words {
        [] => pacemaker_nodes(&status),
        [word] if word == "corosync" => members,
        [word] if word == "both" => format!("{members}{}", pacemaker_nodes(&status)),
        [word] if word == "config" => {
            let names: Vec<&str> = status.nodes.iter().map(|n| n.name.as_str()).collect();
            let names = names.join(" ");
            format!("Corosync Nodes:\n {names}\nPacemaker Nodes:\n {names}\n")
        }
        _ => return Err(misused()),
    };
    cx.console.print(&text);
    Ok(())
}

fn list(heading: &str, names: &[&str]) -> String {
    match names {
        [] => format!(" {heading}:\n"),
        names => format!(" {heading}: {}\n", names.join(" ")),
    }
}

fn membership(status: &Status) -> String {
    let of = |there: bool| -> Vec<&str> {
        let nodes = status.nodes.iter();
        let nodes = nodes.filter(|n| (n.online || n.pending) == there);
        nodes.map(|n| n.name.as_str()).collect()
    };
    format!(
        "Corosync Nodes:\n{}{}",
        list("Online", &of(true)),
        list("Offline", &of(false))
    )
}

fn pacemaker_nodes(status: &Status) -> String {
    let mut lists: [Vec<&str>; 5] = Default::default();
    for node in &status.nodes {
        let at = match node {
            n if !n.online => 4,
            n if n.maintenance => 3,
            n if n.standby && n.resources_running > 0 => 2,
            n if n.standby => 1,
            _ => 0,
        };
        lists[at].push(&node.name);
    }
    let headings = [
        "Online",
        "Standby",
        "Standby with resource(s) running",
        "Maintenance",
        "Offline",
    ];
    let mut text = String::from("Pacemaker Nodes:\n");
    for (heading, names) in headings.iter().zip(&lists) {
        text.push_str(&list(heading, names));
    }
    text.push_str("Pacemaker Remote Nodes:\n");
    for heading in headings {
        text.push_str(&list(heading, &[]));
    }
    text
}

fn pcsd(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    cx.console
        .line("pcsd is not needed: the nodes talk to each other through mainstayd");
    Ok(())
}

fn xml(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let status = backend::status(cx.backend)?;
    cx.console
        .print(&view::xml::document(&status, "crm_mon --output-as=xml"));
    Ok(())
}

fn wait(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let timeout_ms = match words {
        [] => crate::cli::crm::WAIT_MS_MAX,
        [seconds] => cib::value::parse_interval_ms(seconds)?,
        _ => return Err(misused()),
    };
    let request = crate::ipc::Request::WaitIdle { timeout_ms };
    backend::ask_done(cx.backend, &request).map(|_| ())
}
