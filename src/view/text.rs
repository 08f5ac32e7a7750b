//! The status as `crm_mon -1` of Pacemaker 2.1 prints it (lib/pengine/pe_output.c,
//! tools/crm_mon.c), to the blank.

use super::list::{self, Look};
use super::printer::{Form, Printer};
use super::{Status, brief, failures, history, leaves, summary};
use cib::Element;
use scheduler::ResourceStatus;
use std::fmt::Write as _;

/// What to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Resources that run nowhere, too (`-r`).
    pub inactive: bool,
    /// Resources under their nodes (`-n`).
    pub by_node: bool,
    /// The migration summary (`-f`).
    pub failcounts: bool,
    /// Attributes of the nodes (`-A`).
    pub attributes: bool,
    /// Operations (`-o`); they tell the fail counts, too.
    pub operations: bool,
    /// Operations with their times and results (`-t`).
    pub timing: bool,
    /// Constraints that keep resources away from nodes (`-L`).
    pub bans: bool,
    /// Without the summary (`-D`).
    pub no_headers: bool,
    /// Numbers instead of a line for every resource (`-b`).
    pub brief: bool,
    /// Ids of nodes, instances one by one, failures with every detail (`-R`).
    pub detail: bool,
    /// Primitives without their places, as `crm_resource --list` has them.
    pub placeless: bool,
}

/// Everything.
#[must_use]
pub fn document(status: &Status, options: Options) -> String {
    part_of(status, status, options)
}

/// A part of a status below the summary of the whole.
#[must_use]
pub fn part_of(whole: &Status, status: &Status, options: Options) -> String {
    let mut text = match options.no_headers {
        true => String::new(),
        false => summary::text(whole, options.detail),
    };
    let look = look(status, options);
    let mut out = Printer::new(Form::Fancy, Element::default());
    if options.by_node {
        text.push_str(&nodes_with_resources(status, options));
        if options.inactive {
            out.spacer();
            part(&mut out, "Inactive Resources", |out| {
                list::show_resources(out, &status.resources, look, true);
            });
        }
    } else {
        if !status.nodes.is_empty() {
            out.spacer();
            part(&mut out, "Node List", |out| list::show_nodes(out, look));
        }
        out.spacer();
        part(&mut out, heading(options), |out| {
            list::show_resources(out, &status.resources, look, false);
        });
    }
    text.push_str(&out.take());
    if options.attributes {
        text.push_str(&history::attributes(status));
    }
    if options.operations || options.timing {
        text.push_str(&history::operations(status, options.timing));
    } else if options.failcounts {
        text.push_str(&failures::migration(status));
    }
    text.push_str(&failures::failed(status, options.detail));
    if options.bans {
        text.push_str(&history::bans(status));
    }
    // The blank line between two parts is none at the beginning.
    text.strip_prefix('\n').map(str::to_owned).unwrap_or(text)
}

/// Attributes of nodes, and fail counts with the failures behind them, each after an empty line, as
/// `crm_simulate -A -c` adds them.
pub(crate) fn more(status: &Status, attributes: bool, failcounts: bool) -> String {
    let mut text = String::new();
    if attributes {
        text.push_str(&history::attributes(status));
    }
    if failcounts {
        text.push_str(&failures::migration(status));
        text.push_str(&failures::failed(status, true));
    }
    text
}

/// `Negative Location Constraints:`, after an empty line.
#[must_use]
pub fn bans(status: &Status) -> String {
    history::bans(status)
}

/// The list of resources with its heading, as `crm resource status` shows it.
#[must_use]
pub fn resource_list(status: &Status, options: Options) -> String {
    let mut out = Printer::new(Form::Fancy, Element::default());
    part(&mut out, "Full List of Resources", |out| {
        list::show_resources(out, &status.resources, look(status, options), false);
    });
    out.take()
}

const fn heading(options: Options) -> &'static str {
    match options.inactive {
        true => "Full List of Resources",
        false => "Active Resources",
    }
}

fn look(status: &Status, options: Options) -> Look<'_> {
    Look {
        nodes: &status.nodes,
        pending: true,
        inactive: options.inactive,
        detail: options.detail,
        brief: options.brief,
        placeless: options.placeless,
    }
}

fn part(out: &mut Printer, title: &str, fill: impl FnOnce(&mut Printer)) {
    out.list(title, Element::default(), fill);
}

fn nodes_with_resources(status: &Status, options: Options) -> String {
    let mut text = String::from("\nNode List:\n");
    for node in &status.nodes {
        let here = on_node(status, &node.name);
        // In brief, a node with nothing on it is not worth a line.
        if options.brief && here.is_empty() {
            continue;
        }
        let head = list::node_line(node, options.detail);
        let _ = writeln!(text, "  * {head}:\n    * Resources:");
        let lines = match options.brief {
            true => brief::on_node(&here),
            false => here
                .iter()
                .map(|leaf| {
                    // The others where it runs are told there.
                    let mut leaf = (*leaf).clone();
                    leaf.nodes.retain(|n| *n == node.name);
                    list::line(&leaf, list::shown_name(&leaf), &None, true)
                })
                .collect(),
        };
        for line in lines {
            let _ = writeln!(text, "      * {line}");
        }
    }
    text
}

/// What runs on a node, in the order of what was done there (Pacemaker
/// lib/pengine/unpack.c:unpack_node_lrm), without the connections of guests.
pub(super) fn on_node<'s>(status: &'s Status, node: &str) -> Vec<&'s ResourceStatus> {
    let mut here = Vec::new();
    for resource in &status.resources {
        leaves(resource, &mut |leaf| {
            if leaf.nodes.iter().any(|n| n == node) && !leaf.shown.internal {
                here.push(leaf);
            }
        });
    }
    let details = status.details.iter().find(|d| d.node == node);
    let done = details.map(|d| d.history.as_slice()).unwrap_or_default();
    // Interchangeable instances have one name; those of another kind stand in their order.
    here.sort_by_key(|leaf| {
        let name = leaf.id.split(':').next().unwrap_or_default();
        let at = done.iter().position(|h| h.resource == name);
        at.unwrap_or(usize::MAX)
    });
    here
}
