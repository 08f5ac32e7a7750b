//! Elements of the held sets: armed, renewed, lapsed, closed (R13).

use super::*;

const NONE: [IpAddr; 0] = [];

#[test]
fn a_gate_opens_is_renewed_and_closes() {
    let Some((_netns, _kernel, mut gates)) = gated("a_gate_opens_is_renewed_and_closes") else {
        return;
    };
    let (four, six) = (IpAddr::from(VIP4), IpAddr::from(VIP6));
    gates.guard(&both()).unwrap();
    assert_eq!(gates.left(four).unwrap(), None);
    gates.arm(&[(four, ms(20_000)), (six, ms(10_000))]).unwrap();
    assert!(gates.left(four).unwrap().unwrap() > ms(10_000));
    assert_eq!(gates.renew(&[(four, LONG), (six, LONG)]).unwrap(), NONE);
    assert!(gates.left(four).unwrap().unwrap() > ms(20_000));
    assert!(gates.left(six).unwrap().unwrap() > ms(20_000));
    // A renewal may also shorten.
    assert_eq!(gates.renew(&[(six, ms(10_000))]).unwrap(), NONE);
    assert!(gates.left(six).unwrap().unwrap() <= ms(10_000));
    gates.close(&[four, ip("10.7.0.101")]).unwrap();
    assert_eq!(gates.left(four).unwrap(), None);
    assert_eq!(gates.renew(&[(four, LONG), (six, LONG)]).unwrap(), [four]);
    gates.close_all().unwrap();
    assert_eq!(gates.left(six).unwrap(), None);
    gates.close_all().unwrap();
    gates.lower().unwrap();
}

#[test]
fn arming_counts_from_now_whatever_stood() {
    let Some((_netns, _kernel, mut gates)) = gated("arming_counts_from_now") else {
        return;
    };
    let vip = IpAddr::from(VIP4);
    gates.guard(&both()).unwrap();
    gates.arm(&[(vip, ms(10_000))]).unwrap();
    gates.arm(&[(vip, LONG)]).unwrap();
    assert!(
        gates.left(vip).unwrap().unwrap() > ms(10_000),
        "live: longer"
    );
    gates.arm(&[(vip, ms(10_000))]).unwrap();
    assert!(
        gates.left(vip).unwrap().unwrap() <= ms(10_000),
        "live: shorter"
    );
    gates.arm(&[(vip, ms(4))]).unwrap();
    lapse(&mut gates, vip);
    gates.arm(&[(vip, LONG)]).unwrap();
    assert!(gates.left(vip).unwrap().is_some(), "expired");
    // Zero would be "for ever" to the kernel: here it is the end.
    gates.arm(&[(vip, Duration::from_micros(900))]).unwrap();
    assert_eq!(gates.left(vip).unwrap(), None);
    let error = gates.arm(&[(vip, LONG + ms(1))]).unwrap_err().to_string();
    assert!(error.contains("10.7.0.100 is above 60 s"), "{error}");
}

fn lapse(gates: &mut Gates, vip: IpAddr) {
    let deadline = Instant::now() + PATIENCE;
    while gates.left(vip).unwrap().is_some() {
        assert!(Instant::now() < deadline, "{vip} does not lapse");
        std::thread::sleep(ms(1));
    }
}

/// Rounded down here and in the kernel: what stands never stands longer than was asked, but for
/// a jiffy (10 ms at most) where less than one was asked.
#[test]
fn no_lease_is_longer_than_asked() {
    let Some((_netns, _kernel, mut gates)) = gated("no_lease_is_longer_than_asked") else {
        return;
    };
    let vip = IpAddr::from(VIP4);
    gates.guard(&both()).unwrap();
    for us in (1_000..60_000).step_by(377) {
        let span = Duration::from_micros(us);
        let most = Some(span.max(ms(10)));
        gates.arm(&[(vip, span)]).unwrap();
        let left = gates.left(vip).unwrap();
        assert!(left <= most, "{left:?} when armed for {span:?}");
        if gates.renew(&[(vip, span)]).unwrap().is_empty() {
            let left = gates.left(vip).unwrap();
            assert!(left <= most, "{left:?} when renewed for {span:?}");
        }
    }
}

