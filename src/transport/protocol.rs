//! The protocol thread: sockets, sessions and the membership core in one loop.

mod change;
mod handle;
mod pulse;
mod relay;
mod stall;
mod trouble;

pub use change::NewPeers;
pub use handle::{ProtocolHandle, Seed};
pub use pulse::MAIN_TURN_US_MAX;
pub(crate) use stall::STANDS_STILL;
pub(crate) use trouble::PEER_TROUBLE;

use super::sockets::{Sockets, Stranger};
use super::{OsEntropy, Peers, StreamHandle, boottime_us};
use crate::daemon::disk::{DiskHandle, Done, Job};
use crate::vip::lease::{Fresh, LeaseHandle};
use membership::{Core, CoreStatus, Effect, Event, Input, Output, Time, Via};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use stall::Stalls;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use trouble::Troubles;
use wire::{Diagnosis, Endpoint, Identity, NodeId, Received, Refusal, Reject};

/// What other threads tell the protocol thread.
#[derive(Debug)]
pub enum Message {
    /// For the core.
    Input(Input),
    /// The store thread's report.
    Disk(Done),
    /// A message that came over a stream.
    Stream {
        /// The process at its other end.
        from: Identity,
        /// Link of the connection.
        link: u8,
        /// What it said.
        payload: Vec<u8>,
    },
    /// Another node list.
    Peers(Box<NewPeers>),
    /// Another key ring.
    Ring(Box<wire::KeyRing>),
    /// The lowest version of the protocol to be spoken.
    MinVersion(u8),
    /// How things stand, for status commands.
    Report(oneshot::Sender<Report>),
    /// End the thread.
    Stop,
}

/// How things stand.
#[derive(Clone, Debug)]
pub struct Report {
    /// The core's own account.
    pub core: CoreStatus,
    /// What is known of the conversation with each peer.
    pub peers: Vec<(NodeId, Diagnosis)>,
    /// Every session that is up is under the authkey in use.
    pub renewed: bool,
    /// Versions of the protocol spoken here.
    pub versions: wire::VersionRange,
}

/// Why the thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked.
    Stopped,
    /// It could not go on; in words.
    Failed(String),
}

/// What to do when the main loop hangs: nobody is left to tell, so it must end the process.
pub type OnHang = Box<dyn FnOnce(&str) + Send>;

/// The running thread.
#[derive(Debug)]
pub struct Protocol {
    handle: ProtocolHandle,
    thread: Option<JoinHandle<()>>,
}

/// Everything the thread works on.
struct Loop {
    core: Core,
    endpoint: Endpoint,
    sockets: Sockets,
    peers: Peers,
    disk: DiskHandle,
    streams: StreamHandle,
    leases: LeaseHandle,
    /// What the leases were told last.
    fed: Vec<Fresh>,
    events: mpsc::Sender<Result<Event, Ended>>,
    seed: Seed,
    entropy: OsEntropy,
    /// Writes under way, oldest first, with what waits for them.
    writes: VecDeque<(u64, Vec<Effect>)>,
    ended: Option<Ended>,
    troubles: Troubles,
    stalls: Stalls,
    on_hang: Option<OnHang>,
}

impl Protocol {
    /// Binds the links and starts the thread. Events arrive in order; the last one is an
    /// `Err(Ended)`.
    ///
    /// # Errors
    /// A link cannot be bound, or the kernel gives no thread.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different part of the world"
    )]
    pub fn start(
        core: Core,
        endpoint: Endpoint,
        peers: Peers,
        disk: DiskHandle,
        streams: StreamHandle,
        leases: LeaseHandle,
        events: mpsc::Sender<Result<Event, Ended>>,
        handle: ProtocolHandle,
        seed: Seed,
        on_hang: OnHang,
    ) -> std::io::Result<Self> {
        let sockets = Sockets::bind(&peers.links)?;
        let all = Loop {
            stalls: Stalls::new(core.timing().t_fail_us),
            core,
            endpoint,
            sockets,
            peers,
            disk,
            streams,
            leases,
            fed: Vec::new(),
            events,
            seed,
            entropy: OsEntropy,
            writes: VecDeque::new(),
            ended: None,
            troubles: Troubles::default(),
            on_hang: Some(on_hang),
        };
        let thread = std::thread::Builder::new()
            .name("protocol".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || all.run())?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }
}

