//! `crm_shadow`: configurations that are worked on in a file, by name, and carried over to the
//! cluster when they are done.

use super::backend::{self, Backend, Committed, shadow};
use super::console::Console;
use super::diff;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::private;
use super::tool::Tool;
use cib::{Cib, Section};
use std::process::Command;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_shadow",
    options: OPTIONS,
    usage: USAGE,
    prefix: "crm_shadow: ",
};

fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    let command = found.last_of(&COMMANDS);
    let name = command.and_then(|c| found.value(c)).unwrap_or_default();
    match command {
        Some("which") => {
            let name = active()?;
            console.line(&name);
            Ok(())
        }
        Some("display") => {
            let (_, text) = read(&active()?)?;
            console.print(&text);
            Ok(())
        }
        Some("file") => {
            let path = shadow::path(&active()?)?;
            console.line(&path.display().to_string());
            Ok(())
        }
        Some("diff") => show_difference(console),
        Some("edit") => edit(&active()?),
        Some("create") => make(console, found, name, &original()?, Instance::New),
        Some("create-empty") => {
            let empty = Cib::empty();
            let schema = empty.root().attr("validate-with").unwrap_or_default();
            console.line(&format!("Created new {schema} configuration"));
            make(console, found, name, &empty, Instance::New)
        }
        Some("reset") => {
            shadow::existing(name)?;
            make(console, found, name, &original()?, Instance::Renewed)
        }
        Some("switch") => {
            shadow::existing(name)?;
            enter(
                console,
                found,
                name,
                "To switch to the named shadow instance",
            )
        }
        Some("commit") => commit(console, found, name),
        Some("delete") => delete(console, found, name),
        _ => Err(Failure::usage("say what to do with which shadow")),
    }
}

/// A shadow that is made must not be there, one that is made anew must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instance {
    New,
    Renewed,
}

fn active() -> Result<String, Failure> {
    shadow::active().ok_or_else(|| Failure::no_such("No active shadow configuration defined"))
}

/// What the cluster, or the file of `CIB_file`, says.
fn original() -> Result<Cib, Failure> {
    let mut backend = backend::open_original()?;
    backend::cib(backend.as_mut(), true)
}

/// A shadow that is there, and its text.
///
/// # Errors
/// [`Exit::NoSuch`], [`Exit::NoInput`], [`Exit::DataErr`].
pub(super) fn read(name: &str) -> Result<(Cib, String), Failure> {
    let path = shadow::existing(name)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))?;
    Ok((Cib::parse(&text)?, text))
}

fn make(
    console: &mut Console,
    found: &Found,
    name: &str,
    cib: &Cib,
    instance: Instance,
) -> Result<(), Failure> {
    if instance == Instance::New && shadow::path(name)?.exists() && !found.has("force") {
        return Err(Failure {
            exit: Exit::CantCreat,
            text: format!("A shadow instance '{name}' already exists."),
            cure: Some(
                "  To prevent accidental destruction of the cluster, the --force flag is required in order to proceed.".to_owned(),
            ),
        });
    }
    write(name, cib)?;
    enter(
        console,
        found,
        name,
        "A new shadow instance was created.  To begin using it",
    )
}

/// Makes a shadow of a CIB, in the place of one of that name.
///
/// # Errors
/// [`Exit::CantCreat`]; a name that is no file name.
pub(super) fn write(name: &str, cib: &Cib) -> Result<(), Failure> {
    let path = shadow::path(name)?;
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| private::write_over(&path, &cib.to_xml()));
    written.map_err(|e| Failure::new(Exit::CantCreat, format!("{}: {e}", path.display())))
}

/// A shell in which the shadow is worked on, or the words for one's own.
fn enter(console: &mut Console, found: &Found, name: &str, why: &str) -> Result<(), Failure> {
    console.line("Setting up shadow instance");
    if found.has("batch") || !console.interactive {
        console.line(&format!("{why} paste the following into your shell:"));
        console.line(&format!(
            "  {}={name} ; export {}",
            shadow::SHADOW_ENV,
            shadow::SHADOW_ENV
        ));
        return Ok(());
    }
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    console.line(&format!(
        "Type Ctrl-D to exit the crm_shadow shell of `{name}`"
    ));
    let ended = Command::new(&shell)
        .env(shadow::SHADOW_ENV, name)
        .env("PS1", format!("shadow[{name}] # "))
        .status();
    ended
        .map(|_| ())
        .map_err(|e| Failure::new(Exit::OsErr, format!("{shell}: {e}")))
}

