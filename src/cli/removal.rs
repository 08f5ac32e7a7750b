//! A node that is gone for good is taken out of the configuration.

use super::backend::{self, Backend};
use super::exit::{Exit, Failure};
use cib::Section;
use cib::config::Config;

/// Takes a node out. Returns remarks on what still names it.
///
/// # Errors
/// [`Exit::NoSuch`] for an unknown node; [`Exit::Unsafe`] when it is there, when corosync.conf
/// still lists it (it would be back at once), and, unless forced, when it was lost without a
/// goodbye: with its entry goes the knowledge that it may still run something.
pub(crate) fn remove(
    backend: &mut dyn Backend,
    node: &str,
    force: bool,
    client: &str,
) -> Result<Vec<String>, Failure> {
    let (removed, _) = {
        may_go(backend, node, force)?;
        backend::edit(backend, client, |cib| {
            let known = Config::new(cib).node(node);
            let known = known.map(|n| (n.id.to_owned(), n.uname.to_owned()));
            let (id, name) = known.ok_or_else(|| unknown(node))?;
            let nodes = &mut cib.section_mut(Section::Nodes).children;
            nodes.retain(|n| n.name != "node" || n.id() != Some(&id));
            Ok((name, cib.clone()))
        })?
    };
    let (name, cib) = removed;
    let constraints = cib.section(Section::Constraints).into_iter();
    let constraints = constraints.flat_map(|c| &c.children);
    let naming = constraints.filter(|c| c.attr("node") == Some(&name));
    let remark = |id: &str| {
        format!("constraint {id} still names {name}: `crm configure delete {id}` removes it")
    };
    Ok(naming.filter_map(|c| c.id().map(remark)).collect())
}

fn may_go(backend: &mut dyn Backend, node: &str, force: bool) -> Result<(), Failure> {
    if !backend.live() {
        return Ok(());
    }
    let status = backend::status(backend)?;
    let shown = status.nodes.iter().find(|n| n.name == node || n.id == node);
    let shown = shown.ok_or_else(|| unknown(node))?;
    let refused = |text: String, cure: String| {
        Err(Failure {
            exit: Exit::Unsafe,
            text,
            cure: Some(cure),
        })
    };
    let name = &shown.name;
    if shown.online || shown.pending {
        return refused(
            format!("{name} is in the cluster: it was not removed"),
            format!(
                "stop mainstayd there first, take {name} out of corosync.conf on the others and restart mainstayd on them, one after the other"
            ),
        );
    }
    if status.peers.iter().any(|p| p.name == *name) {
        return refused(
            format!("corosync.conf still lists {name}: it would be back at once"),
            format!(
                "take {name} out of corosync.conf on every other node, restart mainstayd on them, one after the other, then repeat this"
            ),
        );
    }
    if shown.unclean && !force {
        return refused(
            format!("{name} was lost without a goodbye, and nobody knows what still runs there"),
            format!("make sure that {name} is off, then repeat this with force"),
        );
    }
    Ok(())
}

fn unknown(node: &str) -> Failure {
    Failure::no_such(format!(
        "Node \"{node}\" is not a cluster node; `crm node show` lists them"
    ))
}
