//! The levels and their verbs by name.

use super::configure;
use crate::cli::crm::configure::EDITS;
use crate::cli::crm::{
    assist, cibstatus, cluster, corosync, history, maintenance, node, preferences, ra, resource,
    scripts, shadows, site, templates,
};
use crate::cli::exit::Failure;
use crate::cli::pcs::is_it;

/// A level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::crm) enum Level {
    Configure,
    Node,
    Resource,
    Ra,
    Cib,
    Cluster,
    Corosync,
    History,
    Options,
    Site,
    Maintenance,
    Template,
    Assist,
    CibStatus,
    Script,
}

impl Level {
    /// The word that opens it.
    pub(in crate::cli::crm) const fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Node => "node",
            Self::Resource => "resource",
            Self::Ra => "ra",
            Self::Cib => "cib",
            Self::Cluster => "cluster",
            Self::Corosync => "corosync",
            Self::History => "history",
            Self::Options => "options",
            Self::Site => "site",
            Self::Maintenance => "maintenance",
            Self::Template => "template",
            Self::Assist => "assist",
            Self::CibStatus => "cibstatus",
            Self::Script => "script",
        }
    }

    /// Whom it is meant for (`crm options skill-level`).
    pub(in crate::cli::crm) const fn skill(self) -> &'static str {
        match self {
            Self::Node
            | Self::Resource
            | Self::Ra
            | Self::Cluster
            | Self::Corosync
            | Self::Script
            | Self::Options => "operator",
            _ => "administrator",
        }
    }

    /// Levels that may be opened from this one.
    pub(in crate::cli::crm) const fn inner(self) -> &'static [Self] {
        match self {
            Self::Configure => &[
                Self::Template,
                Self::Assist,
                Self::Cib,
                Self::CibStatus,
                Self::Ra,
            ],
            Self::Cib => &[Self::CibStatus],
            _ => &[],
        }
    }

    /// Its verbs.
    pub(in crate::cli::crm) fn verbs(self) -> Vec<&'static str> {
        match self {
            Self::Configure => [&EDITS[..], &configure::VERBS[..]].concat(),
            Self::Node => node::VERBS.to_vec(),
            Self::Resource => resource::verbs(),
            Self::Ra => ra::VERBS.to_vec(),
            Self::Cib => shadows::VERBS.to_vec(),
            Self::Cluster => cluster::VERBS.to_vec(),
            Self::Corosync => corosync::VERBS.to_vec(),
            Self::History => history::VERBS.to_vec(),
            Self::Options => preferences::VERBS.to_vec(),
            Self::Site => site::VERBS.to_vec(),
            Self::Maintenance => maintenance::VERBS.to_vec(),
            Self::Template => templates::VERBS.to_vec(),
            Self::Assist => assist::VERBS.to_vec(),
            Self::CibStatus => cibstatus::VERBS.to_vec(),
            Self::Script => scripts::VERBS.to_vec(),
        }
    }
}

/// What a word means where no level is open.
///
/// # Errors
/// As [`pick`].
pub(in crate::cli::crm) fn top(word: &str) -> Result<&'static str, Failure> {
    let names: Vec<&'static str> = TOP.iter().map(|(name, _)| *name).collect();
    match ALIASES.iter().find(|(alias, _)| *alias == word) {
        Some((_, name)) => Ok(name),
        None => pick("", &names, word),
    }
}

/// The verb meant: exact, or the only one that begins so.
///
/// # Errors
/// There is none, or several begin so.
pub(in crate::cli::crm) fn pick<'v>(
    level: &str,
    verbs: &[&'v str],
    word: &str,
) -> Result<&'v str, Failure> {
    if let Some(verb) = verbs.iter().find(|v| **v == word) {
        return Ok(verb);
    }
    let fits: Vec<&str> = verbs
        .iter()
        .filter(|v| !word.is_empty() && v.starts_with(word))
        .copied()
        .collect();
    let name = match level {
        "" => word.to_owned(),
        level => format!("{level}.{word}"),
    };
    match fits.as_slice() {
        [verb] => Ok(verb),
        [] => Err(Failure::usage(format!(
            "{name}: No such command{}",
            is_it(word, verbs.iter().copied())
        ))),
        several => Err(Failure::usage(format!(
            "{name}: which of {}?",
            several.join(", ")
        ))),
    }
}

/// Words where no level is open, and the levels that they open.
pub(in crate::cli::crm) const TOP: [(&str, Option<Level>); 18] = [
    ("configure", Some(Level::Configure)),
    ("node", Some(Level::Node)),
    ("resource", Some(Level::Resource)),
    ("ra", Some(Level::Ra)),
    ("cib", Some(Level::Cib)),
    ("cluster", Some(Level::Cluster)),
    ("corosync", Some(Level::Corosync)),
    ("history", Some(Level::History)),
    ("options", Some(Level::Options)),
    ("site", Some(Level::Site)),
    ("maintenance", Some(Level::Maintenance)),
    ("template", Some(Level::Template)),
    ("assist", Some(Level::Assist)),
    ("cibstatus", Some(Level::CibStatus)),
    ("script", Some(Level::Script)),
    ("status", None),
    ("verify", None),
    ("report", None),
];
/// Short names people type.
pub(in crate::cli::crm) const ALIASES: [(&str, &str); 6] = [
    ("cf", "configure"),
    ("cfg", "configure"),
    ("conf", "configure"),
    ("rsc", "resource"),
    ("st", "status"),
    ("nd", "node"),
];
/// Words that mean the same on every level.
pub(in crate::cli::crm) const GENERAL: [&str; 4] = ["cd", "up", "help", "quit"];
