//! What a user prefers: `crm options`, and the files it is kept in, `/etc/crm/crm.conf` for all and
//! `~/.config/crm/crm.conf` for one, in the form that crmsh reads and writes.

mod file;
mod known;

use super::Context;
use super::usage::{alone, misused};
use crate::cli::console::paint::{Colours, Paint};
use crate::cli::exit::{Exit, Failure};
use file::File;
use known::{COLOURS, KNOWN, Known, SKILLS, find};
use std::path::{Path, PathBuf};

/// Verbs of the level.
pub(super) const VERBS: [&str; 17] = [
    "show",
    "list",
    "set",
    "save",
    "reset",
    "editor",
    "pager",
    "user",
    "skill-level",
    "output",
    "colorscheme",
    "check-frequency",
    "check-mode",
    "sort-elements",
    "wait",
    "add-quotes",
    "manage-children",
];

/// The preferences in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// The user's directory, where there is one.
    dir: Option<PathBuf>,
    /// The user's file.
    own: File,
    /// Everybody's.
    common: File,
}

impl Preferences {
    /// Those of the calling user; what cannot be read holds nothing.
    pub(crate) fn of_this_user() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let config = set("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(Path::new(&set("HOME")?).join(".config")));
        Self::in_folders(config.map(|c| c.join("crm")), Path::new(COMMON))
    }

    /// Those of a user's directory, and a file for everybody.
    pub(crate) fn in_folders(dir: Option<PathBuf>, common: &Path) -> Self {
        let own = dir.as_ref().map(|d| File::read(&d.join(FILE)));
        Self {
            own: own.unwrap_or_default(),
            common: File::read(common),
            dir,
        }
    }

    /// The user's directory.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// What was set; a value that the option does not take counts for nothing.
    fn set(&self, option: &Known) -> Option<String> {
        let found = [&self.own, &self.common]
            .into_iter()
            .find_map(|f| f.get(option.name));
        found.map(str::to_owned).filter(|v| !v.is_empty())
    }

    fn value(&self, name: &str) -> String {
        let Some(option) = KNOWN.iter().find(|k| k.name == name) else {
            return String::new();
        };
        let set = self.set(option).and_then(|v| match option.takes {
            // Looked for when it is wanted.
            known::Takes::Program => Some(v),
            _ => option.checked(&v).ok(),
        });
        set.unwrap_or_else(|| option.default.to_owned())
    }

    /// `core.wait`, `core.force` and the like.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.value(name) == "yes"
    }

    /// The editor or pager that was chosen.
    pub(crate) fn program(&self, name: &str) -> Option<String> {
        Some(self.value(name)).filter(|v| !v.is_empty())
    }

    /// Agents look at their parameters before a commit.
    pub(crate) fn asks_agents(&self) -> bool {
        self.value("core.check_frequency") == "always"
    }

    /// What the check objects to is a warning.
    pub(crate) fn is_relaxed(&self) -> bool {
        self.value("core.check_mode") == "relaxed" || self.value("core.check_frequency") == "never"
    }

    /// What the user takes on, as `operator`, `administrator` or `expert`.
    ///
    /// # Errors
    /// The level wants more.
    pub(super) fn allows(&self, level: &str, wanted: &str) -> Result<(), Failure> {
        let has = self.value("core.skill_level");
        let rank = |skill: &str| SKILLS.iter().position(|s| *s == skill);
        if rank(&has) >= rank(wanted) {
            return Ok(());
        }
        Err(Failure {
            cure: Some(format!("`crm options skill-level {wanted}` raises it")),
            ..Failure::new(
                Exit::InsufficientPriv,
                format!("{level}: {wanted} skill level required; yours is {has}"),
            )
        })
    }

    /// How words are painted.
    pub(crate) fn colours(&self) -> Colours {
        let of = |name: &str| Paint::parse(&self.value(&format!("color.{name}")));
        let style = self.value("color.style");
        let mut colours = Colours::none();
        colours.set_style(&style);
        colours.error = of("error");
        colours.warning = of("warn");
        colours.info = of("info");
        colours.keyword = of("keyword");
        colours.identifier = of("identifier");
        colours.name = of("attr_name");
        colours.value = of("attr_value");
        colours.reference = of("resource_reference");
        colours.score = of("score");
        colours
    }

    /// What is told of it: the editor that would be taken, say, where none was set.
    fn shown(&self, option: &Known) -> String {
        self.set(option)
            .unwrap_or_else(|| option.default.to_owned())
    }

    /// Sets options, or takes them out, and keeps the file once they are all in it.
    fn put<'a>(
        &mut self,
        options: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<(), Failure> {
        for (name, value) in options {
            self.own.set(name, value);
        }
        let Some(dir) = &self.dir else {
            return Ok(());
        };
        self.own.write(&dir.join(FILE))
    }

    /// As `-o NAME=VALUE`, `-D` and the like: for this command alone.
    ///
    /// # Errors
    /// There is no such option, or it does not take the value.
    pub(crate) fn put_for_now(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        // Where crmsh finds its parts, and what its report holds: nothing here.
        if name.starts_with("path.") || name.starts_with("report.") {
            return Ok(());
        }
        let option = find(name)?;
        let value = option.checked(value)?;
        self.own.set(option.name, Some(&value));
        Ok(())
    }
}

