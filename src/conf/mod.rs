//! corosync.conf, sysconfig files and the authkey: what an administrator writes.

mod authkey;
mod cmap;
mod edit;
pub mod keepalived;
mod keys;
mod logging;
mod model;
mod names;
mod quorum;
mod read;
mod syntax;
mod values;
mod write;

pub use authkey::{AuthkeyError, KEY_BYTES, generate as generate_authkey, load as load_authkey};
pub use cmap::keys as map_keys;
pub use edit::set as set_key;
pub use logging::{LogPart, Logging};
pub(crate) use model::TOKEN_MS_MAX;
pub use model::{
    ClusterConf, Link, NodeConf, PORT_DEFAULT, QuorumConf, Tie, WITNESS_ID, Warning, WitnessConf,
};
pub use names::Hosts;
pub use read::{Strictness, read};
pub use values::{address_problem, is_node_name, nobody_reaches, syslog_facility};
pub use write::{new_file, replace_file, with_nodes};

use std::fmt;

/// What is wrong with a corosync.conf: file, line, key, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfError {
    /// File as the administrator knows it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Key or section, where one is concerned.
    pub key: String,
    /// What, why, what to do.
    pub what: String,
}

impl ConfError {
    fn at(file: &str, line: usize, key: &str, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            key: key.to_owned(),
            what: what.into(),
        }
    }
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        self.what.fmt(f)
    }
}

impl std::error::Error for ConfError {}

#[cfg(test)]
mod tests;
