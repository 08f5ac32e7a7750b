//! `mainstay why RESOURCE`: the scheduler's reasons as sentences.

use crate::cli::crm_simulate::Row;
use crate::cli::exit::{Exit, Failure};
use crate::view;
use scheduler::{Because, Plan, Reason, ResourceStatus, Score};
use std::fmt::Write as _;

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
        let name = resource.shown.name.as_str();
        let own = self.plan.reasons.iter().filter(|r| r.resource == name);
        let reasons: Vec<&Reason> = own.collect();
        for reason in reasons.iter().filter(|r| r.node.is_none()) {
            let _ = writeln!(text, "  {}", sentence(&reason.because));
        }
        self.write_nodes(text, &reasons);
        let next: Vec<String> = self.next(name);
        for line in &next {
            let _ = writeln!(text, "  next: {line}");
        }
        if reasons.is_empty() && next.is_empty() && resource.children.is_empty() {
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
            let own = reasons.iter().filter(|r| r.node.as_deref() == Some(*node));
            let mut lines: Vec<String> = own
                .filter(|r| !matches!(r.because, Because::Chosen { .. }))
                .map(|r| sentence(&r.because))
                .collect();
            let heading = match (chosen, score) {
                (Some(c), _) if c.node == *node => {
                    lines.extend(c.tie.map(|tie| format!("among equals, {tie}")));
                    format!("on {node}, with a score of {}", amount(c.score))
                }
                (_, Some(score)) => format!("not on {node}, with a score of {}", amount(*score)),
                (_, None) => format!("not on {node}"),
            };
            if lines.is_empty() && !is_chosen(node) {
                lines.extend(self.compared(node, *score, chosen));
            }
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

    /// Why a node lost about which no rule says anything.
    fn compared(&self, node: &str, score: Option<i32>, chosen: Option<Chosen>) -> Option<String> {
        let Some(parent) = self.parent else {
            return chosen.map(|chosen| compared_with(&chosen, score));
        };
        let siblings = || {
            parent
                .children
                .iter()
                .filter(|c| !std::ptr::eq(*c, self.resource))
        };
        let first = parent.children.first();
        if parent.kind == "group" && !first.is_some_and(|f| std::ptr::eq(f, self.resource)) {
            let first = &first?.shown.name;
            return Some(format!(
                "the members of {} stay together: see {first}",
                parent.id
            ));
        }
        if parent.kind == "clone" && score.is_some_and(|s| s <= MINUS_INFINITY) {
            let there =
                |c: &ResourceStatus| self.chosen(&c.shown.name).is_some_and(|c| c.node == node);
            let other = siblings().find(|c| there(c))?;
            return Some(format!("{} is there", other.shown.name));
        }
        chosen.map(|chosen| compared_with(&chosen, score))
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
        let scores = self.plan.scores.iter().rev();
        let mut own = scores.filter_map(|s| match s {
            Score::Assignment {
                resource,
                node,
                score,
                ..
            } if resource == name && node == wanted => Some(*score),
            _ => None,
        });
        own.next()
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

fn compared_with(chosen: &Chosen, score: Option<i32>) -> String {
    let best = chosen.node;
    match score {
        Some(MINUS_INFINITY) => "it may not run there together with what it depends on".to_owned(),
        Some(score) if score < chosen.score => format!("{best} has the higher score"),
        _ => format!("nothing speaks against it; {best} was as good and came first"),
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

/// A line of the Transition Summary as a sentence.
fn next(row: &Row) -> String {
    let roles = ["Started", "Stopped", "Promoted", "Unpromoted", "->"];
    let words = row.how.split_whitespace();
    let nodes: Vec<&str> = words.filter(|word| !roles.contains(word)).collect();
    let way = match nodes.as_slice() {
        [from, to] => format!("from {from} to {to}"),
        [node] => format!("on {node}"),
        _ => String::new(),
    };
    let deed = match row.what {
        "Start" => "start it",
        "Stop" => "stop it",
        "Move" => "stop it and start it anew, moving",
        "Migrate" => "move it live",
        "Recover" => "stop it and start it anew, to recover it,",
        "Restart" => "stop it and start it anew",
        "Reload" => "let it take its new parameters over",
        "Promote" => "promote it",
        "Demote" => "demote it",
        "Re-promote" => "demote it and promote it anew",
        other => other,
    };
    let reason = row.why.trim();
    let blocked = reason.ends_with("blocked") || reason.ends_with("(blocked)");
    let reason = reason.strip_prefix("due to ").unwrap_or_default();
    let because = match reason.trim_end_matches(" (blocked)") {
        "" => String::new(),
        reason => format!(", because {}", because(reason)),
    };
    let but = if blocked {
        "; that cannot be done now"
    } else {
        ""
    };
    format!("{deed} {way}{because}{but}")
}

/// The scheduler's "due to", in words.
fn because(reason: &str) -> String {
    let deed = |rest: &str| -> Option<(String, String)> {
        let (resource, task) = rest.rsplit_once(' ')?;
        Some((resource.to_owned(), task.to_owned()))
    };
    if let Some(rest) = reason.strip_prefix("unrunnable ") {
        return match deed(rest) {
            Some((resource, task)) => format!("{resource} cannot {}", cannot(&task)),
            None => {
                let id = rest.split_once(':').map_or(rest, |(_, id)| id);
                format!("too few of what `{id}` asks for can run")
            }
        };
    }
    if let Some((resource, task)) = reason.strip_prefix("required ").and_then(deed) {
        return format!("{resource} must {} first", cannot(&task));
    }
    if let Some(resource) = reason.strip_prefix("colocation with ") {
        return format!("it belongs where {resource} is, which has no place");
    }
    if let Some((resource, _)) = reason.strip_prefix("unmigrateable ").and_then(deed) {
        return format!("{resource}, which it needs, cannot move while it runs");
    }
    match reason {
        "failure" => "it failed".to_owned(),
        "node availability" => "no node may run it as things are".to_owned(),
        "no quorum" => "this partition has no quorum".to_owned(),
        "quorum freeze" => "without quorum nothing is started that does not run".to_owned(),
        "resource definition change" => "its definition was changed".to_owned(),
        "being multiply active" => "it runs on several nodes at once".to_owned(),
        other => other.to_owned(),
    }
}

fn cannot(task: &str) -> &str {
    match task {
        "start" => "be started",
        "running" => "come up as a whole",
        "stop" => "be stopped",
        "stopped" => "be stopped as a whole",
        "promote" => "be promoted",
        "demote" => "be demoted",
        "monitor" => "be looked at",
        "notified" => "be told what happens",
        other => other,
    }
}

fn sentence(because: &Because) -> String {
    match because {
        Because::Chosen { score, .. } => format!("chosen, with a score of {}", amount(*score)),
        Because::Score {
            amount: points,
            from,
            id,
        } => {
            let points = signed(*points);
            match from.as_str() {
                "location" => format!("{points} by the location constraint `{id}`"),
                "node-health" => {
                    format!("{points} by the node's health (node-health-strategy is {id})")
                }
                "stickiness" => {
                    format!("{points} because it is there already (resource-stickiness)")
                }
                "shutdown-lock" => {
                    format!("{points} because it is locked to this node until that is back")
                }
                "utilization" => format!("{points} because the node has no capacity left for it"),
                other => format!("{points} from {other} `{id}`"),
            }
        }
        Because::NodeUnusable { state } => match state.as_str() {
            "unclean" => "the node may still run something, and was not fenced yet".to_owned(),
            "shutdown" => "the node is shutting down".to_owned(),
            state => format!("the node is {state}"),
        },
        Because::TargetRole { role } => {
            format!("it shall be {} (target-role)", role.to_lowercase())
        }
        Because::AllStopped => {
            "all resources shall be stopped (the option stop-all-resources)".to_owned()
        }
        Because::FailedTooOften {
            failcount,
            threshold,
        } => format!(
            "it failed there {} times, migration-threshold is {}",
            view::score(*failcount),
            view::score(*threshold)
        ),
        Because::NoQuorum { policy } => {
            format!("this partition has no quorum, and no-quorum-policy is {policy}")
        }
        Because::Needs { resource, id } if id == "order" => {
            format!("it may start only after {resource}, which cannot be started")
        }
        Because::Needs { resource, id } => format!("it needs {resource} (`{id}`)"),
        Because::NeedsTicket { ticket, id } => {
            format!("it needs the ticket {ticket} (`{id}`), which this cluster does not have")
        }
        Because::Nowhere => "no node is left that may run it".to_owned(),
        Because::WaitsForFencing { node } => {
            format!(
                "it waits until {node} is fenced: only then is it certain that nothing runs there"
            )
        }
        Because::NotManaged => "the cluster does not manage it now".to_owned(),
        Because::Blocked { operation } => {
            format!("it is blocked: {operation} failed, and may not be followed by anything")
        }
    }
}

fn amount(score: i32) -> String {
    match score {
        INFINITY.. => "INFINITY".to_owned(),
        i32::MIN..=MINUS_INFINITY => "-INFINITY".to_owned(),
        score => score.to_string(),
    }
}

fn signed(score: i32) -> String {
    let text = amount(score);
    if score > 0 { format!("+{text}") } else { text }
}

/// The score that means "must" (Pacemaker `PCMK_SCORE_INFINITY`).
const INFINITY: i32 = 1_000_000;
const MINUS_INFINITY: i32 = -INFINITY;
/// Nodes told of without being asked for one.
const NODES_SHOWN_MAX: usize = 8;
/// Resources and members told of at once.
const ANSWERS_MAX: usize = 64;

#[cfg(test)]
mod tests;
