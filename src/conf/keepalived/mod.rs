//! keepalived.conf(5), read to move floating addresses to this cluster.
//!
//! What VRRP needs and a cluster does not (router ids, advertisement intervals, passwords) is obsolete;
//! what has no counterpart is refused with the cure. The outcome is lines for `crm configure`.

mod address;
mod keys;
mod syntax;
mod translate;

use super::ConfError;
use syntax::Statement;

/// What a keepalived.conf becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// Lines for `crm configure`, in an order in which they can be typed.
    pub lines: Vec<String>,
    /// What became of each setting, in file order.
    pub findings: Vec<Finding>,
}

/// What became of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: usize,
    /// Column of the word that is meant, from 1.
    pub column: usize,
    /// How it was taken.
    pub fate: Fate,
    /// The setting, and what is said about it.
    pub text: String,
}

/// How a setting was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It has a counterpart here.
    Maps,
    /// Nothing here needs it.
    Obsolete,
    /// It is lost: somebody has to do something.
    Refused,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Maps => "maps",
            Self::Obsolete => "obsolete",
            Self::Refused => "REFUSED",
        })
    }
}

/// Reads a keepalived.conf; `file` is for messages, `node` is the machine whose file it is: VRRP has
/// one for each, and its `priority` is that machine's.
///
/// # Errors
/// [`ConfError`] for what is no keepalived.conf at all.
pub fn translate(file: &str, text: &str, node: &str) -> Result<Translation, ConfError> {
    let statements = syntax::parse(file, text)?;
    Ok(translate::translate(&statements, node))
}

/// True for a text that looks like one.
#[must_use]
pub fn is_one(text: &str) -> bool {
    let first_words = text
        .lines()
        .filter_map(|l| l.split_ascii_whitespace().next());
    let of_its_own = [
        "vrrp_instance",
        "vrrp_sync_group",
        "vrrp_script",
        "virtual_server",
    ];
    first_words
        .into_iter()
        .any(|word| of_its_own.contains(&word))
}

#[cfg(test)]
mod tests;