impl Context<'_> {
    /// What was preferred just now holds from now on.
    fn prefer(&mut self) {
        self.console.paint(self.preferences.colours());
    }
}

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "show" | "list" => show(context, words),
        "set" => match words {
            [name, value] => set(context, find(name)?, value),
            _ => Err(misused()),
        },
        "save" => {
            alone(words)?;
            // Each option is kept when it is set.
            match context.preferences.dir() {
                Some(dir) => {
                    let path = dir.join(FILE);
                    context
                        .console
                        .info(&format!("options are kept in {}", path.display()));
                    Ok(())
                }
                None => Err(homeless()),
            }
        }
        "reset" => {
            alone(words)?;
            let unset = KNOWN.iter().map(|option| (option.name, None));
            context.preferences.put(unset)?;
            context.prefer();
            Ok(())
        }
        "colorscheme" => colour_scheme(context, words),
        verb => match words {
            [value] => set(context, find(verb)?, value),
            _ => Err(misused()),
        },
    }
}

/// `show [all | OPTION]`.
fn show(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let shown: Vec<&Known> = match words {
        [] => {
            let kept = &context.preferences;
            KNOWN.iter().filter(|k| kept.set(k).is_some()).collect()
        }
        [all] if all == "all" => KNOWN.iter().collect(),
        [name] => vec![find(name)?],
        _ => return Err(misused()),
    };
    for option in shown {
        let value = context.preferences.shown(option);
        let line = format!("{} = {value}", option.name);
        context.console.line(line.trim_end());
    }
    Ok(())
}

fn set(context: &mut Context<'_>, option: &Known, value: &str) -> Result<(), Failure> {
    let value = option.checked(value)?;
    context
        .preferences
        .put([(option.name, Some(value.as_str()))])?;
    context.prefer();
    match option.name {
        "core.wait" => context.options.wait = value == "yes",
        "core.force" => context.options.force = value == "yes",
        _ => {}
    }
    if let Some(why) = option.idle {
        context
            .console
            .warning(&format!("{} changes nothing here: {why}", option.name));
    }
    if context.preferences.dir().is_none() {
        return Err(homeless());
    }
    Ok(())
}

/// `colorscheme yellow,normal,cyan,red,green,magenta`: keywords, ids, names, values, references,
/// scores.
fn colour_scheme(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [scheme] = words else {
        return Err(misused());
    };
    let colours: Vec<&str> = scheme.split(',').collect();
    if colours.len() != SCHEME.len() {
        return Err(Failure::usage(format!(
            "colorscheme: {} colours are wanted, for {}; there are {}",
            SCHEME.len(),
            SCHEME.join(", "),
            COLOURS.join(", ")
        )));
    }
    let named = SCHEME.iter().zip(&colours);
    let named: Vec<(String, &str)> = named.map(|(n, c)| (format!("color.{n}"), *c)).collect();
    for (name, colour) in &named {
        find(name)?.checked(colour)?;
    }
    let named = named
        .iter()
        .map(|(name, colour)| (name.as_str(), Some(*colour)));
    context.preferences.put(named)?;
    context.prefer();
    Ok(())
}

fn homeless() -> Failure {
    Failure {
        cure: Some("set HOME or XDG_CONFIG_HOME; until then it holds for this shell".to_owned()),
        ..Failure::new(Exit::CantCreat, "there is nowhere to keep options")
    }
}

/// What may stand behind a verb of the level.
pub(super) fn next(verb: &str, rest: &[&str]) -> Vec<String> {
    let names = || KNOWN.iter().map(|k| k.name.to_owned());
    let values = |name: &str| -> Vec<String> {
        let Ok(option) = find(name) else {
            return Vec::new();
        };
        let words: &[&str] = match option.takes {
            known::Takes::YesNo => &["yes", "no"],
            known::Takes::OneOf(words) | known::Takes::SomeOf(words) => words,
            known::Takes::Colour => &COLOURS,
            known::Takes::Program | known::Takes::Text => &[],
        };
        words.iter().map(|w| (*w).to_owned()).collect()
    };
    match (verb, rest) {
        ("show" | "list", []) => names().chain(["all".to_owned()]).collect(),
        ("set", []) => names().collect(),
        ("set", [name]) => values(name),
        ("colorscheme", _) => Vec::new(),
        (verb, []) => values(verb),
        _ => Vec::new(),
    }
}

/// The colours of a scheme, in its order.
const SCHEME: [&str; 6] = [
    "keyword",
    "identifier",
    "attr_name",
    "attr_value",
    "resource_reference",
    "score",
];
/// Everybody's file.
const COMMON: &str = "/etc/crm/crm.conf";
/// The user's, in the user's directory.
const FILE: &str = "crm.conf";
