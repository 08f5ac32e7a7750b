//! One link to one peer: up or down with hysteresis after flaps, its round-trip time and its loss.

use serde::{Deserialize, Serialize};

use crate::{LinkId, Time, Timing};

/// A link as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Which.
    pub link: LinkId,
    /// Carries data.
    pub up: bool,
    /// Data takes this one now.
    pub best: bool,
    /// Microseconds since the last authentic packet on it; `None` = never.
    pub silent_us: Option<u64>,
    /// Smoothed round-trip time in microseconds.
    pub rtt_us: Option<u64>,
    /// Heartbeats of the last [`LOSS_BEATS`] that were not answered, in thousandths.
    pub loss_permille: u32,
    /// Times it went down since this process started.
    pub flaps: u32,
    /// Microseconds for which it stays down although it may be heard: it flapped.
    pub hold_down_us: u64,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) up: bool,
    /// Higher goes first (knet_link_priority).
    pub(crate) priority: u8,
    last_heard: Option<Time>,
    /// Of the silence since then, this process did not listen for so long, in microseconds.
    unheeded_us: u64,
    rtt_us: Option<u64>,
    flaps: u32,
    /// Flaps that count for the hold-down: after a calm time they are forgotten.
    level: u32,
    came_up: Time,
    /// Answers in a row since it came back.
    good: u32,
    last_good: Time,
    hold_down_until: Time,
    asked: Asked,
}

/// Which of the newest heartbeats were answered.
#[derive(Debug, Default)]
struct Asked {
    /// Bit n: the n-th newest but one heartbeat was answered.
    answered: u64,
    count: u32,
    /// Send times of the newest ones, newest last: answers that are still on their way.
    sent: [u64; ASKED_LATE],
}

impl Asked {
    fn sent(&mut self, at: Time) {
        self.answered <<= 1;
        self.count = (self.count + 1).min(LOSS_BEATS + ASKED_LATE as u32);
        self.sent.rotate_left(1);
        self.sent[ASKED_LATE - 1] = at.0;
    }

    /// The heartbeat sent then was answered; `false`: not for the first time, or too late.
    fn answer(&mut self, stamp_us: u64) -> bool {
        let newest_first = self.sent.iter().rev();
        let age = newest_first.take(self.count as usize);
        let Some(age) = age.into_iter().position(|sent| *sent == stamp_us) else {
            return false;
        };
        let new = self.answered & (1 << age) == 0;
        self.answered |= 1 << age;
        new
    }

    /// Thousandths lost of those whose answer is due.
    fn loss_permille(&self) -> u32 {
        let due = self.count.saturating_sub(ASKED_LATE as u32).min(LOSS_BEATS);
        if due == 0 {
            return 0;
        }
        let mask = ((1u64 << due) - 1) << ASKED_LATE;
        let answered = (self.answered & mask).count_ones();
        (due - answered) * 1_000 / due
    }
}

impl Link {
    pub(crate) fn new(id: LinkId, priority: u8) -> Self {
        Self {
            id,
            up: false,
            priority,
            last_heard: None,
            unheeded_us: 0,
            rtt_us: None,
            flaps: 0,
            level: 0,
            came_up: Time(0),
            good: 0,
            last_good: Time(0),
            hold_down_until: Time(0),
            asked: Asked::default(),
        }
    }

    pub(crate) fn heard(&mut self, now: Time) {
        self.last_heard = Some(now);
        self.unheeded_us = 0;
        if !self.up && self.hold_down_until == Time(0) {
            self.come_up(now);
        }
    }

    /// A heartbeat that wants an answer leaves on it.
    pub(crate) fn sent(&mut self, now: Time) {
        self.asked.sent(now);
    }

    /// The answer to one of our heartbeats came on this link.
    pub(crate) fn answered(&mut self, now: Time, stamp_us: u64, timing: &Timing) {
        if !self.asked.answer(stamp_us) {
            return;
        }
        let rtt = now.0.saturating_sub(stamp_us);
        self.rtt_us = Some(self.rtt_us.map_or(rtt, |old| (old * 7 + rtt) / 8));
        let in_a_row = now.since(self.last_good) <= timing.link_down_us;
        self.good = if in_a_row { self.good + 1 } else { 1 };
        self.last_good = now;
        if !self.up && self.good >= GOOD_ANSWERS_UP && now >= self.hold_down_until {
            self.come_up(now);
        }
    }

