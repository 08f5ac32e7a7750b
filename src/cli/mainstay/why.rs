//! `mainstay why RESOURCE`: the scheduler's reasons as sentences.

use crate::cli::exit::{Exit, Failure};
use crate::view;
use scheduler::{Because, Plan, Reason, ResourceStatus};
use std::fmt::Write as _;

/// Where it is, why there, why not elsewhere, what would have to change.
///
/// # Errors
/// [`Exit::NoSuch`] for a resource the cluster does not know.
pub(super) fn explain(plan: &Plan, id: &str) -> Result<String, Failure> {
    let Some(resource) = view::find_resource(&plan.resources, id) else {
        let mut known = Vec::new();
        plan.resources.iter().for_each(|r| names(r, &mut known));
        return Err(Failure {
            exit: Exit::NoSuch,
            text: format!("there is no resource {id}"),
            cure: Some(match known.as_slice() {
                [] => "no resource is configured".to_owned(),
                known => format!("there are: {}", known.join(", ")),
            }),
        });
    };
    let mut text = String::new();
    one(&mut text, plan, resource);
    for child in &resource.children {
        let differs = child.id != resource.id;
        if differs && has_reasons(plan, &child.id) {
            text.push('\n');
            one(&mut text, plan, child);
        }
    }
    Ok(text)
}

fn names(resource: &ResourceStatus, into: &mut Vec<String>) {
    let base = resource.id.split(':').next().unwrap_or_default().to_owned();
    if !into.contains(&base) {
        into.push(base);
    }
    resource.children.iter().for_each(|c| names(c, into));
}

fn has_reasons(plan: &Plan, id: &str) -> bool {
    plan.reasons.iter().any(|r| r.resource == id)
}

