//! `mainstay-lab` as a command line.

use super::bench::{self, Bench, Scale, VIPS_DEFAULT, VIPS_MAX};
use super::cluster::Lab;
use super::demo;
use super::error::{LabError, Tried};
use super::interrupt;
use super::options::Options;
use super::probe::{self, Asked};
use super::state::{Node, default_dir};
use super::userns::become_root;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A cluster on one machine, from namespaces.
#[derive(Debug, Parser)]
#[command(name = "mainstay-lab", version, disable_help_subcommand = true)]
struct Arguments {
    /// The lab's directory, on a real file system [default: $MAINSTAY_LAB_DIR or /var/tmp/mainstay-lab]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// Show no waits
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build N nodes and power them on
    Up(Up),
    /// End the lab
    Down {
        /// Remove the nodes' files too
        #[arg(long)]
        purge: bool,
    },
    /// Run a command in a node
    Exec {
        /// The node
        node: String,
        /// The command
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Cut a node's power
    Poweroff {
        /// The node
        node: String,
    },
    /// Give a node power again
    Poweron {
        /// The node
        node: String,
    },
    /// Cut a node's cable behind the switch: carrier, but no frames
    Cut {
        /// The node
        node: String,
    },
    /// Let a node hear no other node, while the client hears all
    Apart {
        /// The node
        node: String,
    },
    /// Let nothing reach a node, while everybody hears it
    Deafen {
        /// The node
        node: String,
    },
    /// Let nobody hear a node, while everything reaches it
    Mute {
        /// The node
        node: String,
    },
    /// Mend a node's cable, or all
    Heal {
        /// The node; all when not given
        node: Option<String>,
    },
    /// Stop every process of a node
    Freeze {
        /// The node
        node: String,
    },
    /// Let a frozen node go on
    Thaw {
        /// The node
        node: String,
    },
    /// Ask an address from the client's place and say how long it was silent
    Probe {
        /// The address
        address: IpAddr,
        /// Milliseconds between two probes
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60_000))]
        interval_ms: u64,
        /// Number of probes; until Ctrl-C when not given
        #[arg(long)]
        count: Option<u64>,
        /// Fetch pages from this TCP port instead of pinging
        #[arg(long, value_name = "PORT")]
        http: Option<u16>,
    },
    /// Show the nodes
    Status,
    /// Three nodes, a floating IP and a service; the node that holds them dies
    Demo {
        /// `token` of corosync.conf, in milliseconds
        #[arg(long, value_name = "MS")]
        token: Option<u32>,
    },
    /// Measure
    Bench {
        /// What
        what: Bench,
        /// Number of runs [default: 10; idle: 4]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        runs: Option<u32>,
        /// Number of nodes
        #[arg(long, default_value_t = 3)]
        nodes: u8,
        /// Number of floating IPs of `many`
        #[arg(long, value_name = "N", default_value_t = VIPS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=i64::from(VIPS_MAX)))]
        vips: u16,
        /// Threads that keep the machine busy during `quiet`
        #[arg(long, value_name = "N", default_value_t = 4)]
        busy: u8,
        /// `token` of corosync.conf, in milliseconds
        #[arg(long, value_name = "MS")]
        token: Option<u32>,
    },
}

#[derive(Debug, Args)]
struct Up {
    /// Number of nodes
    nodes: u8,
    /// `token` of corosync.conf, in milliseconds
    #[arg(long, value_name = "MS")]
    token: Option<u32>,
    /// `two_node: 1` in corosync.conf
    #[arg(long)]
    two_node: bool,
    /// Do not restart a daemon that dies
    #[arg(long)]
    no_supervise: bool,
    /// Leave the nodes powered off
    #[arg(long)]
    off: bool,
    /// Run this instead of mainstayd (one word per option)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true, num_args = 1..)]
    daemon: Vec<String>,
}

impl Up {
    fn options(self, dir: PathBuf, quiet: bool) -> Options {
        let mut options = Options {
            dir,
            quiet,
            ..Options::new(self.nodes)
        };
        options.token_ms = self.token;
        options.two_node = self.two_node;
        options.supervise = !self.no_supervise;
        options.powered_off = self.off;
        if !self.daemon.is_empty() {
            options.daemon = self.daemon;
        }
        options
    }
}

/// The command line as data, for its man page.
#[must_use]
pub fn command_line() -> clap::Command {
    Arguments::command()
}

