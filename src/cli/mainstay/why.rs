//! `mainstay why RESOURCE`: the scheduler's reasons as sentences.

use crate::cli::crm_simulate::Row;
use crate::cli::exit::{Exit, Failure};
use crate::view;
use scheduler::{Because, Plan, Reason, ResourceStatus};
use std::fmt::Write as _;
use words::{amount, next, sentence};

/// Where it is, why there, why not elsewhere, what happens next, what would have to change. With
/// a node, what is said of others is left out.
///
/// # Errors
/// [`Exit::NoSuch`] for a resource or node the cluster does not know.
pub(in crate::cli) fn explain(
    plan: &Plan,
    id: &str,
    node: Option<&str>,
) -> Result<String, Failure> {
    if let Some(name) = node
        && !plan.nodes.iter().any(|n| n.name == name)
    {
        let known: Vec<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
        return Err(unknown("node", name, &known));
    }
    let mut found = Vec::new();
    plan.resources
        .iter()
        .for_each(|r| find(r, None, id, &mut found));
    if found.is_empty() {
        let mut known = Vec::new();
        plan.resources.iter().for_each(|r| names(r, &mut known));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(unknown("resource", id, &known));
    }
    let mut text = String::new();
    for (number, (resource, parent)) in found.into_iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        let answer = Answer {
            plan,
            node,
            resource,
            parent,
        };
        answer.write(&mut text);
    }
    Ok(text)
}

/// The plan has a resource, or instances, of this name.
pub(super) fn knows(plan: &Plan, id: &str) -> bool {
    let mut found = Vec::new();
    let resources = plan.resources.iter();
    resources.for_each(|r| find(r, None, id, &mut found));
    !found.is_empty()
}

fn unknown(kind: &str, name: &str, known: &[&str]) -> Failure {
    Failure {
        exit: Exit::NoSuch,
        text: format!("there is no {kind} {name}"),
        cure: Some(match known {
            [] => format!("no {kind} is configured"),
            known => format!("there are: {}", known.join(", ")),
        }),
    }
}

/// A resource and what it is a part of.
type Place<'a> = (&'a ResourceStatus, Option<&'a ResourceStatus>);

/// The resource of this id with all that is in it, or all instances of that name.
fn find<'a>(
    resource: &'a ResourceStatus,
    parent: Option<&'a ResourceStatus>,
    id: &str,
    found: &mut Vec<Place<'a>>,
) {
    let name = resource.shown.name.as_str();
    if resource.id == id || name == id || name.split(':').next() == Some(id) {
        collect(resource, parent, found);
        return;
    }
    let children = resource.children.iter();
    children.for_each(|c| find(c, Some(resource), id, found));
}

fn collect<'a>(
    resource: &'a ResourceStatus,
    parent: Option<&'a ResourceStatus>,
    found: &mut Vec<Place<'a>>,
) {
    if found.len() < ANSWERS_MAX {
        found.push((resource, parent));
        let children = resource.children.iter();
        children.for_each(|c| collect(c, Some(resource), found));
    }
}

fn names(resource: &ResourceStatus, into: &mut Vec<String>) {
    let base = resource.id.split(':').next().unwrap_or_default().to_owned();
    if !into.contains(&base) {
        into.push(base);
    }
    resource.children.iter().for_each(|c| names(c, into));
}

/// The answer about one resource.
struct Answer<'a> {
    plan: &'a Plan,
    /// The only node to speak of.
    node: Option<&'a str>,
    resource: &'a ResourceStatus,
    parent: Option<&'a ResourceStatus>,
}

