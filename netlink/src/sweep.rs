//! Many addresses at once, as a client sees them move: echo requests to all of them, and who speaks
//! for which, by hardware address. For benches and tests of take-overs.

use crate::arp::ArpPacket;
use crate::background::{Background, Over};
use crate::packet::{PacketSocket, Protocol};
use crate::probe::{answer, discard, open, question};
use crate::{Error, Kernel, Mac, NetNs, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};
use nix::sys::time::TimeSpec;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One frame in which somebody spoke for one of the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// When it was read.
    pub at: Instant,
    /// For which address.
    pub ip: Ipv4Addr,
    /// Who spoke.
    pub mac: Mac,
    /// An echo reply to a question of ours, else an announcement or another ARP frame.
    pub answer: bool,
}

/// Asks many addresses again and again and keeps who spoke for them.
///
/// To ask all of them every millisecond would load the machine that is measured more than what is
/// measured. So each is asked every [`AT_REST`], spread evenly; the moment that somebody else than
/// the old holder claims an address it is asked at once, and every [`IN_MOTION`] until it answers.
/// (Before that claim this client's kernel would send to the old holder anyway.)
#[derive(Debug)]
pub struct Sweep {
    shared: Arc<Shared>,
    thread: Background,
}

#[derive(Debug, Default)]
struct Shared {
    signs: Mutex<Vec<Sign>>,
    settled: AtomicUsize,
}

impl Sweep {
    /// Starts asking `targets` from `link` in a namespace; `old` is the hardware address of their
    /// holder.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, when the namespace cannot be entered or has no such link.
    pub fn start(netns: &NetNs, link: &str, targets: &[Ipv4Addr], old: Mac) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let sweeper = netns.run(|| {
            let link = Kernel::open()?.link(link)?;
            Ok::<_, Error>(Sweeper {
                mouth: open(IpAddr::V4(Ipv4Addr::UNSPECIFIED))?,
                ear: PacketSocket::listener(&link, Protocol::All)?.with_room()?,
                old,
                at: targets.iter().copied().zip(0..).collect(),
                place: vec![Place::Old; targets.len()],
                targets: targets.to_vec(),
                number: 0,
                shared: Arc::clone(&shared),
            })
        })??;
        let thread = Background::start("sweep", "start a thread for a sweep", move |over| {
            sweeper.run(over)
        })?;
        Ok(Self { shared, thread })
    }

    /// How many addresses have answered from somebody else than the old holder.
    pub fn settled(&self) -> usize {
        self.shared.settled.load(Ordering::Acquire)
    }

    /// Ends the sweep and returns who spoke, oldest first; at most the first [`SIGNS_MAX`].
    pub fn stop(mut self) -> Vec<Sign> {
        self.thread.end();
        std::mem::take(&mut self.shared.signs())
    }
}

impl Shared {
    fn signs(&self) -> std::sync::MutexGuard<'_, Vec<Sign>> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A move of all addresses from one holder to another, as the signs tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// From the given moment to the first answer of another holder.
    pub first: Duration,
    /// From that to the last address's first answer.
    pub spread: Duration,
    /// The same of the first frame in which another holder claims an address.
    pub claimed: Duration,
    /// Longest time between an address's last answer from the old holder and its first from
    /// another; where the old one answered since the moment of the sweep's start.
    pub outage: Duration,
    /// For how long the old holder spoke for an address after another had.
    pub double: Duration,
}

impl Passage {
    /// What the signs show of a move from `old` after `from`.
    pub fn of(signs: &[Sign], from: Instant, old: Mac) -> Self {
        let mut moves: BTreeMap<Ipv4Addr, Move> = BTreeMap::new();
        for sign in signs {
            moves.entry(sign.ip).or_default().note(sign, old);
        }
        let answered = || moves.values().filter_map(|m| m.answered);
        let claimed = || moves.values().filter_map(|m| m.claimed);
        let since = |at: Instant| at.saturating_duration_since(from);
        let outage = |m: &Move| Some(m.answered?.saturating_duration_since(m.last?));
        Self {
            first: answered().min().map_or(Duration::ZERO, since),
            spread: spread(answered().min(), answered().max()),
            claimed: spread(claimed().min(), claimed().max()),
            outage: moves.values().filter_map(outage).max().unwrap_or_default(),
            double: moves.values().map(|m| m.double).max().unwrap_or_default(),
        }
    }
}

