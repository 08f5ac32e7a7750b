use super::*;
use crate::testing::{Machine, pair};
use crate::{AddressSpec, Announcer};

const VIP: &str = "10.7.0.100";
const SIX: &str = "fd77::100";
/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(5);
/// So often is asked in that time.
const QUESTIONS: u32 = 5;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn set(ips: &[&str]) -> BTreeSet<IpAddr> {
    ips.iter().map(|text| ip(text)).collect()
}

fn listener(machine: &mut Machine, ips: &[&str]) -> ClaimListener {
    let link = machine.kernel.link("eth0").unwrap();
    let mut listener = ClaimListener::new(&link).unwrap();
    machine
        .netns
        .run(|| listener.watch(&set(ips)).unwrap())
        .unwrap();
    listener
}

fn hold(machine: &mut Machine, text: &str) -> Mac {
    let link = machine.kernel.link("eth0").unwrap();
    let prefix = if ip(text).is_ipv4() { 24 } else { 64 };
    let spec = AddressSpec {
        nodad: true,
        ..AddressSpec::new(link.index, ip(text), prefix)
    };
    machine.kernel.add_address(&spec).unwrap();
    link.mac.unwrap()
}

fn announcer(machine: &mut Machine) -> Announcer {
    let link = machine.kernel.link("eth0").unwrap();
    machine
        .netns
        .run(|| Announcer::open(&link).unwrap())
        .unwrap()
}

/// The next claim within [`PATIENCE`].
fn heard(listener: &ClaimListener) -> Claim {
    heard_within(listener, PATIENCE).expect("a claim")
}

fn heard_within(listener: &ClaimListener, time: Duration) -> Option<Claim> {
    let deadline = Instant::now() + time;
    loop {
        let claim = listener.next().unwrap();
        if claim.is_some() || Instant::now() >= deadline {
            return claim;
        }
        wait(&listener.descriptors(), Duration::from_millis(50));
    }
}

fn asked(ms: u64) -> Asked {
    Asked {
        tries: 3,
        listen: Duration::from_millis(ms),
        own: BTreeSet::new(),
    }
}

#[test]
fn an_announcement_by_another_is_a_claim_ours_is_none() {
    let Some([mut near, mut far]) = pair("an_announcement_by_another_is_a_claim") else {
        return;
    };
    let ear = listener(&mut near, &[VIP, SIX]);
    let (own, other) = (announcer(&mut near), announcer(&mut far));
    let mac = far.kernel.link("eth0").unwrap().mac.unwrap();
    for text in [VIP, SIX] {
        own.announce(ip(text)).unwrap();
        // Somebody's business, but not that of the watched addresses.
        let unwatched = if ip(text).is_ipv4() {
            "10.7.0.101"
        } else {
            "fd78::100"
        };
        other.announce(ip(unwatched)).unwrap();
        other.announce(ip(text)).unwrap();
        let expect = Claim {
            ip: ip(text),
            mac,
            probing: false,
        };
        assert_eq!(heard(&ear), expect);
    }
    other.announce_as_reply(ip(VIP)).unwrap();
    assert_eq!((heard(&ear).ip, ear.next().unwrap()), (ip(VIP), None));
}

#[test]
fn a_probe_by_another_is_told_as_such() {
    let Some([mut near, mut far]) = pair("a_probe_by_another_is_told_as_such") else {
        return;
    };
    let ear = listener(&mut near, &[VIP, SIX]);
    let mac = far.kernel.link("eth0").unwrap().mac.unwrap();
    listener(&mut far, &[VIP, SIX]).probe().unwrap();
    for text in [VIP, SIX] {
        let probing = true;
        let expect = Claim {
            ip: ip(text),
            mac,
            probing,
        };
        assert_eq!(heard(&ear), expect);
    }
}

#[test]
fn a_question_finds_the_holder_of_either_family() {
    let Some([mut near, mut far]) = pair("a_question_finds_the_holder") else {
        return;
    };
    for text in [VIP, SIX] {
        let ear = listener(&mut near, &[text]);
        assert_eq!(ear.ask(&asked(60)).unwrap(), []);
        let mac = hold(&mut far, text);
        let started = Instant::now();
        let claims = ear.ask(&asked(5_000)).unwrap();
        assert_eq!((claims[0].mac, claims[0].probing), (mac, false), "{text}");
        assert!(started.elapsed() < PATIENCE, "the answer ends the wait");
        // The same machine's other interface is nobody else.
        let own = BTreeSet::from([mac]);
        let quiet = Asked { own, ..asked(60) };
        assert_eq!(ear.ask(&quiet).unwrap(), [], "{text}");
    }
}

/// While it is ours, our kernel knows nothing of another holder: only a question tells.
#[test]
fn a_second_holder_is_found_while_we_hold_the_address() {
    let Some([mut near, mut far]) = pair("a_second_holder_is_found_while_we_hold") else {
        return;
    };
    hold(&mut near, "fe80::77");
    for text in [VIP, SIX] {
        hold(&mut near, text);
        let ear = listener(&mut near, &[text]);
        let mac = hold(&mut far, text);
        let Ok(source) = "fe80::77".parse() else {
            panic!()
        };
        let expect = Claim {
            ip: ip(text),
            mac,
            probing: false,
        };
        // A question may be lost, as on any wire.
        let asker = announcer(&mut near);
        let claim = (0..QUESTIONS).find_map(|_| {
            asker.question(ip(text), Some(source)).unwrap();
            heard_within(&ear, PATIENCE / QUESTIONS)
        });
        assert_eq!(claim, Some(expect), "{text}");
    }
}

#[test]
fn the_set_changes_and_the_filter_with_it() {
    let Some([mut near, mut far]) = pair("the_set_changes_and_the_filter_with_it") else {
        return;
    };
    let mut ear = listener(&mut near, &[VIP, SIX]);
    let other = announcer(&mut far);
    near.netns
        .run(|| ear.watch(&set(&["10.7.0.101"])).unwrap())
        .unwrap();
    for text in [VIP, SIX, "10.7.0.101"] {
        other.announce(ip(text)).unwrap();
    }
    assert_eq!(heard(&ear).ip, ip("10.7.0.101"));
    near.netns.run(|| ear.watch(&set(&[])).unwrap()).unwrap();
    other.announce(ip("10.7.0.101")).unwrap();
    assert_eq!(ear.next().unwrap(), None);
}

#[test]
fn the_kernel_takes_the_largest_filters() {
    let Some([mut near, mut far]) = pair("the_kernel_takes_the_largest_filters") else {
        return;
    };
    let mut many: BTreeSet<IpAddr> = BTreeSet::new();
    for n in 0..WATCHED_MAX as u16 + 5 {
        let [high, low] = n.to_be_bytes();
        many.insert([10, 8, high, low].into());
        many.insert(IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, n)));
    }
    let mut ear = listener(&mut near, &[]);
    near.netns.run(|| ear.watch(&many).unwrap()).unwrap();
    let other = announcer(&mut far);
    for text in ["10.8.3.231", "fd77::1:3e7"] {
        other.announce(ip(text)).unwrap();
        assert_eq!(heard(&ear).ip, ip(text));
    }
}
