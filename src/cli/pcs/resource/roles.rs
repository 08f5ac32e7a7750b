//! `pcs resource enable`, `disable`, `restart`, `manage`, `unmanage`.

use super::super::Context;
use super::super::change::{known, object, put};
use super::super::level::misused;
use crate::cli::backend::ask_done;
use crate::cli::exit::{Exit, Failure};
use crate::cli::outcome::Goal;
use crate::ipc::Request;
use cib::config::Config;
use cib::{Cib, Section};

pub(in crate::cli::pcs) fn enable(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let ids = set(cx, words, "target-role", "")?;
    for id in ids {
        cx.settle_with(&id, true)?;
    }
    Ok(())
}

pub(in crate::cli::pcs) fn disable(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let ids = set(cx, words, "target-role", "Stopped")?;
    let cib = cx.cib()?;
    let config = Config::new(&cib);
    for id in &ids {
        let meta = config.resource(id).map(|r| config.meta(&r));
        if meta.is_some_and(|m| m.get("is-managed") == Some(&"false")) {
            cx.warning(&format!("'{id}' is unmanaged"));
        }
    }
    for id in ids {
        cx.settle_with(&id, false)?;
    }
    Ok(())
}

pub(super) fn manage(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    set(cx, words, "is-managed", "").map(|_| ())
}

pub(super) fn unmanage(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    set(cx, words, "is-managed", "false").map(|_| ())
}

/// Sets a meta attribute of resources, in one change; empty takes it away, from the containers and
/// the members too, which would win over it otherwise. A tag stands for what it names.
fn set(
    cx: &mut Context<'_>,
    words: &[String],
    name: &str,
    value: &str,
) -> Result<Vec<String>, Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        let ids = resolve(cib, words)?;
        for id in &ids {
            let mut all = vec![id.clone()];
            if value.is_empty() {
                all.extend(around(cib, id));
            } else if name == "is-managed" {
                all = primitives_of(cib, id);
            }
            for id in all {
                let set = format!("{id}-meta_attributes");
                put(object(cib, &id)?, "meta_attributes", &set, name, value);
            }
        }
        Ok(ids)
    })
}

/// Resources that the words name, by themselves or by a tag.
fn resolve(cib: &Cib, words: &[String]) -> Result<Vec<String>, Failure> {
    let tags = cib.section(Section::Tags);
    let mut ids = Vec::new();
    for word in words {
        let mut tagged = tags.into_iter().flat_map(|t| t.all("tag"));
        match tagged.find(|t| t.id() == Some(word)) {
            Some(tag) => {
                let members = tag.all("obj_ref").filter_map(|r| r.id());
                ids.extend(members.map(str::to_owned));
            }
            None => {
                known(cib, word)?;
                ids.push(word.clone());
            }
        }
    }
    Ok(ids)
}

/// The containers of a resource and the resources in it.
fn around(cib: &Cib, id: &str) -> Vec<String> {
    let config = Config::new(cib);
    let mut found = Vec::new();
    let mut parent = config.resource(id).and_then(|r| r.parent);
    while let Some(up) = parent {
        // A stopped group may be so for the others' sake.
        if config
            .resource(up)
            .is_some_and(|r| r.kind != cib::config::Kind::Group)
        {
            found.push(up.to_owned());
        }
        parent = config.resource(up).and_then(|r| r.parent);
    }
    let mut open = vec![id];
    let all = config.resources();
    while let Some(at) = open.pop() {
        for child in all.iter().filter(|r| r.parent == Some(at)) {
            let below_a_clone = config
                .resource(at)
                .is_some_and(|r| r.kind != cib::config::Kind::Group);
            if below_a_clone {
                found.push(child.id.to_owned());
                open.push(child.id);
            }
        }
    }
    found
}

fn primitives_of(cib: &Cib, id: &str) -> Vec<String> {
    let config = Config::new(cib);
    let all = config.resources();
    let mut open = vec![id.to_owned()];
    let mut found = Vec::new();
    while let Some(at) = open.pop() {
        let children: Vec<String> = all
            .iter()
            .filter(|r| r.parent == Some(at.as_str()))
            .map(|r| r.id.to_owned())
            .collect();
        match children.is_empty() {
            true => found.push(at),
            false => open.extend(children),
        }
    }
    found
}

/// `restart RESOURCE`: stopped, waited for, started, waited for.
pub(super) fn restart(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id] = words else {
        return match words {
            [_, _] => Err(Failure::new(
                Exit::Unimplemented,
                "restarting on one node alone is not offered: ban the resource there and clear it again",
            )),
            _ => Err(misused()),
        };
    };
    let before = cx.cib()?;
    known(&before, id)?;
    let role = own_role(&before, id);
    if role.as_deref() == Some("Stopped") {
        return Err(Failure::new(
            Exit::Error,
            format!("{id} is disabled: `pcs resource enable {id}` starts it"),
        ));
    }
    let patience = match cx.flags.wait_ms()? {
        Some(ms) => ms,
        None => crate::cli::crm::WAIT_MS_MAX,
    };
    let request = Request::WaitIdle {
        timeout_ms: patience,
    };
    set_role(cx, id, "Stopped")?;
    let stopped = ask_done(cx.backend, &request).and_then(|_| cx.reached(id, &Goal::Stopped));
    // Started again whatever became of the wait: nobody asked for it to stay stopped.
    let role = role.unwrap_or_default();
    set_role(cx, id, &role)?;
    stopped?;
    ask_done(cx.backend, &request)?;
    cx.reached(id, &Goal::Running)?;
    cx.console.line(&format!("{id} successfully restarted"));
    Ok(())
}

/// What is wanted of a resource, in its own attributes; an empty role takes it back.
fn set_role(cx: &mut Context<'_>, id: &str, role: &str) -> Result<(), Failure> {
    let set = format!("{id}-meta_attributes");
    cx.edit(|cib| {
        let owner = object(cib, id)?;
        put(owner, "meta_attributes", &set, "target-role", role);
        Ok(())
    })
}

fn own_role(cib: &Cib, id: &str) -> Option<String> {
    let resource = Config::new(cib).resource(id)?;
    let sets = resource.element.all("meta_attributes");
    let mut pairs = sets.flat_map(|s| s.all("nvpair"));
    let pair = pairs.find(|p| p.attr("name") == Some("target-role"))?;
    pair.attr("value").map(str::to_owned)
}
