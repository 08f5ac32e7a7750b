//! `modgroup`, `monitor`: a part of an object, without writing the whole of it again.

use crate::cli::crm::usage::misused;
use crate::cli::exit::{Exit, Failure};
use cib::config::{Config, Kind};
use cib::{Cib, Element, Section, edit};

/// `modgroup GROUP add RESOURCE [after|before MEMBER] | remove RESOURCE`.
pub(super) fn modgroup(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [group, "add", id] => add(cib, group, id, None),
        [group, "add", id, place @ ("after" | "before"), member] => {
            add(cib, group, id, Some((*place == "after", member)))
        }
        [group, "remove", id] => remove(cib, group, id),
        _ => Err(misused()),
    }
}

fn known(cib: &Cib, id: &str, kind: Kind) -> Result<(), Failure> {
    match Config::new(cib).resource(id) {
        Some(found) if found.kind == kind => Ok(()),
        Some(_) if kind == Kind::Group => Err(Failure::usage(format!("{id} is not a group"))),
        Some(_) => Err(Failure::usage(format!("{id} is not a primitive"))),
        None => Err(Failure::no_such(format!("object {id} does not exist"))),
    }
}

fn add(cib: &mut Cib, group: &str, id: &str, place: Option<(bool, &str)>) -> Result<(), Failure> {
    known(cib, group, Kind::Group)?;
    known(cib, id, Kind::Primitive)?;
    let config = Config::new(cib);
    if let Some(holder) = config.resource(id).and_then(|r| r.parent) {
        return Err(Failure::new(
            Exit::Exists,
            format!("{id} is in {holder} already"),
        ));
    }
    let resources = cib.section_mut(Section::Resources);
    let at = resources.children.iter().position(|c| c.id() == Some(id));
    let at = at.ok_or_else(|| Failure::no_such(format!("object {id} does not exist")))?;
    let members = |group: &Element| -> Vec<Option<String>> {
        let ids = group.children.iter().map(|c| match c.name == "primitive" {
            true => c.id().map(str::to_owned),
            false => None,
        });
        ids.collect()
    };
    let found = find(resources, group)
        .map(|g| members(g))
        .unwrap_or_default();
    let index = match place {
        None => found.iter().rposition(Option::is_some).map_or(0, |n| n + 1),
        Some((after, member)) => {
            let at = found.iter().position(|m| m.as_deref() == Some(member));
            let at =
                at.ok_or_else(|| Failure::no_such(format!("{member} is not a member of {group}")))?;
            at + usize::from(after)
        }
    };
    let primitive = resources.children.remove(at);
    if let Some(group) = find(resources, group) {
        group.children.insert(index, primitive);
    }
    Ok(())
}

fn remove(cib: &mut Cib, group: &str, id: &str) -> Result<(), Failure> {
    known(cib, group, Kind::Group)?;
    known(cib, id, Kind::Primitive)?;
    let resources = cib.section_mut(Section::Resources);
    let Some(element) = find(resources, group) else {
        return Err(Failure::no_such(format!("object {group} does not exist")));
    };
    let is_it = |c: &Element| c.name == "primitive" && c.id() == Some(id);
    let Some(at) = element.children.iter().position(is_it) else {
        return Err(Failure::no_such(format!("{id} is not a member of {group}")));
    };
    if element.all("primitive").count() == 1 {
        return Err(Failure {
            cure: Some(format!(
                "`crm configure delete {group}` takes the group away"
            )),
            ..Failure::new(Exit::Unsafe, format!("{id} is all that is in {group}"))
        });
    }
    let primitive = element.children.remove(at);
    resources.children.push(primitive);
    Ok(())
}

/// `monitor RESOURCE[:ROLE] INTERVAL[:TIMEOUT]`: one more recurring monitor.
pub(super) fn monitor(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let [resource, times] = words else {
        return Err(misused());
    };
    let (id, role) = match resource.split_once(':') {
        Some((id, role)) => (id, Some(role)),
        None => (resource.as_str(), None),
    };
    known(cib, id, Kind::Primitive)?;
    let (interval, timeout) = match times.split_once(':') {
        Some((interval, timeout)) => (interval, Some(timeout)),
        None => (times.as_str(), None),
    };
    let wanted = cib::value::parse_interval_ms(interval)?;
    timeout.map(cib::value::parse_interval_ms).transpose()?;
    let config = Config::new(cib);
    let there = config
        .resource(id)
        .map(|r| config.ops(&r))
        .unwrap_or_default();
    let same = |op: &&cib::config::Op<'_>| {
        op.name == "monitor" && op.interval_ms == wanted && op.role == role
    };
    if there.iter().find(same).is_some() {
        return Err(Failure::new(
            Exit::Exists,
            format!("{id} has a monitor every {interval} already"),
        ));
    }
    let mut options = vec![("interval", interval)];
    options.extend(timeout.map(|t| ("timeout", t)));
    options.extend(role.map(|r| ("role", r)));
    let mut op = edit::operation(id, "monitor", options);
    let taken = config.by_id(op.id().unwrap_or_default()).is_some();
    if let (true, Some(role)) = (taken, role) {
        op.set(
            "id",
            &edit::sanitize_id(&format!("{id}-monitor-{interval}-{role}")),
        );
    }
    let Some(primitive) = find(cib.section_mut(Section::Resources), id) else {
        return Err(Failure::no_such(format!("object {id} does not exist")));
    };
    if primitive.first("operations").is_none() {
        // The schema wants attribute sets in front of operations.
        primitive.children.push(Element::new("operations"));
    }
    if let Some(operations) = primitive.first_mut("operations") {
        operations.children.push(op);
    }
    Ok(())
}

fn find<'a>(parent: &'a mut Element, id: &str) -> Option<&'a mut Element> {
    parent.children.iter_mut().find_map(|child| {
        if cib::config::kind_of(&child.name).is_some() && child.id() == Some(id) {
            return Some(child);
        }
        find(child, id)
    })
}
