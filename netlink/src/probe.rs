//! Asking an address for life signs, many times a second, and noting when it answered.
//!
//! What `ping -i` is for, with time stamps a program can use and from any namespace.

use crate::background::{Background, Over};
use crate::{Error, NetNs, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto,
    socket,
};
use nix::sys::time::TimeSpec;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One question and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Number of the question, from 0.
    pub number: u64,
    /// When it was asked.
    pub sent: Instant,
    /// When the answer came.
    pub answered: Option<Instant>,
}

/// A running probe; ends when stopped or dropped.
#[derive(Debug)]
pub struct EchoProbe {
    shared: Arc<Shared>,
    thread: Background,
}

impl EchoProbe {
    /// Starts asking `target` every `interval` (at least 1 ms) from a namespace, or from the
    /// calling thread's own when none is given.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or when the namespace cannot be entered.
    pub fn start(netns: Option<&NetNs>, target: IpAddr, interval: Duration) -> Result<Self> {
        let fd = match netns {
            Some(netns) => netns.run(|| open(target))??,
            None => open(target)?,
        };
        let shared = Arc::new(Shared::default());
        let asker = Asker {
            fd,
            target,
            interval: interval.max(INTERVAL_MIN),
            identity: identity(),
            shared: Arc::clone(&shared),
        };
        let thread = Background::start("echo-probe", "start a thread for a probe", move |over| {
            asker.run(over)
        })?;
        Ok(Self { shared, thread })
    }

    /// The questions so far, oldest first; at most the last [`ECHOES_MAX`].
    pub fn echoes(&self) -> Vec<Echo> {
        self.shared.echoes().iter().copied().collect()
    }

    /// The newest answer's time.
    pub fn last_answer(&self) -> Option<Instant> {
        self.shared
            .echoes()
            .iter()
            .rev()
            .filter_map(|echo| echo.answered)
            .max()
    }

    /// Waits until a question asked at or after `from` is answered, at most `wait`; returns when
    /// the answer came.
    pub fn wait_for_answer(&self, from: Instant, wait: Duration) -> Option<Instant> {
        let deadline = Instant::now() + wait;
        loop {
            let found = self
                .shared
                .echoes()
                .iter()
                .rev()
                .take_while(|echo| echo.sent >= from)
                .filter_map(|echo| echo.answered)
                .min();
            if found.is_some() || Instant::now() >= deadline {
                return found;
            }
            std::thread::sleep(INTERVAL_MIN);
        }
    }

    /// The longest time without an answer between `from` and `to`, by arrival of the answers.
    pub fn longest_silence(&self, from: Instant, to: Instant) -> Duration {
        longest_silence(&self.echoes(), from, to)
    }

    /// Ends the probe and returns its questions, oldest first.
    pub fn stop(mut self) -> Vec<Echo> {
        self.thread.end();
        self.echoes()
    }
}

/// The longest time without an answer between `from` and `to`, by arrival of the answers.
pub fn longest_silence(echoes: &[Echo], from: Instant, to: Instant) -> Duration {
    let mut arrivals: Vec<Instant> = echoes
        .iter()
        .filter_map(|echo| echo.answered)
        .filter(|answered| (from..=to).contains(answered))
        .collect();
    arrivals.sort();
    arrivals.push(to.max(from));
    let mut last = from;
    let mut longest = Duration::ZERO;
    for arrival in arrivals {
        longest = longest.max(arrival.saturating_duration_since(last));
        last = arrival;
    }
    longest
}

#[derive(Debug, Default)]
struct Shared {
    echoes: Mutex<VecDeque<Echo>>,
}

impl Shared {
    fn echoes(&self) -> std::sync::MutexGuard<'_, VecDeque<Echo>> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, number: u64) {
        let mut echoes = self.echoes();
        if echoes.len() >= ECHOES_MAX {
            echoes.pop_front();
        }
        echoes.push_back(Echo {
            number,
            sent: Instant::now(),
            answered: None,
        });
    }

    fn answer(&self, number: u64) {
        let now = Instant::now();
        let mut echoes = self.echoes();
        let Some(first) = echoes.front().map(|echo| echo.number) else {
            return;
        };
        let Some(offset) = number.checked_sub(first) else {
            return;
        };
        if let Some(echo) = usize::try_from(offset)
            .ok()
            .and_then(|at| echoes.get_mut(at))
        {
            echo.answered.get_or_insert(now);
        }
    }
}

struct Asker {
    fd: OwnedFd,
    target: IpAddr,
    interval: Duration,
    identity: u16,
    shared: Arc<Shared>,
}

