//! What to write into the kernel and when; pure. Time comes in as microseconds of CLOCK_BOOTTIME.
//!
//! ```text
//!            arm                    renew
//! Closed ──────────► Open(grant) ──────────► Open(grant)
//!    ▲                  │  │ ran out, late twice, gone in the kernel, grant gone
//!    └──────────────────┘  └────► Lapsed(grant) ── a later grant: arm ──► Open
//!        not wanted
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The times of R14 that the keeper obeys, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// L: how long after its sending a stamp that a quorum echoed is relied on.
    pub lease_us: u64,
    /// K: longest timeout of an element.
    pub kernel_us: u64,
    /// Delta: a write may take so long.
    pub late_write_us: u64,
    /// H: a renewal must win at least a quarter of this to be worth a write.
    pub heartbeat_us: u64,
}

/// What the log and the quorum say of one grant of this very process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// Resource id.
    pub vip: String,
    /// The standing grant's number.
    pub grant_no: u64,
    /// Send time of the stamp that a quorum echoed and this grant may rely on; `None`: not fresh.
    pub stamp_us: Option<u64>,
}

/// What happened to a lease, with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEvent {
    /// The gate opened: the address may be used.
    Opened {
        /// Resource id.
        vip: String,
        /// Under this grant.
        grant_no: u64,
    },
    /// The lease ran out: the kernel drops what concerns the address until a later grant.
    Lapsed {
        /// Resource id.
        vip: String,
        /// The grant that is used up.
        grant_no: u64,
        /// Why, in words.
        why: String,
    },
    /// The grant no longer stands: the gate was closed.
    Ended {
        /// Resource id.
        vip: String,
        /// Why, in words.
        why: String,
    },
    /// The kernel took longer for a write than R14 allows; it was written again, or closed.
    LateWrite {
        /// Microseconds it took.
        took_us: u64,
    },
    /// The kernel refused a write.
    WriteFailed {
        /// What it said.
        why: String,
    },
    /// Somebody changed the table; it was made anew.
    TableChanged {
        /// What was changed.
        what: String,
    },
}

/// One batch for the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Elements that shall not stand any more: written first.
    pub(super) close: Vec<IpAddr>,
    /// Elements to stand from now, whatever stood before.
    pub(super) arm: Vec<(IpAddr, Duration)>,
    /// Elements that stand and get a new end.
    pub(super) renew: Vec<(IpAddr, Duration)>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.close.is_empty() && self.arm.is_empty() && self.renew.is_empty()
    }
}

/// How a batch went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// When the batch was begun.
    pub(super) before_us: u64,
    /// When the kernel had answered.
    pub(super) after_us: u64,
    /// Elements that had run out before their renewal; or why nothing was written.
    pub(super) lapsed: Result<Vec<IpAddr>, String>,
}

/// All leases of this node.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    times: LeaseTimes,
    vips: BTreeMap<String, Vip>,
    fresh: BTreeMap<String, (u64, Option<u64>)>,
    /// Grants that are used up, by resource: nothing is written under them any more (R13).
    spent: BTreeMap<String, u64>,
    events: Vec<LeaseEvent>,
    /// The last batch came late: what it wrote is written again, and closed if late again.
    late_once: bool,
}

#[derive(Clone, Debug)]
struct Vip {
    ip: IpAddr,
    state: State,
    /// End that the batch under way writes.
    writing: Option<Writing>,
}

#[derive(Clone, Copy, Debug)]
struct Writing {
    grant_no: u64,
    until_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        grant_no: u64,
        /// No element of ours stands after this time.
        until_us: u64,
        /// It must be written again, whatever that wins.
        again: bool,
    },
    Lapsed {
        grant_no: u64,
    },
}

/// A lease as it stands, for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not spoken yet.
    Waiting(Lack),
    /// The kernel lets the address speak until that time.
    Open {
        /// Under this grant.
        grant_no: u64,
        /// Microseconds of CLOCK_BOOTTIME.
        until_us: u64,
    },
    /// Silent until a later grant.
    Lapsed {
        /// The grant that is used up.
        grant_no: u64,
    },
}

