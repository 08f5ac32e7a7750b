//! Who speaks for an address, as the switch between the machines sees it: every frame in which a
//! machine acts as the owner, of either family and whatever it carries, with the time when the
//! kernel got it and the hardware address it came from. For labs and tests that look for two
//! owners.

use crate::background::{Background, Over};
use crate::filter::{equal, instruction, load_byte, load_half, load_word, returns};
use crate::ndp::{ICMPV6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION};
use crate::sys::{attach_filter, link_address};
use crate::{ArpPacket, Error, Kernel, Mac, NetNs, Result};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, ReceiveTimestampns, RxqOvfl};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, RecvMsg, SockFlag, SockType, bind,
    recvmsg, setsockopt, socket,
};
use nix::sys::time::TimeSpec;
use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// One frame in which a machine spoke for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    /// When the kernel got it; for a veth pair that is when the sender's kernel let it out.
    pub at: Instant,
    /// Who spoke: the source of the frame.
    pub mac: Mac,
    /// The address that was spoken for.
    pub ip: IpAddr,
    /// What it was.
    pub kind: Kind,
}

/// What a frame that speaks for an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A gratuitous ARP or an advertisement to all.
    Announcement,
    /// An answer to one who asked by ARP or neighbour solicitation.
    Answer,
    /// A question asked in the address's name: it teaches those who hear it as well.
    Question,
    /// An answer to an ICMP echo request.
    Echo,
    /// TCP from the address.
    Tcp,
    /// Anything else from the address.
    Other,
}

/// Listens to every port of a namespace at once, so that the frames of all machines are in one
/// queue.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    thread: Background,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    words: Vec<Word>,
    /// Frames that the kernel had no room for, and those beyond [`WORDS_MAX`].
    lost: u64,
}

impl Capture {
    /// Starts listening in a namespace (a switch's) for whoever speaks for one of `ips`; not at
    /// the interfaces `inner`, where a switch hands frames on within itself.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, when the namespace cannot be entered or has no such interface.
    pub fn start(netns: &NetNs, ips: &BTreeSet<IpAddr>, inner: &[&str]) -> Result<Self> {
        let indexes = || -> Result<BTreeSet<u32>> {
            let mut kernel = Kernel::open()?;
            inner
                .iter()
                .map(|name| Ok(kernel.link(name)?.index))
                .collect()
        };
        let inner = netns.run(indexes)??;
        let fd = netns.run(|| open(ips))??;
        let shared = Arc::new(Shared::default());
        let listener = Listener {
            fd,
            ips: ips.clone(),
            inner,
            shared: Arc::clone(&shared),
        };
        let thread = Background::start(
            "speakers",
            "start a thread that listens to a switch",
            move |over| listener.run(over),
        )?;
        Ok(Self { shared, thread })
    }

    /// What was heard so far, in the order of the kernel's time stamps.
    pub fn words(&self) -> Vec<Word> {
        let mut words = self.shared.lock().words.clone();
        words.sort_by_key(|word| word.at);
        words
    }

