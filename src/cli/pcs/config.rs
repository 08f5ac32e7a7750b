//! `pcs config`: everything that is configured, on one page.

use super::level::{Level, also, misused, refused, verb};
use super::resource::{defaults, show};
use super::{Context, alert, constraint, property, quorum, stonith, tag};
use crate::cli::exit::Failure;
use cib::config::Config;
use cib::{Cib, Section};
use std::fmt::Write as _;

pub(super) const LEVEL: Level = Level {
    path: "pcs config",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("config", "", &["file"], config),
        also("show", "config"),
        refused(
            "backup",
            "`pcs cluster cib FILE` saves it, and `mainstay history` keeps the last versions",
        ),
        refused(
            "restore",
            "`pcs cluster cib-push FILE` brings a saved one back",
        ),
        refused(
            "checkpoint",
            "`mainstay history` lists the kept versions, `mainstay history show N --xml` prints one, `pcs cluster cib-push` brings it back",
        ),
    ],
};

fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let mut text = String::new();
    if cx.backend.live() {
        let status = crate::cli::backend::status(cx.backend)?;
        let _ = writeln!(text, "Cluster Name: {}", status.cluster_name);
        let names: Vec<&str> = status.peers.iter().map(|p| p.name.as_str()).collect();
        let _ = writeln!(text, "Corosync Nodes:\n {}", names.join(" "));
    } else {
        let name = Config::new(&cib)
            .property("cluster-name")
            .unwrap_or_default();
        let _ = writeln!(text, "Cluster Name: {name}");
    }
    text.push_str(&body(&cib));
    if let Ok(options) = quorum::options(cx)
        && cx.backend.live()
    {
        text.push_str("\nQuorum:\n");
        for line in quorum::text(&options).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    cx.console.print(&text);
    Ok(())
}

/// What the CIB holds.
fn body(cib: &Cib) -> String {
    let names: Vec<&str> = Config::new(cib).nodes().iter().map(|n| n.uname).collect();
    let mut text = format!("Pacemaker Nodes:\n {}\n", names.join(" "));
    let of = |fencing| show::chosen(cib, &[], fencing).unwrap_or_default();
    let _ = write!(text, "\nResources:\n{}", show::text(&of(false), 2));
    let _ = write!(text, "\nStonith Devices:\n{}", show::text(&of(true), 2));
    let _ = write!(text, "Fencing Levels:\n{}", stonith::levels_text(cib, 2));
    let _ = write!(text, "\n{}", constraint::text(cib, true));
    let _ = write!(text, "\n{}", alert::text(cib));
    let _ = write!(
        text,
        "\nResources Defaults:\n{}Operations Defaults:\n{}",
        defaults::text(cib, Section::RscDefaults, 2),
        defaults::text(cib, Section::OpDefaults, 2)
    );
    let _ = write!(text, "\n{}", property::text(cib, &[]));
    let tags = tag::text(cib, &[], 1);
    let tags = if tags.is_empty() {
        " No tags defined\n"
    } else {
        &tags
    };
    let _ = write!(text, "\nTags:\n{tags}");
    text
}