impl Answer<'_> {
    fn write(&self, text: &mut String) {
        let resource = self.resource;
        let _ = writeln!(text, "{}", place(resource));
        let before = text.len();
        let name = resource.shown.name.as_str();
        let own = self.plan.reasons.iter().filter(|r| r.resource == name);
        let reasons: Vec<&Reason> = own.collect();
        for reason in reasons.iter().filter(|r| r.node.is_none()) {
            let _ = writeln!(text, "  {}", sentence(&reason.because));
        }
        // Of what consists of parts, only these have places.
        if resource.children.is_empty() {
            self.write_nodes(text, &reasons);
        }
        let next: Vec<String> = self.next(name);
        for line in &next {
            let _ = writeln!(text, "  next: {line}");
        }
        if text.len() == before && resource.children.is_empty() {
            text.push_str("  the scheduler had nothing to weigh about it\n");
        }
        let mut cures: Vec<String> = Vec::new();
        for cure in reasons.iter().filter_map(|r| self.cure(r)) {
            if !cures.contains(&cure) {
                cures.push(cure);
            }
        }
        if !cures.is_empty() {
            text.push_str("  to change that:\n");
        }
        for cure in cures {
            let _ = writeln!(text, "    {cure}");
        }
    }

    /// The node chosen first: that is what was asked; then the others, the better ones first.
    fn write_nodes(&self, text: &mut String, reasons: &[&Reason]) {
        let name = self.resource.shown.name.as_str();
        let chosen = self.chosen(name);
        let speaks = |node: &str| reasons.iter().any(|r| r.node.as_deref() == Some(node));
        let all = self.plan.nodes.iter().map(|n| n.name.as_str());
        let mut nodes: Vec<(&str, Option<i32>)> = all
            .filter(|node| self.node.is_none_or(|only| only == *node))
            .map(|node| (node, self.score(name, node)))
            .filter(|(node, score)| score.is_some() || speaks(node))
            .collect();
        let is_chosen = |node: &str| chosen.is_some_and(|c| c.node == node);
        nodes.sort_by_key(|(node, score)| (!is_chosen(node), std::cmp::Reverse(*score)));
        let mut told = 0;
        for (node, score) in &nodes {
            let heading = match (chosen, score) {
                (Some(c), _) if c.node == *node => {
                    format!("on {node}, with a score of {}", amount(c.score))
                }
                (None, Some(score)) if self.stays(node) => {
                    format!("left on {node}, with a score of {}", amount(*score))
                }
                (_, Some(score)) => format!("not on {node}, with a score of {}", amount(*score)),
                (_, None) => format!("not on {node}"),
            };
            let lines = self.lines(node, *score, chosen, reasons);
            // What holds everywhere was said above.
            if lines.is_empty() && !is_chosen(node) && self.node.is_none() {
                continue;
            }
            told += 1;
            if told > NODES_SHOWN_MAX {
                continue;
            }
            let colon = if lines.is_empty() { "" } else { ":" };
            let _ = writeln!(text, "  {heading}{colon}");
            for line in lines {
                let _ = writeln!(text, "    {line}");
            }
        }
        if told > NODES_SHOWN_MAX {
            let more = told - NODES_SHOWN_MAX;
            let _ = writeln!(text, "  nor on {more} more nodes (`--node` tells of one)");
        }
    }

    /// Nobody places it: it is left where it is.
    fn stays(&self, node: &str) -> bool {
        !self.resource.managed && self.resource.nodes.iter().any(|at| at == node)
    }

    /// What is said of one node: the terms of its score, what else speaks against it, and why
    /// another was better.
    fn lines(
        &self,
        node: &str,
        score: Option<i32>,
        chosen: Option<Chosen>,
        reasons: &[&Reason],
    ) -> Vec<String> {
        let own = reasons.iter().filter(|r| r.node.as_deref() == Some(node));
        let (terms, others): (Vec<&Because>, Vec<&Because>) = own
            .map(|r| &r.because)
            .partition(|because| because.amount().is_some());
        let general = |term: &&Because| matches!(term, Because::Score { from, .. } if GENERAL.contains(&from.as_str()));
        let mut lines = Vec::new();
        if self.node.is_some() || !terms.iter().all(general) {
            lines.extend(terms.iter().map(|term| self.term(term, node)));
        }
        let unusable = |term: &&Because| matches!(term, Because::Score { from, id, .. } if from == "node" && id != "score");
        let said = terms.iter().any(unusable);
        let mut settled = said;
        for other in others {
            match other {
                Because::Chosen { .. } | Because::Total { .. } => continue,
                Because::NodeUnusable { .. } if said => continue,
                _ => settled = true,
            }
            lines.push(sentence(other));
        }
        match chosen {
            Some(chosen) if chosen.node == node => {
                lines.extend(chosen.tie.map(|tie| format!("among equals, {tie}")));
            }
            Some(chosen) if !settled => {
                lines.extend(compared_with(&chosen, score, lines.is_empty()))
            }
            _ => {}
        }
        lines
    }

    /// Of full nodes it is said who is there.
    fn term(&self, term: &Because, node: &str) -> String {
        let full = matches!(term, Because::Score { from, .. } if from == "clone");
        let siblings = self.parent.iter().flat_map(|parent| &parent.children);
        let mut others = siblings.filter(|c| !std::ptr::eq(*c, self.resource));
        let there =
            |c: &&ResourceStatus| self.chosen(&c.shown.name).is_some_and(|c| c.node == node);
        match others.find(there).filter(|_| full) {
            Some(other) => format!("-INFINITY because {} is there", other.shown.name),
            None => sentence(term),
        }
    }

    /// Where a resource was placed.
    fn chosen(&self, name: &str) -> Option<Chosen<'_>> {
        let own = self.plan.reasons.iter().filter(|r| r.resource == name);
        let mut choices = own.filter_map(|r| match &r.because {
            Because::Chosen { score, tie } => Some(Chosen {
                node: r.node.as_deref()?,
                score: *score,
                tie: tie.as_deref(),
            }),
            _ => None,
        });
        choices.next()
    }

    /// The score that a node had when the resource was placed.
    fn score(&self, name: &str, wanted: &str) -> Option<i32> {
        let mut reasons = self.plan.reasons.iter();
        reasons.find_map(|r| match r.because {
            Because::Total { score } if r.resource == name => {
                (r.node.as_deref() == Some(wanted)).then_some(score)
            }
            _ => None,
        })
    }

    /// What the cluster is about to do with it.
    fn next(&self, name: &str) -> Vec<String> {
        let rows = self.plan.summary.iter().filter_map(|line| Row::parse(line));
        rows.filter(|row| row.id == name)
            .map(|row| next(&row))
            .collect()
    }

    /// Its machine is the inside of a resource.
    fn is_guest(&self, node: &str) -> bool {
        let mut nodes = self.plan.nodes.iter();
        nodes.any(|n| n.name == node && n.kind == "guest")
    }

    /// What a person could do about it.
    fn cure(&self, reason: &Reason) -> Option<String> {
        let id = reason.resource.split(':').next().unwrap_or_default();
        let node = reason.node.as_deref().unwrap_or("NODE");
        Some(match &reason.because {
            Because::TargetRole { .. } => format!("crm resource start {id}"),
            Because::AllStopped => "crm configure property stop-all-resources=false".to_owned(),
            Because::FailedTooOften { .. } | Because::Blocked { .. } => {
                format!("find out why it failed (`crm_mon -1 -f`), then: crm resource cleanup {id}")
            }
            Because::NeedsTicket { ticket, .. } => {
                format!("see why the ticket {ticket} is not granted (`crm_mon -1 -c`), or grant it")
            }
            Because::NoQuorum { .. } => "bring the missing nodes back".to_owned(),
            Because::NotManaged => {
                format!(
                    "crm resource manage {id}, or end maintenance mode: crm configure property maintenance-mode=false"
                )
            }
            Because::NoFenceDevice => {
                "configure a fence device (crm configure primitive ID stonith:AGENT …), or \
                 crm configure property stonith-enabled=false if data loss does not matter"
                    .to_owned()
            }
            Because::WaitsForFencing { node } if self.is_guest(node) => return None,
            Because::WaitsForFencing { node } => {
                format!("see that a fence device can reach {node} (`crm_mon -1`)")
            }
            Because::NodeUnusable { state } if state == "standby" => {
                format!("crm node online {node}")
            }
            Because::NodeUnusable { state } if state == "maintenance" => {
                format!("crm node ready {node}")
            }
            Because::Score { amount, id, .. }
                if *amount <= -INFINITY && id.starts_with("cli-ban-") =>
            {
                format!("crm configure delete {id}")
            }
            _ => return None,
        })
    }
}