    /// Frames that were not kept: where it is not 0, silence proves nothing.
    pub fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    /// Waits until somebody answers for `ip` in a frame that came after `from`.
    pub fn wait_for(&self, ip: IpAddr, from: Instant, wait: Duration) -> Option<Word> {
        let deadline = Instant::now() + wait;
        loop {
            let found = {
                let heard = self.shared.lock();
                let newest = heard.words.iter().rev().take(LOOK_BACK);
                let mut after = newest.filter(|w| w.at >= from && w.ip == ip);
                after.next_back().copied()
            };
            if found.is_some() || Instant::now() >= deadline {
                return found;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends it and returns what was heard, in the order of the kernel's time stamps, and how many
    /// frames were not kept.
    pub fn stop(mut self) -> (Vec<Word>, u64) {
        self.thread.end();
        (self.words(), self.lost())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Listener {
    fd: OwnedFd,
    ips: BTreeSet<IpAddr>,
    /// Indexes of interfaces that do not count.
    inner: BTreeSet<u32>,
    shared: Arc<Shared>,
}

impl Listener {
    fn run(self, over: &Over) {
        while !over.is_said() {
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            let patience = PollTimeout::try_from(LOOK_UP).unwrap_or(PollTimeout::MAX);
            if poll(&mut fds, patience).is_err() {
                std::thread::sleep(LOOK);
            }
            while self.take() {}
        }
        // What came before the end was asked for belongs to the observation.
        while self.take() {}
    }

    /// Takes a frame from the queue; false when there is none.
    fn take(&self) -> bool {
        let mut buffer = [0; FRAME_BYTES];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let mut control = cmsg_space!(TimeSpec, u32);
        let fd = self.fd.as_raw_fd();
        let received = recvmsg::<LinkAddr>(fd, &mut parts, Some(&mut control), DONT_WAIT);
        let Ok(message) = received else {
            return false;
        };
        let (stamp, lost) = notes(&message);
        let port = message.address.map_or(0, |a| a.ifindex());
        let len = message.bytes.min(FRAME_BYTES);
        let known = |word: &(Mac, IpAddr, Kind)| {
            self.ips.contains(&word.1) && !self.inner.contains(&(port as u32))
        };
        let said = said(&buffer[..len]).filter(known);
        let mut heard = self.shared.lock();
        heard.lost = heard.lost.max(lost);
        if let Some((mac, ip, kind)) = said {
            if heard.words.len() >= WORDS_MAX {
                heard.lost += 1;
                return true;
            }
            let at = moment(stamp);
            heard.words.push(Word { at, mac, ip, kind });
        }
        true
    }
}

/// The kernel's time stamp (by the wall clock), and how many frames it had no room for so far.
fn notes(message: &RecvMsg<'_, '_, LinkAddr>) -> (Option<TimeSpec>, u64) {
    let (mut stamp, mut lost) = (None, 0);
    for one in message.cmsgs().into_iter().flatten() {
        match one {
            ControlMessageOwned::ScmTimestampns(at) => stamp = Some(at),
            ControlMessageOwned::RxqOvfl(count) => lost = u64::from(count),
            _ => {}
        }
    }
    (stamp, lost)
}

/// The moment of a time stamp that was taken a little while ago.
fn moment(stamp: Option<TimeSpec>) -> Instant {
    let now = Instant::now();
    let age = stamp.and_then(|stamp| {
        let at = SystemTime::UNIX_EPOCH + Duration::from(stamp);
        SystemTime::now().duration_since(at).ok()
    });
    age.and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

fn open(ips: &BTreeSet<IpAddr>) -> Result<OwnedFd> {
    let failed = |errno: Errno| Error::io("listen to all ports (needs CAP_NET_RAW)", errno);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None).map_err(failed)?;
    setsockopt(&fd, ReceiveTimestampns, &true).map_err(failed)?;
    setsockopt(&fd, RxqOvfl, &1).map_err(failed)?;
    // A user namespace may have as much as everybody only.
    setsockopt(&fd, RcvBufForce, &QUEUE_BYTES)
        .or_else(|_| setsockopt(&fd, RcvBuf, &QUEUE_BYTES))
        .map_err(failed)?;
    attach_filter(fd.as_fd(), &program(ips))
        .map_err(|source| Error::io("filter the frames of all ports", source))?;
    // Interface 0 is all of them.
    bind(
        fd.as_raw_fd(),
        &link_address(0, libc::ETH_P_ALL as u16, [0; 6]),
    )
    .map_err(failed)?;
    Ok(fd)
}

/// Lets frames through that come in and may speak for one of the addresses: by the last 32 bits of
/// the sender, or of what is advertised; [`said`] compares the rest.
fn program(ips: &BTreeSet<IpAddr>) -> Vec<libc::sock_filter> {
    let four: Vec<u32> = ips.iter().filter_map(four).map(u32::from).collect();
    let six: Vec<u32> = ips
        .iter()
        .filter_map(six)
        .map(|six| u128::from(six) as u32)
        .collect();
    let mut program = vec![
        load_word(PACKET_TYPE_AT),
        equal(u32::from(libc::PACKET_OUTGOING), 0, 1),
        returns(0),
    ];
    for (kind, places, ips) in [
        (libc::ETH_P_ARP, &[ARP_SENDER_AT][..], &four),
        (libc::ETH_P_IP, &[IPV4_SOURCE_AT], &four),
        (
            libc::ETH_P_IPV6,
            &[IPV6_SOURCE_END_AT, ND_TARGET_END_AT],
            &six,
        ),
    ] {
        let mut body = Vec::new();
        for at in places {
            if *at == ND_TARGET_END_AT {
                // Over this place's comparisons, where it is no advertisement.
                let over = 1 + 2 * ips.len() as u32;
                body.push(load_byte(ICMPV6_TYPE_AT));
                body.push(equal(u32::from(NEIGHBOUR_ADVERTISEMENT), 1, 0));
                body.push(instruction(libc::BPF_JMP | libc::BPF_JA, over));
            }
            body.push(load_word(*at));
            for ip in ips {
                body.push(equal(*ip, 0, 1));
                body.push(returns(FRAME_BYTES as u32));
            }
        }
        body.push(returns(0));
        program.push(load_half(ETHER_TYPE_AT));
        program.push(equal(kind as u32, 1, 0));
        program.push(instruction(libc::BPF_JMP | libc::BPF_JA, body.len() as u32));
        program.extend(body);
    }
    program.push(returns(0));
    program
}

fn four(ip: &IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(four) => Some(*four),
        IpAddr::V6(_) => None,
    }
}

fn six(ip: &IpAddr) -> Option<Ipv6Addr> {
    match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(six) => Some(*six),
    }
}

/// Who speaks in an Ethernet frame, as which address, and how; nothing where as none.
fn said(frame: &[u8]) -> Option<(Mac, IpAddr, Kind)> {
    let (header, payload) = frame.split_first_chunk::<14>()?;
    let mac = Mac(std::array::from_fn(|i| header[6 + i]));
    let to_all = header[0] & 1 == 1;
    let kind = u16::from_be_bytes([header[12], header[13]]);
    let (ip, kind) = match i32::from(kind) {
        libc::ETH_P_ARP => said_arp(payload, to_all),
        libc::ETH_P_IP => said4(payload),
        libc::ETH_P_IPV6 => said6(payload),
        _ => None,
    }?;
    Some((mac, ip, kind))
}

fn said_arp(packet: &[u8], to_all: bool) -> Option<(IpAddr, Kind)> {
    let packet = ArpPacket::parse(packet)?;
    let kind = match (packet.request, packet.target_ip == packet.sender_ip) {
        (true, false) => Kind::Question,
        (false, _) if !to_all => Kind::Answer,
        _ => Kind::Announcement,
    };
    Some((packet.sender_ip.into(), kind))
}

fn said4(packet: &[u8]) -> Option<(IpAddr, Kind)> {
    let header = packet.first_chunk::<20>()?;
    let source = Ipv4Addr::from(std::array::from_fn::<u8, 4, _>(|i| header[12 + i]));
    let message = packet.get(usize::from(header[0] & 0x0f) * 4);
    let kind = match (header[9], message) {
        (IP_ICMP, Some(&ECHO_REPLY4)) => Kind::Echo,
        (IP_TCP, _) => Kind::Tcp,
        _ => Kind::Other,
    };
    Some((source.into(), kind))
}

fn said6(packet: &[u8]) -> Option<(IpAddr, Kind)> {
    let header = packet.first_chunk::<40>()?;
    let at = |bytes: &[u8], from: usize| -> Option<Ipv6Addr> {
        let ip: [u8; 16] = bytes.get(from..from + 16)?.try_into().ok()?;
        Some(ip.into())
    };
    let (ip, kind) = match (header[6], packet.get(40)) {
        (ICMPV6, Some(&NEIGHBOUR_ADVERTISEMENT)) => {
            let to_all = header[24] == 0xff;
            let kind = if to_all {
                Kind::Announcement
            } else {
                Kind::Answer
            };
            (at(packet, 48)?, kind)
        }
        (ICMPV6, Some(&NEIGHBOUR_SOLICITATION)) => (at(packet, 8)?, Kind::Question),
        (ICMPV6, Some(&ECHO_REPLY6)) => (at(packet, 8)?, Kind::Echo),
        (IP_TCP, _) => (at(packet, 8)?, Kind::Tcp),
        _ => (at(packet, 8)?, Kind::Other),
    };
    Some((ip.into(), kind))
}

/// The words with which a former owner spoke on after its successor's first one (ruling 10): for
/// one address, those that came less than `settled` after it, and those of a turn in between that
/// nobody announced. An owner that comes back and says so is another move, however soon; then it is
/// the other one that must not speak on.
pub fn late(words: &[Word], settled: Duration) -> Vec<Word> {
    let (mut late, mut kept) = (Vec::new(), Vec::new());
    let mut turn: Option<(Word, Option<Mac>)> = None;
    for word in words {
        match turn {
            Some((first, _)) if first.mac == word.mac => {}
            Some((first, Some(former)))
                if former == word.mac
                    && word.kind != Kind::Announcement
                    && word.at.duration_since(first.at) < settled =>
            {
                late.push(*word);
                continue;
            }
            _ => turn = Some((*word, turn.map(|(first, _)| first.mac))),
        }
        kept.push(*word);
    }
    late.extend(strays(&kept));
    late.sort_by_key(|word| word.at);
    late
}

/// First words of turns that were begun by no announcement, though the address was another's in
/// between or before and after: then it did not move, somebody spoke out of turn.
fn strays(words: &[Word]) -> BTreeSet<Word> {
    let turns: Vec<&[Word]> = words.chunk_by(|a, b| a.mac == b.mac).collect();
    let silent = |turn: &[Word]| turn.iter().all(|w| w.kind != Kind::Announcement);
    let sandwiches = turns.windows(3).filter(|t| t[0][0].mac == t[2][0].mac);
    sandwiches
        .flat_map(|three| [three[1], three[2]])
        .filter(|turn| silent(turn))
        .map(|turn| turn[0])
        .collect()
}

const DONT_WAIT: MsgFlags = MsgFlags::MSG_DONTWAIT;
/// Words kept: at 2,000 a second a quarter of an hour.
pub const WORDS_MAX: usize = 2_000_000;
/// Newest words that a wait looks at.
const LOOK_BACK: usize = 4_096;
const LOOK: Duration = Duration::from_millis(1);
/// How long a stop may take to be noticed.
const LOOK_UP: Duration = Duration::from_millis(20);
/// Frames that wait to be read: seconds of a busy switch.
const QUEUE_BYTES: usize = 32 << 20;
/// As much of a frame as is looked at.
const FRAME_BYTES: usize = 96;
const IP_ICMP: u8 = 1;
const IP_TCP: u8 = 6;
const ECHO_REPLY4: u8 = 0;
const ECHO_REPLY6: u8 = 129;
/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: where a program finds in which direction a frame goes.
const PACKET_TYPE_AT: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
/// Offsets from the Ethernet header.
const ETHER_TYPE_AT: u32 = 12;
const ARP_SENDER_AT: u32 = 28;
const IPV4_SOURCE_AT: u32 = 26;
const IPV6_SOURCE_END_AT: u32 = 34;
const ICMPV6_TYPE_AT: u32 = 54;
const ND_TARGET_END_AT: u32 = 74;

#[cfg(test)]
mod tests;