impl Drop for Protocol {
    fn drop(&mut self) {
        self.handle.send_waiting(Message::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the protocol thread ended by a panic");
        }
    }
}

impl Loop {
    fn run(mut self) {
        // Without the right (containers) the thread runs as any other; `doctor` tells.
        if let Err(error) = netlink::make_thread_realtime(REALTIME_PRIORITY) {
            tracing::info!("heartbeats run without real-time priority: {error}");
        }
        self.drain();
        // Nothing is said or heard before this process's incarnation is on disk: a crash in
        // between would let the next process speak under the same one.
        while self.ended.is_none() && !self.core.may_speak() {
            self.wait();
            self.take_messages();
            self.tick();
            self.drain();
        }
        self.endpoint.set_head(self.core.durable_head());
        for peer in self.peers.partners() {
            // Every peer is in the endpoint's list: both come from the same node list.
            let _ = self
                .endpoint
                .connect(boottime_us(), peer, &mut self.entropy);
        }
        self.transmit();
        while self.ended.is_none() {
            let due_us = self.wait();
            self.notice_stall(due_us);
            self.receive();
            self.take_messages();
            self.tick();
            self.feed_leases();
            self.transmit();
            self.drain();
            self.feel_pulse();
            self.look_at_troubles();
        }
        self.leases.feed(Vec::new());
        let ended = self.ended.take().unwrap_or(Ended::Stopped);
        // Nobody may be listening any more: then nobody needs to know.
        let _ = self.events.try_send(Err(ended));
    }

    /// A node whose main loop hangs plans nothing, answers nobody and moves nothing, and holds up
    /// the others, because to them it looks well.
    fn feel_pulse(&mut self) {
        if !self.seed.pulse.stopped(boottime_us()) {
            return;
        }
        if let Some(on_hang) = self.on_hang.take() {
            let why = format!(
                "the main loop of mainstayd did not turn for {} s, so that this node neither planned nor answered: the process was ended to be started anew; look for a disk or file system that hangs (dmesg, D state)",
                MAIN_TURN_US_MAX / 1_000_000
            );
            on_hang(&why);
        }
    }

    /// Where the core wanted to be called before: this process, or the machine, stood still.
    fn notice_stall(&mut self, due_us: Option<u64>) {
        let now = boottime_us();
        let late_us = due_us.map_or(0, |due| now.saturating_sub(due));
        if let Some(text) = self.stalls.note(now, late_us) {
            self.effect(Effect::Event(Event::Notice {
                code: STANDS_STILL.to_owned(),
                node: None,
                text,
            }));
        }
    }

    /// Sleeps until a packet, a message or a deadline; returns the core's.
    fn wait(&self) -> Option<u64> {
        let due_us = self.core.next_timeout().map(|t| t.0);
        let wait_us = [due_us, self.endpoint.next_timeout()]
            .into_iter()
            .flatten()
            .min()
            .map_or(WAIT_US_MAX, |at| {
                at.saturating_sub(boottime_us()).min(WAIT_US_MAX)
            });
        let mut fds: Vec<PollFd<'_>> = self.sockets.poll_fds().collect();
        fds.push(PollFd::new(self.seed.wake.as_fd(), PollFlags::POLLIN));
        let timeout = TimeSpec::from_duration(Duration::from_micros(wait_us));
        // A signal ends the sleep early; the loop looks at everything anyway.
        let _ = ppoll(&mut fds, Some(timeout), None);
        let woken = fds.last().and_then(PollFd::revents);
        if woken.is_some_and(|events| !events.is_empty()) {
            let _ = self.seed.wake.read();
        }
        due_us
    }

    fn receive(&mut self) {
        let mut buf = [0; DATAGRAM_BUFFER_BYTES];
        for at in 0..self.sockets.len() {
            for _ in 0..DATAGRAMS_PER_ROUND {
                let Some((link, datagram)) = self.sockets.receive(at, &mut buf) else {
                    break;
                };
                let now = boottime_us();
                let received = self.endpoint.handle(now, link, datagram, &mut self.entropy);
                self.received(received);
            }
        }
        for stranger in self.sockets.new_strangers() {
            let text = self.describe(&stranger);
            self.effect(Effect::Event(Event::Notice {
                code: "unknown-sender".to_owned(),
                node: None,
                text,
            }));
        }
    }

