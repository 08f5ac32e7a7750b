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
    /// No grant has reached this node yet.
    Waiting,
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
            State::Closed => Standing::Waiting,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMES: LeaseTimes = LeaseTimes {
        lease_us: 230_000,
        kernel_us: 230_000,
        late_write_us: 5_000,
        heartbeat_us: 50_000,
    };

    fn ip() -> IpAddr {
        "10.0.0.9".parse().unwrap()
    }

    fn fresh(grant_no: u64, stamp_us: Option<u64>) -> Vec<Fresh> {
        vec![Fresh {
            vip: "ip".to_owned(),
            grant_no,
            stamp_us,
        }]
    }

    fn machine(grant_no: u64, stamp_us: u64) -> Machine {
        let mut machine = Machine::new(TIMES);
        machine.want("ip", ip());
        machine.feed(fresh(grant_no, Some(stamp_us)));
        machine
    }

    fn ok(before_us: u64, after_us: u64) -> Written {
        Written {
            before_us,
            after_us,
            lapsed: Ok(Vec::new()),
        }
    }

    fn ms(duration: Duration) -> u128 {
        duration.as_millis()
    }

    /// Armed at 1.01 s by a stamp of 1.00 s: open until 1.23 s.
    fn opened() -> Machine {
        let mut machine = machine(7, 1_000_000);
        let batch = machine.plan(1_010_000);
        assert_eq!(ms(batch.arm[0].1), 220);
        assert!(!machine.written(&ok(1_010_000, 1_010_100)));
        let grant_no = 7;
        let vip = "ip".to_owned();
        assert_eq!(machine.events(), [LeaseEvent::Opened { vip, grant_no }]);
        machine
    }

    #[test]
    fn nothing_is_written_without_wish_or_grant_or_freshness() {
        let mut unwanted = Machine::new(TIMES);
        unwanted.feed(fresh(7, Some(1_000_000)));
        assert!(unwanted.plan(1_000_000).is_empty());
        let mut ungranted = Machine::new(TIMES);
        ungranted.want("ip", ip());
        assert!(ungranted.plan(1_000_000).is_empty());
        let mut stale = machine(7, 1_000_000);
        assert!(
            stale.plan(1_226_000).is_empty(),
            "4 ms are left: not worth it"
        );
        stale.feed(fresh(7, None));
        assert!(stale.plan(1_000_000).is_empty());
    }

    #[test]
    fn a_newer_stamp_renews_and_the_same_one_does_not() {
        let mut m = opened();
        assert!(m.plan(1_020_000).is_empty());
        m.feed(fresh(7, Some(1_050_000)));
        let batch = m.plan(1_052_000);
        assert_eq!(batch.renew.len(), 1);
        assert_eq!(ms(batch.renew[0].1), 228);
        assert!(batch.arm.is_empty());
        m.written(&ok(1_052_000, 1_052_100));
        assert_eq!(m.next_end_us(), Some(1_280_000));
    }

    #[test]
    fn what_ran_out_waits_for_a_later_grant() {
        let mut m = opened();
        m.feed(fresh(7, Some(1_300_000)));
        assert!(m.plan(1_301_000).is_empty());
        assert!(matches!(
            &m.events()[..],
            [LeaseEvent::Lapsed { grant_no: 7, .. }]
        ));
        assert!(m.plan(1_302_000).is_empty(), "R13: never renewed");
        m.feed(fresh(8, Some(1_310_000)));
        assert_eq!(m.plan(1_311_000).arm.len(), 1);
    }

    #[test]
    fn what_the_kernel_had_lost_is_lapsed() {
        let mut m = opened();
        m.feed(fresh(7, Some(1_050_000)));
        m.plan(1_052_000);
        m.written(&Written {
            lapsed: Ok(vec![ip()]),
            ..ok(1_052_000, 1_052_100)
        });
        assert!(matches!(&m.events()[..], [LeaseEvent::Lapsed { .. }]));
        assert_eq!(m.standing("ip"), Some(Standing::Lapsed { grant_no: 7 }));
    }

    #[test]
    fn a_late_write_is_repeated_and_closed_when_late_again() {
        let mut m = opened();
        m.feed(fresh(7, Some(1_050_000)));
        m.plan(1_052_000);
        assert!(m.written(&ok(1_052_000, 1_060_000)), "8 ms are late");
        let again = m.plan(1_060_000);
        assert_eq!(ms(again.renew[0].1), 220, "the same end as before");
        let mut good = m.clone();
        assert!(!good.written(&ok(1_060_000, 1_060_100)));
        assert!(good.too_late().is_empty());
        assert!(!m.written(&ok(1_060_000, 1_070_000)));
        assert_eq!(m.too_late(), [ip()]);
        assert_eq!(m.standing("ip"), Some(Standing::Lapsed { grant_no: 7 }));
    }

    #[test]
    fn a_grant_that_is_gone_closes_at_once() {
        let mut m = opened();
        m.feed(Vec::new());
        assert_eq!(m.plan(1_020_000).close, [ip()]);
        assert!(matches!(&m.events()[..], [LeaseEvent::Ended { .. }]));
        m.feed(fresh(7, Some(1_050_000)));
        assert!(m.plan(1_051_000).is_empty(), "others may rely on its end");
        m.feed(fresh(9, Some(1_050_000)));
        assert_eq!(m.plan(1_051_000).arm.len(), 1);
    }

    #[test]
    fn a_grant_that_is_used_up_stays_so_over_a_stop() {
        let mut m = opened();
        m.plan(1_400_000);
        m.unwant("ip");
        m.events();
        m.want("ip", ip());
        assert!(matches!(&m.events()[..], [LeaseEvent::Lapsed { .. }]));
        m.feed(fresh(7, Some(1_400_000)));
        assert!(m.plan(1_401_000).is_empty());
        // One that was closed by order is not used up.
        let mut m = opened();
        m.unwant("ip");
        m.want("ip", ip());
        assert_eq!(m.plan(1_020_000).arm.len(), 1);
    }

    #[test]
    fn a_refused_write_changes_nothing_but_is_told() {
        let mut m = opened();
        m.feed(fresh(7, Some(1_050_000)));
        m.plan(1_052_000);
        m.written(&Written {
            lapsed: Err("out of memory".to_owned()),
            ..ok(1_052_000, 1_052_100)
        });
        assert!(matches!(&m.events()[..], [LeaseEvent::WriteFailed { .. }]));
        assert_eq!(m.next_end_us(), Some(1_230_000), "the old end still counts");
        assert_eq!(m.plan(1_053_000).renew.len(), 1, "it is tried again");
    }

    #[test]
    fn a_lost_table_is_armed_again_only_for_what_still_ran() {
        let mut m = opened();
        m.table_lost(1_100_000);
        m.feed(fresh(7, Some(1_090_000)));
        assert_eq!(m.plan(1_100_000).arm.len(), 1);
        let mut late = opened();
        late.table_lost(1_240_000);
        late.feed(fresh(7, Some(1_239_000)));
        assert!(late.plan(1_240_000).is_empty(), "it had run out before");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Sleep(u64),
        Stamp,
        Forget,
        Grant,
        Write { took_us: u64, lost: bool },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0u64..400_000).prop_map(Step::Sleep),
            Just(Step::Stamp),
            Just(Step::Forget),
            Just(Step::Grant),
            (0u64..20_000, any::<bool>()).prop_map(|(took_us, lost)| Step::Write { took_us, lost }),
        ];
        proptest::collection::vec(step, 1..60)
    }

    proptest! {
        /// Whatever happens when: no element outlives stamp + L + delta of the newest stamp that was
        /// ever fed (the left side of R14 without jiffy and queue), unless its write was late, and
        /// then it is gone right after that write; and no grant that lapsed is written again.
        #[test]
        fn no_element_outlives_its_stamp(steps in steps()) {
            let mut m = Machine::new(TIMES);
            m.want("ip", ip());
            let (mut now, mut stamp, mut grant) = (1_000_000u64, None, 1u64);
            let mut lapsed = 0u64;
            let mut kernel_end = 0u64;
            for step in steps {
                match step {
                    Step::Sleep(us) => now += us,
                    Step::Stamp => stamp = Some(now),
                    Step::Forget => stamp = None,
                    Step::Grant => grant += 1,
                    Step::Write { took_us, lost } => {
                        m.feed(fresh(grant, stamp));
                        let batch = m.plan(now);
                        let (before, after) = (now, now + took_us);
                        now = after;
                        let wrote = batch.arm.first().or(batch.renew.first()).copied();
                        if let Some((_, left)) = wrote {
                            prop_assert!(grant > lapsed, "grant {grant} had lapsed");
                            prop_assert!(left.as_micros() as u64 <= TIMES.kernel_us);
                            let missed = !batch.renew.is_empty() && (lost || kernel_end <= before);
                            // A write takes effect at the latest when it has been answered; what
                            // was missed is not in the kernel any more.
                            kernel_end = match missed {
                                true => before,
                                false => after + left.as_micros() as u64,
                            };
                            let result = if missed { vec![ip()] } else { Vec::new() };
                            let again = m.written(&Written {
                                before_us: before,
                                after_us: after,
                                lapsed: Ok(result),
                            });
                            if !again && !m.too_late().is_empty() {
                                kernel_end = 0;
                            }
                            let late = took_us > TIMES.late_write_us && again;
                            let bound = stamp.unwrap() + TIMES.lease_us + TIMES.late_write_us;
                            prop_assert!(late || kernel_end <= bound.max(now));
                        }
                        for event in m.events() {
                            if let LeaseEvent::Lapsed { grant_no, .. } = event {
                                lapsed = grant_no;
                            }
                        }
                    }
                }
            }
        }
    }
}