impl Asker {
    fn run(self, over: &Over) {
        let mut next = Instant::now();
        let mut number = 0;
        while !over.is_said() {
            self.shared.ask(number);
            self.send(number);
            number += 1;
            // After a pause (a frozen process, a busy machine) no backlog is made up for.
            next = (next + self.interval).max(Instant::now());
            self.receive_until(next, over);
        }
    }

    /// A question that cannot be sent (no route, no neighbour) is a question without answer.
    fn send(&self, number: u64) {
        let packet = question(self.target, self.identity, number);
        let target = SockaddrStorage::from(SocketAddr::new(self.target, 0));
        if let Err(errno) = sendto(self.fd.as_raw_fd(), &packet, &target, MsgFlags::empty()) {
            tracing::trace!(target = %self.target, %errno, "echo request not sent");
        }
    }

    fn receive_until(&self, until: Instant, over: &Over) {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        loop {
            while let Ok(len) = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                let number = answer(self.target, self.identity, &buffer[..len]);
                number.inspect(|number| self.shared.answer(*number));
            }
            let left = until.saturating_duration_since(Instant::now()).min(LOOK_UP);
            if left.is_zero() || over.is_said() {
                return;
            }
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut fds, Some(TimeSpec::from(left)), None) {
                Ok(_) | Err(Errno::EINTR) => {}
                // Memory pressure: wait without the socket rather than spin.
                Err(_) => std::thread::sleep(left),
            }
        }
    }
}

/// A raw ICMP socket of the target's family, in the calling thread's namespace.
pub(crate) fn open(target: IpAddr) -> Result<OwnedFd> {
    let (family, protocol) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(family, SockType::Raw, flags, protocol)
        .map_err(|errno| Error::io("open a raw ICMP socket (needs CAP_NET_RAW)", errno))
}

/// Empties a raw socket that nobody reads.
pub(crate) fn discard(fd: &OwnedFd) {
    let mut buffer = [0; ANSWER_BYTES_MAX];
    while recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok() {}
}