    /// What to tell of a stranger, and what to do about it.
    fn describe(&self, stranger: &Stranger) -> String {
        let Stranger {
            from,
            listed,
            claims,
        } = stranger;
        let cure = "make the nodelist in corosync.conf the same on all nodes, every nodeid once, and restart mainstayd where it was wrong";
        match (listed, claims) {
            (Some(listed), Some(claims)) => format!(
                "{} ({from}) says that it has nodeid {claims}, which the node list gives to {}: its packets are refused; {cure}",
                self.peers.name(*listed),
                self.peers.name(*claims),
            ),
            (None, Some(claims)) if self.peers.names.contains_key(claims) => format!(
                "{from} says that it is {}, which has another address in the node list: its packets are refused; shut that machine down if it is a copy, or {cure}",
                self.peers.name(*claims),
            ),
            _ => format!(
                "{from} sends packets to this node's port and is not in its node list: they are ignored; if it is a node of this cluster, {cure}"
            ),
        }
    }

    fn received(&mut self, received: Received) {
        match received {
            Received::Payload { from, link, bytes } => {
                self.input(Input::Packet {
                    from,
                    link,
                    payload: bytes,
                });
            }
            Received::Established {
                peer,
                link,
                payload,
            } => {
                self.input(Input::SessionUp { peer });
                if let Some(head) = self.endpoint.head_of(peer.node) {
                    self.input(Input::PeerHead { of: peer, head });
                }
                if let Some(payload) = payload {
                    self.input(Input::Packet {
                        from: peer,
                        link,
                        payload,
                    });
                }
            }
            Received::Handled => {}
            Received::Rejected(reject) => {
                tracing::debug!(%reject, "packet refused");
                if let Reject::StaleIncarnation { known, offered } = reject {
                    self.tell_clone(known, offered);
                }
                if let Reject::RefusedByPeer {
                    peer: from,
                    refusal: Refusal::StaleIncarnation { known: incarnation },
                } = reject
                {
                    self.input(Input::Outdated { from, incarnation });
                }
            }
        }
    }

    fn take_messages(&mut self) {
        for _ in 0..MESSAGES_PER_ROUND {
            let Ok(message) = self.seed.inbox.try_recv() else {
                return;
            };
            match message {
                Message::Input(input) => self.input(input),
                Message::Stream {
                    from,
                    link,
                    payload,
                } => {
                    // A stream may outlive its process: the sessions know which one lives.
                    if self.endpoint.identity(from.node) == Some(from) {
                        self.input(Input::Packet {
                            from,
                            link,
                            payload,
                        });
                    }
                }
                Message::Disk(done) => self.disk_done(done),
                Message::Peers(new) => self.change_peers(*new),
                Message::Ring(ring) => self.change_ring(*ring),
                Message::MinVersion(version) => self.endpoint.set_min_version(version),
                Message::Report(answer) => {
                    let others = self.peers.partners();
                    let diagnosis = |n| Some((n, self.endpoint.peer_diagnosis(n)?));
                    let peers = others.into_iter().filter_map(diagnosis).collect();
                    // Whoever asked may have gone.
                    let _ = answer.send(Report {
                        core: self.core.status(),
                        peers,
                        renewed: self.endpoint.is_renewed(),
                        versions: self.endpoint.versions(),
                    });
                }
                Message::Stop => self.ended = Some(Ended::Stopped),
            }
        }
        // More is waiting: do not sleep on it.
        let _ = self.seed.wake.write(1);
    }

