//! `crm template`: the same as `crm script`, with the values kept in a file that is edited until they
//! are right.

use super::Context;
use super::usage::misused;
use super::wizards::{self, Values, WIZARDS, Wizard};
use super::words::pair;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use crate::cli::private;
use std::path::PathBuf;

/// Verbs of the level.
pub(super) const VERBS: [&str; 7] = ["list", "new", "load", "edit", "show", "apply", "delete"];

/// What `apply` brings to the configuration.
pub(super) struct Applied {
    pub(super) name: String,
    pub(super) commands: Vec<String>,
    pub(super) replace: bool,
}

/// Carries out a verb; what `apply` has to do is returned.
pub(super) fn run(
    context: &mut Context<'_>,
    verb: &str,
    words: &[String],
) -> Result<Option<Applied>, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (verb, words.as_slice()) {
        ("list", words) => list(context, words)?,
        ("new", [_, ..]) => new(context, &words)?,
        ("load", []) => context.template = None,
        ("load", [name]) => {
            read(context, name)?;
            context.template = Some((*name).to_owned());
        }
        ("edit", [] | [_]) => edit(context, words.first().copied())?,
        ("show", [] | [_]) => {
            let name = named(context, words.first().copied())?;
            let lines = read(context, &name)?.commands(&name)?;
            lines.iter().for_each(|line| context.console.line(line));
        }
        ("apply", words) => return apply(context, words).map(Some),
        ("delete", [name] | [name, "force"]) => {
            let loaded = context.template.as_deref() == Some(*name);
            let force = words.len() == 2 || context.options.force;
            read_text(context, name)?;
            if loaded && !force {
                return Err(Failure::new(
                    Exit::Unsafe,
                    format!("{name} is the one in use: say `delete {name} force`"),
                ));
            }
            remove(context, name)?;
            if loaded {
                context.template = None;
            }
        }
        _ => return Err(misused()),
    }
    Ok(None)
}

/// A configuration: a template, and values.
struct Filled {
    wizard: &'static Wizard,
    values: Values,
}

impl Filled {
    fn commands(&self, name: &str) -> Result<Vec<String>, Failure> {
        self.wizard
            .commands(&self.values)
            .map_err(|failure| Failure {
                text: format!("{name}: {}", failure.text),
                cure: Some(format!("`crm template edit {name}` is where to say it")),
                ..failure
            })
    }
}

/// `list [templates | configs]`.
fn list(context: &mut Context<'_>, words: &[&str]) -> Result<(), Failure> {
    let (templates, configs) = match words {
        [] => (true, true),
        ["templates"] => (true, false),
        ["configs"] => (false, true),
        _ => return Err(misused()),
    };
    if templates {
        context.console.line("Templates:");
        for wizard in WIZARDS {
            let line = format!("{:<16} {}", wizard.name, wizard.title);
            context.console.line(&line);
        }
    }
    if templates && configs {
        context.console.line("");
    }
    if configs {
        context.console.line("Configurations:");
        for name in names(context) {
            context.console.line(&name);
        }
    }
    Ok(())
}

/// `new [CONFIG] TEMPLATE [params NAME=VALUE …]`.
fn new(context: &mut Context<'_>, words: &[&str]) -> Result<(), Failure> {
    let at = words.iter().position(|w| *w == "params");
    let (names, given) = match at {
        Some(at) => (&words[..at], &words[at + 1..]),
        None => (words, &[][..]),
    };
    let (name, template) = match names {
        [template] => (unused(context, template), *template),
        [name, template] => ((*name).to_owned(), *template),
        [_, _, ..] => {
            return Err(Failure {
                cure: Some("make one of each, and apply them one after the other".to_owned()),
                ..Failure::usage("one template makes a configuration")
            });
        }
        [] => return Err(misused()),
    };
    let wizard = wizards::find(template)?;
    let given: Vec<String> = given.iter().map(|w| (*w).to_owned()).collect();
    let mut values = wizard.values(&given)?;
    if wizard.parameters.iter().any(|p| p.name == "id") {
        values
            .entry("id".to_owned())
            .or_insert_with(|| name.clone());
    }
    let path = path(context, &name)?;
    if path.exists() && !context.options.force {
        return Err(Failure {
            cure: Some(format!(
                "`crm template edit {name}` changes it, `delete` removes it"
            )),
            ..Failure::new(Exit::Exists, format!("configuration {name} already exists"))
        });
    }
    write(context, &name, &text(wizard, &values))?;
    context.template = Some(name.clone());
    context.console.info(&format!(
        "{name} is a configuration from template {template}"
    ));
    Ok(())
}

