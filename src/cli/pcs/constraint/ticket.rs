//! `pcs constraint ticket`.

use super::super::change::known;
use super::super::level::{Level, also, misused, verb};
use super::super::words;
use super::super::{Context, ids};
use super::{insert, may_be_named, role, sets, show};
use crate::cli::exit::Failure;
use cib::{Element, Section};

pub(super) const LEVEL: Level = Level {
    path: "pcs constraint ticket",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb(
            "add",
            "TICKET [ROLE] RESOURCE [NAME=VALUE]...",
            &["file", "force"],
            add,
        ),
        verb(
            "set",
            "RESOURCE... [NAME=VALUE]... [set RESOURCE...]... setoptions ticket=NAME [NAME=VALUE]...",
            &["file", "force"],
            |cx, words| sets::add(cx, words, &sets::TICKET),
        ),
        verb("config", "", &["file", "full"], |cx, words| {
            show::kind(cx, words, "rsc_ticket")
        }),
        also("show", "config"),
        verb("delete", "TICKET RESOURCE", &["file"], delete),
        also("remove", "delete"),
    ],
};

fn add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (ticket, role, rsc, rest) = match words {
        [ticket, word, rsc, rest @ ..] if role(word).is_some() && !rsc.contains('=') => {
            (ticket, role(word), rsc, rest)
        }
        [ticket, rsc, rest @ ..] if !rsc.contains('=') => (ticket, None, rsc, rest),
        _ => return Err(misused()),
    };
    let options = words::pairs(rest)?;
    let force = cx.flags.force();
    let there = cx.edit(|cib| {
        may_be_named(cib, rsc, force)?;
        let mut element = Element::new("rsc_ticket");
        let mut id = None;
        for (name, value) in &options {
            match (name.as_str(), value.as_str()) {
                ("id", value) => id = Some(value.to_owned()),
                ("loss-policy", "fence" | "stop" | "freeze" | "demote") => {
                    element.set("loss-policy", value);
                }
                ("loss-policy", other) => {
                    return Err(Failure::usage(format!(
                        "'{other}' is not a valid loss-policy value, use 'demote', 'fence', 'freeze', 'stop'"
                    )));
                }
                (other, _) => {
                    return Err(Failure::usage(format!(
                        "invalid option '{other}', allowed options are: 'id', 'loss-policy'"
                    )));
                }
            }
        }
        element.set("ticket", ticket);
        element.set("rsc", rsc);
        if let Some(role) = role {
            element.set("rsc-role", role);
        }
        let suffix = role.map(|r| format!("-{r}")).unwrap_or_default();
        let made = || ids::unique(cib, &format!("ticket-{ticket}-{rsc}{suffix}"));
        element.set("id", &id.unwrap_or_else(made));
        insert(cib, element, force, |c| {
            c.attr("ticket") == Some(ticket)
                && c.attr("rsc") == Some(rsc)
                && c.attr("rsc-role") == role
        })
    })?;
    cx.there_already(there.as_deref());
    Ok(())
}

fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [ticket, rsc] = words else {
        return Err(misused());
    };
    cx.edit(|cib| {
        let all = &mut cib.section_mut(Section::Constraints).children;
        let before = all.len();
        all.retain(|c| {
            c.name != "rsc_ticket" || c.attr("ticket") != Some(ticket) || c.attr("rsc") != Some(rsc)
        });
        let untouched = all.len() == before;
        if untouched {
            known(cib, rsc)?;
        }
        match untouched {
            true => Err(Failure::no_such(format!(
                "no ticket constraint of '{ticket}' and '{rsc}'"
            ))),
            false => Ok(()),
        }
    })
}
