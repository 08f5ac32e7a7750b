//! From the command line to a running daemon.

use super::app::{App, EXIT_STORE, Inbox, Own, Standing};
use super::disk::{self, Disk, Done};
use super::leases;
use super::local::Local;
use super::notices::Notices;
use super::watch::{self, Watcher};
use super::{Log, last_words, supervise};
use crate::alert::Alerter;
use crate::conf::{self, ClusterConf, Hosts, Strictness};
use crate::executor::{Executor, ExecutorConfig, read_environment_files};
use crate::fencing::{Fencer, FencerConfig};
use crate::paths::Paths;
use crate::transport::{
    AddressError, EVENTS_MAX, Message, OsEntropy, Peers, Protocol, ProtocolHandle, Streams,
    boottime_us,
};
use crate::vip::NativeVip;
use crate::vip::lease::{GateOptions, LeaseHandle};
use crate::vip::nonlocal::NonlocalBind;
use clap::Parser;
use membership::{Core, NodeState, PeerConfig, Recovered, Time, Timing, VoterSet};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{OpenOptions, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use wire::{Endpoint, Identity, KeyRing, MachineBoot, NodeId, ProcessBoot};

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

/// Why the daemon did not start: an exit code and what to tell.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u8,
    pub(super) text: String,
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
        return conclude(run(&parsed, paths));
    }
    // The pid that an init script signals: the parent's, which passes signals on.
    let pid_file = PidFile::write(&paths);
    let code = if parsed.no_supervisor {
        conclude(run(&parsed, paths))
    } else {
        supervise::run(&args)
    };
    drop(pid_file);
    code
}

