//! What became of what was wanted, for those who wait: a cluster that has nothing left to do may
//! have given up.

use super::backend::{self, Backend};
use super::exit::{Exit, Failure};
use crate::view::{self, Status};
use scheduler::{OpFailure, ResourceStatus};

/// What somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// It runs; a group with all its members.
    Running,
    /// It runs nowhere.
    Stopped,
    /// An instance is promoted.
    Promoted,
    /// None is.
    Demoted,
    /// It runs on that node.
    On(String),
    /// It does not run on that node.
    Off(String),
}

/// The failures that were known before a change, and what the change is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    known: Vec<OpFailure>,
    goals: Vec<(String, Goal)>,
}

impl Watch {
    /// Looks at the failures there are; `None` where nothing runs that could be waited for.
    ///
    /// # Errors
    /// As [`backend::status`].
    pub(crate) fn begin(backend: &mut dyn Backend) -> Result<Option<Self>, Failure> {
        if !backend.live() {
            return Ok(None);
        }
        let status = backend::status(backend)?;
        Ok(Some(Self {
            known: view::failures(&status).into_iter().cloned().collect(),
            goals: Vec::new(),
        }))
    }

    /// From now on this is waited for, in the place of what was waited for of the resource before.
    pub(crate) fn expect(&mut self, id: &str, goal: Goal) {
        self.goals.retain(|(other, _)| other != id);
        self.goals.push((id.to_owned(), goal));
    }

    /// Whether it came about, once the cluster has nothing left to do. `front` is the command
    /// whose `resource cleanup` forgets failures.
    ///
    /// # Errors
    /// [`Exit::Error`] with the actions that failed and with what to do.
    pub(crate) fn judge(&self, status: &Status, front: &str) -> Result<(), Failure> {
        for (id, goal) in &self.goals {
            reached(status, id, goal, front)?;
        }
        let fresh = view::failures(status).into_iter();
        let fresh: Vec<&OpFailure> = fresh
            .filter(|f| !self.known.contains(f) && hurts(status, f))
            .collect();
        let Some(first) = fresh.first() else {
            return Ok(());
        };
        let id = base(view::parse_key(&first.key).0).to_owned();
        Err(Failure {
            exit: Exit::Error,
            text: format!(
                "the change is made, but the cluster could not carry it out: {}",
                told(&fresh)
            ),
            cure: Some(cure(status, &id, front)),
        })
    }
}

/// The goal is reached.
///
/// # Errors
/// As [`Watch::judge`].
pub(crate) fn reached(status: &Status, id: &str, goal: &Goal, front: &str) -> Result<(), Failure> {
    let Some(resource) = view::find_resource(&status.resources, id) else {
        // Taken out of the configuration and stopped, it is shown no more.
        return Ok(());
    };
    let Some(instead) = missed(resource, id, goal) else {
        return Ok(());
    };
    Err(not_reached(status, id, &instead, front))
}

/// A failure that says what is instead of what was wanted, which actions failed, and what to do.
pub(crate) fn not_reached(status: &Status, id: &str, instead: &str, front: &str) -> Failure {
    let failures = failures_of(status, id);
    let told = match failures.is_empty() {
        true => String::new(),
        false => format!(": {}", told(&failures)),
    };
    Failure {
        exit: Exit::Error,
        text: format!("{instead}{told}"),
        cure: Some(cure(status, id, front)),
    }
}

/// What is so instead; none where the goal is reached.
fn missed(resource: &ResourceStatus, id: &str, goal: &Goal) -> Option<String> {
    let places = view::places(resource);
    let names = || {
        let names: Vec<&str> = places.iter().map(|(node, _)| node.as_str()).collect();
        names.join(", ")
    };
    let promoted = || places.iter().find(|(_, role)| !role.is_empty());
    let on = |node: &str| places.iter().any(|(n, _)| n == node);
    match goal {
        Goal::Running => idle(resource).map(|id| format!("{id} does not run")),
        Goal::Stopped if places.is_empty() => None,
        Goal::Stopped => Some(format!("{id} is still active on {}", names())),
        Goal::Promoted if promoted().is_some() => None,
        Goal::Promoted => Some(format!("{id} is promoted nowhere")),
        Goal::Demoted => promoted().map(|(node, _)| format!("{id} is still promoted on {node}")),
        // Stopped by somebody's wish it has no place that could be wrong.
        Goal::On(node) if on(node) || wanted_stopped(resource) => None,
        Goal::On(node) if places.is_empty() => {
            Some(format!("{id} does not run on {node}, nor anywhere"))
        }
        Goal::On(node) => Some(format!("{id} does not run on {node} but on {}", names())),
        Goal::Off(node) if !on(node) => None,
        Goal::Off(node) => Some(format!("{id} is still active on {node}")),
    }
}

