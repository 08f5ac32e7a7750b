//! The running daemon: its threads, its channels, and the loop between them.

use super::app::{App, EXIT_STORE, Inbox, Own, Standing};
use super::disk::{Disk, DiskHandle, Done};
use super::leases;
use super::local::Local;
use super::notices::Notices;
use super::prepare::{OpenStore, core_config, identity};
use super::refusal::{EX_CANTCREAT, EX_CONFIG, EX_OSERR, EX_UNAVAILABLE, Refusal, refuse};
use super::watch::{self, Watcher};
use super::{LOG_WAIT_MAX, Log, last_words};
use crate::alert::Alerter;
use crate::conf::ClusterConf;
use crate::executor::{Executor, ExecutorConfig, read_environment_files};
use crate::fencing::{Fencer, FencerConfig};
use crate::paths::Paths;
use crate::transport::{
    Desk, EVENTS_MAX, Ended, Message, OsEntropy, Peers, Protocol, ProtocolHandle, Seed,
    StreamControl, Streams, boottime_us,
};
use crate::vip::NativeVip;
use crate::vip::lease::{GateOptions, LeaseHandle};
use crate::vip::nonlocal::NonlocalBind;
use membership::{Core, Event, NodeState, Recovered, Time, Timing};
use std::sync::Arc;
use store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use wire::{Endpoint, Identity, KeyRing};

/// What was read before anything was started.
pub(super) struct Parts {
    pub(super) paths: Paths,
    pub(super) conf: ClusterConf,
    pub(super) lenient: bool,
    pub(super) log: Log,
    pub(super) peers: Arc<Peers>,
    pub(super) timing: Timing,
    pub(super) ring: KeyRing,
    /// What the daemon before this one left, in words.
    pub(super) left_behind: Vec<String>,
    pub(super) gates: GateOptions,
}

/// What every part of the running daemon speaks to.
struct Wiring {
    me: Identity,
    protocol: ProtocolHandle,
    disk: DiskHandle,
    leases: LeaseHandle,
    own: mpsc::Sender<Own>,
}

