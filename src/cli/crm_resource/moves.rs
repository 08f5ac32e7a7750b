//! `--move`, `--ban`, `--clear`: constraints that send resources somewhere, or away.

use super::{configured, known_node, named, parent_of, unknown};
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::Found;
use crate::cli::iso8601;
use crate::cli::moves::{self, Wish};
use crate::view;
use cib::Element;
use cib::config::{Config, Kind};

/// To a node, or away from where it is.
pub(super) fn go(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let there = Whereabouts::of(backend, console, found, id)?;
    let Some(node) = found.value("node") else {
        return match there.nodes.as_slice() {
            [node] => keep_away(backend, console, &there, found, node),
            _ => Err(there.nowhere_alone("moved")),
        };
    };
    let cib = backend::cib(backend, false)?;
    configured(&Config::new(&cib), id)?;
    known_node(&cib, node)?;
    // Where instances run on several nodes, that one of them does is no reason to leave it at that.
    let alone_there = there.nodes == [node];
    if alone_there && !found.has("force") {
        return Err(Failure {
            cure: Some(format!(
                "{id} is on {node} already: with --force a constraint keeps it there"
            )),
            ..Failure::new(
                Exit::Exists,
                "Error performing operation: Requested item already exists",
            )
        });
    }
    let until = until(found)?;
    backend::edit(backend, "crm_resource", |cib| {
        moves::clear(cib, id, None);
        there.wish(node, true, until).put(cib)
    })?;
    if !found.has("force") {
        return Ok(());
    }
    // By force it must go from where it is now, too.
    match there.nodes.as_slice() {
        [from] if from != node => keep_away(backend, console, &there, found, from),
        [_, _, ..] => {
            console.line(&format!(
                "Resource '{id}' is currently {} in {} locations. One may now move to {node}\nTo prevent '{id}' from being {} at a specific location, specify a node.",
                there.doing(),
                there.nodes.len(),
                there.doing()
            ));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Away from a node.
pub(super) fn ban(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let there = Whereabouts::of(backend, console, found, id)?;
    if let Some(node) = found.value("node") {
        let cib = backend::cib(backend, false)?;
        configured(&Config::new(&cib), id)?;
        known_node(&cib, node)?;
        return keep_away(backend, console, &there, found, node);
    }
    match there.nodes.as_slice() {
        [node] => keep_away(backend, console, &there, found, node),
        _ => Err(there.nowhere_alone("banned")),
    }
}

/// Takes such constraints away.
pub(super) fn clear(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let node = found.value("node");
    let (expired, force) = (found.has("expired"), found.has("force"));
    let (removed, _) = backend::edit(backend, "crm_resource", |cib| {
        if Config::new(cib).resource(id).is_none() {
            return Err(unknown(id));
        }
        if let Some(node) = node {
            known_node(cib, node)?;
        }
        let prefer = moves::prefer_id(id);
        Ok(moves::take_away(cib, id, |c| {
            let forced = force && c.id() == Some(&prefer);
            let here = node.is_none_or(|n| moves::place(c) == Some(n) || forced);
            here && (!expired || is_over(c))
        }))
    })?;
    for constraint in removed {
        console.line(&format!("Removing constraint: {constraint}"));
    }
    Ok(())
}

/// Where a resource is that is to go somewhere else.
struct Whereabouts<'a> {
    id: &'a str,
    /// It is about the promoted role alone.
    promoted_only: bool,
    /// Its instances may be promoted.
    promotable: bool,
    /// Nodes where it runs; of a clone with a promoted instance, or where it is about that role
    /// alone, those where it is promoted.
    nodes: Vec<String>,
    /// In how many places it runs at all.
    active: usize,
    /// In how many it is promoted.
    promoted: usize,
}

impl<'a> Whereabouts<'a> {
    fn of(
        backend: &mut dyn Backend,
        console: &mut Console,
        found: &Found,
        id: &'a str,
    ) -> Result<Self, Failure> {
        let status = backend::status(backend)?;
        let cib = backend::cib(backend, false)?;
        let around = parent_of(&cib, id).filter(|p| p.kind == Kind::Clone);
        let whole = around.as_ref().map_or(id, |clone| clone.id);
        let shown = view::find_resource(&status.resources, whole).ok_or_else(|| unknown(id))?;
        let config = Config::new(&cib);
        let promotable = config.resource(whole).is_some_and(|r| {
            let meta = config.meta(&r);
            let is_set = meta.get("promotable").map(|v| cib::value::parse_bool(v));
            r.element.name == "master" || matches!(is_set, Some(Ok(true)))
        });
        let asked = found.has("promoted") || found.has("master");
        if asked && !promotable {
            console.err_line(&format!(
                "Ignoring --promoted option: {id} is not promotable"
            ));
        }
        let places = view::places(shown);
        let promoted = places.iter().filter(|p| !p.1.is_empty()).count();
        let promoted_only = asked && promotable;
        let by_role = promoted_only || promoted > 0;
        let there = places.iter().filter(|p| !by_role || !p.1.is_empty());
        Ok(Self {
            id,
            promoted_only,
            promotable,
            nodes: there.map(|(node, _)| node.clone()).collect(),
            active: places.len(),
            promoted,
        })
    }

    const fn doing(&self) -> &'static str {
        match self.promoted_only {
            true => "promoted",
            false => "active",
        }
    }

    fn wish<'w>(&'w self, node: &'w str, wanted: bool, until: Option<i64>) -> Wish<'w> {
        let role = match self.promoted_only {
            true => "Promoted",
            false => "Started",
        };
        Wish {
            resource: self.id,
            node,
            wanted,
            role,
            until,
        }
    }

    fn nowhere_alone(&self, what: &str) -> Failure {
        let id = self.id;
        let (promoted, role) = match self.promotable {
            true => (
                format!(" (promoted in {})", self.promoted),
                format!(
                    "\nTo prevent '{id}' from being promoted at a specific location, specify a node and the --promoted option."
                ),
            ),
            false => (String::new(), String::new()),
        };
        Failure::usage(format!(
            "Resource '{id}' not {what}: active in {} locations{promoted}.\nTo prevent '{id}' from running on a specific location, specify a node.{role}",
            self.active
        ))
    }
}

fn keep_away(
    backend: &mut dyn Backend,
    console: &mut Console,
    there: &Whereabouts<'_>,
    found: &Found,
    node: &str,
) -> Result<(), Failure> {
    let id = there.id;
    let until = until(found)?;
    let wish = there.wish(node, false, until);
    backend::edit(backend, "crm_resource", |cib| wish.put(cib))?;
    let constraint_id = wish.id();
    if found.has("quiet") {
        return Ok(());
    }
    if let Some(until) = until {
        console.line(&format!(
            "Migration will take effect until: {}",
            iso8601::utc(until)
        ));
    }
    let what = match there.promoted_only {
        true => "being promoted",
        false => "running",
    };
    console.err_line(&format!(
        "WARNING: Creating rsc_location constraint '{constraint_id}' with a score of -INFINITY for resource {id} on {node}.\n\tThis will prevent {id} from {what} on {node} until the constraint is removed using the clear option or by editing the CIB with an appropriate tool\n\tThis will be the case even if {node} is the last node in the cluster"
    ));
    Ok(())
}

/// When the constraint ends, seconds since the epoch.
fn until(found: &Found) -> Result<Option<i64>, Failure> {
    let end = found.value("lifetime").map(|text| {
        moves::end_of(text).ok_or_else(|| {
            Failure::usage(format!(
                "-u {text}: a lifetime is an ISO 8601 duration, PT1H for an hour"
            ))
        })
    });
    end.transpose()
}

fn is_over(constraint: &Element) -> bool {
    let rule = constraint.first("rule");
    let end = rule.and_then(|r| r.first("date_expression")?.attr("end"));
    let end = end.and_then(cib::date::epoch);
    end.is_some_and(|end| end <= backend::now_s())
}
