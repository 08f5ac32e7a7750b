//! Options that are known by name, with what they are for: the one place that every command asks
//! which completes, checks or tells of them.

pub(in crate::cli) mod cluster;

/// An option.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Known {
    /// Its name.
    pub(in crate::cli) name: &'static str,
    /// What holds where it is not set; empty where that depends.
    pub(in crate::cli) default: &'static str,
    /// `boolean`, `integer`, `percentage`, `score`, `select`, `string` or `time`.
    pub(in crate::cli) kind: &'static str,
    /// The words there are, of a `select`.
    pub(in crate::cli) values: &'static [&'static str],
    /// What it is for.
    pub(in crate::cli) about: &'static str,
    /// mainstayd heeds it; others are kept for what reads the configuration besides.
    pub(in crate::cli) heeded: bool,
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
