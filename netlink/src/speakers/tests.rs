use super::*;
use crate::AddressSpec;
use crate::provoke::{Provoker, Questions};
use crate::testing::{Machine, machine};
use crate::{Announcer, VethEnd};
use std::net::{TcpListener, TcpStream};

const SETTLED: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_millis(2);
const VIP4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 100);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100);

/// Words at these milliseconds, by these machines; `!` marks an announcement.
fn words(table: &[(u64, &str)]) -> Vec<Word> {
    let base = Instant::now();
    let word = |(ms, who): &(u64, &str)| Word {
        at: base + Duration::from_millis(*ms),
        mac: Mac([2, 0, 0, 0, 0, who.as_bytes()[0]]),
        ip: VIP4.into(),
        kind: match who.ends_with('!') {
            true => Kind::Announcement,
            false => Kind::Answer,
        },
    };
    table.iter().map(word).collect()
}

#[test]
fn only_a_former_owners_words_are_late() {
    type Row<'a> = (&'a [(u64, &'a str)], &'a [u64]);
    let table: [Row<'_>; 10] = [
        (&[], &[]),
        (&[(0, "a"), (5, "a"), (10, "b!"), (15, "b")], &[]),
        (
            &[(0, "a"), (10, "b!"), (12, "a"), (15, "b"), (25, "b")],
            &[12],
        ),
        // Back at once, as it says: the other one is silent, or speaks out of turn.
        (&[(0, "a"), (10, "b!"), (12, "a!"), (20, "a")], &[]),
        (
            &[(0, "a"), (10, "b!"), (12, "a!"), (15, "b"), (20, "a")],
            &[15],
        ),
        // Back on the first one, as it says.
        (
            &[(0, "a"), (10, "b!"), (300, "b"), (310, "a!"), (320, "a")],
            &[],
        ),
        // A single word much later, in the middle of the other's turn.
        (
            &[(0, "a"), (10, "b!"), (300, "b"), (310, "a"), (320, "b")],
            &[310, 320],
        ),
        (
            &[
                (0, "a"),
                (10, "b!"),
                (300, "b"),
                (310, "a!"),
                (380, "b"),
                (400, "b"),
            ],
            &[380],
        ),
        (
            &[(0, "a"), (10, "b!"), (300, "a!"), (400, "b!"), (410, "b")],
            &[],
        ),
        // Three machines, each once.
        (&[(0, "a"), (10, "b"), (20, "c")], &[]),
    ];
    for (spoken, want) in table {
        let spoken = words(spoken);
        let found = late(&spoken, SETTLED);
        let found: Vec<u128> = found
            .iter()
            .map(|w| w.at.duration_since(spoken[0].at).as_millis())
            .collect();
        let want: Vec<u128> = want.iter().map(|ms| u128::from(*ms)).collect();
        assert_eq!(found, want, "{spoken:?}");
    }
}

/// Two machines and a client on a bridge; the client asks, the bridge's namespace listens.
struct Town {
    machines: Vec<Machine>,
    client: Machine,
    hub: NetNs,
}

fn town(test: &str) -> Option<Town> {
    let (hub, mut kernel) = machine(test)?;
    let bridge = kernel.add_bridge("bridge0").unwrap();
    kernel.set_up(bridge, true).unwrap();
    let mut machines = Vec::new();
    for last in 1..=3u8 {
        let (netns, mut inside) = machine(test)?;
        let port = format!("port{last}");
        kernel
            .add_veth(VethEnd::here(&port), VethEnd::within("eth0", &netns))
            .unwrap();
        let index = kernel.link(&port).unwrap().index;
        kernel.set_bridge(index, Some(bridge)).unwrap();
        kernel.set_up(index, true).unwrap();
        let eth0 = inside.link("eth0").unwrap().index;
        inside.set_up(eth0, true).unwrap();
        let mut one = Machine {
            netns,
            kernel: inside,
        };
        give(&mut one, IpAddr::from([10, 7, 0, last]));
        give(
            &mut one,
            Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(last)).into(),
        );
        machines.push(one);
    }
    let client = machines.pop()?;
    Some(Town {
        machines,
        client,
        hub,
    })
}

