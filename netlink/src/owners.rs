//! Who answers for an IPv4 address, as its neighbours see it: for labs, benches and tests that
//! look for two owners.

use crate::background::{Background, Over};
use crate::{ArpListener, Kernel, Mac, NetNs, Result};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One frame in which somebody spoke as the owner of the address: an answer to a question, or an
/// announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// When it was read; frames of one watch are in the order in which the kernel got them.
    pub at: Instant,
    /// Who spoke.
    pub mac: Mac,
    /// An answer to a question of ours.
    pub answer: bool,
}

/// Asks for an address by ARP again and again, broadcast each time, and keeps who spoke for it.
/// Neighbour caches do not come into it: every question reaches every node.
#[derive(Debug)]
pub struct OwnerWatch {
    shared: Arc<Shared>,
    thread: Background,
}

#[derive(Debug, Default)]
struct Shared {
    spoken: Mutex<Vec<Spoken>>,
}

impl OwnerWatch {
    /// Starts asking from `link` in a namespace, as `asker`, every `interval`.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, when the namespace cannot be entered or has no such Ethernet link.
    pub fn start(
        netns: &NetNs,
        link: &str,
        asker: Ipv4Addr,
        address: Ipv4Addr,
        interval: Duration,
    ) -> Result<Self> {
        let open = || ArpListener::open(&Kernel::open()?.link(link)?);
        let ear = netns.run(open)??;
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = Background::start(
            "owner-watch",
            "start a thread that watches an address",
            move |over| watch(&ear, &seen, (asker, address), interval, over),
        )?;
        Ok(Self { shared, thread })
    }

    /// What was spoken so far, oldest first; at most the first [`SPOKEN_MAX`].
    pub fn spoken(&self) -> Vec<Spoken> {
        self.shared.lock().clone()
    }

    /// Waits until somebody answers a question after `from`; returns the answer.
    pub fn wait_for_answer(&self, from: Instant, wait: Duration) -> Option<Spoken> {
        let deadline = Instant::now() + wait;
        loop {
            let found = {
                let spoken = self.shared.lock();
                let newest = spoken.iter().rev().take_while(|s| s.at >= from);
                newest.filter(|s| s.answer).last().copied()
            };
            if found.is_some() || Instant::now() >= deadline {
                return found;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends the watch and returns what was spoken, oldest first.
    pub fn stop(mut self) -> Vec<Spoken> {
        self.thread.end();
        self.spoken()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Spoken>> {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch(
    ear: &ArpListener,
    shared: &Shared,
    (asker, address): (Ipv4Addr, Ipv4Addr),
    interval: Duration,
    over: &Over,
) {
    let mut next = Instant::now();
    while !over.is_said() {
        if Instant::now() >= next {
            // A question that is not sent (the link is down) is one that nobody answers.
            let _ = ear.ask_as(asker, address);
            next = (next + interval).max(Instant::now());
        }
        let left = next.saturating_duration_since(Instant::now());
        let Ok(Some(packet)) = ear.next(left.min(LOOK)) else {
            continue;
        };
        let mut spoken = shared.lock();
        if packet.sender_ip == address && spoken.len() < SPOKEN_MAX {
            spoken.push(Spoken {
                at: Instant::now(),
                mac: packet.sender_mac,
                answer: !packet.request,
            });
        }
    }
}

/// For how long in all two owners spoke for the address: from the first frame of another to the last
/// one of whom it followed. A perfect hand-over is no overlap; who was silent for `settled` in
/// between has the address anew.
pub fn overlap(spoken: &[Spoken], settled: Duration) -> Duration {
    /// When an owner spoke last, and when another did first after that.
    struct Voice {
        last: Instant,
        interrupted: Option<Instant>,
    }
    let mut voices: BTreeMap<Mac, Voice> = BTreeMap::new();
    let mut total = Duration::ZERO;
    let mut counted: Option<Instant> = None;
    for frame in spoken {
        for (mac, voice) in &mut voices {
            if *mac != frame.mac {
                voice.interrupted.get_or_insert(frame.at);
            }
        }
        let fresh = Voice {
            last: frame.at,
            interrupted: None,
        };
        if let Some(before) = voices.insert(frame.mac, fresh)
            && let Some(from) = before.interrupted
            && frame.at.duration_since(before.last) < settled
        {
            let from = counted.map_or(from, |until| until.max(from));
            total += frame.at.saturating_duration_since(from).max(MOMENT);
            counted = Some(frame.at);
        }
    }
    total
}

/// The shortest overlap there is: two frames read in one clock tick are two owners as well.
const MOMENT: Duration = Duration::from_nanos(1);
/// Frames kept: ten minutes of answers every 5 ms, and announcements.
pub const SPOKEN_MAX: usize = 200_000;
const LOOK: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AddressSpec;
    use crate::testing::pair;

    const SETTLED: Duration = Duration::from_millis(50);

    fn frames(table: &[(u64, u8)]) -> Vec<Spoken> {
        let base = Instant::now();
        let frame = |(ms, last): &(u64, u8)| Spoken {
            at: base + Duration::from_millis(*ms),
            mac: Mac([2, 0, 0, 0, 0, *last]),
            answer: true,
        };
        table.iter().map(frame).collect()
    }

    #[test]
    fn who_speaks_again_after_another_overlaps() {
        let table: [(&[(u64, u8)], u64); 6] = [
            (&[(0, 1), (1, 2), (40, 1), (41, 2), (80, 1), (81, 2)], 80),
            (&[], 0),
            (&[(0, 1), (5, 1), (10, 2), (15, 2)], 0),
            (&[(0, 1), (10, 2), (12, 1), (15, 2), (20, 1), (25, 2)], 15),
            (&[(0, 1), (10, 2), (300, 2), (310, 1), (320, 1)], 0),
            (&[(0, 1), (10, 2), (49, 1), (200, 2)], 39),
        ];
        for (spoken, want_ms) in table {
            let found = overlap(&frames(spoken), SETTLED);
            assert_eq!(found.as_millis(), u128::from(want_ms), "{spoken:?}");
        }
        let same_tick = frames(&[(0, 1), (10, 2), (10, 1)]);
        assert!(overlap(&same_tick, SETTLED) > Duration::ZERO);
    }

    #[test]
    fn the_one_who_has_the_address_is_seen() {
        let Some([mut near, far]) = pair("the_one_who_has_the_address_is_seen") else {
            return;
        };
        let vip: Ipv4Addr = "10.7.0.100".parse().unwrap();
        let asker: Ipv4Addr = "10.7.0.200".parse().unwrap();
        let eth0 = near.kernel.link("eth0").unwrap();
        let every = Duration::from_millis(2);
        let watch = OwnerWatch::start(&far.netns, "eth0", asker, vip, every).unwrap();
        let start = Instant::now();
        let nobody = watch.wait_for_answer(start, Duration::from_millis(30));
        assert_eq!(nobody, None);
        let spec = AddressSpec::new(eth0.index, vip.into(), 24);
        near.kernel.add_address(&spec).unwrap();
        let answer = watch.wait_for_answer(start, Duration::from_secs(5));
        assert_eq!(answer.map(|a| a.mac), eth0.mac);
        assert_eq!(overlap(&watch.stop(), SETTLED), Duration::ZERO);
    }
}