/// What an address waits for that has not spoken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The log grants it to this process not yet, or no more.
    Grant,
    /// No quorum has answered since the grant came.
    Quorum,
    /// A quorum has answered what was sent at that time; the kernel was not told, because too little
    /// of that lease was left, or it refused.
    Gate {
        /// Microseconds of CLOCK_BOOTTIME.
        stamp_us: u64,
    },
}

impl Lack {
    fn of(fresh: Option<&(u64, Option<u64>)>) -> Self {
        match fresh {
            None => Self::Grant,
            Some((_, None)) => Self::Quorum,
            Some((_, Some(stamp_us))) => Self::Gate {
                stamp_us: *stamp_us,
            },
        }
    }
}

impl Machine {
    pub(super) fn new(times: LeaseTimes) -> Self {
        Self {
            times,
            vips: BTreeMap::new(),
            fresh: BTreeMap::new(),
            spent: BTreeMap::new(),
            events: Vec::new(),
            late_once: false,
        }
    }

    /// The newest word of the protocol, whole: what it does not name is not granted here.
    pub(super) fn feed(&mut self, all: Vec<Fresh>) {
        self.fresh = all
            .into_iter()
            .map(|f| (f.vip, (f.grant_no, f.stamp_us)))
            .collect();
        let newer = |vip: &String, spent: u64| self.fresh.get(vip).is_some_and(|f| f.0 > spent);
        self.spent
            .retain(|vip, spent| self.vips.contains_key(vip) || !newer(vip, *spent));
    }

    /// The address is, or is about to be, up here: it opens as soon as its grant allows it.
    pub(super) fn want(&mut self, vip: &str, ip: IpAddr) {
        let old = self.vips.get(vip);
        if old.is_none_or(|v| v.ip != ip) {
            let spent = self.spent.get(vip).copied();
            let new = Vip {
                ip,
                state: spent.map_or(State::Closed, |grant_no| State::Lapsed { grant_no }),
                writing: None,
            };
            self.vips.insert(vip.to_owned(), new);
            if let Some(grant_no) = spent {
                let why = "its lease ran out before".to_owned();
                let vip = vip.to_owned();
                self.events.push(LeaseEvent::Lapsed { vip, grant_no, why });
            }
        }
    }

    /// The address is to be silent. Its element, whatever process wrote it, is in the answer.
    pub(super) fn unwant(&mut self, vip: &str) -> Option<IpAddr> {
        self.vips.remove(vip).map(|v| v.ip)
    }

    /// Addresses wanted here.
    pub(super) fn ips(&self) -> BTreeSet<IpAddr> {
        self.vips.values().map(|v| v.ip).collect()
    }

    /// Addresses that may speak by this record.
    pub(super) fn open_ips(&self) -> BTreeSet<IpAddr> {
        let open = |v: &&Vip| matches!(v.state, State::Open { .. });
        self.vips.values().filter(open).map(|v| v.ip).collect()
    }