fn conclude(result: Result<u8, Refusal>) -> ExitCode {
    if let Err(refusal) = &result {
        tracing::error!("{}", refusal.text);
    }
    super::log::flush(LOG_WAIT_MAX);
    match result {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            eprintln!("mainstayd: {}", refusal.text);
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
        let written = std::fs::create_dir_all(paths.run_dir()).and_then(|()| {
            std::fs::write(
                &path,
                format!(
                    "{}
",
                    std::process::id()
                ),
            )
        });
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
    (pid != std::process::id() && name.trim().starts_with("mainstay")).then_some(pid)
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
    for warning in &conf.warnings {
        tracing::warn!("{}: {warning}", paths.corosync_conf().display());
        if args.test {
            println!("{}: {warning}", paths.corosync_conf().display());
        }
    }
    let timing = timing_of(&conf)?;
    let key = conf::load_authkey(&paths.authkey()).map_err(|e| refuse(EX_NOPERM, e))?;
    let ring = KeyRing::derive(&key, &conf.cluster_name).map_err(|e| refuse(EX_NOPERM, e))?;
    drop(key);
    if args.test {
        println!(
            "{} and {} are in order",
            paths.corosync_conf().display(),
            paths.authkey().display()
        );
        return Ok(0);
    }
    let peers = find_peers(&conf, &paths)?;
    // The engine of the store spins while it waits for threads of its own: with real-time priority
    // it would keep them from ever running.
    let _ = netlink::make_thread_ordinary();
    let disk = open_store(&paths, args)?;
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

/// What was read before anything was started.
struct Parts {
    paths: Paths,
    conf: ClusterConf,
    lenient: bool,
    log: Log,
    peers: Arc<Peers>,
    timing: Timing,
    ring: KeyRing,
    /// What the daemon before this one left, in words.
    left_behind: Vec<String>,
    gates: GateOptions,
}

/// A store that is open, and what it said.
struct OpenStore {
    store: Store,
    recovered: Recovered,
    /// The administrator takes a lost store as it is.
    trusted: bool,
    notices: Vec<String>,
}

async fn serve(parts: Parts, disk: OpenStore) -> Result<u8, Refusal> {
    let Parts {
        paths,
        conf,
        lenient,
        log,
        peers,
        timing,
        ring,
        left_behind,
        gates,
    } = parts;
    let trust_store = disk.trusted;
    let me = identity(&paths, &peers, &disk.recovered)?;
    let (protocol, seed) = ProtocolHandle::pair().map_err(|e| refuse(EX_OSERR, e))?;
    let report = protocol.clone();
    let (own, own_inbox) = mpsc::channel(OWN_MAX);
    let failures = own.clone();
    let (disk_thread, disk_handle) = Disk::start(disk.store, move |done: Done| {
        let own = match &done {
            Done::Failed(why) => Some(Own::StoreFailed(why.clone())),
            Done::Hangs(why) => Some(Own::Notice("store-hangs", why.clone())),
            Done::Durable(_) => None,
        };
        if let Some(own) = own {
            // The loop may be ending already.
            let _ = failures.blocking_send(own);
        }
        report.send_waiting(Message::Disk(done));
    })
    .map_err(|e| refuse(EX_OSERR, e))?;
    let (lease_sink, lease_events) = mpsc::channel(LEASE_EVENTS_MAX);
    let keeper = leases::keep(&gates, &timing, lease_sink).map_err(|e| refuse(EX_OSERR, e))?;
    let lease_handle = keeper.handle();
    let core = Core::start(
        membership::Config {
            hold_us: leases::hold_us(&lease_handle, &timing),
            ..core_config(&conf, &peers, me, timing, trust_store)
        },
        disk.recovered,
        Time(boottime_us()),
    )
    .map_err(|e| refuse(EX_CONFIG, e))?;
    let link_count = peers.links.iter().map(|l| l.link + 1).max().unwrap_or(1);
    let endpoint = Endpoint::new(
        me,
        ring.clone(),
        &peers.others(),
        link_count,
        &mut OsEntropy,
    );
    let (_streams, stream_handle) =
        Streams::start(me, Arc::new(ring), Arc::clone(&peers), protocol.clone()).map_err(|e| {
            refuse(
                EX_UNAVAILABLE,
                format!("{e}: does another daemon run here?"),
            )
        })?;
    let (event_sink, events) = mpsc::channel(EVENTS_MAX);
    let listener = open_socket(&paths)?;
    let _protocol_thread = Protocol::start(
        core,
        endpoint,
        (*peers).clone(),
        disk_handle.clone(),
        stream_handle,
        lease_handle.clone(),
        event_sink,
        protocol.clone(),
        seed,
        last_words::on_hang(&paths),
    )
    .map_err(|e| {
        refuse(
            EX_UNAVAILABLE,
            format!("{e}: does corosync or another daemon run here?"),
        )
    })?;
    let (calls_sink, calls) = mpsc::channel(CALLS_MAX);
    let ipc = tokio::spawn(crate::ipc::serve(listener, calls_sink));
    let (executor_sink, executor) = mpsc::channel(EVENTS_MAX);
    let (alert_sink, alert_failures) = mpsc::channel(OWN_MAX);
    let boot = me.machine_boot.0.map(|b| format!("{b:02x}")).concat();
    let nonlocal = NonlocalBind::open(&paths.state_dir(), &boot);
    let local = local(
        &paths,
        &peers,
        lease_handle.clone(),
        executor_sink,
        alert_sink,
        nonlocal,
    )?;
    let (words, mishaps) = mpsc::channel(watch::WORDS_MAX);
    let watcher = Watcher::start(Arc::clone(&local.vip), words);
    let mut app = App {
        local,
        paths,
        conf,
        lenient,
        log,
        me,
        protocol,
        disk: disk_handle,
        replica: crate::replica::Replica::default(),
        reports: super::reports::Reports::default(),
        standing: Standing {
            state: NodeState::Boot,
            quorate: false,
            quorum_why: "just started".to_owned(),
            restricted: false,
            acting: None,
            view: membership::View::default(),
            peers: std::collections::BTreeMap::new(),
        },
        duty: super::duty::Duty::new(),
        grants: super::grants::Grants::default(),
        leases: leases::Leases::new(lease_handle),
        silence: super::silence::Silence::default(),
        silence_round: 0,
        t_fail_us: timing.t_fail_us,
        clients: super::requests::Clients::new(),
        attributes: super::attributes::Attributes::default(),
        notices: Notices::default(),
        peers,
        voters: None,
        stopping: None,
        turn: super::turn::Turn::default(),
        own,
        exit: None,
    };
    for text in disk.notices {
        app.notice("store", text);
    }
    let _watcher = watcher.map_err(|error| {
        let text = format!("a removed address is seen at its next monitor only: {error}");
        app.notice("vip-watch", text);
    });
    for text in left_behind {
        app.notice("earlier-daemon", text);
    }
    app.quorum_changed();
    let failed = |e: std::io::Error| refuse(EX_OSERR, format!("signals: {e}"));
    let inbox = Inbox {
        events,
        executor,
        calls,
        leases: lease_events,
        alert_failures,
        mishaps,
        own: own_inbox,
        terminate: signal(SignalKind::terminate()).map_err(failed)?,
        interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        hangup: signal(SignalKind::hangup()).map_err(failed)?,
    };
    let socket = app.paths.socket();
    let code = app.run(inbox).await;
    if code == EXIT_STORE {
        // A failed store's thread may hang in the kernel for ever: nobody waits for it.
        std::mem::forget(disk_thread);
        super::log::flush(LOG_WAIT_MAX);
        std::process::exit(i32::from(code));
    }
    ipc.abort();
    drop(keeper);
    // Gone before us is as good.
    let _ = std::fs::remove_file(socket);
    Ok(code)
}

/// Reads corosync.conf; absent or wrong is a refusal with the cure.
pub(super) fn read_conf(paths: &Paths, strictness: Strictness) -> Result<ClusterConf, Refusal> {
    let path = paths.corosync_conf();
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let cure = "write one (see mainstay.conf(5) for an example), or copy it from another node";
        refuse(EX_CONFIG, format!("{}: {e}: {cure}", path.display()))
    })?;
    conf::read(&path.display().to_string(), &text, strictness).map_err(|e| refuse(EX_CONFIG, e))
}