/// One address's move.
#[derive(Default)]
struct Move {
    /// The old holder's last answer before anybody else spoke.
    last: Option<Instant>,
    /// Somebody else's first frame of any kind.
    new: Option<Instant>,
    claimed: Option<Instant>,
    answered: Option<Instant>,
    double: Duration,
}

impl Move {
    fn note(&mut self, sign: &Sign, old: Mac) {
        if sign.mac != old {
            self.new.get_or_insert(sign.at);
            let first = match sign.answer {
                true => &mut self.answered,
                false => &mut self.claimed,
            };
            first.get_or_insert(sign.at);
        } else if let Some(new) = self.new {
            self.double = self.double.max(sign.at - new).max(MOMENT);
        } else if sign.answer {
            self.last = Some(sign.at);
        }
    }
}

fn spread(first: Option<Instant>, last: Option<Instant>) -> Duration {
    match (first, last) {
        (Some(first), Some(last)) => last - first,
        _ => Duration::ZERO,
    }
}

/// How far an address's move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody else than the old holder has spoken for it.
    Old,
    Claimed,
    /// Somebody else has answered for it.
    Settled,
}

struct Sweeper {
    mouth: OwnedFd,
    /// One for all kinds of frames: what was said first is read first.
    ear: PacketSocket,
    old: Mac,
    targets: Vec<Ipv4Addr>,
    at: BTreeMap<Ipv4Addr, usize>,
    place: Vec<Place>,
    number: u64,
    shared: Arc<Shared>,
}

impl Sweeper {
    fn run(mut self, over: &Over) {
        // What is read late seems to have come late. Without the right it is read when it can be.
        drop(crate::make_thread_realtime(REALTIME_PRIORITY));
        let slices = (AT_REST.as_micros() / IN_MOTION.as_micros()).max(1) as usize;
        let mut next = Instant::now();
        let mut tick = 0;
        while !over.is_said() {
            for at in 0..self.targets.len() {
                if self.place[at] == Place::Claimed || at % slices == tick % slices {
                    self.ask(at);
                }
            }
            tick += 1;
            // After a pause no backlog is made up for.
            next = (next + IN_MOTION).max(Instant::now());
            self.listen_until(next, over);
        }
    }

    fn ask(&mut self, at: usize) {
        let target = IpAddr::V4(self.targets[at]);
        let packet = question(target, IDENTITY, self.number);
        self.number += 1;
        let target = SockaddrStorage::from(SocketAddr::new(target, 0));
        // A question that cannot be sent (no neighbour yet) is one without answer.
        let flags = MsgFlags::MSG_DONTWAIT;
        let _ = sendto(self.mouth.as_raw_fd(), &packet, &target, flags);
    }

    fn listen_until(&mut self, until: Instant, over: &Over) {
        loop {
            self.read_all();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || over.is_said() {
                return;
            }
            let mut fds = [PollFd::new(self.ear.as_fd(), PollFlags::POLLIN)];
            if ppoll(&mut fds, Some(TimeSpec::from(left)), None).is_err() {
                // A signal, or no memory: wait without the sockets rather than spin.
                std::thread::sleep(left);
            }
        }
    }

    fn read_all(&mut self) {
        let mut buffer = [0; FRAME_BYTES_MAX];
        // What has no end on a broken link is left for the next round.
        for _ in 0..FRAMES_PER_ROUND {
            let Ok(Some((len, mac, kind))) = self.ear.receive_typed(&mut buffer) else {
                break;
            };
            let frame = &buffer[..len];
            let (ip, answer) = match i32::from(kind) {
                libc::ETH_P_ARP => (ArpPacket::parse(frame).map(|p| p.sender_ip), false),
                libc::ETH_P_IP => (echo_from(frame), true),
                _ => (None, false),
            };
            if let Some(ip) = ip {
                self.heard(ip, mac, answer);
            }
        }
        // The raw socket gets a copy of every reply, and nobody reads it there.
        discard(&self.mouth);
    }

    fn heard(&mut self, ip: Ipv4Addr, mac: Mac, answer: bool) {
        let Some(&at) = self.at.get(&ip) else {
            return;
        };
        let sign = Sign {
            at: Instant::now(),
            ip,
            mac,
            answer,
        };
        let mut signs = self.shared.signs();
        if signs.len() < SIGNS_MAX {
            signs.push(sign);
        }
        drop(signs);
        if mac == self.old || self.place[at] == Place::Settled {
            return;
        }
        if answer {
            self.place[at] = Place::Settled;
            self.shared.settled.fetch_add(1, Ordering::AcqRel);
        } else if std::mem::replace(&mut self.place[at], Place::Claimed) == Place::Old {
            self.ask(at);
        }
    }
}

