//! `--list-options`: a list of options as Pacemaker's tools print it (lib/common/options_display.c),
//! in text for people and in XML for crmsh, pcs and Hawk. It needs no cluster.

use super::agent::{agent, in_english};
use super::{Known, Level, cluster, fencing, primitive};
use crate::cli::console::Console;
use crate::cli::exit::Failure;
use cib::Element;
use std::fmt::Write as _;

/// A list of options that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum List {
    /// Options of the cluster.
    Cluster,
    /// Meta-attributes of primitive resources.
    Primitive,
    /// Parameters of every fence device.
    Fencing,
}

impl List {
    /// Prints the list that was asked for by its word, one of those a tool has. In text, advanced and
    /// deprecated options are left out unless `all`; in XML they are marked, and never left out.
    ///
    /// # Errors
    /// Wrong use: another word.
    pub(in crate::cli) fn told(
        console: &mut Console,
        asked: &str,
        lists: &[Self],
        all: bool,
    ) -> Result<(), Failure> {
        let list = lists.iter().find(|list| list.word() == asked);
        let list = list.ok_or_else(|| {
            let words: Vec<&str> = lists.iter().map(|list| list.word()).collect();
            Failure::usage(format!(
                "--list-options={asked}: known are {}",
                words.join(", ")
            ))
        })?;
        console.print(&list.text(all));
        console.element(list.element());
        Ok(())
    }

    /// What it is asked for by.
    const fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Primitive => "primitive",
            Self::Fencing => "fencing",
        }
    }

    /// What it calls itself, as if it were an agent (Pacemaker lib/pacemaker/pcmk_options.c).
    const fn agent(self) -> &'static str {
        match self {
            Self::Cluster => "cluster-options",
            Self::Primitive => "primitive-meta",
            Self::Fencing => "fence-attributes",
        }
    }

    /// In a line, and at length.
    const fn about(self) -> (&'static str, &'static str) {
        match self {
            Self::Cluster => (
                "Options of the cluster",
                "They stand in the cluster_property_set elements of crm_config and hold for the whole cluster; they are also called properties.",
            ),
            Self::Primitive => (
                "Meta-attributes of primitive resources",
                "They tell the cluster how to treat a resource. rsc_defaults has their defaults.",
            ),
            Self::Fencing => (
                "Parameters of every fence device",
                "They are parameters of resources of the class stonith. mainstayd reads them itself; agents do not see them.",
            ),
        }
    }

    fn options(self) -> Vec<Known> {
        match self {
            Self::Cluster => cluster::all(),
            Self::Primitive => primitive::ALL.to_vec(),
            Self::Fencing => fencing::all(),
        }
    }

    fn text(self, all: bool) -> String {
        let (short, long) = self.about();
        let mut text = format!("{short}\n\n{long}\n");
        let options = self.options();
        let mut part = |heading: &str, indent: &str, fits: fn(Level) -> bool| {
            let mut chosen = options.iter().filter(|o| fits(o.level)).peekable();
            if !heading.is_empty() && chosen.peek().is_some() {
                let _ = writeln!(text, "\n  * {heading}:");
            }
            for option in chosen {
                text.push('\n');
                option.describe(indent, &mut text);
            }
        };
        part("", "  ", |level| {
            matches!(level, Level::Usual | Level::Generated)
        });
        if all {
            part("ADVANCED OPTIONS", "    ", |level| level == Level::Advanced);
            part("DEPRECATED OPTIONS", "    ", |level| {
                matches!(level, Level::Deprecated(_))
            });
        }
        text
    }

    /// As an agent's meta-data; the schema is Pacemaker's xml/api/options-2.37.rng.
    fn element(self) -> Element {
        let parameters = self.options().iter().map(Known::parameter).collect();
        agent(self.agent(), self.about(), parameters)
    }
}

impl Known {
    fn describe(&self, indent: &str, text: &mut String) {
        let (short, long) = (self.short(), self.long());
        let _ = writeln!(text, "{indent}* {}: {short}", self.name);
        if long != short {
            let _ = writeln!(text, "{indent}  * {long}");
        }
        let by = match self.level {
            Level::Generated => " (written by the cluster)",
            _ => "",
        };
        let _ = writeln!(text, "{indent}  * Possible values{by}: {}", self.takes());
    }

    /// The words it takes, or of what kind its value is, with the default.
    fn takes(&self) -> String {
        if !self.values.is_empty() {
            let word = |word: &&str| match *word == self.default {
                true => format!("\"{word}\" (default)"),
                false => format!("\"{word}\""),
            };
            let words: Vec<String> = self.values.iter().map(word).collect();
            return words.join(", ");
        }
        match self.default {
            "" => format!("{} (no default)", self.kind_listed()),
            value => format!("{} (default: \"{value}\")", self.kind_listed()),
        }
    }

    /// Its kind by the name that it has had since these lists are there.
    fn kind_listed(&self) -> &'static str {
        match self.kind {
            "time" => "duration",
            kind => kind,
        }
    }

    fn parameter(&self) -> Element {
        let yes = |yes: bool| if yes { "1" } else { "0" };
        let mut parameter = Element::new("parameter")
            .with("name", self.name)
            .with("advanced", yes(self.level == Level::Advanced))
            .with("generated", yes(self.level == Level::Generated));
        if let Level::Deprecated(now) = self.level {
            let mut deprecated = Element::new("deprecated");
            let now = now.map(|name| Element::new("replaced-with").with("name", name));
            deprecated.children.extend(now);
            parameter.children.push(deprecated);
        }
        parameter
            .child(in_english("longdesc", &self.long()))
            .child(in_english("shortdesc", self.short()))
            .child(self.content(self.kind_listed()))
    }
}

#[cfg(test)]
mod tests;