/// `token`, or 500 ms (ruling 1).
pub(super) fn timing_of(conf: &ClusterConf) -> Result<Timing, Refusal> {
    let token_ms = conf.token_ms.unwrap_or(TOKEN_MS_DEFAULT);
    Timing::derive(token_ms * 1000).map_err(|e| refuse(EX_CONFIG, e))
}

/// Finds this machine in the node list; right after boot its addresses may be yet to come.
fn find_peers(conf: &ClusterConf, paths: &Paths) -> Result<Peers, Refusal> {
    let hosts = Hosts::load(&paths.root().join("etc/hosts"));
    let until = Instant::now() + ADDRESS_WAIT;
    loop {
        let own = own_addresses()?;
        match Peers::resolve(conf, &hosts, &own) {
            Err(AddressError::NotListed { .. }) if Instant::now() < until => {
                std::thread::sleep(ADDRESS_RETRY);
            }
            Err(error) => {
                let file = paths.corosync_conf();
                return Err(refuse(EX_CONFIG, format!("{}: {error}", file.display())));
            }
            Ok(peers) => return Ok(peers),
        }
    }
}

fn own_addresses() -> Result<Vec<IpAddr>, Refusal> {
    let failed = |e: netlink::Error| refuse(EX_OSERR, format!("own addresses: {e}"));
    let mut kernel = netlink::Kernel::open().map_err(failed)?;
    let addresses = kernel.addresses().map_err(failed)?;
    Ok(addresses.into_iter().map(|a| a.ip).collect())
}

fn open_store(paths: &Paths, args: &Args) -> Result<OpenStore, Refusal> {
    let dir = paths.store_dir();
    for dir in [&dir, &paths.run_dir()] {
        std::fs::create_dir_all(dir)
            .map_err(|e| refuse(EX_CANTCREAT, format!("{}: {e}", dir.display())))?;
    }
    let options = OpenOptions {
        allow_empty: args.accept_lost_store,
        ..OpenOptions::default()
    };
    let opened = Store::open(&dir, &options)
        .map_err(|e| refuse(EX_CANTCREAT, format!("{e}; {}", e.cure())))?;
    let mut notices = opened.state.notices.clone();
    if let Some(cause) = opened.state.health.cause() {
        notices.push(format!("the store is damaged ({cause}): this node does not vote before it has fetched the cluster's state"));
    }
    check_room(&dir)?;
    let recovered = disk::recovered(&opened).map_err(|e| refuse(EX_CANTCREAT, e))?;
    Ok(OpenStore {
        store: opened.store,
        recovered,
        trusted: args.accept_lost_store,
        notices,
    })
}

/// On a disk that is as good as full the store would fail with the first writes, and the node would
/// join and leave again and again.
fn check_room(dir: &Path) -> Result<(), Refusal> {
    // A file system that does not tell is taken as it is: the store notices what is wrong.
    let Ok(room) = nix::sys::statvfs::statvfs(dir) else {
        return Ok(());
    };
    let free_bytes = room.blocks_available().saturating_mul(room.fragment_size());
    if free_bytes >= FREE_BYTES_MIN {
        return Ok(());
    }
    let text = format!(
        "{}: only {} KiB are free on this file system, {} KiB are needed to start: free some space, mainstayd then starts",
        dir.display(),
        free_bytes / 1024,
        FREE_BYTES_MIN / 1024,
    );
    Err(refuse(EX_CANTCREAT, text))
}