/// Entry point of `mainstay-lab` under its own name.
pub(super) fn main(args: &[OsString]) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe behind --help is nobody's error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    match run(arguments) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("mainstay-lab: {error}");
            match error {
                LabError::Interrupted => ExitCode::from(interrupt::INTERRUPTED as u8),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: Arguments) -> Result<i32, LabError> {
    let dir = arguments.dir.clone().unwrap_or_else(default_dir);
    become_root(&dir)?;
    let quiet = arguments.quiet;
    let open = || Lab::open(&dir).map(|lab| lab.quiet(quiet));
    match arguments.action {
        Action::Up(up) => print_status(&Lab::up(&up.options(dir.clone(), quiet))?)?,
        Action::Down { purge } => Lab::down(&dir, purge)?,
        Action::Exec { node, command } => {
            let argv: Vec<&str> = command.iter().map(String::as_str).collect();
            let error = open()?.command(&node, &argv)?.exec();
            return Err(error).tried(|| format!("run {argv:?} on {node}"));
        }
        Action::Poweroff { node } => open()?.poweroff(&node).map(|_| ())?,
        Action::Poweron { node } => open()?.poweron(&node)?,
        Action::Cut { node } => open()?.cut(&node)?,
        Action::Apart { node } => open()?.apart(&node)?,
        Action::Deafen { node } => open()?.deafen(&node)?,
        Action::Mute { node } => open()?.mute(&node)?,
        Action::Heal { node: Some(node) } => open()?.heal(&node)?,
        Action::Heal { node: None } => open()?.heal_all()?,
        Action::Freeze { node } => open()?.freeze(&node)?,
        Action::Thaw { node } => open()?.thaw(&node)?,
        Action::Probe {
            address,
            interval_ms,
            count,
            http,
        } => {
            let lab = open()?;
            interrupt::watch()?;
            let asked = Asked {
                address,
                interval: Duration::from_millis(interval_ms),
                count,
                http,
            };
            return probe::command(&lab, &asked);
        }
        Action::Status => print_status(&open()?)?,
        Action::Demo { token } => {
            let options = Options {
                token_ms: token,
                quiet,
                ..own(arguments.dir, 3, "demo")
            };
            return demo::run(&options);
        }
        Action::Bench {
            what,
            runs,
            nodes,
            vips,
            busy,
            token,
        } => {
            let options = Options {
                token_ms: token,
                quiet,
                ..own(arguments.dir, nodes, "bench")
            };
            let runs = runs.unwrap_or(what.runs());
            return bench::run(what, &options, Scale { runs, vips, busy });
        }
    }
    Ok(0)
}

/// A lab that ends with this command, in `dir` or a directory of its own.
fn own(dir: Option<PathBuf>, nodes: u8, purpose: &str) -> Options {
    let options = Options::own(nodes, purpose);
    Options {
        dir: dir.unwrap_or_else(|| options.dir.clone()),
        ..options
    }
}

fn print_status(lab: &Lab) -> Result<(), LabError> {
    println!("lab in {}", lab.dir().display());
    for node in lab.nodes()? {
        println!(
            "  {:<8} {:<13} {}",
            node.name,
            node.address.to_string(),
            describe(lab, &node)
        );
    }
    Ok(())
}

fn describe(lab: &Lab, node: &Node) -> String {
    if node.running().is_err() {
        return "off".to_owned();
    }
    let mut words = vec!["on".to_owned()];
    for (is_so, word) in [
        (node.cut, "cut"),
        (node.apart, "apart"),
        (node.deaf, "deaf"),
        (node.mute, "mute"),
    ] {
        if is_so {
            words.push(word.to_owned());
        }
    }
    if node.frozen {
        // A frozen pid 1 does not answer.
        words.push("frozen".to_owned());
        return words.join(", ");
    }
    match lab.daemon(&node.name) {
        Ok(status) => words.push(match (status.pid, status.ended) {
            (Some(pid), _) => format!("daemon pid {pid}, start {}", status.starts),
            (None, Some(ended)) => format!(
                "daemon not running: {ended} (log: {})",
                lab.daemon_log(&node.name).display()
            ),
            (None, None) => "daemon not started".to_owned(),
        }),
        Err(error) => words.push(error.to_string()),
    }
    words.join(", ")
}

/// Exit code for a command line that is not understood.
const USAGE: u8 = 2;