    fn come_up(&mut self, now: Time) {
        self.up = true;
        self.came_up = now;
    }

    /// When its silence will be noticed.
    pub(crate) fn down_at(&self, timing: &Timing) -> Option<Time> {
        let heard = self.last_heard.filter(|_| self.up)?;
        Some(heard.plus(timing.link_down_us + self.unheeded_us))
    }

    /// Notices silence.
    pub(crate) fn check(&mut self, now: Time, timing: &Timing) {
        let silent = self.down_at(timing).is_some_and(|at| now >= at);
        if !silent {
            return;
        }
        self.up = false;
        self.good = 0;
        self.flaps = self.flaps.saturating_add(1);
        let calm = now.since(self.came_up) > CALM_US;
        self.level = if calm { 1 } else { self.level + 1 };
        let doubled = HOLD_DOWN_US_MIN << (self.level - 1).min(HOLD_DOWN_DOUBLINGS);
        self.hold_down_until = now.plus(doubled.min(HOLD_DOWN_US_MAX));
    }

    /// The peer itself was gone, not this link, or there is no other way to it: it comes up again
    /// with the first packet.
    pub(crate) fn forgive(&mut self) {
        if !self.up && self.hold_down_until > Time(0) {
            self.hold_down_until = Time(0);
            self.level = self.level.saturating_sub(1);
        }
    }

    /// This process was paused for so long: what was silent meanwhile may not have been. Only the
    /// pause itself is left out, so that a process that stutters all the time notices, too.
    pub(crate) fn excuse(&mut self, paused_us: u64) {
        self.unheeded_us = self.unheeded_us.saturating_add(paused_us);
    }

    pub(crate) fn status(&self, now: Time, best: LinkId) -> LinkStatus {
        LinkStatus {
            link: self.id,
            up: self.up,
            best: self.id == best,
            silent_us: self.last_heard.map(|t| now.since(t)),
            rtt_us: self.rtt_us,
            loss_permille: self.asked.loss_permille(),
            flaps: self.flaps,
            hold_down_us: if self.up {
                0
            } else {
                self.hold_down_until.since(now)
            },
        }
    }
}

/// The link data takes: of those that are up the one with the highest priority, then the fastest;
/// else the one heard last. The one in use stays where another is not clearly faster: data does not
/// hop between links that are alike.
pub(crate) fn choose(links: &[Link], in_use: Option<LinkId>) -> LinkId {
    if let [only] = links {
        return only.id;
    }
    let up = links.iter().filter(|l| l.up);
    let Some(priority) = up.map(|l| l.priority).max() else {
        let last = links.iter().max_by_key(|l| l.last_heard);
        return last.map_or(0, |l| l.id);
    };
    let mut first = links.iter().filter(|l| l.up && l.priority == priority);
    let known = in_use.and_then(|id| first.clone().find(|l| l.id == id));
    let Some(known) = known.or_else(|| first.next()) else {
        return 0;
    };
    let rtt = |l: &Link| l.rtt_us.unwrap_or(u64::MAX);
    let of_priority = links.iter().filter(|l| l.up && l.priority == priority);
    let clearly = |l: &&Link| rtt(l).saturating_mul(2).saturating_add(RTT_ALIKE_US) < rtt(known);
    let faster = of_priority.filter(clearly).min_by_key(|l| rtt(l));
    faster.unwrap_or(known).id
}

