//! The verbs of `mainstay` and their options, as clap reads them and the manual page has them.

use super::import::Wishes;
use clap::{Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "mainstay",
    version,
    about = "A cluster's status, explanations, checks and upkeep"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What is asked for.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// How the cluster stands, and what is risky about it
    Status {
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Why a resource is where it is, and not elsewhere
    Why {
        /// The resource
        resource: String,
        /// Of this node alone
        #[arg(long)]
        node: Option<String>,
        /// As of this time: ISO 8601, local where no offset is given
        #[arg(long, value_name = "TIME", conflicts_with = "transition")]
        at: Option<String>,
        /// As of a kept decision: its number, its name such as pe-input-17, or a CIB in a file
        #[arg(long, value_name = "N")]
        transition: Option<String>,
    },
    /// What the cluster would do next
    Plan,
    /// One line for monitoring, with performance data: exit code 0, 1, 2 or 3
    Check,
    /// Look for what is wrong with this node's set-up
    Doctor,
    /// Name what is allowed and may not mean what its author meant
    Lint {
        /// A CIB in a file; the cluster's when not given
        file: Option<PathBuf>,
    },
    /// What may stand next on a command line, for shells
    #[command(hide = true)]
    Complete {
        /// The program
        program: String,
        /// Its words, the last of them begun
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Floating addresses: who holds them, by which lease, and how they came there
    Vip {
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Links, round trips and losses, ways through other nodes, and who hears whom
    Net {
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Fence a node by hand
    Fence {
        /// The node
        node: String,
        /// What the device shall do: reboot or off
        #[arg(long, default_value = "reboot")]
        action: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Read corosync.conf again
    Reload,
    /// Make a cluster of this machine alone, for others to join
    Init {
        /// The cluster's name
        #[arg(long, default_value = "mainstay")]
        cluster_name: String,
        /// This node's name; the host name when not given
        #[arg(long)]
        name: Option<String>,
        /// This node's address, once per link; found out when it has only one
        #[arg(long)]
        address: Vec<IpAddr>,
    },
    /// Join the cluster that a node belongs to
    Join {
        /// The node, or HOST:PORT
        host: String,
        /// The token that `mainstay token create` gave there
        #[arg(long, conflicts_with = "token_file")]
        token: Option<String>,
        /// A file with the token, `-` for standard input
        #[arg(long)]
        token_file: Option<PathBuf>,
        /// This node's name; the host name when not given
        #[arg(long)]
        name: Option<String>,
        /// This node's address, once per link; the one that reaches HOST when not given
        #[arg(long)]
        address: Vec<IpAddr>,
    },
    /// One-time secrets by which machines join
    #[command(subcommand)]
    Token(TokenVerb),
    /// The cluster's nodes, changed while it runs
    #[command(subcommand)]
    Node(NodeVerb),
    /// The authkey, replaced while the cluster runs
    #[command(subcommand)]
    Key(KeyVerb),
    /// Refuse versions of the protocol below this one, for good
    MinVersion {
        /// The lowest version allowed
        version: u8,
    },
    /// The versions of the configuration that are kept: who changed what, when
    History {
        #[command(subcommand)]
        verb: Option<HistoryVerb>,
    },
    /// What is kept beside the configuration
    #[command(subcommand)]
    Cib(CibVerb),
    /// Take over files of Corosync, Pacemaker and keepalived, and tell what becomes of each line
    Import(Wishes),
    /// This node's store, while the daemon is down
    #[command(subcommand)]
    Store(StoreVerb),
    /// Who would decide
    #[command(subcommand)]
    Quorum(QuorumVerb),
}

/// What is asked about votes.
#[derive(Debug, Subcommand)]
pub(super) enum QuorumVerb {
    /// Play a script of failures and partitions on paper
    Simulate {
        /// The rules to play by
        #[arg(long, default_value = "/etc/corosync/corosync.conf")]
        conf: PathBuf,
        /// Steps, separated by semicolons; standard input when not given
        script: Vec<String>,
    },
    /// Expect so many votes, whatever corosync.conf says
    ExpectedVotes {
        /// How many: not fewer than the nodes have
        votes: u32,
    },
}

/// What is asked about tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Make one, good for one machine
    Create {
        /// How long it is good, in seconds: a minute to a week
        #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(60..=604_800))]
        valid: u32,
    },
}

/// What is done with a node.
#[derive(Debug, Subcommand)]
pub(super) enum NodeVerb {
    /// Take a node out for good
    Remove {
        /// Its name
        node: String,
        /// Although it runs, or was lost without a goodbye
        #[arg(long)]
        force: bool,
    },
    /// Give a node that is off another name
    Rename {
        /// Its name
        node: String,
        /// Its name from then on
        name: String,
    },
}

/// What is done with the authkey.
#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Replace the authkey on every node
    Rotate {
        /// Do not wait until it is done
        #[arg(long)]
        no_wait: bool,
    },
    /// How far that is
    Status,
    /// Do not wait for a node that will not come back soon
    Abandon {
        /// Its name
        node: String,
    },
}

/// What is asked of the kept versions.
#[derive(Debug, Subcommand)]
pub(super) enum HistoryVerb {
    /// Number, time, user, program and node of each; the default
    List,
    /// The configuration as it was
    Show {
        /// The version's number
        number: u64,
        /// The whole CIB as XML
        #[arg(long)]
        xml: bool,
    },
    /// What changed between two versions
    Diff {
        /// The older version's number
        old: u64,
        /// The newer version's; the configuration as it is now when not given
        new: Option<u64>,
    },
}

/// What is kept beside the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum CibVerb {
    /// Changes of this node's that lost against another side's
    #[command(subcommand)]
    Conflict(ConflictVerb),
}

/// What is asked about lost changes.
#[derive(Debug, Subcommand)]
pub(super) enum ConflictVerb {
    /// Name, time and number of changes of each time that some were lost
    List,
    /// Who had changed what, as `cibadmin --patch` takes it
    Show {
        /// The name
        name: String,
    },
}

/// What is done with a store.
#[derive(Debug, Subcommand)]
pub(super) enum StoreVerb {
    /// Read and check everything in it
    Verify,
    /// Write everything in it as text
    Export {
        /// Where to; standard output when not given
        file: Option<PathBuf>,
    },
    /// Make a new store from an export
    Import {
        /// The export
        file: PathBuf,
    },
    /// Move the store aside, so that the node starts as a new one
    Reset {
        /// Said by somebody who knows that what this node promised is forgotten
        #[arg(long)]
        yes_lose_state: bool,
    },
}

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}