    /// Until when each wanted address may speak; 0 = not now.
    pub(super) fn ends_us(&self) -> impl Iterator<Item = (IpAddr, u64)> + '_ {
        self.vips.values().map(|v| match v.state {
            State::Open { until_us, .. } => (v.ip, until_us),
            State::Closed | State::Lapsed { .. } => (v.ip, 0),
        })
    }

    /// The address of a resource that is wanted here.
    pub(super) fn ip_of(&self, vip: &str) -> Option<IpAddr> {
        self.vips.get(vip).map(|v| v.ip)
    }

    /// Age of the stamp that a grant may rely on.
    pub(super) fn stamp_age_us(&self, vip: &str, now_us: u64) -> Option<u64> {
        let (_, stamp_us) = self.fresh.get(vip)?;
        stamp_us.map(|stamp_us| now_us.saturating_sub(stamp_us))
    }

    pub(super) fn standing(&self, vip: &str) -> Option<Standing> {
        self.vips.get(vip).map(|v| match v.state {
            State::Closed => Standing::Waiting(Lack::of(self.fresh.get(vip))),
            State::Open {
                grant_no, until_us, ..
            } => Standing::Open { grant_no, until_us },
            State::Lapsed { grant_no } => Standing::Lapsed { grant_no },
        })
    }

    pub(super) fn standings(&self) -> BTreeMap<String, Standing> {
        let all = self.vips.keys();
        all.filter_map(|v| Some((v.clone(), self.standing(v)?)))
            .collect()
    }

    /// What happened since the last call.
    pub(super) fn events(&mut self) -> Vec<LeaseEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn peek_events(&self) -> &[LeaseEvent] {
        &self.events
    }

    pub(super) fn tell(&mut self, event: LeaseEvent) {
        self.events.push(event);
    }

    /// When the next element runs out: somebody has to be told then.
    pub(super) fn next_end_us(&self) -> Option<u64> {
        let ends = self.vips.values().filter_map(|v| match v.state {
            State::Open { until_us, .. } => Some(until_us),
            _ => None,
        });
        ends.min()
    }

    /// What is to be written now.
    pub(super) fn plan(&mut self, now_us: u64) -> Batch {
        let batch = self.plan_all(now_us);
        self.note_spent();
        batch
    }

    fn note_spent(&mut self) {
        for (name, vip) in &self.vips {
            if let State::Lapsed { grant_no } = vip.state {
                self.spent.insert(name.clone(), grant_no);
            }
        }
    }

    fn plan_all(&mut self, now_us: u64) -> Batch {
        let mut batch = Batch::default();
        let times = self.times;
        for (name, vip) in &mut self.vips {
            vip.writing = None;
            let fresh = self.fresh.get(name).copied();
            // R13: what has run out is granted anew, never renewed.
            if let State::Open {
                grant_no, until_us, ..
            } = vip.state
                && now_us >= until_us
            {
                let why = why_ended(fresh, now_us, &times);
                vip.lapse(name, grant_no, why, &mut self.events);
            }
            let Some((grant_no, stamp_us)) = fresh else {
                if let State::Open { grant_no, .. } = vip.state {
                    let vip_name = name.clone();
                    let why = "the grant no longer stands".to_owned();
                    self.events.push(LeaseEvent::Ended { vip: vip_name, why });
                    batch.close.push(vip.ip);
                    // Should it be named again it is not taken up again: others may have relied
                    // on its end.
                    vip.state = State::Lapsed { grant_no };
                }
                continue;
            };
            let Some(until_us) = stamp_us.and_then(|s| times.end_us(now_us, s)) else {
                continue;
            };
            let target = (vip.ip, Duration::from_micros(until_us - now_us));
            match vip.state {
                State::Lapsed { grant_no: used } if grant_no <= used => continue,
                State::Closed | State::Lapsed { .. } => batch.arm.push(target),
                State::Open {
                    until_us: old,
                    again,
                    ..
                } => {
                    let gain_us = until_us.saturating_sub(old);
                    if gain_us < times.heartbeat_us / 4 && !again {
                        continue;
                    }
                    batch.renew.push(target);
                }
            }
            vip.writing = Some(Writing { grant_no, until_us });
        }
        batch
    }

    /// Takes in how the batch of the last [`Machine::plan`] went. True when it has to be written
    /// again at once, because it came late.
    pub(super) fn written(&mut self, written: &Written) -> bool {
        let took_us = written.after_us.saturating_sub(written.before_us);
        let late = took_us > self.times.late_write_us;
        let wrote = self.vips.values().any(|v| v.writing.is_some());
        if wrote && late {
            self.events.push(LeaseEvent::LateWrite { took_us });
        }
        let second = late && self.late_once;
        for (name, vip) in &mut self.vips {
            let Some(Writing { grant_no, until_us }) = vip.writing.take() else {
                continue;
            };
            match &written.lapsed {
                Err(_) => {}
                Ok(lapsed) if lapsed.contains(&vip.ip) => {
                    let why = "it had run out in the kernel before it could be renewed".to_owned();
                    vip.lapse(name, grant_no, why, &mut self.events);
                }
                Ok(_) => {
                    if !matches!(vip.state, State::Open { .. }) {
                        let vip = name.clone();
                        self.events.push(LeaseEvent::Opened { vip, grant_no });
                    }
                    // The element may end later than planned by as much as the write took.
                    let until_us = until_us + if late { took_us } else { 0 };
                    vip.state = State::Open {
                        grant_no,
                        until_us,
                        again: late,
                    };
                }
            }
        }
        if let Err(why) = &written.lapsed {
            let why = why.clone();
            self.events.push(LeaseEvent::WriteFailed { why });
            self.late_once = false;
            return false;
        }
        self.note_spent();
        self.late_once = wrote && late && !second;
        self.late_once
    }

    /// After a second late write: everything written late is to be closed at once.
    pub(super) fn too_late(&mut self) -> Vec<IpAddr> {
        let mut closed = Vec::new();
        for (name, vip) in &mut self.vips {
            if let State::Open {
                grant_no,
                again: true,
                ..
            } = vip.state
            {
                let why = "two writes in a row took longer than a renewal may take".to_owned();
                vip.lapse(name, grant_no, why, &mut self.events);
                closed.push(vip.ip);
            }
        }
        self.note_spent();
        closed
    }

    /// The table was made anew: what stood by this record stands no longer in the kernel. Leases
    /// that have not run out by it are armed again by the next plan; they did not lapse.
    pub(super) fn table_lost(&mut self, now_us: u64) {
        for vip in self.vips.values_mut() {
            if let State::Open { until_us, .. } = vip.state
                && now_us < until_us
            {
                vip.state = State::Closed;
            }
        }
    }
}