fn one(text: &mut String, plan: &Plan, resource: &ResourceStatus) {
    let _ = writeln!(text, "{}", place(resource));
    let reasons: Vec<&Reason> = plan
        .reasons
        .iter()
        .filter(|r| r.resource == resource.id)
        .collect();
    let general: Vec<&&Reason> = reasons.iter().filter(|r| r.node.is_none()).collect();
    for reason in &general {
        let _ = writeln!(text, "  {}", sentence(&reason.because));
    }
    let mut nodes: Vec<&str> = reasons.iter().filter_map(|r| r.node.as_deref()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    // The chosen node first: that is what was asked.
    nodes.sort_by_key(|node| !chosen(&reasons, node));
    for node in nodes {
        let heading = if chosen(&reasons, node) {
            format!("on {node}")
        } else {
            format!("not on {node}")
        };
        let _ = writeln!(text, "  {heading}:");
        for reason in reasons.iter().filter(|r| r.node.as_deref() == Some(node)) {
            let _ = writeln!(text, "    {}", sentence(&reason.because));
        }
    }
    if reasons.is_empty() {
        text.push_str("  the scheduler had nothing to weigh about it\n");
    }
    let next: Vec<&String> = plan
        .summary
        .iter()
        .filter(|line| line.split_whitespace().any(|w| w == resource.id))
        .collect();
    if !next.is_empty() {
        text.push_str("  what happens next:\n");
    }
    for line in next {
        let _ = writeln!(
            text,
            "    {}",
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }
    let mut cures: Vec<String> = reasons.iter().filter_map(|r| cure(r)).collect();
    cures.dedup();
    if !cures.is_empty() {
        text.push_str("  to change that:\n");
    }
    for cure in cures {
        let _ = writeln!(text, "    {cure}");
    }
}

fn chosen(reasons: &[&Reason], node: &str) -> bool {
    reasons
        .iter()
        .any(|r| r.node.as_deref() == Some(node) && matches!(r.because, Because::Chosen { .. }))
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
    let failed = if resource.failed { ", failed" } else { "" };
    match places.as_slice() {
        [] => format!("{} is stopped{failed}.", resource.id),
        places => format!(
            "{} is {} on {}{failed}.",
            resource.id,
            resource.role.to_lowercase(),
            places.join(", ")
        ),
    }
}

fn sentence(because: &Because) -> String {
    match because {
        Because::Chosen { score, tie } => {
            let tie = tie
                .as_ref()
                .map(|t| format!("; among equals, {t}"))
                .unwrap_or_default();
            format!("chosen, with a score of {}{tie}", amount(*score))
        }
        Because::Score {
            amount: points,
            from,
            id,
        } => match id.as_str() {
            "" => format!("{} from {from}", signed(*points)),
            id => format!("{} from {from} `{id}`", signed(*points)),
        },
        Because::NodeUnusable { state } => format!("the node is {state}"),
        Because::TargetRole { role } => {
            format!("it shall be {} (target-role)", role.to_lowercase())
        }
        Because::FailedTooOften {
            failcount,
            threshold,
        } => format!(
            "it failed there {} times, migration-threshold is {threshold}",
            view::score(*failcount)
        ),
        Because::NoQuorum { policy } => {
            format!("this partition has no quorum, and no-quorum-policy is {policy}")
        }
        Because::Needs { resource, id } => format!("it needs {resource} (`{id}`)"),
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

/// What a person could do about it.
fn cure(reason: &Reason) -> Option<String> {
    let id = &reason.resource;
    let node = reason.node.as_deref().unwrap_or("NODE");
    Some(match &reason.because {
        Because::TargetRole { .. } => format!("crm resource start {id}"),
        Because::FailedTooOften { .. } | Because::Blocked { .. } => {
            format!("find out why it failed (`crm_mon -1 -f`), then: crm resource cleanup {id}")
        }
        Because::NoQuorum { .. } => "bring the missing nodes back".to_owned(),
        Because::NotManaged => {
            format!(
                "crm resource manage {id}, or end maintenance mode: crm configure property maintenance-mode=false"
            )
        }
        Because::WaitsForFencing { node } => {
            format!("see that a fence device can reach {node} (`crm_mon -1`)")
        }
        Because::NodeUnusable { state } if state == "standby" => format!("crm node online {node}"),
        Because::NodeUnusable { state } if state == "maintenance" => {
            format!("crm node ready {node}")
        }
        Because::Score { amount, id, .. } if *amount <= -INFINITY && id.starts_with("cli-ban-") => {
            format!("crm configure delete {id}")
        }
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let reason = |node: Option<&str>, because| Reason {
            resource: "ip".to_owned(),
            node: node.map(str::to_owned),
            because,
        };
        Plan {
            resources: vec![ResourceStatus {
                id: "ip".to_owned(),
                kind: "primitive".to_owned(),
                role: "Started".to_owned(),
                nodes: vec!["node2".to_owned()],
                ..ResourceStatus::default()
            }],
            summary: vec!["Move       ip     ( node2 -> node3 )".to_owned()],
            reasons: vec![
                reason(
                    Some("node1"),
                    Because::NodeUnusable {
                        state: "standby".to_owned(),
                    },
                ),
                reason(
                    Some("node2"),
                    Because::Score {
                        amount: 100,
                        from: "stickiness".to_owned(),
                        id: String::new(),
                    },
                ),
                reason(
                    Some("node2"),
                    Because::Chosen {
                        score: 100,
                        tie: None,
                    },
                ),
                reason(
                    Some("node3"),
                    Because::Score {
                        amount: -1_000_000,
                        from: "location".to_owned(),
                        id: "cli-ban-ip-on-node3".to_owned(),
                    },
                ),
            ],
            ..Plan::default()
        }
    }

    #[test]
    fn the_chain_in_words() {
        let expected = "\
ip is started on node2.
  on node2:
    +100 from stickiness
    chosen, with a score of 100
  not on node1:
    the node is standby
  not on node3:
    -INFINITY from location `cli-ban-ip-on-node3`
  what happens next:
    Move ip ( node2 -> node3 )
  to change that:
    crm node online node1
    crm configure delete cli-ban-ip-on-node3
";
        assert_eq!(explain(&plan(), "ip").unwrap(), expected);
    }

    #[test]
    fn an_unknown_resource_is_answered_with_the_known_ones() {
        let failure = explain(&plan(), "pi").unwrap_err();
        assert_eq!(failure.exit, Exit::NoSuch);
        assert_eq!(failure.cure.as_deref(), Some("there are: ip"));
    }
}
