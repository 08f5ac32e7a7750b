//! `pcs resource update`, `meta`, `utilization`.

use super::super::change::{find_mut, known, object, put};
use super::super::level::misused;
use super::super::{Context, agent, words};
use super::ops;
use super::show::sorted;
use crate::cli::crm::agents::AgentName;
use crate::cli::exit::Failure;
use cib::config::Config;
use cib::{Cib, Element};
use std::fmt::Write as _;

/// `update RESOURCE name=value… [op …] [meta …]`; an empty value takes the parameter away.
pub(in crate::cli::pcs) fn update(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, rest @ ..] = words else {
        return Err(misused());
    };
    let (params, sections) = words::sections(rest, &["op", "meta"]);
    let params = words::pairs(params)?;
    let mut op_words = Vec::new();
    let mut meta = Vec::new();
    for (keyword, part) in sections {
        match keyword {
            "op" => op_words.extend_from_slice(part),
            _ => meta.extend(words::pairs(part)?),
        }
    }
    let new_ops = ops::parse(&op_words)?;
    let cib = cx.cib()?;
    known(&cib, id)?;
    if params.is_empty() && meta.is_empty() && new_ops.is_empty() {
        return Err(misused());
    }
    let found = agent_of(&cib, id);
    if let Some(agent) = found.filter(|_| !params.is_empty())
        && let Some(described) = agent::meta_data(cx, &agent)?
    {
        agent::check_parameters(cx, &described, &params, false)?;
    }
    cx.edit(|cib| {
        known(cib, id)?;
        let element = object(cib, id)?;
        if element.name != "primitive" && !(params.is_empty() && new_ops.is_empty()) {
            // The options of a clone or group are those that `meta` sets.
            if !new_ops.is_empty() {
                return Err(Failure::usage(format!(
                    "'{id}' is a {}: operations belong to its members",
                    element.name
                )));
            }
            set_all(element, id, "meta_attributes", &params);
            return Ok(());
        }
        set_all(element, id, "instance_attributes", &params);
        set_all(element, id, "meta_attributes", &meta);
        for op in &new_ops {
            update_op(cib, id, op)?;
        }
        Ok(())
    })?;
    cx.settle_with(id, true)
}

fn agent_of(cib: &Cib, id: &str) -> Option<AgentName> {
    let element = Config::new(cib).resource(id)?.element;
    Some(AgentName {
        class: element.attr("class")?.to_owned(),
        provider: element.attr("provider").map(str::to_owned),
        kind: element.attr("type")?.to_owned(),
        remark: None,
    })
}

fn set_all(element: &mut Element, id: &str, tag: &str, pairs: &[(String, String)]) {
    for (name, value) in pairs {
        put(element, tag, &format!("{id}-{tag}"), name, value);
    }
}

/// An operation takes the place of the one of its name (of its name and role, for monitors).
fn update_op(cib: &mut Cib, id: &str, op: &ops::Op) -> Result<(), Failure> {
    let get = |name: &str| op.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let (name, role) = (get("name"), get("role"));
    let list = ops::list_of(object(cib, id)?);
    let fits = |old: &Element| {
        old.attr("name") == name
            && (name != Some("monitor")
                || old.attr("role").unwrap_or("Started") == role.unwrap_or("Started"))
    };
    let at = list.children.iter().position(fits);
    let old = at.map(|at| list.children.remove(at));
    let at = at.unwrap_or(list.children.len());
    let mut new = ops::element(cib, id, op);
    if let Some(old) = old.filter(|old| old.attr("interval") == new.attr("interval")) {
        new.set("id", old.id().unwrap_or_default());
    }
    ops::list_of(object(cib, id)?).children.insert(at, new);
    Ok(())
}

/// `meta RESOURCE name=value…`.
pub(super) fn meta(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, rest @ ..] = words else {
        return Err(misused());
    };
    let pairs = words::pairs(rest)?;
    if pairs.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        known(cib, id)?;
        set_all(object(cib, id)?, id, "meta_attributes", &pairs);
        Ok(())
    })?;
    cx.settle()?;
    Ok(())
}

/// `utilization [RESOURCE [name=number]…]`.
pub(super) fn utilization(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, pairs) = match words {
        [] => (None, Vec::new()),
        [id, rest @ ..] => (Some(id), words::pairs(rest)?),
    };
    check_numbers(&pairs)?;
    let Some(id) = id.filter(|_| !pairs.is_empty()) else {
        let cib = cx.cib()?;
        if let Some(id) = id {
            known(&cib, id)?;
        }
        let mut text = String::from("Resource Utilization:\n");
        for resource in Config::new(&cib).resources() {
            let pairs: Vec<String> = resource
                .element
                .all("utilization")
                .flat_map(sorted)
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            if !pairs.is_empty() && id.is_none_or(|id| id == resource.id) {
                let _ = writeln!(text, " {}: {}", resource.id, pairs.join(" "));
            }
        }
        cx.console.print(&text);
        return Ok(());
    };
    cx.edit(|cib| {
        known(cib, id)?;
        let root = cib.root_mut();
        if let Some(element) = find_mut(root, id) {
            set_all(element, id, "utilization", &pairs);
        }
        Ok(())
    })
}

/// Utilization is counted in whole numbers.
///
/// # Errors
/// A value that is none.
pub(in crate::cli::pcs) fn check_numbers(pairs: &[(String, String)]) -> Result<(), Failure> {
    let wrong = |v: &str| !v.is_empty() && v.parse::<i64>().is_err();
    match pairs.iter().find(|(_, v)| wrong(v)) {
        Some((name, value)) => Err(Failure::usage(format!(
            "Value of utilization attribute must be integer: '{name}={value}'"
        ))),
        None => Ok(()),
    }
}