/// Lines that went and came, and exit code 1 where there are any.
fn show_difference(console: &mut Console) -> Result<(), Failure> {
    let (shadowed, _) = read(&active()?)?;
    let original = original()?;
    let text = |cib: &Cib| {
        let configuration = cib.section(Section::Configuration);
        configuration.map(cib::xml::format).unwrap_or_default()
    };
    let difference = diff::unified(&text(&original), &text(&shadowed));
    if difference.is_empty() {
        return Ok(());
    }
    console.print(&difference);
    Err(Failure::new(Exit::Error, ""))
}

fn edit(name: &str) -> Result<(), Failure> {
    let path = shadow::existing(name)?;
    let Some(editor) = std::env::var_os("EDITOR").filter(|e| !e.is_empty()) else {
        return Err(Failure::new(Exit::Error, "No value for EDITOR defined"));
    };
    let ended = Command::new(&editor).arg(&path).status();
    match ended {
        Ok(status) if status.success() => read(name).map(|_| ()),
        Ok(status) => Err(Failure::new(
            Exit::OsErr,
            format!("{} ended with {status}", editor.display()),
        )),
        Err(e) => Err(Failure::new(
            Exit::OsErr,
            format!("{}: {e}", editor.display()),
        )),
    }
}

fn dangerous(found: &Found) -> Result<(), Failure> {
    match found.has("force") {
        true => Ok(()),
        false => Err(Failure::usage(
            "The supplied command is considered dangerous.  To prevent accidental destruction of the cluster, the --force flag is required in order to proceed.",
        )),
    }
}

fn commit(console: &mut Console, found: &Found, name: &str) -> Result<(), Failure> {
    dangerous(found)?;
    let mut backend = backend::open_original()?;
    let committed = carry_over(backend.as_mut(), name, "crm_shadow")?;
    for warning in committed.warnings {
        console.err_line(&warning);
    }
    leave(console, name);
    Ok(())
}

/// The shadow's configuration becomes the cluster's. Status and version stay the cluster's own.
///
/// # Errors
/// There is no such shadow; as [`backend::edit`].
pub(super) fn carry_over(
    backend: &mut dyn Backend,
    name: &str,
    client: &str,
) -> Result<Committed, Failure> {
    let (shadowed, _) = read(name)?;
    let new = shadowed.section(Section::Configuration).cloned();
    let new = new.ok_or_else(|| {
        Failure::new(
            Exit::DataErr,
            format!("shadow '{name}' has no configuration"),
        )
    })?;
    let (_, committed) = backend::edit(backend, client, |cib| {
        *cib.section_mut(Section::Configuration) = new.clone();
        Ok(())
    })?;
    Ok(committed)
}

fn delete(console: &mut Console, found: &Found, name: &str) -> Result<(), Failure> {
    dangerous(found)?;
    remove(name)?;
    leave(console, name);
    Ok(())
}

/// Removes a shadow; that it is gone already is fine.
///
/// # Errors
/// [`Exit::IoErr`].
pub(super) fn remove(name: &str) -> Result<(), Failure> {
    let path = shadow::path(name)?;
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(
            Exit::IoErr,
            format!("Could not remove shadow instance '{name}': {e}"),
        )),
        _ => Ok(()),
    }
}

/// Who still works on it learns how to stop.
fn leave(console: &mut Console, name: &str) {
    if shadow::active().as_deref() != Some(name) {
        return;
    }
    let variable = shadow::SHADOW_ENV;
    console.line(&format!(
        "Please remember to unset the {variable} variable by pasting the following into your shell:"
    ));
    console.line(&format!("  unset {variable}"));
}

const COMMANDS: [&str; 11] = [
    "which",
    "display",
    "edit",
    "diff",
    "file",
    "create",
    "create-empty",
    "commit",
    "delete",
    "reset",
    "switch",
];

/// crm_shadow(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('w', "which"),
    flag('p', "display"),
    flag('E', "edit"),
    flag('d', "diff"),
    flag('F', "file"),
    with_value('c', "create"),
    with_value('e', "create-empty"),
    with_value('C', "commit"),
    with_value('D', "delete"),
    with_value('r', "reset"),
    with_value('s', "switch"),
    with_value('v', "validate-with"),
    flag('f', "force"),
    flag('b', "batch"),
    flag('a', "all"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
];

const USAGE: &str = "usage: crm_shadow -w|-p|-d|-F|-E | [-b] [-f] -c|-e|-r|-s NAME | -f -C|-D NAME";
