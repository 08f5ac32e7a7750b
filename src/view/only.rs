//! A part of the status: one node, or one resource (`crm_mon --node`, `--resource`).

use super::Status;
use super::failures::parse_key;
use scheduler::ResourceStatus;

/// That node, what runs there, and what was done there.
#[must_use]
pub fn only_node(mut status: Status, node: &str) -> Status {
    status.nodes.retain(|n| n.name == node || n.id == node);
    let names: Vec<String> = status.nodes.iter().map(|n| n.name.clone()).collect();
    let here = |resource: &ResourceStatus| resource.nodes.iter().any(|n| names.contains(n));
    keep(&mut status.resources, &here);
    for_each(&mut status.resources, &mut |resource| {
        resource.nodes.retain(|n| names.contains(n));
        resource.failures.retain(|f| names.contains(&f.node));
        let shown = &mut resource.shown;
        shown.idle_nodes.retain(|n| names.contains(n));
        shown.failed_probes.retain(|(n, _)| names.contains(n));
        let place = shown.place.take();
        shown.place = place.filter(|(n, _)| names.contains(n));
    });
    status.leftover_failures.retain(|f| names.contains(&f.node));
    status.details.retain(|d| names.contains(&d.node));
    status.failcounts.retain(|f| names.contains(&f.node));
    status.bans.retain(|b| names.contains(&b.node));
    status
}

/// That resource, with what it contains or what contains it.
#[must_use]
pub fn only_resource(mut status: Status, id: &str) -> Status {
    let base = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    keep_whole(&mut status.resources, &|r| r.id == id || base(&r.id) == id);
    let mut ids = Vec::new();
    for_each(&mut status.resources, &mut |r| ids.push(base(&r.id)));
    for node in &mut status.details {
        node.history.retain(|h| ids.contains(&h.resource));
    }
    status.leftover_failures.retain(|f| {
        let (id, ..) = parse_key(&f.key);
        ids.contains(&base(id))
    });
    status.failcounts.retain(|f| ids.contains(&f.resource));
    status.bans.retain(|b| ids.contains(&b.resource));
    status
}

/// Keeps the primitives that are wanted, and what contains them.
fn keep(resources: &mut Vec<ResourceStatus>, wanted: &impl Fn(&ResourceStatus) -> bool) {
    resources.retain_mut(|resource| {
        if resource.children.is_empty() {
            return wanted(resource);
        }
        if resource.kind != "group" {
            keep(&mut resource.children, wanted);
            return !resource.children.is_empty();
        }
        // Members that run nowhere are told with those that run here.
        let here = resource.children.iter().any(wanted);
        resource
            .children
            .retain(|member| wanted(member) || member.nodes.is_empty());
        here
    });
}

/// As [`keep`]; of a group or clone that is wanted, everything.
fn keep_whole(resources: &mut Vec<ResourceStatus>, wanted: &impl Fn(&ResourceStatus) -> bool) {
    resources.retain_mut(|resource| {
        if !wanted(resource) {
            keep_whole(&mut resource.children, wanted);
        }
        wanted(resource) || !resource.children.is_empty()
    });
}

fn for_each(resources: &mut [ResourceStatus], act: &mut impl FnMut(&mut ResourceStatus)) {
    for resource in resources {
        act(resource);
        for_each(&mut resource.children, act);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::text;
    use scheduler::{NodeStatus, Shown};

    fn primitive(id: &str, node: &str) -> ResourceStatus {
        ResourceStatus {
            id: id.to_owned(),
            kind: "primitive".to_owned(),
            agent: "ocf:p:t".to_owned(),
            role: "Started".to_owned(),
            nodes: vec![node.to_owned()],
            active: true,
            managed: true,
            shown: Shown {
                name: id.to_owned(),
                fully_active: true,
                place: Some((node.to_owned(), false)),
                ..Shown::default()
            },
            ..ResourceStatus::default()
        }
    }

    fn group(id: &str, kind: &str, children: Vec<ResourceStatus>) -> ResourceStatus {
        ResourceStatus {
            id: id.to_owned(),
            kind: kind.to_owned(),
            active: true,
            managed: true,
            children,
            shown: Shown {
                name: id.to_owned(),
                fully_active: true,
                ..Shown::default()
            },
            ..ResourceStatus::default()
        }
    }

    fn status() -> Status {
        let node = |name: &str| NodeStatus {
            name: name.to_owned(),
            online: true,
            ..NodeStatus::default()
        };
        Status {
            nodes: vec![node("a"), node("b")],
            resources: vec![
                primitive("solo", "a"),
                primitive("two", "b"),
                group(
                    "g",
                    "group",
                    vec![primitive("m1", "a"), primitive("m2", "a")],
                ),
                group(
                    "c",
                    "clone",
                    vec![primitive("i:0", "a"), primitive("i:1", "b")],
                ),
            ],
            ..Status::default()
        }
    }

    #[test]
    fn a_node_is_shown_with_what_runs_there() {
        let text = text::resource_list(&only_node(status(), "b"), text::Options::default());
        assert!(
            text.contains("two") && text.contains("Started: [ b ]"),
            "{text}"
        );
        assert!(
            !text.contains("solo") && !text.contains("m1") && !text.contains(" a "),
            "{text}"
        );
    }

    #[test]
    fn a_resource_is_shown_with_its_kin() {
        for (id, there, not) in [
            ("solo", vec!["solo"], vec!["two", "m1", "Clone"]),
            ("m1", vec!["Group: g", "m1"], vec!["m2", "solo"]),
            ("g", vec!["m1", "m2"], vec!["solo"]),
            ("i", vec!["Started: [ a b ]"], vec!["solo"]),
            ("c", vec!["Started: [ a b ]"], vec!["solo"]),
            ("nobody", vec!["No active"], vec!["solo"]),
        ] {
            let text = text::resource_list(&only_resource(status(), id), text::Options::default());
            assert!(there.iter().all(|t| text.contains(t)), "{id}: {text}");
            assert!(not.iter().all(|t| !text.contains(t)), "{id}: {text}");
        }
    }
}