/// What does not run of a resource that is to run: itself, or a member that nobody stopped.
fn idle(resource: &ResourceStatus) -> Option<String> {
    match resource.kind.as_str() {
        "group" => resource
            .children
            .iter()
            .filter(|member| !wanted_stopped(member))
            .find_map(idle),
        _ if view::places(resource).is_empty() => Some(base(&resource.id).to_owned()),
        _ => None,
    }
}

fn wanted_stopped(resource: &ResourceStatus) -> bool {
    let role = resource.target_role.as_deref();
    role.is_some_and(|r| r.eq_ignore_ascii_case("stopped"))
}

/// A failure that the cluster did not get over: the resource does not run as it should.
fn hurts(status: &Status, failure: &OpFailure) -> bool {
    let (id, _, _) = view::parse_key(&failure.key);
    let mut own: Vec<&ResourceStatus> = Vec::new();
    for resource in &status.resources {
        view::leaves(resource, &mut |leaf| {
            if base(&leaf.id) == base(id) {
                own.push(leaf);
            }
        });
    }
    let is_there = |leaf: &&ResourceStatus| leaf.nodes.contains(&failure.node);
    if own.iter().any(|l| is_there(l) && (l.blocked || l.failed)) {
        return true;
    }
    if own.iter().all(|l| wanted_stopped(l)) {
        return false;
    }
    // What runs elsewhere now was recovered; an instance that is missing was not.
    let stopped = own.iter().filter(|l| l.nodes.is_empty()).count();
    stopped == own.len() || (stopped > 0 && !own.iter().any(is_there))
}

/// Failures that stand of a resource and of what is in it.
fn failures_of<'a>(status: &'a Status, id: &str) -> Vec<&'a OpFailure> {
    let mut found: Vec<&OpFailure> = Vec::new();
    if let Some(resource) = view::find_resource(&status.resources, id) {
        view::leaves(resource, &mut |leaf| {
            for failure in &leaf.failures {
                if !found.contains(&failure) {
                    found.push(failure);
                }
            }
        });
    }
    found
}

fn told(failures: &[&OpFailure]) -> String {
    let mut lines: Vec<String> = failures
        .iter()
        .take(TOLD_MAX)
        .map(|f| view::failure_line(f))
        .collect();
    if failures.len() > TOLD_MAX {
        lines.push(format!("{} more", failures.len() - TOLD_MAX));
    }
    lines.join("; ")
}

fn cure(status: &Status, id: &str, front: &str) -> String {
    let mut hands_off = false;
    let mut blocked = None;
    if let Some(resource) = view::find_resource(&status.resources, id) {
        view::leaves(resource, &mut |leaf| {
            hands_off |= !leaf.managed && !leaf.blocked && !leaf.failed;
            if leaf.blocked {
                blocked = blocked.take().or_else(|| leaf.nodes.first().cloned());
            }
        });
    }
    match (blocked, hands_off) {
        (Some(node), _) => format!(
            "{id} is blocked: nothing is done with it anywhere until it is certain what runs on {node}. Mend the cause there, then `{front} resource cleanup {id}` lets the cluster try again; `mainstay why {id}` tells more"
        ),
        (None, true) => format!(
            "{id} is not managed: `{front} resource manage {id}` hands it to the cluster; `mainstay why {id}` tells more"
        ),
        (None, false) => format!(
            "`mainstay why {id}` says why; where an action failed, `{front} resource cleanup {id}` lets the cluster try again once the cause is mended"
        ),
    }
}

fn base(id: &str) -> &str {
    id.split(':').next().unwrap_or_default()
}

