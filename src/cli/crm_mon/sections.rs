//! `--include` and `--exclude`: which parts of a status are shown (tools/crm_mon.c,
//! `apply_include_exclude`). A text is cut by its headings, a document by its elements.

use crate::cli::exit::Failure;
use cib::Element;
use std::collections::BTreeSet;

/// Names of parts that are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sections {
    shown: BTreeSet<&'static str>,
    /// Only bans whose constraint begins so.
    pub(super) bans_prefix: String,
}

impl Sections {
    /// What is shown when nothing is said: everything in XML, the usual in text.
    #[must_use]
    pub(super) fn usual(xml: bool) -> Self {
        let names = if xml { &NAMES[..] } else { &USUAL[..] };
        Self {
            shown: names.iter().copied().collect(),
            bans_prefix: String::new(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.shown.contains(name)
    }

    pub(super) fn show(&mut self, name: &'static str) {
        self.shown.insert(name);
    }

    /// `--fence-history`: nothing, failures and what is under way, all of them.
    pub(super) fn fence_history(&mut self, level: u8) {
        self.shown.retain(|n| !FENCING.contains(n));
        self.shown.extend(match level {
            0 => &[],
            1 => &FENCING[..2],
            _ => &FENCING[..],
        });
    }

    pub(super) fn hide_summary(&mut self) {
        self.shown.retain(|n| !SUMMARY.contains(n));
    }

    /// One comma-separated list of `--include` or `--exclude`.
    ///
    /// # Errors
    /// Unknown names; `list` asks for those that there are.
    pub(super) fn apply(&mut self, list: &str, include: bool, xml: bool) -> Result<(), Failure> {
        for word in list.split(',').filter(|w| !w.is_empty()) {
            let (word, prefix) = word.split_once(':').unwrap_or((word, ""));
            let names: Vec<&'static str> = match word {
                "all" if include => all(xml),
                "all" => NAMES.to_vec(),
                "none" => {
                    *self = Self::usual(xml);
                    match include {
                        true => self.shown.clear(),
                        false => self.shown.extend(all(xml)),
                    }
                    continue;
                }
                "default" | "defaults" if include => {
                    *self = Self::usual(xml);
                    continue;
                }
                "summary" => SUMMARY.to_vec(),
                "fencing" => FENCING.to_vec(),
                other => match NAMES.iter().find(|n| **n == other) {
                    Some(name) => vec![name],
                    None => return Err(unknown(other, include)),
                },
            };
            if word == "bans" {
                prefix.clone_into(&mut self.bans_prefix);
            }
            match include {
                true => self.shown.extend(names),
                false => self.shown.retain(|n| !names.contains(n)),
            }
        }
        Ok(())
    }

    /// A text without the parts that are not shown.
    #[must_use]
    pub(super) fn cut_text(&self, text: &str) -> String {
        let mut out = String::new();
        for part in text.split("\n\n") {
            let part = part.trim_matches('\n');
            let heading = part.lines().next().unwrap_or_default();
            let kept = match heading {
                "Cluster Summary:" => self.summary(part),
                _ if self.shows(heading) => part.to_owned(),
                _ => continue,
            };
            if kept.is_empty() {
                continue;
            }
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&kept);
            out.push('\n');
        }
        out
    }

    fn shows(&self, heading: &str) -> bool {
        let name = match heading {
            "Node List:" => "nodes",
            "Active Resources:" | "Full List of Resources:" | "Inactive Resources:" => "resources",
            "Node Attributes:" => "attributes",
            "Operations:" => "operations",
            "Migration Summary:" => "failcounts",
            "Failed Resource Actions:" => "failures",
            "Failed Fencing Actions:" => "fencing-failed",
            "Pending Fencing Actions:" => "fencing-pending",
            "Fencing History:" => "fencing-succeeded",
            "Tickets:" => "tickets",
            "Negative Location Constraints:" => "bans",
            banner if banner.contains("DISABLED") => "maint-mode",
            _ => return true,
        };
        self.has(name)
    }

    fn summary(&self, part: &str) -> String {
        let lines = part.lines().skip(1).filter(|line| {
            let name = match line.trim_start_matches([' ', '*']) {
                l if l.starts_with("Stack:") => "stack",
                l if l.starts_with("Current DC:") => "dc",
                l if l.starts_with("Last ") => "times",
                l if OPTION_LINES.iter().any(|start| l.starts_with(start)) => "options",
                _ => "counts",
            };
            self.has(name)
        });
        let lines: Vec<&str> = lines.collect();
        match lines.is_empty() {
            true => String::new(),
            false => format!("Cluster Summary:\n{}", lines.join("\n")),
        }
    }

