//! One link to one peer: up or down with hysteresis after flaps, and its round-trip time.

use serde::{Deserialize, Serialize};

use crate::{LinkId, Time, Timing};

/// A link as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Which.
    pub link: LinkId,
    /// Carries data.
    pub up: bool,
    /// Microseconds since the last authentic packet on it; `None` = never.
    pub silent_us: Option<u64>,
    /// Smoothed round-trip time in microseconds.
    pub rtt_us: Option<u64>,
    /// Times it went down since this process started.
    pub flaps: u32,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) up: bool,
    last_heard: Option<Time>,
    rtt_us: Option<u64>,
    flaps: u32,
    /// Echoes in a row since it came back.
    good: u32,
    hold_down_until: Time,
}

impl Link {
    pub(crate) fn new(id: LinkId) -> Self {
        let hold_down_until = Time(0);
        Self {
            id,
            up: false,
            last_heard: None,
            rtt_us: None,
            flaps: 0,
            good: 0,
            hold_down_until,
        }
    }

    pub(crate) fn heard(&mut self, now: Time) {
        self.last_heard = Some(now);
        if !self.up && self.flaps == 0 {
            self.up = true;
        }
    }

    /// One of our stamps came back on this link.
    pub(crate) fn echoed(&mut self, now: Time, stamp_us: u64) {
        let rtt = now.0.saturating_sub(stamp_us);
        self.rtt_us = Some(self.rtt_us.map_or(rtt, |old| (old * 7 + rtt) / 8));
        self.good = self.good.saturating_add(1);
        if !self.up && self.good >= GOOD_ECHOES_UP && now >= self.hold_down_until {
            self.up = true;
        }
    }

    /// Notices silence; when it will be noticed next.
    pub(crate) fn check(&mut self, now: Time, timing: &Timing) -> Option<Time> {
        if !self.up {
            return None;
        }
        let down_at = self.last_heard?.plus(timing.link_down_us);
        if now < down_at {
            return Some(down_at);
        }
        self.up = false;
        self.good = 0;
        self.flaps = self.flaps.saturating_add(1);
        let doubled = HOLD_DOWN_US_MIN << self.flaps.saturating_sub(1).min(6);
        self.hold_down_until = now.plus(doubled.min(HOLD_DOWN_US_MAX));
        None
    }

    pub(crate) fn last_heard(&self) -> Option<Time> {
        self.last_heard
    }

    pub(crate) fn status(&self, now: Time) -> LinkStatus {
        LinkStatus {
            link: self.id,
            up: self.up,
            silent_us: self.last_heard.map(|t| now.since(t)),
            rtt_us: self.rtt_us,
            flaps: self.flaps,
        }
    }
}

/// The link data takes: the first one that is up, else the one heard last.
pub(crate) fn best(links: &[Link]) -> LinkId {
    links
        .iter()
        .find(|l| l.up)
        .or_else(|| links.iter().max_by_key(|l| l.last_heard))
        .map_or(0, |l| l.id)
}

/// Echoes in a row that bring a flapping link back (reliability page: knet's pong_count is 2).
const GOOD_ECHOES_UP: u32 = 5;
/// First hold-down of a link that flapped.
const HOLD_DOWN_US_MIN: u64 = 1_000_000;
/// Longest hold-down.
const HOLD_DOWN_US_MAX: u64 = 60_000_000;