fn identity(paths: &Paths, peers: &Peers, recovered: &Recovered) -> Result<Identity, Refusal> {
    let file = paths.root().join("proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(&file)
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/random/boot_id"))
        .map_err(|e| refuse(EX_OSERR, format!("{}: {e}", file.display())))?;
    let hex: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut boot = [0; 16];
    for (byte, pair) in boot.iter_mut().zip(hex.chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or("0");
        *byte = u8::from_str_radix(pair, 16).unwrap_or(0);
    }
    Ok(Identity {
        node: peers.me,
        machine_boot: MachineBoot(boot),
        process_boot: ProcessBoot(OsEntropy::array()),
        incarnation: recovered.safety.as_ref().map_or(0, |s| s.incarnation) + 1,
    })
}

fn core_config(
    conf: &ClusterConf,
    peers: &Peers,
    me: Identity,
    timing: Timing,
    trust_store: bool,
) -> membership::Config {
    let links_to = |node: &NodeId| {
        let has = |l: &&crate::transport::LinkAddresses| l.peers.contains_key(node);
        peers.links.iter().filter(has).map(|l| l.link).collect()
    };
    membership::Config {
        me,
        peers: peers
            .others()
            .iter()
            .map(|n| PeerConfig {
                node: *n,
                links: links_to(n),
            })
            .collect(),
        nodelist_digest: digest(conf, peers),
        voters: voters(conf, peers),
        timing,
        hold_us: None,
        fencing: true,
        seed: u64::from_le_bytes(OsEntropy::array()),
        new_cluster_uuid: OsEntropy::array(),
        trust_store,
    }
}

/// votequorum(5) as the file says it.
pub(super) fn voters(conf: &ClusterConf, peers: &Peers) -> VoterSet {
    let two_node = conf.quorum.two_node && peers.votes.len() == 2;
    VoterSet {
        votes: peers.votes.iter().map(|(n, v)| (*n, *v)).collect(),
        expected_votes: conf.quorum.expected_votes,
        two_node,
        wait_for_all: conf.quorum.wait_for_all.unwrap_or(two_node),
        ..VoterSet::default()
    }
}

/// Equal on nodes whose files name the same nodes, addresses and quorum rules (R6).
fn digest(conf: &ClusterConf, peers: &Peers) -> [u8; 32] {
    let mut nodes: Vec<_> = conf
        .nodes
        .iter()
        .map(|n| (n.id, &n.addrs, n.votes))
        .collect();
    nodes.sort_by_key(|n| n.0);
    let quorum = voters(conf, peers);
    Sha256::digest(format!("{nodes:?} {quorum:?} {}", conf.cluster_name)).into()
}

fn open_socket(paths: &Paths) -> Result<tokio::net::UnixListener, Refusal> {
    let socket = paths.socket();
    crate::ipc::bind(&socket)
        .map_err(|e| refuse(EX_CANTCREAT, format!("{}: {e}", socket.display())))
}

fn local(
    paths: &Paths,
    peers: &Peers,
    handle: LeaseHandle,
    events: mpsc::Sender<crate::executor::ExecutorEvent>,
    alert_failures: mpsc::Sender<String>,
    nonlocal: NonlocalBind,
) -> Result<Local, Refusal> {
    let vip = NativeVip::new().map_err(|e| refuse(EX_OSERR, format!("netlink: {e}")))?;
    let vip = Arc::new(vip.with_leases(handle.clone()));
    vip.set_referee(Arc::new(leases::ClusterReferee::new(peers, handle)));
    let node_name = peers.name(peers.me);
    let environment = read_environment_files(paths);
    let fencer = Fencer::new(FencerConfig::new(paths, &node_name, &environment));
    let alerter = Alerter::new(paths, &environment, alert_failures);
    let config = ExecutorConfig {
        paths: paths.clone(),
        node_name: node_name.clone(),
        natives: vec![vip.clone()],
        environment,
    };
    Ok(Local::new(
        Executor::new(config, events),
        Arc::new(fencer),
        vip,
        alerter,
        nonlocal,
        &node_name,
    ))
}

fn refuse(code: u8, text: impl ToString) -> Refusal {
    Refusal {
        code,
        text: text.to_string(),
    }
}

/// Detection timeout where corosync.conf gives no `token`, milliseconds (ruling 1).
const TOKEN_MS_DEFAULT: u64 = 500;
/// How long to wait at start for an address of the node list to come up.
const ADDRESS_WAIT: Duration = Duration::from_secs(10);
/// Pause between two looks.
const ADDRESS_RETRY: Duration = Duration::from_millis(100);
/// Longest wait at the end for the log's destinations.
const LOG_WAIT_MAX: Duration = Duration::from_secs(1);
/// Stack of blocking threads, in bytes.
const STACK_BYTES: usize = 1024 * 1024;
/// Blocking threads: schedulers and native agents.
const BLOCKING_THREADS_MAX: usize = 16;
/// Tasks that run before the loop has its turn again: the results of one round of operations, which
/// each resource's task hands on, are to be seen by one turn.
const TASKS_PER_TURN_MAX: u32 = 1_024;
/// Events of leases that may wait: one for every address that may be gated here.
const LEASE_EVENTS_MAX: usize = 4_096;
/// Requests of commands that may wait.
const CALLS_MAX: usize = 256;
/// Reports of own work that may wait.
const OWN_MAX: usize = 256;
/// Room on the store's disk without which the daemon does not start, in bytes.
const FREE_BYTES_MIN: u64 = 2 * 1024 * 1024;
/// sysexits(3) as CRM_EX uses them.
const EX_USAGE: u8 = 64;
const EX_UNAVAILABLE: u8 = 69;
const EX_OSERR: u8 = 71;
const EX_CANTCREAT: u8 = 73;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;