#[test]
fn who_lapsed_is_told_and_the_others_are_renewed() {
    let Some((_netns, _kernel, mut gates)) = gated("who_lapsed_is_told") else {
        return;
    };
    let all: Vec<IpAddr> = (1..=9)
        .map(|n| IpAddr::from([10, 7, 1, n]))
        .chain((1..=9).map(|n| IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 1, n])))
        .collect();
    gates.guard(&all.iter().copied().collect()).unwrap();
    let spans: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(n, ip)| (*ip, if n % 3 == 0 { ms(4) } else { ms(20_000) }))
        .collect();
    gates.arm(&spans).unwrap();
    let mut short: Vec<_> = all.iter().copied().step_by(3).collect();
    for ip in &short {
        lapse(&mut gates, *ip);
    }
    let mut wanted: Vec<_> = all.iter().map(|ip| (*ip, LONG)).collect();
    // One that has no time left is closed, as one that never was is lapsed.
    wanted[1].1 = Duration::ZERO;
    short.push(all[1]);
    wanted.push((ip("10.7.1.200"), LONG));
    short.push(ip("10.7.1.200"));
    let mut lapsed = gates.renew(&wanted).unwrap();
    lapsed.sort_unstable();
    short.sort_unstable();
    assert_eq!(lapsed, short);
    for (ip, _) in &wanted {
        let left = gates.left(*ip).unwrap();
        if short.contains(ip) {
            assert_eq!(left, None, "{ip}");
        } else {
            assert!(left.unwrap() > ms(20_000), "{ip}");
        }
    }
}

/// At every point around the end: renewed if it lives, lapsed if not, and never back to life.
#[test]
fn a_renewal_never_revives() {
    let Some((_netns, _kernel, mut gates)) = gated("a_renewal_never_revives") else {
        return;
    };
    let vips = [IpAddr::from(VIP4), VIP6.into()];
    gates.guard(&both()).unwrap();
    let (mut renewed, mut lapsed) = (0, 0);
    // Steps of a quarter of a millisecond, from well before the end to well after it.
    for step in 0..120 {
        gates.arm(&vips.map(|vip| (vip, ms(24)))).unwrap();
        std::thread::sleep(Duration::from_micros(5_000 + 250 * step));
        let before = vips.map(|vip| gates.left(vip).unwrap());
        let gone = gates.renew(&vips.map(|vip| (vip, LONG))).unwrap();
        for (vip, before) in vips.into_iter().zip(before) {
            let after = gates.left(vip).unwrap();
            if gone.contains(&vip) {
                lapsed += 1;
                assert_eq!(after, None, "step {step}: {vip} was told as lapsed");
            } else {
                renewed += 1;
                assert!(before.is_some(), "step {step}: {vip} came back to life");
                assert!(after.unwrap() > ms(1_000), "step {step}: {vip}");
            }
        }
    }
    assert!(
        renewed > 0 && lapsed > 0,
        "{renewed} renewed, {lapsed} lapsed"
    );
}

#[test]
fn hundreds_move_in_one_batch() {
    let Some((_netns, _kernel, mut gates)) = gated("hundreds_move_in_one_batch") else {
        return;
    };
    // More than one batch holds, so that they are split, too.
    let all: Vec<IpAddr> = (0..1_200u16)
        .flat_map(|n| {
            let [a, b] = n.to_be_bytes();
            [
                IpAddr::from([10, 9, a, b]),
                IpAddr::from([0xfd79, 0, 0, 0, 0, 0, 0, n]),
            ]
        })
        .collect();
    gates.guard(&all.iter().copied().collect()).unwrap();
    for count in [256, all.len()] {
        let leases: Vec<_> = all[..count].iter().map(|ip| (*ip, LONG)).collect();
        gates.arm(&leases).unwrap();
        assert_eq!(gates.renew(&leases).unwrap(), NONE);
        for (ip, _) in [leases[0], leases[count / 2], leases[count - 1]] {
            assert!(gates.left(ip).unwrap().is_some(), "{ip}");
        }
        gates.close_all().unwrap();
        // All lapsed: every message of the batch is answered, none is lost.
        assert_eq!(gates.renew(&leases).unwrap().len(), count);
    }
    assert_eq!(gates.intact().unwrap(), Ok(()));
    let many = (0..=4_096u32).map(|n| IpAddr::from(n.to_be_bytes()));
    let error = gates.guard(&many.collect()).unwrap_err().to_string();
    assert!(error.contains("4097 floating addresses"), "{error}");
}

#[test]
fn the_guard_changes_without_a_gap() {
    let Some((_netns, _kernel, mut gates)) = gated("the_guard_changes_without_a_gap") else {
        return;
    };
    let other = ip("10.7.0.101");
    gates.guard(&both()).unwrap();
    gates
        .arm(&[(VIP4.into(), LONG), (VIP6.into(), LONG)])
        .unwrap();
    gates.guard(&BTreeSet::from([VIP4.into(), other])).unwrap();
    assert_eq!(gates.intact().unwrap(), Ok(()));
    assert!(
        gates.left(VIP4.into()).unwrap().is_some(),
        "who stays, stays open"
    );
    assert_eq!(
        gates.left(VIP6.into()).unwrap(),
        None,
        "who goes, is not held"
    );
    assert_eq!(*gates.guarded(), BTreeSet::from([VIP4.into(), other]));
    gates.guard(&BTreeSet::new()).unwrap();
    assert_eq!(gates.intact().unwrap(), Ok(()));
}
