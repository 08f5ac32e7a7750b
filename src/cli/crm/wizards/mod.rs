//! Configurations that are made of a few values: what `crm script` and `crm template` offer.

mod catalog;

use super::words::{pair, quote};
use crate::cli::exit::Failure;
use crate::cli::pcs::is_it;
use std::collections::BTreeMap;

pub(super) use catalog::WIZARDS;

/// What is made.
#[derive(Debug)]
pub(super) struct Wizard {
    /// Its name.
    pub(super) name: &'static str,
    /// Under what it is listed.
    pub(super) category: &'static str,
    /// In a few words.
    pub(super) title: &'static str,
    /// In a few more.
    pub(super) about: &'static str,
    /// Values it takes.
    pub(super) parameters: &'static [Parameter],
    /// Commands of `configure`. `{NAME}` stands for a value; what is in `[…]` is left out where a
    /// value in it is not given; `{?NAME}` is nothing but that condition.
    lines: &'static [&'static str],
}

/// A value.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) about: &'static str,
    /// What it must look like.
    pub(super) kind: Kind,
    /// Without it nothing can be made.
    pub(super) needed: bool,
    /// What it is where it is not given.
    pub(super) default: Option<&'static str>,
}

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    Address,
    /// A path.
    Path,
    Text,
}

/// Values by name.
pub(super) type Values = BTreeMap<String, String>;

/// The wizard of a name.
///
/// # Errors
/// There is none.
pub(super) fn find(name: &str) -> Result<&'static Wizard, Failure> {
    // Names that crmsh had for the same.
    let own = OTHER_NAMES.iter().find(|(other, _)| *other == name);
    let wanted = own.map_or(name, |(_, own)| own);
    WIZARDS.iter().find(|w| w.name == wanted).ok_or_else(|| {
        let near = is_it(name, WIZARDS.iter().map(|w| w.name));
        Failure {
            cure: Some("`crm script list` prints what there is".to_owned()),
            ..Failure::no_such(format!("Script not found: {name}{near}"))
        }
    })
}

impl Wizard {
    /// Values from `NAME=VALUE` words.
    ///
    /// # Errors
    /// A word that is none, a name that it does not know, one twice.
    pub(super) fn values(&self, words: &[String]) -> Result<Values, Failure> {
        let mut values = Values::new();
        for word in words {
            let Some((name, value)) = pair(word) else {
                return Err(Failure::usage(format!("`{word}` is not NAME=VALUE")));
            };
            self.parameter(name)?;
            if values.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(Failure::usage(format!("{name} is given twice")));
            }
        }
        Ok(values)
    }

    /// The parameter of a name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn parameter(&self, name: &str) -> Result<&Parameter, Failure> {
        let found = self.parameters.iter().find(|p| p.name == name);
        found.ok_or_else(|| {
            let near = is_it(name, self.parameters.iter().map(|p| p.name));
            Failure {
                cure: Some(format!(
                    "`crm script show {}` prints what it takes",
                    self.name
                )),
                ..Failure::usage(format!("Unknown parameter {name}{near}"))
            }
        })
    }

    /// The commands of `configure`.
    ///
    /// # Errors
    /// A value is missing, or is none of its kind.
    pub(super) fn commands(&self, given: &Values) -> Result<Vec<String>, Failure> {
        let mut values = given.clone();
        values.retain(|_, value| !value.is_empty());
        for parameter in self.parameters {
            if let (Some(default), false) = (parameter.default, values.contains_key(parameter.name))
            {
                values.insert(parameter.name.to_owned(), default.to_owned());
            }
        }
        let needed = self.parameters.iter().filter(|p| p.needed);
        let missing: Vec<&str> = needed
            .map(|p| p.name)
            .filter(|name| !values.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            return Err(Failure {
                cure: Some(format!(
                    "`crm script show {}` prints what it takes",
                    self.name
                )),
                ..Failure::usage(format!(
                    "Missing required parameter(s): {}",
                    missing.join(", ")
                ))
            });
        }
        for (name, value) in &values {
            self.parameter(name)?.check(value)?;
        }
        let lines = self.lines.iter().filter_map(|line| filled(line, &values));
        Ok(lines
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect())
    }
}

impl Parameter {
    /// `(required)`, `(default: x)`.
    pub(super) fn remark(&self) -> String {
        match (self.needed, self.default) {
            (true, None) => " (required)".to_owned(),
            (_, Some(default)) => format!(" (default: {default})"),
            (false, None) => String::new(),
        }
    }

