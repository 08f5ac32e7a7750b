//! From the command line to a running daemon.

use super::keys::load_ring;
use super::prepare::{find_peers, open_store, own_networks, read_conf, timing_of};
use super::refusal::{EX_CONFIG, EX_NOPERM, EX_OSERR, EX_USAGE, Refusal, refuse};
use super::serve::{Parts, serve};
use super::{Log, last_words, leases, supervise};
use crate::conf::Strictness;
use crate::paths::Paths;
use crate::transport::AddressError;
use clap::Parser;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The cluster daemon: membership, replicated configuration, scheduler, executor, fencing and
/// floating addresses in one process.
#[derive(Debug, Parser)]
#[command(name = "mainstayd", version, about, long_about = None)]
pub struct Args {
    /// Look for every file below this directory instead of `/` (for tests and labs)
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Only read corosync.conf and the authkey, say what is wrong with them, and end
    #[arg(short = 't', long)]
    test: bool,
    /// Accept unknown keys in corosync.conf with a warning
    #[arg(long)]
    lenient: bool,
    /// Run without the parent process that restarts a daemon that died
    #[arg(long)]
    no_supervisor: bool,
    /// Start although the store that was in use here holds nothing now; see mainstay(8)
    #[arg(long)]
    accept_lost_store: bool,
    /// Do without this means of the kernel, as on an older one (for tests and labs; repeatable)
    #[arg(long, value_enum, value_name = "MEANS")]
    kernel_without: Vec<leases::Means>,
    /// Stay in the foreground (always done; accepted for compatibility with corosync)
    #[arg(short = 'f', long)]
    foreground: bool,
    /// The daemon itself, below its parent
    #[arg(long, hide = true)]
    worker: bool,
}

/// The entry point: `args` with the program's name first.
pub fn main_from_args(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = match Args::try_parse_from(&args) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version go to stdout with 0, errors to stderr with EX_USAGE.
            let code = if error.use_stderr() { EX_USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let paths = parsed
        .root
        .as_ref()
        .map_or_else(Paths::from_env, Paths::below);
    if parsed.test || parsed.worker {
        return conclude("mainstayd", run(&parsed, paths));
    }
    // The pid that an init script signals: the parent's, which passes signals on.
    let pid_file = PidFile::write(&paths);
    let code = if parsed.no_supervisor {
        conclude("mainstayd", run(&parsed, paths))
    } else {
        supervise::run(&args)
    };
    drop(pid_file);
    code
}

/// The program's end: what stopped it is told in the log and to whoever started it.
pub(super) fn conclude(program: &str, result: Result<u8, Refusal>) -> ExitCode {
    if let Err(refusal) = &result {
        tracing::error!("{}", refusal.text);
    }
    super::log::flush(super::LOG_WAIT_MAX);
    match result {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            eprintln!("{program}: {}", refusal.text);
            ExitCode::from(refusal.code)
        }
    }
}

/// The pid file, while the daemon runs.
struct PidFile(PathBuf);

impl PidFile {
    /// A pid file that cannot be written keeps no daemon down: the log says so.
    fn write(paths: &Paths) -> Option<Self> {
        let path = paths.pid_file();
        if other_daemon(&path).is_some() {
            // It is that daemon's file; the store's lock will tell this one to go away.
            return None;
        }
        let written = std::fs::create_dir_all(paths.run_dir())
            .and_then(|()| std::fs::write(&path, format!("{}\n", std::process::id())));
        match written {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                eprintln!("mainstayd: {}: {error}", path.display());
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Gone before us is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What the process asks of the kernel for itself. Each may be refused in a container; none keeps a
/// node down.
fn harden() {
    // No core file and no ptrace by others: the key is in memory.
    let _ = nix::sys::prctl::set_dumpable(false);
    let _ = netlink::close_inherited_on_exec();
    // A page of heartbeat code that has to come from a hung disk would look like a dead node.
    let _ = netlink::lock_memory();
}

/// The live daemon that a pid file names.
fn other_daemon(pid_file: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(pid_file)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (pid != std::process::id() && name.trim() == "mainstayd").then_some(pid)
}

fn run(args: &Args, paths: Paths) -> Result<u8, Refusal> {
    supervise::unblock_signals();
    harden();
    let strictness = if args.lenient {
        Strictness::Lenient
    } else {
        Strictness::Strict
    };
    let conf = read_conf(&paths, strictness)?;
    let (log, problems) = Log::install(&conf.logging, paths.root(), "mainstayd");
    for problem in problems {
        tracing::warn!("logging: {problem}");
    }
    let file = paths.corosync_conf();
    let mut remarks: Vec<String> = conf.warnings.iter().map(ToString::to_string).collect();
    remarks.extend(conf.bind_remarks(&own_networks().unwrap_or_default()));
    for remark in remarks {
        tracing::warn!("{}: {remark}", file.display());
        if args.test {
            println!("{}: {remark}", file.display());
        }
    }
    let timing = timing_of(&conf)?;
    let ring = load_ring(&paths, &conf.cluster_name).map_err(|e| refuse(EX_NOPERM, e))?;
    if args.test {
        if conf.nodes.is_empty() {
            return Err(refuse(EX_CONFIG, AddressError::NoNodes));
        }
        println!(
            "{} and {} are in order",
            paths.corosync_conf().display(),
            paths.authkey().display()
        );
        return Ok(0);
    }
    let peers = find_peers(&conf, &paths)?;
    // The engine of the store spins while it waits for threads of its own: with real-time priority
    // it would keep them from ever running. They all stand first among the ordinary instead: every
    // promise, grant and commit waits for them.
    let _ = netlink::make_thread_ordinary();
    let _ = netlink::make_thread_nice(super::STORE_NICE);
    let disk = open_store(&paths, args.accept_lost_store)?;
    let _ = netlink::make_thread_nice(0);
    // What is started from here, agents above all, runs as everything else does.
    let _ = netlink::make_thread_realtime(super::REALTIME_PRIORITY);
    // The store's lock proves that no other daemon runs: what an earlier one left is nobody's.
    let mut left_behind = Vec::from_iter(last_words::take(&paths));
    left_behind.extend(crate::executor::end_survivors(&paths.run_dir()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .event_interval(TASKS_PER_TURN_MAX)
        .build()
        .map_err(|e| refuse(EX_OSERR, format!("no runtime: {e}")))?;
    let parts = Parts {
        paths,
        conf,
        lenient: args.lenient,
        log,
        peers: Arc::new(peers),
        timing,
        ring,
        left_behind,
        gates: leases::Means::all_but(&args.kernel_without),
    };
    runtime.block_on(serve(parts, disk))
}

/// Stack of blocking threads, in bytes.
const STACK_BYTES: usize = 1024 * 1024;
/// Blocking threads: schedulers and native agents.
const BLOCKING_THREADS_MAX: usize = 16;
/// Tasks that run before the loop has its turn again: the results of one round of operations, which
/// each resource's task hands on, are to be seen by one turn.
const TASKS_PER_TURN_MAX: u32 = 1_024;