/// Answers in a row that bring a flapping link back (reliability page: knet's pong_count is 2).
const GOOD_ANSWERS_UP: u32 = 5;
/// First hold-down of a link that flapped.
const HOLD_DOWN_US_MIN: u64 = 1_000_000;
/// Doublings of it.
const HOLD_DOWN_DOUBLINGS: u32 = 6;
/// Longest hold-down.
const HOLD_DOWN_US_MAX: u64 = 60_000_000;
/// A link that was up for so long has no flaps behind it, in microseconds.
const CALM_US: u64 = 600_000_000;
/// Heartbeats over which a link's loss is counted.
pub const LOSS_BEATS: u32 = 56;
/// Heartbeats that may still be answered.
const ASKED_LATE: usize = 4;
/// Round trips that differ by less are alike, in microseconds.
const RTT_ALIKE_US: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000;

    fn timing() -> Timing {
        Timing::derive(500 * MS).unwrap()
    }

    /// Beats for `ms` on a link, every 50 ms, each answered after `rtt` or not at all.
    fn beats(link: &mut Link, now: &mut u64, ms: u64, rtt_ms: Option<u64>) {
        let end = *now + ms * MS;
        while *now < end {
            link.check(Time(*now), &timing());
            link.sent(Time(*now));
            if let Some(rtt) = rtt_ms {
                let back = Time(*now + rtt * MS);
                link.heard(back);
                link.answered(back, *now, &timing());
            }
            *now += 50 * MS;
        }
        link.check(Time(*now), &timing());
    }

    #[test]
    fn each_flap_holds_down_for_longer_and_calm_is_rewarded() {
        let (mut link, mut now) = (Link::new(0, 1), 1_000_000_000);
        beats(&mut link, &mut now, 500, Some(1));
        assert!(link.up);
        let mut holds = Vec::new();
        for _ in 0..4 {
            beats(&mut link, &mut now, 200, None);
            assert!(!link.up);
            let began = now;
            while !link.up {
                beats(&mut link, &mut now, 50, Some(1));
            }
            holds.push((now - began) / 1_000_000);
        }
        assert_eq!(holds, [1, 2, 4, 8], "seconds heard before it counts as up");
        beats(&mut link, &mut now, 601_000, Some(1));
        beats(&mut link, &mut now, 200, None);
        assert!(link.status(Time(now), 0).hold_down_us <= 1_000_000);
        assert_eq!(link.flaps, 5);
    }

    #[test]
    fn a_link_to_a_node_that_was_gone_is_up_at_once() {
        let (mut link, mut now) = (Link::new(0, 1), 1_000_000_000);
        beats(&mut link, &mut now, 500, Some(1));
        beats(&mut link, &mut now, 500, None);
        link.forgive();
        link.heard(Time(now));
        assert!(link.up);
    }

    /// Of each 100 ms this process sleeps 60: a dead link is noticed after three heartbeats of
    /// listening, one that is heard never.
    #[test]
    fn a_pause_is_no_silence_and_no_excuse_for_ever() {
        for (alive, down_ms) in [(true, None), (false, Some(400))] {
            let (mut link, start) = (Link::new(0, 1), 1_000_000_000);
            link.heard(Time(start));
            let mut noticed = None;
            for ms in (100..2_000).step_by(100) {
                let now = Time(start + ms * MS);
                link.excuse(60 * MS);
                link.check(now, &timing());
                if noticed.is_none() && !link.up {
                    noticed = Some(ms);
                }
                if alive {
                    link.heard(now);
                }
            }
            assert_eq!(noticed, down_ms);
        }
    }

    #[test]
    fn loss_and_round_trip_are_those_of_this_link() {
        let (mut link, mut now) = (Link::new(0, 1), 1_000_000_000);
        for round in 0..100 {
            beats(&mut link, &mut now, 50, (round % 4 != 0).then_some(2));
        }
        let status = link.status(Time(now), 0);
        assert!(status.best && status.up);
        assert_eq!((status.rtt_us, status.loss_permille), (Some(2 * MS), 250));
        link.answered(Time(now), 5, &timing());
        assert_eq!(
            link.status(Time(now), 0).rtt_us,
            Some(2 * MS),
            "an old stamp"
        );
    }

    #[test]
    fn data_goes_by_priority_then_by_a_clearly_shorter_way() {
        let mut links: Vec<Link> = (0..3).map(|id| Link::new(id, 1)).collect();
        for (link, rtt) in links.iter_mut().zip([9, 8, 2]) {
            let mut now = 1_000_000_000;
            beats(link, &mut now, 300, Some(rtt));
        }
        assert_eq!(choose(&links, Some(0)), 2);
        assert_eq!(choose(&links[..2], Some(0)), 0, "alike: it stays");
        assert_eq!(choose(&links[..2], Some(1)), 1);
        links[1].priority = 9;
        assert_eq!(choose(&links, Some(0)), 1);
        links[1].up = false;
        assert_eq!(choose(&links, Some(1)), 2);
        links.iter_mut().for_each(|l| l.up = false);
        assert_eq!(choose(&links, None), 0, "heard last");
    }
}