/// A placement.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    node: &'a str,
    score: i32,
    tie: Option<&'a str>,
}

/// Why a node lost that could have been chosen.
fn compared_with(chosen: &Chosen, score: Option<i32>, alone: bool) -> Option<String> {
    let best = chosen.node;
    match score {
        Some(MINUS_INFINITY) if !alone => None,
        Some(score) if score < chosen.score => Some(format!("{best} has the higher score")),
        _ if alone => Some(format!("nothing speaks against it, but {best} was chosen")),
        _ => None,
    }
}

fn place(resource: &ResourceStatus) -> String {
    let mut places: Vec<String> = Vec::new();
    view::leaves(resource, &mut |leaf| {
        for node in &leaf.nodes {
            if !places.contains(node) {
                places.push(node.clone());
            }
        }
    });
    let failed = if resource.failed {
        ", and has failed"
    } else {
        ""
    };
    let name = if resource.kind == "primitive" {
        &resource.shown.name
    } else {
        &resource.id
    };
    match places.as_slice() {
        [] => format!("{name} is stopped{failed}."),
        [one] => format!(
            "{name} is {} on {one}{failed}.",
            resource.role.to_lowercase()
        ),
        several => format!(
            "{name} is {} on {}{failed}.",
            resource.role.to_lowercase(),
            several.join(", ")
        ),
    }
}

/// The score that means "must" (Pacemaker `PCMK_SCORE_INFINITY`).
const INFINITY: i32 = 1_000_000;
const MINUS_INFINITY: i32 = -INFINITY;
/// Nodes told of without being asked for one.
const NODES_SHOWN_MAX: usize = 8;
/// Resources and members told of at once.
const ANSWERS_MAX: usize = 64;

/// What is said of the resource as a whole already.
const GENERAL: [&str; 2] = ["target-role", "ticket"];

#[cfg(test)]
mod tests;
mod words;