/// Whose echo reply to a sweep an IPv4 packet is.
fn echo_from(packet: &[u8]) -> Option<Ipv4Addr> {
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let source = Ipv4Addr::from(source);
    if packet.get(9) != Some(&ICMP) {
        return None;
    }
    let number = answer(IpAddr::V4(source), IDENTITY, packet);
    number.map(|_| source)
}

/// Time between two questions to one address that nobody else has claimed.
pub const AT_REST: Duration = Duration::from_millis(8);
/// Time between two questions to one address that was claimed and has not answered.
pub const IN_MOTION: Duration = Duration::from_millis(1);
/// Frames kept.
pub const SIGNS_MAX: usize = 1_000_000;
/// Frames that are read before the next questions go out.
const FRAMES_PER_ROUND: usize = 4_096;
const FRAME_BYTES_MAX: usize = 128;
/// Two frames read in one clock tick are two owners as well.
const MOMENT: Duration = Duration::from_nanos(1);
/// Identifier of our echo requests; another program's pings from this machine have another one.
const IDENTITY: u16 = 0x5357;
/// Protocol number of ICMP in an IPv4 header.
const ICMP: u8 = 1;
/// Above everything of the daemons, as a client on a machine of its own.
const REALTIME_PRIORITY: i32 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pair;
    use crate::{AddressSpec, Announcer};

    #[test]
    fn addresses_that_come_are_settled_by_whom_has_them() {
        let Some([mut near, far]) = pair("addresses_that_come_are_settled_by_whom_has_them") else {
            return;
        };
        let eth0 = near.kernel.link("eth0").unwrap();
        let targets: Vec<Ipv4Addr> = (100..120).map(|n| Ipv4Addr::new(10, 7, 0, n)).collect();
        let sweep = Sweep::start(&far.netns, "eth0", &targets, Mac([2; 6])).unwrap();
        let announcer = near.netns.run(|| Announcer::open(&eth0).unwrap()).unwrap();
        for ip in &targets {
            let spec = AddressSpec::new(eth0.index, IpAddr::V4(*ip), 24);
            near.kernel.add_address(&spec).unwrap();
            announcer.announce(IpAddr::V4(*ip)).unwrap();
        }
        let patience = Instant::now() + Duration::from_secs(20);
        while sweep.settled() < targets.len() && Instant::now() < patience {
            std::thread::sleep(IN_MOTION);
        }
        assert_eq!(sweep.settled(), targets.len());
        let signs = sweep.stop();
        for ip in &targets {
            let of = || signs.iter().filter(|s| s.ip == *ip);
            assert!(of().any(|s| s.answer) && of().any(|s| !s.answer), "{ip}");
            assert!(of().all(|s| Some(s.mac) == eth0.mac), "{ip}");
        }
    }

    #[test]
    fn a_move_is_judged_by_its_frames() {
        let (old, new) = (Mac([1; 6]), Mac([2; 6]));
        let from = Instant::now();
        let sign = |(at_ms, last, mac, answer): (u64, u8, Mac, bool)| Sign {
            at: from + Duration::from_millis(at_ms),
            ip: Ipv4Addr::new(10, 77, 1, last),
            mac,
            answer,
        };
        let frames = [
            (5, 1, old, true),
            (7, 2, old, true),
            (20, 1, new, false),
            (21, 1, new, true),
            (24, 2, new, false),
            (26, 1, old, true),
            (30, 2, new, true),
            (31, 1, new, true),
        ];
        let ms = Duration::from_millis;
        let expected = Passage {
            first: ms(21),
            spread: ms(9),
            claimed: ms(4),
            outage: ms(23),
            double: ms(6),
        };
        assert_eq!(Passage::of(&frames.map(sign), from, old), expected);
        assert_eq!(Passage::of(&[], from, old), Passage::default());
    }

    proptest::proptest! {
        #[test]
        fn any_packet_is_an_echo_or_not(packet in proptest::collection::vec(0u8.., 0..100)) {
            if let Some(ip) = echo_from(&packet) {
                proptest::prop_assert_eq!(&packet[12..16], &ip.octets());
            }
        }
    }
}
