//! The options there are: names, values, what holds where nothing was set (crmsh's config.py has the
//! same names, so that one file serves both).

use crate::cli::exit::Failure;
use crate::cli::pcs::is_it;

/// An option.
pub(super) struct Known {
    /// `SECTION.NAME`, as in the file.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) takes: Takes,
    /// What holds where it is not set.
    pub(super) default: &'static str,
    /// Why it changes nothing here, where it does not.
    pub(super) idle: Option<&'static str>,
}

/// What an option takes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// yes or no.
    YesNo,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Some of these, with commas.
    SomeOf(&'static [&'static str]),
    /// A program of this machine, with its arguments.
    Program,
    /// A colour, such as `red bold`.
    Colour,
    /// Anything.
    Text,
}

impl Known {
    /// The verb that sets it: `skill-level` of `core.skill_level`.
    pub(super) fn verb(&self) -> String {
        let name = self.name.rsplit('.').next().unwrap_or(self.name);
        match self.name {
            "color.style" => "output".to_owned(),
            _ => name.replace('_', "-"),
        }
    }

    /// The value as the file has it.
    ///
    /// # Errors
    /// It is none that the option takes.
    pub(super) fn checked(&self, value: &str) -> Result<String, Failure> {
        let wrong = |text: String| Failure::usage(format!("{}: {text}", self.name));
        let listed = |words: &[&str], word: &str| match words.contains(&word) {
            true => Ok(()),
            false => Err(wrong(format!(
                "{word} not in {}{}",
                words.join(", "),
                is_it(word, words.iter().copied())
            ))),
        };
        match self.takes {
            Takes::YesNo => match value.to_ascii_lowercase().as_str() {
                "yes" | "true" | "on" | "1" => Ok("yes".to_owned()),
                "no" | "false" | "off" | "0" => Ok("no".to_owned()),
                _ => Err(wrong(format!("`{value}` is neither yes nor no"))),
            },
            Takes::OneOf(words) => listed(words, value).map(|()| value.to_owned()),
            Takes::SomeOf(words) => {
                value.split(',').try_for_each(|word| listed(words, word))?;
                Ok(value.to_owned())
            }
            Takes::Program => {
                let program = value.split_whitespace().next().unwrap_or_default();
                match installed(program) {
                    true => Ok(value.to_owned()),
                    false => Err(wrong(format!(
                        "{program} does not exist or is not a program"
                    ))),
                }
            }
            Takes::Colour => {
                value
                    .split_whitespace()
                    .try_for_each(|word| listed(&COLOURS, word))?;
                Ok(value.to_owned())
            }
            Takes::Text => Ok(value.to_owned()),
        }
    }
}

/// The option that somebody means: `core.wait`, `wait`, `skill-level`.
///
/// # Errors
/// There is none of the name.
pub(super) fn find(name: &str) -> Result<&'static Known, Failure> {
    let plain = name.replace('-', "_");
    let fits = |k: &&Known| {
        k.name == plain || k.name.strip_prefix("core.") == Some(&plain) || k.verb() == name
    };
    KNOWN.iter().find(fits).ok_or_else(|| {
        Failure::no_such(format!(
            "unknown option {name}{}; `crm options show all` lists them",
            is_it(
                &plain,
                KNOWN
                    .iter()
                    .flat_map(|k| [k.name, k.name.trim_start_matches("core.")])
            )
        ))
    })
}

fn installed(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &std::path::Path| {
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return runs(std::path::Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    !program.is_empty() && std::env::split_paths(&path).any(|dir| runs(&dir.join(program)))
}

const fn known(name: &'static str, takes: Takes, default: &'static str) -> Known {
    Known {
        name,
        takes,
        default,
        idle: None,
    }
}

const fn idle(name: &'static str, takes: Takes, default: &'static str, why: &'static str) -> Known {
    Known {
        name,
        takes,
        default,
        idle: Some(why),
    }
}

/// Skill levels, the least first.
pub(super) const SKILLS: [&str; 3] = ["operator", "administrator", "expert"];
/// Words of a colour.
pub(super) const COLOURS: [&str; 11] = [
    "normal",
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bold",
    "underline",
];
/// The options.
pub(super) const KNOWN: [Known; 22] = [
    known("core.editor", Takes::Program, ""),
    known("core.pager", Takes::Program, ""),
    idle(
        "core.user",
        Takes::Text,
        "",
        "crm asks the daemon as who calls it: root and members of the group haclient are let in",
    ),
    known("core.skill_level", Takes::OneOf(&SKILLS), "expert"),
    known("core.wait", Takes::YesNo, "no"),
    known("core.force", Takes::YesNo, "no"),
    idle(
        "core.debug",
        Takes::YesNo,
        "no",
        "what goes on is in the daemon's log",
    ),
    known(
        "core.check_frequency",
        Takes::OneOf(&["always", "on-verify", "never"]),
        "always",
    ),
    known(
        "core.check_mode",
        Takes::OneOf(&["strict", "relaxed"]),
        "strict",
    ),
    idle(
        "core.add_quotes",
        Takes::YesNo,
        "yes",
        "a word of the command line stays one word",
    ),
    idle(
        "core.manage_children",
        Takes::OneOf(&["ask", "always", "never"]),
        "ask",
        "members of a group or clone never keep a role or state against it",
    ),
    idle(
        "core.sort_elements",
        Takes::YesNo,
        "yes",
        "`configure show` has one order",
    ),
    known(
        "color.style",
        Takes::SomeOf(&["plain", "color-always", "color", "uppercase"]),
        "color",
    ),
    known("color.error", Takes::Colour, "red bold"),
    known("color.warn", Takes::Colour, "yellow bold"),
    known("color.info", Takes::Colour, "cyan"),
    known("color.keyword", Takes::Colour, "yellow"),
    known("color.identifier", Takes::Colour, "normal"),
    known("color.attr_name", Takes::Colour, "cyan"),
    known("color.attr_value", Takes::Colour, "red"),
    known("color.resource_reference", Takes::Colour, "green"),
    known("color.score", Takes::Colour, "magenta"),
];