    fn check(&self, value: &str) -> Result<(), Failure> {
        let name = self.name;
        let wrong = |what: &str| Err(Failure::usage(format!("{name}={value} is not {what}")));
        let clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        match self.kind {
            Kind::Id if !value.chars().all(clean) || !value.starts_with(char::is_alphabetic) => {
                wrong("an id: letters, digits, `_`, `-` and `.`, a letter first")
            }
            Kind::Address if value.parse::<std::net::IpAddr>().is_err() => wrong("an IP address"),
            Kind::Path if !value.starts_with('/') => wrong("a path: it begins with `/`"),
            _ if value.chars().any(char::is_control) => wrong("a line of text"),
            _ => Ok(()),
        }
    }
}

/// A line with its values; `None` where the whole of it stands in brackets and a value is missing.
fn filled(line: &str, values: &Values) -> Option<String> {
    let mut rest = line;
    let mut text = String::new();
    while let Some(at) = rest.find(['{', '[']) {
        text.push_str(&rest[..at]);
        let end = closing(&rest[at..])?;
        let inner = &rest[at + 1..at + end];
        match (rest[at..].starts_with('['), inner.strip_prefix('?')) {
            (true, _) => text.push_str(&filled(inner, values).unwrap_or_default()),
            (false, Some(name)) => drop(values.get(name)?),
            (false, None) => text.push_str(&quote(values.get(inner)?)),
        }
        rest = &rest[at + end + 1..];
    }
    text.push_str(rest);
    Some(text).filter(|t| !t.trim().is_empty())
}

/// Where the bracket that begins the text ends.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// Names under which crmsh has what is offered here under another.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("vip", "virtual-ip"),
    ("mysql", "database"),
    ("lvm-drbd", "drbd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, words: &str) -> Result<Vec<String>, Failure> {
        let wizard = find(name)?;
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        wizard.commands(&wizard.values(&words)?)
    }

    #[test]
    fn what_is_not_given_is_left_out() {
        assert_eq!(
            made("virtual-ip", "id=vip ip=10.0.0.5").unwrap(),
            [
                "primitive vip ocf:heartbeat:IPaddr2 params ip=10.0.0.5 op monitor interval=10s timeout=20s"
            ]
        );
        let with = made("virtual-ip", "id=vip ip=10.0.0.5 cidr_netmask=24").unwrap();
        assert!(
            with[0].contains("ip=10.0.0.5 cidr_netmask=24 op"),
            "{with:?}"
        );
        let alone = made("apache", "id=web").unwrap();
        assert_eq!(alone.len(), 1, "{alone:?}");
        let both = made("apache", "id=web virtual-ip:ip=10.0.0.5").unwrap();
        assert_eq!(both.last().unwrap(), "group g-web web-ip web");
    }

    #[test]
    fn mistakes_are_named() {
        for (name, words, told) in [
            ("virtual-ip", "id=vip", "Missing required parameter(s): ip"),
            ("virtual-ip", "id=vip ip=10.0.0.5.3", "is not an IP address"),
            (
                "virtual-ip",
                "id=vip ip=10.0.0.5 ipp=1",
                "Unknown parameter ipp: is it `ip`?",
            ),
            ("virtual-ip", "id=a id=b", "given twice"),
            ("virtual-ip", "id=a; ip=10.0.0.5", "is not an id"),
            ("virtual-pi", "", "is it `virtual-ip`?"),
            (
                "filesystem",
                "id=f device=/dev/x directory=data fstype=ext4",
                "is not a path",
            ),
        ] {
            let failure = made(name, words).unwrap_err();
            assert!(failure.text.contains(told), "{name} {words}: {failure}");
        }
    }

    /// Every value that a line wants is one that can be given, and every one is used.
    #[test]
    fn lines_and_parameters_fit() {
        for wizard in WIZARDS {
            let text = wizard.lines.join("\n");
            for parameter in wizard.parameters {
                let used = text.contains(&format!("{{{}}}", parameter.name));
                assert!(used, "{}: {} is not used", wizard.name, parameter.name);
            }
            let names = text.split('{').skip(1).filter_map(|t| t.split('}').next());
            for name in names {
                let name = name.trim_start_matches('?');
                assert!(wizard.parameter(name).is_ok(), "{}: {name}", wizard.name);
            }
        }
    }
}
