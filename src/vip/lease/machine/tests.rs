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