/// Failed actions that are told at once.
const TOLD_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(id: &str, nodes: &[&str], failures: Vec<OpFailure>) -> ResourceStatus {
        ResourceStatus {
            id: id.to_owned(),
            kind: "primitive".to_owned(),
            role: "Started".to_owned(),
            nodes: nodes.iter().map(|n| (*n).to_owned()).collect(),
            managed: true,
            failures,
            ..ResourceStatus::default()
        }
    }

    fn failure(key: &str, node: &str) -> OpFailure {
        OpFailure {
            key: key.to_owned(),
            node: node.to_owned(),
            rc: 1,
            exit_reason: "no way".to_owned(),
            ..OpFailure::default()
        }
    }

    fn status(resources: Vec<ResourceStatus>) -> Status {
        Status {
            resources,
            ..Status::default()
        }
    }

    fn judged(status: &Status, goals: &[(&str, Goal)]) -> Result<(), String> {
        let mut watch = Watch::default();
        for (id, goal) in goals {
            watch.expect(id, goal.clone());
        }
        let told = |f: Failure| format!("{} {}", f.text, f.cure.unwrap_or_default());
        watch.judge(status, "crm").map_err(told)
    }

    #[test]
    fn a_stop_that_failed_is_no_stop() {
        let mut resource = leaf("d", &["node1"], vec![failure("d_stop_0", "node1")]);
        (resource.blocked, resource.failed) = (true, true);
        resource.target_role = Some("Stopped".to_owned());
        let told = judged(&status(vec![resource]), &[("d", Goal::Stopped)]).unwrap_err();
        for part in [
            "d is still active on node1",
            "d stop on node1 returned 'error' (no way)",
            "blocked",
            "crm resource cleanup d",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let stopped = status(vec![leaf("d", &[], Vec::new())]);
        assert_eq!(judged(&stopped, &[("d", Goal::Stopped)]), Ok(()));
    }

    #[test]
    fn a_start_that_failed_everywhere_is_none_and_one_that_went_elsewhere_is() {
        let failed = || vec![failure("d_start_0", "node1")];
        let nowhere = status(vec![leaf("d", &[], failed())]);
        let told = judged(&nowhere, &[("d", Goal::Running)]).unwrap_err();
        assert!(told.contains("d does not run: d start on node1"), "{told}");
        let elsewhere = status(vec![leaf("d", &["node2"], failed())]);
        assert_eq!(judged(&elsewhere, &[("d", Goal::Running)]), Ok(()));
        assert!(judged(&elsewhere, &[("d", Goal::On("node1".to_owned()))]).is_err());
        // A change of something else that a resource did not survive.
        assert!(
            judged(&nowhere, &[])
                .unwrap_err()
                .contains("the change is made")
        );
        assert_eq!(judged(&elsewhere, &[]), Ok(()));
    }

    #[test]
    fn failures_that_were_known_before_are_not_the_changes() {
        let seen = status(vec![leaf("d", &[], vec![failure("d_start_0", "node1")])]);
        let watch = Watch {
            known: vec![failure("d_start_0", "node1")],
            goals: Vec::new(),
        };
        assert!(watch.judge(&seen, "crm").is_ok());
    }

    #[test]
    fn a_group_runs_with_all_members_but_those_stopped_by_wish() {
        let mut group = ResourceStatus {
            id: "g".to_owned(),
            kind: "group".to_owned(),
            children: vec![
                leaf("a", &["node1"], Vec::new()),
                leaf("b", &[], Vec::new()),
            ],
            ..ResourceStatus::default()
        };
        let told = judged(&status(vec![group.clone()]), &[("g", Goal::Running)]).unwrap_err();
        assert!(told.starts_with("b does not run"), "{told}");
        group.children[1].target_role = Some("Stopped".to_owned());
        assert_eq!(
            judged(&status(vec![group]), &[("g", Goal::Running)]),
            Ok(())
        );
    }

    #[test]
    fn a_promotion_needs_an_instance_that_is_promoted() {
        let mut clone = ResourceStatus {
            id: "c".to_owned(),
            kind: "clone".to_owned(),
            children: vec![
                leaf("s:0", &["node1"], Vec::new()),
                leaf("s:1", &[], Vec::new()),
            ],
            ..ResourceStatus::default()
        };
        let one =
            |clone: &ResourceStatus, goal| judged(&status(vec![clone.clone()]), &[("c", goal)]);
        assert!(one(&clone, Goal::Promoted).is_err());
        assert_eq!(one(&clone, Goal::Demoted), Ok(()));
        clone.children[0].role = "Promoted".to_owned();
        assert_eq!(one(&clone, Goal::Promoted), Ok(()));
        assert!(one(&clone, Goal::Demoted).is_err());
        assert!(one(&clone, Goal::Off("node1".to_owned())).is_err());
        assert_eq!(one(&clone, Goal::Off("node2".to_owned())), Ok(()));
    }
}