    /// A document without the parts that are not shown.
    pub(super) fn cut_document(&self, root: &mut Element) {
        root.children.retain_mut(|part| {
            let name = match part.name.as_str() {
                "summary" => {
                    part.children.retain(|line| self.has(summary_name(line)));
                    return !part.children.is_empty();
                }
                "node_attributes" => "attributes",
                "node_history" => return self.has("operations") || self.has("failcounts"),
                "fence_history" => return FENCING.iter().any(|name| self.has(name)),
                "nodes" | "resources" | "failures" | "tickets" | "bans" => {
                    return self.has(&part.name);
                }
                _ => return true,
            };
            self.has(name)
        });
    }
}

fn summary_name(line: &Element) -> &'static str {
    match line.name.as_str() {
        "stack" => "stack",
        "current_dc" => "dc",
        "last_update" | "last_change" => "times",
        "cluster_options" => "options",
        _ => "counts",
    }
}

/// What `all` stands for: in a text the options want to be asked for by name.
fn all(xml: bool) -> Vec<&'static str> {
    let names = NAMES.into_iter();
    names.filter(|name| xml || *name != "options").collect()
}

fn unknown(word: &str, include: bool) -> Failure {
    let option = if include { "--include" } else { "--exclude" };
    let default = if include { " default," } else { "" };
    let names = format!(
        "all, attributes, bans[:PREFIX], counts, dc,{default} failcounts, failures, fencing, fencing-failed, fencing-pending, fencing-succeeded, maint-mode, nodes, none, operations, options, resources, stack, summary, tickets, times"
    );
    match word {
        "list" => Failure::usage(format!("{option} options: {names}")),
        _ => Failure::usage(format!(
            "{option}={word} is unknown; {option} options: {names}"
        )),
    }
}

/// How the lines of `options` begin.
const OPTION_LINES: [&str; 3] = [
    "STONITH of failed nodes ",
    "Cluster is ",
    "No quorum policy: ",
];
const SUMMARY: [&str; 6] = ["stack", "dc", "times", "counts", "options", "maint-mode"];
/// What `fencing` stands for.
const FENCING: [&str; 3] = ["fencing-failed", "fencing-pending", "fencing-succeeded"];
const USUAL: [&str; 10] = [
    "stack",
    "dc",
    "times",
    "counts",
    "maint-mode",
    "nodes",
    "resources",
    "failures",
    "fencing-failed",
    "fencing-pending",
];
const NAMES: [&str; 17] = [
    "attributes",
    "bans",
    "counts",
    "dc",
    "failcounts",
    "failures",
    "fencing-failed",
    "fencing-pending",
    "fencing-succeeded",
    "maint-mode",
    "nodes",
    "operations",
    "options",
    "resources",
    "stack",
    "tickets",
    "times",
];

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Cluster Summary:\n  * Stack: corosync\n  * Current DC: a\n  * Last updated: now\n  * 1 node configured\n\nNode List:\n  * Online: [ a ]\n\nActive Resources:\n  * No active resources\n\nTickets:\n  * t: granted\n";

    fn cut(include: &[(&str, bool)]) -> String {
        let mut sections = Sections::usual(false);
        for (list, include) in include {
            sections.apply(list, *include, false).unwrap();
        }
        sections.cut_text(TEXT)
    }

    #[test]
    fn parts_come_and_go() {
        assert!(!cut(&[]).contains("Tickets"));
        assert_eq!(cut(&[("all", true)]), TEXT);
        assert_eq!(
            cut(&[("none,nodes", true)]),
            "Node List:\n  * Online: [ a ]\n"
        );
        assert_eq!(
            cut(&[("all", false), ("dc,tickets", true)]),
            "Cluster Summary:\n  * Current DC: a\n\nTickets:\n  * t: granted\n"
        );
        let text = cut(&[("dc,times", false)]);
        assert!(
            text.starts_with("Cluster Summary:\n  * Stack: corosync\n  * 1 node configured\n\n")
        );
    }

    #[test]
    fn an_unknown_part_names_the_known_ones() {
        let failure = Sections::usual(false)
            .apply("rubbish", true, false)
            .unwrap_err();
        assert!(failure.text.contains("failcounts"), "{failure}");
    }
}