/// Starts every thread, runs the loop to its end, and returns the exit code.
pub(super) async fn serve(parts: Parts, disk: OpenStore) -> Result<u8, Refusal> {
    let me = identity(&parts.paths, &parts.peers, &disk.recovered)?;
    let (own, own_inbox) = mpsc::channel(OWN_MAX);
    let (protocol, seed) = ProtocolHandle::pair().map_err(|e| refuse(EX_OSERR, e))?;
    let (disk_thread, disk_handle) = start_disk(disk.store, own.clone(), protocol.clone())?;
    let (lease_sink, lease_events) = mpsc::channel(LEASE_EVENTS_MAX);
    let keeper =
        leases::keep(&parts.gates, &parts.timing, lease_sink).map_err(|e| refuse(EX_OSERR, e))?;
    let wiring = Wiring {
        me,
        protocol,
        disk: disk_handle,
        leases: keeper.handle(),
        own,
    };
    let listener = open_socket(&parts.paths)?;
    let replay_until = committed_through(&disk.recovered);
    let core = start_core(&parts, &wiring, disk.recovered, disk.trusted)?;
    let (event_sink, events) = mpsc::channel(EVENTS_MAX);
    let (join_sink, joins) = mpsc::channel(JOINS_MAX);
    let desk = Desk::new(join_sink);
    let (_network, streams) = start_network(&parts, &wiring, core, seed, event_sink, desk.clone())?;
    let (calls_sink, calls) = mpsc::channel(CALLS_MAX);
    let ipc = tokio::spawn(crate::ipc::serve(listener, calls_sink));
    let (executor_sink, executor) = mpsc::channel(EVENTS_MAX);
    let (alert_sink, alert_failures) = mpsc::channel(OWN_MAX);
    let local = local(&parts, &wiring, executor_sink, alert_sink)?;
    let (words, mishaps) = mpsc::channel(watch::WORDS_MAX);
    let watcher = Watcher::start(Arc::clone(&local.vip), words);
    let left_behind = parts.left_behind.clone();
    let mut app = app(parts, wiring, local, streams, desk);
    app.replay_until = replay_until;
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
        joins,
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

/// The store's thread: what became durable goes to the protocol, what failed to the loop.
fn start_disk(
    store: Store,
    own: mpsc::Sender<Own>,
    protocol: ProtocolHandle,
) -> Result<(Disk, DiskHandle), Refusal> {
    let tell = move |done: Done| {
        let failure = match &done {
            Done::Failed(why) => Some(Own::StoreFailed(why.clone())),
            Done::Hangs(why) => Some(Own::Notice("store-hangs", why.clone())),
            Done::Durable(_) => None,
        };
        if let Some(failure) = failure {
            // The loop may be ending already.
            let _ = own.blocking_send(failure);
        }
        protocol.send_waiting(Message::Disk(done));
    };
    Disk::start(store, tell).map_err(|e| refuse(EX_OSERR, e))
}

/// How far the log on this disk is known to be committed.
fn committed_through(recovered: &Recovered) -> u64 {
    let last = recovered.log.last().map_or(0, |(seq, _)| *seq);
    let snapshot = recovered.snapshot.as_ref().map_or(0, |(seq, _)| *seq);
    recovered.commit_hint.min(last.max(snapshot))
}

fn start_core(
    parts: &Parts,
    wiring: &Wiring,
    recovered: Recovered,
    trust_store: bool,
) -> Result<Core, Refusal> {
    let config = membership::Config {
        hold_us: leases::hold_us(&wiring.leases, &parts.timing),
        ..core_config(
            &parts.conf,
            &parts.peers,
            wiring.me,
            parts.timing,
            trust_store,
        )
    };
    Core::start(config, recovered, Time(boottime_us())).map_err(|e| refuse(EX_CONFIG, e))
}

/// The threads that speak to other nodes; they end when this is dropped, the protocol first.
fn start_network(
    parts: &Parts,
    wiring: &Wiring,
    core: Core,
    seed: Seed,
    events: mpsc::Sender<Result<Event, Ended>>,
    desk: Desk,
) -> Result<((Protocol, Streams), StreamControl), Refusal> {
    let Parts { peers, ring, .. } = parts;
    let link_count = peers.links.iter().map(|l| l.link + 1).max().unwrap_or(1);
    let mut endpoint = Endpoint::new(
        wiring.me,
        ring.clone(),
        &peers.partners(),
        link_count,
        &mut OsEntropy,
    );
    endpoint.allow_relay();
    let (streams, stream_handle, control) = Streams::start(
        wiring.me,
        Arc::new(ring.clone()),
        Arc::clone(peers),
        wiring.protocol.clone(),
        desk,
    )
    .map_err(|e| {
        let text = format!("{e}: does another daemon run here?");
        refuse(EX_UNAVAILABLE, text)
    })?;
    let protocol = Protocol::start(
        core,
        endpoint,
        (**peers).clone(),
        wiring.disk.clone(),
        stream_handle,
        wiring.leases.clone(),
        events,
        wiring.protocol.clone(),
        seed,
        last_words::on_hang(&parts.paths),
    )
    .map_err(|e| {
        let text = format!("{e}: does corosync or another daemon run here?");
        refuse(EX_UNAVAILABLE, text)
    })?;
    Ok(((protocol, streams), control))
}

/// The loop's own state as it begins: nothing is known of the cluster yet.
fn app(parts: Parts, wiring: Wiring, local: Local, streams: StreamControl, desk: Desk) -> App {
    let inputs = super::inputs::Inputs::start(parts.paths.inputs_dir());
    let fencings = super::fencings::Fencings::load(parts.paths.fencings());
    App {
        local,
        paths: parts.paths,
        conf: parts.conf,
        lenient: parts.lenient,
        log: parts.log,
        me: wiring.me,
        protocol: wiring.protocol,
        streams,
        keys: super::keys::Keys::new(parts.ring),
        desk,
        disk: wiring.disk,
        replica: crate::replica::Replica::default(),
        replay_until: 0,
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
        inputs,
        grants: super::grants::Grants::default(),
        handovers: super::handover::Handovers::default(),
        leases: leases::Leases::new(wiring.leases),
        silence: super::silence::Silence::default(),
        silence_round: 0,
        t_fail_us: parts.timing.t_fail_us,
        clients: super::requests::Clients::new(),
        attributes: super::attributes::Attributes::default(),
        looks: super::looks::Looks::default(),
        notices: Notices::default(),
        fencings,
        peers: parts.peers,
        voters: None,
        stopping: None,
        turn: super::turn::Turn::default(),
        own: wiring.own,
        exit: None,
    }
}

fn open_socket(paths: &Paths) -> Result<tokio::net::UnixListener, Refusal> {
    let socket = paths.socket();
    crate::ipc::bind(&socket)
        .map_err(|e| refuse(EX_CANTCREAT, format!("{}: {e}", socket.display())))
}

/// What runs on this node: agents, fence agents, alerts, native addresses.
fn local(
    parts: &Parts,
    wiring: &Wiring,
    events: mpsc::Sender<crate::executor::ExecutorEvent>,
    alert_failures: mpsc::Sender<String>,
) -> Result<Local, Refusal> {
    let Parts { paths, peers, .. } = parts;
    let handle = &wiring.leases;
    let vip = NativeVip::new().map_err(|e| refuse(EX_OSERR, format!("netlink: {e}")))?;
    let vip = Arc::new(vip.with_leases(handle.clone()));
    vip.set_referee(Arc::new(leases::ClusterReferee::new(peers, handle.clone())));
    let boot = wiring
        .me
        .machine_boot
        .0
        .map(|b| format!("{b:02x}"))
        .concat();
    let nonlocal = NonlocalBind::open(&paths.state_dir(), &boot);
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

/// Machines that want to join that may wait.
const JOINS_MAX: usize = 8;
/// Requests of commands that may wait.
const CALLS_MAX: usize = 256;
/// Reports of own work that may wait.
const OWN_MAX: usize = 256;
/// Events of leases that may wait: one for every address that may be gated here.
const LEASE_EVENTS_MAX: usize = 4_096;
