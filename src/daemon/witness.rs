//! `mainstay-witness`: the witness' store, sockets and loop, all in one thread. A write is waited for
//! where it is made: there is one per promise and one per view, and nothing else to do meanwhile.

use super::prepare::{core_config, find_here, read_conf, timing_of};
use super::refusal::{
    EX_CANTCREAT, EX_CONFIG, EX_NOPERM, EX_OSERR, EX_UNAVAILABLE, EX_USAGE, Refusal, refuse,
};
use super::{Log, prepare};
use crate::conf::{self, Strictness};
use crate::paths::Paths;
use crate::transport::{OsEntropy, Peers, Sockets, boottime_us};
use clap::Parser;
use membership::{
    DurableOp, Effect, Event, Input, Output, Recovered, SafetyRecord, Time, Via, Witness,
    WitnessRecord,
};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use store::{Kept, SmallStore};
use wire::{Endpoint, KeyRing, Received, Refusal as WireRefusal, Reject};

/// A vote in the quorum of a cluster whose nodes could otherwise split evenly. It runs nothing and
/// keeps no configuration; it needs the cluster's corosync.conf and authkey.
#[derive(Debug, Parser)]
#[command(name = "mainstay-witness", version, about, long_about = None)]
struct Args {
    /// Look for every file below this directory instead of `/` (for tests and labs)
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Only read corosync.conf and the authkey, say what is wrong with them, and end
    #[arg(short = 't', long)]
    test: bool,
    /// Accept unknown keys in corosync.conf with a warning
    #[arg(long)]
    lenient: bool,
    /// Stay in the foreground (always done)
    #[arg(short = 'f', long)]
    foreground: bool,
}

