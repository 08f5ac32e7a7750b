//! Options that are known by name, with what they are for: the one place that every command asks
//! which completes, checks or tells of them.

mod agent;
pub(in crate::cli) mod cluster;
mod fencing;
mod list;
mod metadata;
pub(in crate::cli) mod primitive;

pub(in crate::cli) use list::List;
pub(in crate::cli) use metadata::Daemon;

/// An option.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Known {
    /// Its name.
    pub(in crate::cli) name: &'static str,
    /// What holds where it is not set; empty where that depends.
    pub(in crate::cli) default: &'static str,
    /// `boolean`, `integer`, `percentage`, `port`, `score`, `select`, `string`, `time`, `timeout` or
    /// `version`.
    pub(in crate::cli) kind: &'static str,
    /// The words there are, of a `select`.
    pub(in crate::cli) values: &'static [&'static str],
    /// What it is for.
    pub(in crate::cli) about: &'static str,
    /// mainstayd heeds it; others are kept for what reads the configuration besides.
    pub(in crate::cli) heeded: bool,
    /// Whom it is for.
    pub(in crate::cli) level: Level,
    /// The name that it stands for, where it is another name of an option.
    pub(in crate::cli) other_name_of: Option<&'static str>,
    /// The daemons of Pacemaker that tell of it, where it is an option of the cluster.
    pub(in crate::cli) told_by: &'static [Daemon],
}

/// Whom an option is for. What is advanced is taken from Pacemaker (lib/common/options.c, the flags
/// `pcmk__opt_*`), so that its front ends hide the same; deprecated is what mainstay itself advises
/// against (`cib::check`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Level {
    /// Everybody.
    Usual,
    /// Who knows why: the default is right nearly everywhere.
    Advanced,
    /// Nobody any more; another option says the same where one is named.
    Deprecated(Option<&'static str>),
    /// Nobody: the cluster writes it.
    Generated,
}

impl Known {
    const fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    const fn advanced(self) -> Self {
        self.at(Level::Advanced)
    }

    const fn told_by(self, told_by: &'static [Daemon]) -> Self {
        Self { told_by, ..self }
    }
}

const fn heeded(
    name: &'static str,
    default: &'static str,
    kind: &'static str,
    values: &'static [&'static str],
    about: &'static str,
) -> Known {
    Known {
        name,
        default,
        kind,
        values,
        about,
        heeded: true,
        level: Level::Usual,
        other_name_of: None,
        told_by: &[],
    }
}

const fn without_effect(
    name: &'static str,
    default: &'static str,
    kind: &'static str,
    values: &'static [&'static str],
    about: &'static str,
) -> Known {
    Known {
        heeded: false,
        ..heeded(name, default, kind, values, about)
    }
}

/// Names of these, in the same order.
const fn names<const N: usize>(known: &[Known; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = known[at].name;
        at += 1;
    }
    names
}
