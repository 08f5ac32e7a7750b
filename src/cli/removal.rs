//! A node that is gone for good is taken out of the configuration.

use super::backend::{self, Backend};
use super::exit::{Exit, Failure};
use crate::ipc::Request;
use cib::Section;
use cib::config::Config;

/// Takes a node out. Returns remarks on what still names it.
///
/// # Errors
/// [`Exit::NoSuch`] for an unknown node; [`Exit::Unsafe`] when it is there and, unless forced, when
/// it was lost without a goodbye: with its entry goes the knowledge that it may still run something.
pub(crate) fn remove(
    backend: &mut dyn Backend,
    node: &str,
    force: bool,
    client: &str,
) -> Result<Vec<String>, Failure> {
    let (removed, _) = {
        may_go(backend, node, force)?;
        let left = leave_cluster(backend, node, force)?;
        backend::edit(backend, client, |cib| {
            let known = Config::new(cib).node(node);
            let known = known.map(|n| (n.id.to_owned(), n.uname.to_owned()));
            let Some((id, name)) = known else {
                // The DC took it out meanwhile.
                return match left {
                    true => Ok((node.to_owned(), cib.clone())),
                    false => Err(unknown(node)),
                };
            };
            let nodes = &mut cib.section_mut(Section::Nodes).children;
            nodes.retain(|n| n.name != "node" || n.id() != Some(&id));
            Ok((name, cib.clone()))
        })?
    };
    let (name, cib) = removed;
    Ok(remarks(&cib, &name))
}

/// What still names a node that is gone.
pub(crate) fn remarks(cib: &cib::Cib, name: &str) -> Vec<String> {
    let constraints = cib.section(Section::Constraints).into_iter();
    let constraints = constraints.flat_map(|c| &c.children);
    let naming = constraints.filter(|c| c.attr("node") == Some(name));
    let remark = |id: &str| {
        format!("constraint {id} still names {name}: `crm configure delete {id}` removes it")
    };
    naming.filter_map(|c| c.id().map(remark)).collect()
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
                "run `crm cluster stop` (or `pcs cluster stop`) on {name} first: stop mainstayd there, then repeat this"
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

/// Takes the node out of the cluster's node list, where it stands there: a log entry, and a step of
/// the voters. The DC takes it out of the CIB then. Returns whether it stood there.
fn leave_cluster(backend: &mut dyn Backend, node: &str, force: bool) -> Result<bool, Failure> {
    if !backend.live() {
        return Ok(false);
    }
    let status = backend::status(backend)?;
    let listed = |p: &&crate::view::PeerStatus| p.name == node || p.node_id.to_string() == node;
    let Some(name) = status.peers.iter().find(listed).map(|p| p.name.clone()) else {
        return Ok(false);
    };
    let request = Request::NodeRemove { node: name, force };
    backend::ask_done(backend, &request).map(|_| true)
}

fn unknown(node: &str) -> Failure {
    Failure::no_such(format!(
        "Node \"{node}\" is not a cluster node; `crm node show` lists them"
    ))
}