/// The entry point: `args` with the program's name first.
pub fn witness_from_args(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { EX_USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    super::start::conclude("mainstay-witness", run(&args))
}

fn run(args: &Args) -> Result<u8, Refusal> {
    let root = args.root.as_ref();
    let paths = root.map_or_else(Paths::from_env, Paths::below);
    let strictness = match args.lenient {
        true => Strictness::Lenient,
        false => Strictness::Strict,
    };
    let conf = read_conf(&paths, strictness)?;
    let (_log, problems) = Log::install(&conf.logging, paths.root(), "mainstay-witness");
    for problem in problems {
        tracing::warn!("logging: {problem}");
    }
    for warning in &conf.warnings {
        tracing::warn!("{}: {warning}", paths.corosync_conf().display());
    }
    let timing = timing_of(&conf)?;
    let key = conf::load_authkey(&paths.authkey()).map_err(|e| refuse(EX_NOPERM, e))?;
    let ring = KeyRing::derive(&key, &conf.cluster_name).map_err(|e| refuse(EX_NOPERM, e))?;
    drop(key);
    if args.test {
        println!("{} is in order", paths.corosync_conf().display());
        return Ok(0);
    }
    let peers = find_here(&conf, &paths, Peers::resolve_witness)?;
    let (store, stored) = open(&paths)?;
    let before = SafetyRecord {
        incarnation: stored.as_ref().map_or(0, |r| r.incarnation),
        ..SafetyRecord::default()
    };
    let recovered = Recovered {
        safety: Some(before),
        ..Recovered::default()
    };
    let me = prepare::identity(&paths, &peers, &recovered)?;
    let config = core_config(&conf, &peers, me, timing, false);
    let witness = Witness::start(config, stored, Time(boottime_us()));
    let witness = witness.map_err(|e| refuse(EX_CONFIG, e))?;
    let endpoint = Endpoint::new(me, ring, &peers.partners(), 1, &mut OsEntropy);
    let sockets = Sockets::bind(&peers.links).map_err(|e| refuse(EX_UNAVAILABLE, e))?;
    // Without the right to it the witness runs as anything else does.
    let _ = netlink::make_thread_realtime(super::REALTIME_PRIORITY);
    let _ = netlink::lock_memory();
    Loop {
        witness,
        endpoint,
        sockets,
        peers,
        store,
        ended: None,
    }
    .run()
}

/// The record, `None` where there is none that can be read: the witness then asks all nodes.
fn open(paths: &Paths) -> Result<(SmallStore, Option<WitnessRecord>), Refusal> {
    let dir = paths.witness_dir();
    let (store, kept) = SmallStore::open(&dir).map_err(|e| refuse(EX_CANTCREAT, e))?;
    let record = match kept {
        Kept::Nothing => None,
        Kept::Lost(why) => {
            tracing::warn!(
                "{}: both copies of the record are damaged: {why}",
                dir.display()
            );
            None
        }
        Kept::Record(bytes, damage) => {
            if let Some(why) = damage {
                tracing::warn!(
                    "{}: one copy of the record is damaged: {why}",
                    dir.display()
                );
            }
            let record = WitnessRecord::decode(&bytes);
            let text = |e| format!("{}: {e}: start the version that wrote it", dir.display());
            Some(record.map_err(|e| refuse(EX_CANTCREAT, text(e)))?)
        }
    };
    Ok((store, record))
}

struct Loop {
    witness: Witness,
    endpoint: Endpoint,
    sockets: Sockets,
    peers: Peers,
    store: SmallStore,
    ended: Option<u8>,
}

impl Loop {
    fn run(mut self) -> Result<u8, Refusal> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            signals.add(signal);
        }
        let failed = |e: nix::errno::Errno| refuse(EX_OSERR, format!("signals: {e}"));
        signals.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let arrived = SignalFd::with_flags(&signals, flags).map_err(failed)?;
        // The incarnation is written here, before anything is said.
        self.drain();
        for peer in self.peers.partners() {
            // Every peer is in the endpoint's list: both come from the same node list.
            let _ = self.endpoint.connect(boottime_us(), peer, &mut OsEntropy);
        }
        self.transmit();
        while self.ended.is_none() {
            self.wait(&arrived);
            while let Ok(Some(signal)) = arrived.read_signal() {
                if signal.ssi_signo != Signal::SIGHUP as u32 {
                    tracing::info!("stopping");
                    self.ended = Some(0);
                }
            }
            self.receive();
            self.tick();
            self.transmit();
        }
        Ok(self.ended.unwrap_or(0))
    }

    fn wait(&self, arrived: &SignalFd) {
        let deadlines = [
            self.witness.next_timeout().map(|t| t.0),
            self.endpoint.next_timeout(),
        ];
        let until = deadlines.into_iter().flatten().min();
        let wait_us = until.map_or(WAIT_US_MAX, |at| {
            at.saturating_sub(boottime_us()).min(WAIT_US_MAX)
        });
        let mut fds: Vec<PollFd<'_>> = self.sockets.poll_fds().collect();
        fds.push(PollFd::new(arrived.as_fd(), PollFlags::POLLIN));
        let timeout = TimeSpec::from_duration(Duration::from_micros(wait_us));
        // The loop looks at everything anyway.
        let _ = ppoll(&mut fds, Some(timeout), None);
    }

    fn receive(&mut self) {
        let mut buf = [0; DATAGRAM_BUFFER_BYTES];
        for _ in 0..DATAGRAMS_PER_ROUND {
            let Some((link, datagram)) = self.sockets.receive(0, &mut buf) else {
                break;
            };
            let now = boottime_us();
            let received = self.endpoint.handle(now, link, datagram, &mut OsEntropy);
            self.received(received);
        }
        for stranger in self.sockets.new_strangers() {
            tracing::warn!("packets come from an unlisted address: {stranger:?}");
        }
    }

    fn received(&mut self, received: Received) {
        match received {
            Received::Payload { from, link, bytes } => {
                let payload = bytes;
                self.input(Input::Packet {
                    from,
                    link,
                    payload,
                });
            }
            Received::Established {
                peer,
                link,
                payload,
            } => {
                tracing::info!("{} answers", self.peers.name(peer.node));
                self.input(Input::SessionUp { peer });
                if let Some(payload) = payload {
                    let from = peer;
                    self.input(Input::Packet {
                        from,
                        link,
                        payload,
                    });
                }
            }
            Received::Handled => {}
            Received::Rejected(reject) => {
                tracing::debug!(%reject, "packet refused");
                if let Reject::RefusedByPeer {
                    peer: from,
                    refusal: WireRefusal::StaleIncarnation { known: incarnation },
                } = reject
                {
                    self.input(Input::Outdated { from, incarnation });
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = boottime_us();
        if self.endpoint.next_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now, &mut OsEntropy);
        }
        if self.witness.next_timeout().is_some_and(|at| at.0 <= now) {
            self.input(Input::Tick);
        }
    }

    fn input(&mut self, input: Input) {
        self.witness.handle(Time(boottime_us()), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.witness.poll() {
            match output {
                Output::Do(effect) => self.effect(effect),
                Output::Persist { write, ops, then } => self.persist(write, &ops, then),
            }
        }
    }

    fn persist(&mut self, write: u64, ops: &[DurableOp], then: Vec<Effect>) {
        let records = ops.iter().filter_map(|op| match op {
            DurableOp::Witness(record) => Some(record),
            _ => None,
        });
        for record in records {
            if let Err(error) = self.store.write(&record.encode()) {
                // Nothing may rely on it: this process says no more, and the next one asks all nodes.
                tracing::error!("{error}; this witness has no vote any more");
                self.ended = Some(EX_CANTCREAT);
                let reason = error.to_string();
                let now = Time(boottime_us());
                return self.witness.handle(now, Input::StoreFailed { reason });
            }
        }
        for effect in then {
            self.effect(effect);
        }
        let now = Time(boottime_us());
        self.witness.handle(now, Input::Durable { write });
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, via, payload } => {
                let link = match via {
                    Via::Link(link) => link,
                    Via::Stream | Via::Relay { .. } => 0,
                };
                // Without a session the packet is lost, as on a wire.
                if let Ok(datagram) = self.endpoint.seal(to, link, &payload, &mut OsEntropy) {
                    self.sockets.send(to, link, &datagram);
                }
            }
            Effect::Message { to, via, message } => {
                let payload = message.encode();
                self.effect(Effect::Send { to, via, payload });
            }
            Effect::Event(Event::State { state, why }) => tracing::info!(?state, "{why}"),
            Effect::Event(Event::Notice { code, node, text }) => {
                let about = node.map(|n| format!("{}: ", self.peers.name(n)));
                let text = self.peers.named(&text);
                tracing::warn!(code, "{}{text}", about.unwrap_or_default());
            }
            Effect::Event(Event::RestartNeeded { why }) => {
                tracing::warn!("{why}: this process ends, and the next one asks all nodes anew");
                self.ended = Some(EXIT_AGAIN);
            }
            // It passes nothing on, and nothing is passed on to it.
            Effect::Event(_) | Effect::Unseal { .. } => {}
        }
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sockets
                .send(transmit.to, transmit.link, &transmit.datagram);
        }
    }
}

/// Exit code that asks to be started again.
const EXIT_AGAIN: u8 = 1;
/// Longest sleep, in microseconds.
const WAIT_US_MAX: u64 = 1_000_000;
/// Datagrams read before everything else gets its turn.
const DATAGRAMS_PER_ROUND: usize = 256;
/// Receive buffer, in bytes: larger than any datagram of ours.
const DATAGRAM_BUFFER_BYTES: usize = 2_048;