impl Vip {
    fn lapse(&mut self, name: &str, grant_no: u64, why: String, events: &mut Vec<LeaseEvent>) {
        self.state = State::Lapsed { grant_no };
        events.push(LeaseEvent::Lapsed {
            vip: name.to_owned(),
            grant_no,
            why,
        });
    }
}

impl LeaseTimes {
    /// R14: the element ends at min(now + K, stamp + L), in whole milliseconds as the kernel counts.
    /// Nothing when too little is left to be worth a write.
    fn end_us(&self, now_us: u64, stamp_us: u64) -> Option<u64> {
        let end = (now_us + self.kernel_us).min(stamp_us.saturating_add(self.lease_us));
        let left_us = end.saturating_sub(now_us) / 1_000 * 1_000;
        (left_us > self.late_write_us).then_some(now_us + left_us)
    }

    /// Lifetime that an address is renewed with, in seconds: it ends with the longest element that
    /// the kernel may have, its slack (R16) included, but is two seconds at least.
    pub(super) fn belt_seconds(&self) -> u32 {
        let whole = self.kernel_us.saturating_sub(BELT_SLACK_US) / 1_000_000;
        u32::try_from(whole)
            .unwrap_or(u32::MAX)
            .max(super::BELT_SECONDS)
    }
}

fn why_ended(fresh: Option<(u64, Option<u64>)>, now_us: u64, times: &LeaseTimes) -> String {
    let lease_ms = times.lease_us / 1_000;
    match fresh {
        None => "the grant no longer stands".to_owned(),
        Some((_, None)) => "no quorum confirms this node's membership".to_owned(),
        Some((_, Some(stamp_us))) if now_us.saturating_sub(stamp_us) >= times.lease_us => format!(
            "no quorum has answered this node's heartbeats for {} ms (a lease lasts {lease_ms} ms)",
            now_us.saturating_sub(stamp_us) / 1_000
        ),
        Some(_) => "this machine did not get round to renewing it in time".to_owned(),
    }
}

/// The kernel ends a lifetime so much late (R16), in microseconds: 0.23 s measured.
const BELT_SLACK_US: u64 = 300_000;

#[cfg(test)]
mod tests;