/// Differs between the probes of one program and, mostly, between programs.
fn identity() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    (std::process::id() as u16).rotate_left(5) ^ NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An echo request (RFC 792, RFC 4443 section 4.1); the number is in the payload, because the
/// sequence field wraps after a minute at 1 ms.
pub(crate) fn question(target: IpAddr, identity: u16, number: u64) -> [u8; QUESTION_BYTES] {
    let mut packet = [0; QUESTION_BYTES];
    packet[0] = if target.is_ipv4() {
        ECHO_REQUEST_V4
    } else {
        ECHO_REQUEST_V6
    };
    packet[4..6].copy_from_slice(&identity.to_be_bytes());
    packet[6..8].copy_from_slice(&(number as u16).to_be_bytes());
    packet[8..16].copy_from_slice(&number.to_be_bytes());
    // The kernel fills in the checksum of ICMPv6.
    if target.is_ipv4() {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The number in an echo reply to us from the target; IPv4 sockets deliver the IP header too.
pub(crate) fn answer(target: IpAddr, identity: u16, packet: &[u8]) -> Option<u64> {
    let (message, kind) = match target {
        IpAddr::V4(four) => {
            let header_len = usize::from(packet.first()? & 0x0f) * 4;
            if packet.get(12..16)? != four.octets() {
                return None;
            }
            (packet.get(header_len..)?, ECHO_REPLY_V4)
        }
        IpAddr::V6(_) => (packet, ECHO_REPLY_V6),
    };
    let message = message.first_chunk::<QUESTION_BYTES>()?;
    let [a, b, c, d, e, f, g, h] = message[8..] else {
        return None;
    };
    let ours = message[0] == kind && message[4..6] == identity.to_be_bytes();
    ours.then(|| u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let sum: u32 = words.map(u32::from).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Questions kept: a quarter of an hour at 1 ms.
pub const ECHOES_MAX: usize = 1_000_000;
const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// How long a stop may take to be noticed when the interval is longer.
const LOOK_UP: Duration = Duration::from_millis(50);
const QUESTION_BYTES: usize = 16;
const ANSWER_BYTES_MAX: usize = 128;
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{machine, pair};
    use crate::{AddressSpec, VethEnd};

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_probe_sees_an_address_come_and_go() {
        let Some([mut near, far]) = pair("a_probe_sees_an_address_come_and_go") else {
            return;
        };
        let vip: IpAddr = "10.7.0.100".parse().unwrap();
        let probe = EchoProbe::start(Some(&far.netns), vip, INTERVAL_MIN).unwrap();
        let index = near.kernel.link("eth0").unwrap().index;
        let added = Instant::now();
        near.kernel
            .add_address(&AddressSpec::new(index, vip, 24))
            .unwrap();
        let up = probe
            .wait_for_answer(added, PATIENCE)
            .expect("an answer in time");
        assert!(up >= added);
        near.kernel.delete_address(index, vip, 24).unwrap();
        let removed = Instant::now();
        assert_eq!(
            probe.wait_for_answer(removed, Duration::from_millis(50)),
            None
        );
        assert!(probe.last_answer().unwrap() <= Instant::now());
        let echoes = probe.stop();
        assert!(
            echoes
                .iter()
                .enumerate()
                .all(|(at, echo)| echo.number == at as u64)
        );
        assert!(longest_silence(&echoes, removed, Instant::now()) >= Duration::from_millis(40));
    }

    /// What a lab is: nodes on a bridge in a namespace of its own, each reaching each other.
    #[test]
    fn three_machines_on_a_bridge_reach_each_other() {
        let test = "three_machines_on_a_bridge_reach_each_other";
        let Some((_hub_ns, mut hub)) = machine(test) else {
            return;
        };
        let bridge = hub.add_bridge("br0").unwrap();
        hub.set_up(bridge, true).unwrap();
        let mut nodes = Vec::new();
        for last in 1..=3u8 {
            let Some((netns, mut node)) = machine(test) else {
                return;
            };
            let port = format!("port{last}");
            hub.add_veth(VethEnd::here(&port), VethEnd::within("eth0", &netns))
                .unwrap();
            let port = hub.link(&port).unwrap().index;
            hub.set_bridge(port, Some(bridge)).unwrap();
            hub.set_up(port, true).unwrap();
            let eth0 = node.link("eth0").unwrap().index;
            let ip: IpAddr = [10, 8, 0, last].into();
            node.add_address(&AddressSpec::new(eth0, ip, 24)).unwrap();
            node.set_up(eth0, true).unwrap();
            nodes.push((netns, ip));
        }
        for (netns, own) in &nodes {
            for (_, target) in nodes.iter().filter(|(_, target)| target != own) {
                let start = Instant::now();
                let probe = EchoProbe::start(Some(netns), *target, INTERVAL_MIN).unwrap();
                let answer = probe.wait_for_answer(start, PATIENCE);
                assert!(answer.is_some(), "{own} does not reach {target}");
            }
        }
    }

    #[test]
    fn ipv6_answers_too() {
        let Some((netns, _kernel)) = machine("ipv6_answers_too") else {
            return;
        };
        let target = "::1".parse().unwrap();
        let start = Instant::now();
        let probe = EchoProbe::start(Some(&netns), target, INTERVAL_MIN).unwrap();
        assert!(probe.wait_for_answer(start, PATIENCE).is_some());
    }

    #[test]
    fn silence_is_measured_between_arrivals() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let echo = |number, answered: Option<u64>| Echo {
            number,
            sent: at(number),
            answered: answered.map(at),
        };
        let echoes = [
            echo(0, Some(10)),
            echo(1, None),
            echo(2, Some(12)),
            echo(3, Some(712)),
        ];
        let silence = |from, to| longest_silence(&echoes, at(from), at(to)).as_millis();
        assert_eq!(silence(0, 800), 700);
        assert_eq!(silence(0, 100), 88);
        assert_eq!(silence(0, 12), 10);
        assert_eq!(silence(800, 900), 100);
        assert_eq!(silence(900, 800), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_packet_is_an_answer_or_not(
            packet in proptest::collection::vec(0u8.., 0..100),
            six in proptest::bool::ANY,
        ) {
            let target: IpAddr = if six { "::1" } else { "10.0.0.1" }.parse().unwrap();
            if answer(target, 77, &packet).is_some() {
                proptest::prop_assert!(packet.len() >= QUESTION_BYTES);
            }
        }
    }

    #[test]
    fn answers_of_others_are_not_ours() {
        let target: IpAddr = "10.0.0.1".parse().unwrap();
        let mut packet = vec![0x45; 20];
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        packet.extend(question(target, 77, 5));
        packet[20] = ECHO_REPLY_V4;
        assert_eq!(answer(target, 77, &packet), Some(5));
        assert_eq!(answer(target, 78, &packet), None);
        assert_eq!(answer("10.0.0.2".parse().unwrap(), 77, &packet), None);
        assert_eq!(answer(target, 77, &packet[..30]), None);
        assert_eq!(answer(target, 77, &[]), None);
        packet[20] = ECHO_REQUEST_V4;
        assert_eq!(answer(target, 77, &packet), None);
        assert_eq!(checksum(&question(target, 77, 5)), 0);
    }
}
