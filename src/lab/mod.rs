//! A cluster on one machine, from namespaces: for demos, tests and benches.
//!
//! A [`Lab`] is a switch (a bridge in a network namespace of its own), a client beside it, and
//! nodes: each a pid 1 with its own pid, mount, network, uts and ipc namespaces, its own
//! `/etc/corosync`, `/var`, `/run` and `/tmp`, and this very program as daemon and command. All
//! namespaces are held by processes only, so that SIGKILL to a node's pid 1 is a power failure.

mod bench;
mod build;
mod cli;
mod cluster;
mod control;
mod daemon;
mod demo;
mod entry;
mod error;
mod exec;
mod fence;
mod files;
mod freezer;
mod glance;
mod holder;
mod http;
mod init;
mod interrupt;
mod mounts;
mod options;
mod probe;
mod service;
mod state;
mod switch;
mod table;
mod talk;
mod userns;
mod wait;

pub use cli::command_line;
pub use cluster::Lab;
pub use control::DaemonStatus;
pub use daemon::Usage;
pub use entry::main;
pub use error::LabError;
pub use exec::Output;
pub use glance::{Glance, GlanceNode};
pub use http::HttpProbe;
pub use options::Options;
pub use service::VIP;
pub use state::{Node, Process, default_dir};
pub use switch::{
    CLIENT_ADDRESS, CLIENT_ADDRESS6, NODE_INTERFACE, NODES_MAX, PREFIX, node_address,
};
pub use talk::{Line, Talk, Teller};
pub use userns::become_root;
pub use wait::{Seen, Timeout, Wait};