fn give(machine: &mut Machine, ip: IpAddr) {
    let index = machine.kernel.link("eth0").unwrap().index;
    let prefix = if ip.is_ipv4() { 24 } else { 64 };
    let spec = AddressSpec {
        nodad: true,
        ..AddressSpec::new(index, ip, prefix)
    };
    machine.kernel.add_address(&spec).unwrap();
}

fn mac(machine: &mut Machine) -> Mac {
    machine.kernel.link("eth0").unwrap().mac.unwrap()
}

/// Everything that a second owner can say is heard, from each of the two.
#[test]
fn two_owners_are_heard_in_every_way_they_may_speak() {
    let Some(mut town) = town("two_owners_are_heard_in_every_way") else {
        return;
    };
    let ips = BTreeSet::from([IpAddr::from(VIP4), VIP6.into()]);
    let capture = Capture::start(&town.hub, &ips, &["bridge0"]).unwrap();
    let macs: Vec<Mac> = town.machines.iter_mut().map(mac).collect();
    let questions = Questions {
        ips: ips.clone(),
        asker4: Ipv4Addr::new(10, 7, 0, 3),
        asker6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 3),
        machines: macs.clone(),
    };
    let asking = Provoker::start(&town.client.netns, "eth0", questions, EVERY).unwrap();
    for machine in &mut town.machines {
        for ip in &ips {
            give(machine, *ip);
        }
        let link = machine.kernel.link("eth0").unwrap();
        let mouth = machine
            .netns
            .run(|| Announcer::open(&link).unwrap())
            .unwrap();
        for ip in &ips {
            mouth.announce(*ip).unwrap();
        }
    }
    let wanted = |kind: Kind| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let words = capture.words();
            let heard = |ip: &IpAddr, mac: &Mac| {
                let by = |w: &&Word| w.ip == *ip && w.mac == *mac && w.kind == kind;
                words.iter().any(|w| by(&w))
            };
            if ips.iter().all(|ip| macs.iter().all(|mac| heard(ip, mac))) {
                return;
            }
            assert!(Instant::now() < deadline, "{kind:?} is not heard of both");
            std::thread::sleep(EVERY);
        }
    };
    for kind in [Kind::Answer, Kind::Echo, Kind::Announcement] {
        wanted(kind);
    }
    for ip in &ips {
        let words = capture.words();
        let of_one: Vec<Word> = words.into_iter().filter(|w| w.ip == *ip).collect();
        assert!(!late(&of_one, SETTLED).is_empty(), "{ip}: two owners");
    }
    drop(asking);
    assert_eq!(capture.lost(), 0);
}

#[test]
fn a_connection_is_heard_and_the_askers_are_not() {
    let Some(mut town) = town("a_connection_is_heard_and_the_askers_are_not") else {
        return;
    };
    let holder = mac(&mut town.machines[0]);
    for vip in [IpAddr::from(VIP4), VIP6.into()] {
        give(&mut town.machines[0], vip);
        let ips = BTreeSet::from([vip]);
        let capture = Capture::start(&town.hub, &ips, &["bridge0"]).unwrap();
        let listen = || TcpListener::bind((vip, 7000)).unwrap();
        let listener = town.machines[0].netns.run(listen).unwrap();
        let connect = || TcpStream::connect_timeout(&(vip, 7000).into(), PATIENCE).unwrap();
        let stream = town.client.netns.run(connect).unwrap();
        listener.accept().unwrap();
        drop(stream);
        let from = Instant::now() - PATIENCE;
        assert!(capture.wait_for(vip, from, PATIENCE).is_some());
        let (words, lost) = capture.stop();
        assert!(words.iter().any(|w| w.kind == Kind::Tcp), "{words:?}");
        assert!(words.iter().all(|w| w.mac == holder), "{words:?}");
        assert_eq!(lost, 0);
    }
}

proptest::proptest! {
    /// Frames come from anybody on the wire.
    #[test]
    fn any_frame_is_read_or_passed_over(frame in proptest::collection::vec(0u8.., 0..FRAME_BYTES)) {
        let _ = said(&frame);
    }
}
