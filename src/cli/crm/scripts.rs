//! `crm script`: what takes several commands, made from a few values.

use super::Context;
use super::session::Session;
use super::usage::misused;
use super::wizards::{self, WIZARDS, Wizard};
use crate::cli::exit::{Exit, Failure};

/// Verbs of the level.
pub(super) const VERBS: [&str; 5] = ["list", "show", "verify", "run", "json"];

/// What is to be configured, and whether it is only looked at.
pub(super) struct Order {
    pub(super) wizard: &'static Wizard,
    pub(super) commands: Vec<String>,
    pub(super) dry: bool,
}

/// Carries out what needs no configuration; what `verify` and `run` have to do is returned.
pub(super) fn run(
    context: &mut Context<'_>,
    verb: &str,
    words: &[String],
) -> Result<Option<Order>, Failure> {
    match (verb, words) {
        ("list", words) => list(context, words).map(|()| None),
        ("show", [name]) => show(context, name).map(|()| None),
        ("show", [name, all]) if all == "all" => show(context, name).map(|()| None),
        ("verify" | "run", [name, words @ ..]) => order(context, verb, name, words).map(Some),
        ("json", [_]) => Err(Failure {
            cure: Some("`crm script list`, `show`, `verify` and `run` do the same".to_owned()),
            ..Failure::new(Exit::Unimplemented, "json is not offered")
        }),
        _ => Err(misused()),
    }
}

/// `list [all] [names]`.
fn list(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words
        .iter()
        .any(|w| !["all", "names"].contains(&w.as_str()))
    {
        return Err(misused());
    }
    if words.iter().any(|w| w == "names") {
        let mut names: Vec<&str> = WIZARDS.iter().map(|w| w.name).collect();
        names.sort_unstable();
        names.iter().for_each(|name| context.console.line(name));
        return Ok(());
    }
    let mut category = "";
    for wizard in WIZARDS {
        if wizard.category != category {
            let space = if category.is_empty() { "" } else { "\n" };
            category = wizard.category;
            context.console.print(&format!("{space}{category}:\n\n"));
        }
        let line = format!("{:<16} {}", wizard.name, wizard.title);
        context.console.line(&line);
    }
    Ok(())
}

fn show(context: &mut Context<'_>, name: &str) -> Result<(), Failure> {
    let wizard = wizards::find(name)?;
    let mut text = format!(
        "{} ({})\n{}\n\n{}\n\n",
        wizard.name, wizard.category, wizard.title, wizard.about
    );
    for parameter in wizard.parameters {
        text.push_str(&format!(
            "  {}{}\n      {}\n",
            parameter.name,
            parameter.remark(),
            parameter.about
        ));
    }
    context.console.print(&text);
    Ok(())
}

fn order(
    context: &mut Context<'_>,
    verb: &str,
    name: &str,
    words: &[String],
) -> Result<Order, Failure> {
    let wizard = wizards::find(name)?;
    let mut dry = verb == "verify";
    let mut own = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some(("dry_run", value)) => {
                dry |= cib::value::parse_bool(value)
                    .map_err(|_| Failure::usage(format!("dry_run={value}: say yes or no")))?;
            }
            Some(("nodes", _)) => context
                .console
                .warning("nodes=… changes nothing: the configuration is every node's"),
            _ => own.push(word.clone()),
        }
    }
    let commands = wizard.commands(&wizard.values(&own)?)?;
    Ok(Order {
        wizard,
        commands,
        dry,
    })
}

/// What would be configured, and what the check has against it.
pub(super) fn tell(context: &mut Context<'_>, order: &Order, session: &Session) {
    let mut text = format!("1. {}\n\n", order.wizard.title);
    for command in &order.commands {
        text.push_str(&format!("\t{command}\n"));
    }
    context.console.print(&text);
    for finding in session.new_findings() {
        context.console.warning(&super::describe_finding(&finding));
    }
}