    fn tick(&mut self) {
        let now = boottime_us();
        if self.endpoint.next_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now, &mut self.entropy);
        }
        if self.core.next_timeout().is_some_and(|at| at.0 <= now) {
            self.core.handle(Time(now), Input::Tick);
        }
    }

    fn input(&mut self, input: Input) {
        self.core.handle(Time(boottime_us()), input);
        self.drain();
    }

    /// Tells the keeper of the leases what this process may hold, whenever that changed. A node
    /// alone is always fresh for itself: its stamps count as new once per heartbeat.
    fn feed_leases(&mut self) {
        let step_us = self.leases.renewal_step_us();
        let new: Vec<Fresh> = self.core.leases().into_iter().map(fresh_of).collect();
        let same = |(old, new): (&Fresh, &Fresh)| {
            let moved = match (old.stamp_us, new.stamp_us) {
                (Some(old), Some(new)) => new.saturating_sub(old) >= step_us,
                (old, new) => old != new,
            };
            (&old.vip, old.grant_no) == (&new.vip, new.grant_no) && !moved
        };
        if new.len() == self.fed.len() && self.fed.iter().zip(&new).all(same) {
            return;
        }
        self.fed.clone_from(&new);
        self.leases.feed(new);
    }

    /// Carries out everything the core wants.
    fn drain(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Do(effect) => self.effect(effect),
                Output::Persist { write, ops, then } => {
                    self.writes.push_back((write, then));
                    if let Err(reason) = self.disk.send(Job::Persist { write, ops }) {
                        let reason = reason.to_owned();
                        self.core
                            .handle(Time(boottime_us()), Input::StoreFailed { reason });
                    }
                }
            }
        }
    }

    /// Writes complete in order: one report stands for all before it (group commit).
    fn disk_done(&mut self, done: Done) {
        match done {
            Done::Durable(last) => {
                while self.writes.front().is_some_and(|(write, _)| *write <= last) {
                    let Some((write, then)) = self.writes.pop_front() else {
                        break;
                    };
                    for effect in then {
                        self.effect(effect);
                    }
                    self.input(Input::Durable { write });
                    self.endpoint.set_head(self.core.durable_head());
                }
            }
            Done::Failed(reason) => self.input(Input::StoreFailed { reason }),
            // The core has its own clock for a late write.
            Done::Hangs(_) => {}
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send {
                to,
                via: Via::Link(link),
                payload,
            } => self.send_datagram(to, link, &payload),
            Effect::Send {
                to,
                via: Via::Stream,
                payload,
            } => self.streams.send(to, self.core.best_link(to), payload),
            Effect::Send {
                to,
                via: Via::Relay { hop, link },
                payload,
            } => self.send_by(to, hop, link, &payload),
            Effect::Message { to, via, message } => {
                let payload = message.encode();
                self.effect(Effect::Send { to, via, payload });
            }
            Effect::Unseal { sealed, .. } => self.unseal(&sealed),
            Effect::Event(event) => {
                // R8: an older process of a member is refused from now on.
                if let Event::View(view) = &event {
                    for member in &view.members {
                        self.endpoint.learn(member.identity);
                    }
                }
                if self.events.try_send(Ok(event)).is_err() {
                    let why = format!("{EVENTS_MAX} events wait: the daemon does not keep up");
                    self.ended = Some(Ended::Failed(why));
                }
            }
        }
    }

    fn send_datagram(&mut self, to: NodeId, link: u8, payload: &[u8]) {
        // Without a session the packet is lost, as on a wire.
        if let Ok(datagram) = self.endpoint.seal(to, link, payload, &mut self.entropy) {
            self.sockets.send(to, link, &datagram);
        }
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.send_hello(transmit);
        }
    }
}

fn fresh_of(lease: membership::Lease) -> Fresh {
    Fresh {
        vip: lease.vip,
        grant_no: lease.grant_no,
        stamp_us: lease.stamp.map(|at| at.0),
    }
}

/// Events that may wait for the daemon's loop; the channel given to [`Protocol::start`] has this
/// size.
pub const EVENTS_MAX: usize = 65_536;
/// Messages taken before packets get their turn again.
const MESSAGES_PER_ROUND: usize = 256;
/// Datagrams read from one link before the other links get their turn.
const DATAGRAMS_PER_ROUND: usize = 256;
/// Longest sleep, in microseconds.
const WAIT_US_MAX: u64 = 1_000_000;
/// Receive buffer, in bytes: larger than any datagram of ours, so that longer ones are seen as such.
const DATAGRAM_BUFFER_BYTES: usize = 2_048;
/// Real-time priority of the thread (1 to 99): below kernel threads, above everything ordinary.
const REALTIME_PRIORITY: i32 = 50;
/// Stack of the thread.
const STACK_BYTES: usize = 512 * 1024;