/// The file that is edited.
fn text(wizard: &Wizard, values: &Values) -> String {
    let mut text = format!(
        "# {}\n#\n# {}\n#\n# Write values behind the equals signs; what is left empty is left out.\n\ntemplate = {}\n",
        wizard.title, wizard.about, wizard.name
    );
    for parameter in wizard.parameters {
        let value = values.get(parameter.name).map_or("", String::as_str);
        let line = format!("{} = {value}", parameter.name);
        text.push_str(&format!(
            "\n# {}{}\n{}\n",
            parameter.about,
            parameter.remark(),
            line.trim_end()
        ));
    }
    text
}

fn parse(name: &str, text: &str) -> Result<Filled, Failure> {
    let mut found = None;
    let mut values = Values::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |failure: Failure| Failure {
            text: format!("{name}:{}: {}", number + 1, failure.text),
            ..failure
        };
        let (key, value) = pair(line)
            .ok_or_else(|| at(Failure::usage(format!("`{line}` is not NAME = VALUE"))))?;
        let (key, value) = (key.trim(), value.trim());
        if key == "template" {
            found = Some(wizards::find(value).map_err(at)?);
            continue;
        }
        let wizard: &Wizard = found.ok_or_else(|| {
            at(Failure::usage(
                "the first line names the template: template = NAME",
            ))
        })?;
        wizard.parameter(key).map_err(at)?;
        values.insert(key.to_owned(), value.to_owned());
    }
    let wizard = found.ok_or_else(|| {
        Failure::usage(format!(
            "{name}: no line says which template it is: template = NAME"
        ))
    })?;
    Ok(Filled { wizard, values })
}

fn edit(context: &mut Context<'_>, name: Option<&str>) -> Result<(), Failure> {
    let name = named(context, name)?;
    let before = read_text(context, &name)?;
    let after = context.edited(&before)?;
    if before == after {
        return Ok(());
    }
    write(context, &name, &after)?;
    parse(&name, &after).map(|_| ())
}

/// `apply [update | replace] [CONFIG]`.
fn apply(context: &mut Context<'_>, words: &[&str]) -> Result<Applied, Failure> {
    let (replace, name) = match words {
        ["replace", rest @ ..] => (true, rest),
        ["update", rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if name.len() > 1 {
        return Err(misused());
    }
    let name = named(context, name.first().copied())?;
    let commands = read(context, &name)?.commands(&name)?;
    Ok(Applied {
        name,
        commands,
        replace,
    })
}

/// The one that was named, else the one in use.
fn named(context: &Context<'_>, name: Option<&str>) -> Result<String, Failure> {
    let name = name.map(str::to_owned).or_else(|| context.template.clone());
    name.ok_or_else(|| Failure {
        cure: Some(
            "`crm template list configs` prints those there are, `new` makes one".to_owned(),
        ),
        ..Failure::usage("which configuration?")
    })
}

/// A name that no configuration has, made from a template's.
fn unused(context: &Context<'_>, template: &str) -> String {
    let taken = names(context);
    let mut name = template.to_owned();
    let mut number = 1_u32;
    while taken.contains(&name) {
        number += 1;
        name = format!("{template}-{number}");
    }
    name
}

/// Configurations that there are.
pub(super) fn names(context: &Context<'_>) -> Vec<String> {
    context.preferences.dir().map(names_in).unwrap_or_default()
}

/// As [`names`], of a user's directory.
pub(super) fn names_in(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join(FOLDER))
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn path(context: &Context<'_>, name: &str) -> Result<PathBuf, Failure> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(Failure::usage(format!(
            "`{name}` cannot name a configuration: a name is a word without `/`"
        )));
    }
    let dir = context.preferences.dir().ok_or_else(|| {
        Failure::new(
            Exit::CantCreat,
            "there is nowhere to keep it: set HOME or XDG_CONFIG_HOME",
        )
    })?;
    Ok(dir.join(FOLDER).join(name))
}

fn read(context: &Context<'_>, name: &str) -> Result<Filled, Failure> {
    parse(name, &read_text(context, name)?)
}

fn read_text(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    let path = path(context, name)?;
    std::fs::read_to_string(&path).map_err(|e| {
        let near = is_it(name, names(context).iter().map(String::as_str));
        match e.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::no_such(format!("there is no configuration {name}{near}"))
            }
            _ => Failure::new(Exit::NoInput, format!("{}: {e}", path.display())),
        }
    })
}

/// Nobody else may read it: it may hold passwords.
fn write(context: &Context<'_>, name: &str, text: &str) -> Result<(), Failure> {
    let path = path(context, name)?;
    let written = private::folder_of(&path).and_then(|()| private::write_over(&path, text));
    written.map_err(|e| Failure::new(Exit::CantCreat, format!("{}: {e}", path.display())))
}

fn remove(context: &Context<'_>, name: &str) -> Result<(), Failure> {
    let path = path(context, name)?;
    std::fs::remove_file(&path)
        .map_err(|e| Failure::new(Exit::IoErr, format!("{}: {e}", path.display())))
}

/// Folder of configurations in the user's directory.
const FOLDER: &str = "templates";
