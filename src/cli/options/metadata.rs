//! Options as the daemons of Pacemaker 2.1 tell of them (lib/common/options.c,
//! `pcmk__format_option_metadata`): crmsh 4 and pcs 0.10 and 0.11 ask `pacemaker-schedulerd metadata`
//! and its like which options there are, where later ones ask for a list ([`super::List`]).

use super::agent::{agent, in_english};
use super::{Known, Level, cluster, fencing};
use cib::Element;

/// A daemon of Pacemaker that tells of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Daemon {
    /// `pacemaker-based`, of the options of the CIB.
    Configuration,
    /// `pacemaker-controld`.
    Controller,
    /// `pacemaker-fenced`, of the parameters that every fence device has.
    Fencer,
    /// `pacemaker-schedulerd`.
    Scheduler,
}

impl Daemon {
    /// What it is called by.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "pacemaker-based",
            Self::Controller => "pacemaker-controld",
            Self::Fencer => "pacemaker-fenced",
            Self::Scheduler => "pacemaker-schedulerd",
        }
    }

    /// The document that it prints.
    pub(in crate::cli) fn metadata(self) -> String {
        let parameters = self.options().iter().map(|o| self.parameter(o)).collect();
        let agent = agent(self.name(), self.about(), parameters);
        format!("<?xml version=\"1.0\"?>\n{}", cib::xml::format(&agent))
    }

    /// In a line, and at length.
    const fn about(self) -> (&'static str, &'static str) {
        match self {
            Self::Configuration => (
                "Options of the cluster: the configuration",
                "Options of the cluster that tell how its configuration is kept.",
            ),
            Self::Controller => (
                "Options of the cluster: membership and carrying out",
                "Options of the cluster that tell how nodes join and leave, and how decisions are carried out.",
            ),
            Self::Fencer => (
                "Parameters of every fence device",
                "Parameters of resources of the class stonith that mainstayd reads itself; agents do not see them.",
            ),
            Self::Scheduler => (
                "Options of the cluster: decisions",
                "Options of the cluster that tell what is decided to be done.",
            ),
        }
    }

    /// Later names are left out: who asks in this way knows the others, and would show each twice.
    fn options(self) -> Vec<Known> {
        if self == Self::Fencer {
            return fencing::all();
        }
        let all = cluster::GENERATED.iter().chain(&cluster::ALL);
        all.filter(|o| o.told_by.contains(&self)).copied().collect()
    }

    fn parameter(self, option: &Known) -> Element {
        let short = format!("{}{}", self.warning(option.level), option.short());
        let mut long = option.long();
        // Where long and short say the same, front ends print one of them.
        if long == option.short() {
            long.clone_from(&short);
        }
        if !option.values.is_empty() {
            // pcs 0.10 takes the words from here; later ones cut it off.
            long.push_str("  Allowed values: ");
            long.push_str(&option.values.join(", "));
        }
        Element::new("parameter")
            .with("name", option.name)
            .child(in_english("longdesc", &long))
            .child(in_english("shortdesc", &short))
            .child(option.content(option.kind_of_agents()))
    }

    /// What the form has no place for stands before the description. pcs knows what is advanced by
    /// these words (pcs/lib/resource_agent/pcs_transform.py), older ones by those of the daemon alone.
    const fn warning(self, level: Level) -> &'static str {
        match (self, level) {
            (Self::Fencer, Level::Advanced) => "Advanced use only: ",
            (_, Level::Advanced) => "*** Advanced Use Only *** ",
            (_, Level::Deprecated(_)) => "*** Deprecated *** ",
            (_, Level::Usual | Level::Generated) => "",
        }
    }
}

impl Known {
    /// Its kind by the names that agents have for kinds: pcs refuses a document with another (its
    /// ocf-1.1.rng).
    fn kind_of_agents(&self) -> &'static str {
        match self.kind {
            // Pacemaker's say so, too; INFINITY is taken for a number everywhere.
            "port" | "score" => "integer",
            "timeout" => "time",
            "version" => "string",
            kind => kind,
        }
    }
}

#[cfg(test)]
mod tests;
