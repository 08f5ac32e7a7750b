//! The gates against the running kernel, in namespaces of their own.

mod bystanders;
mod costs;
mod deadline;
mod elements;
mod foreign;
mod nat;
mod old_kernels;
mod owner;
mod silence;
mod wire;

use super::message::{Family, Kind};
use super::{Belts, GateOptions, Gates};
use crate::attribute::Attributes;
use crate::testing::{Machine, machine, pair};
use crate::{AddressSpec, Kernel, NetNs};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use wire::Tap;

const VIP4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 100);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100);
const NEAR4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const FAR4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const NEAR6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
const FAR6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often something is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// Time for what should not come to come.
const GRACE: Duration = Duration::from_millis(60);
/// A lease that no test outlives.
const LONG: Duration = Duration::from_secs(60);

/// A machine with gates on a kernel that can do everything, or nothing as in `machine`.
fn gated(test: &str) -> Option<(NetNs, Kernel, Gates)> {
    let (netns, kernel) = machine(test)?;
    let gates = full(&netns);
    Some((netns, kernel, gates))
}

fn full(netns: &NetNs) -> Gates {
    let (gates, belts) = raise(netns, &GateOptions::default());
    assert_eq!(belts.weaker, Vec::<String>::new());
    assert!(belts.gates && belts.owned && belts.egress);
    gates
}

fn raise(netns: &NetNs, options: &GateOptions) -> (Gates, Belts) {
    netns.run(|| Gates::raise(options)).unwrap().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn both() -> BTreeSet<IpAddr> {
    BTreeSet::from([VIP4.into(), VIP6.into()])
}

/// Two machines on a wire; the near one has both floating addresses behind closed gates, and the
/// far one sees every frame.
struct Scene {
    near: Machine,
    far: Machine,
    gates: Gates,
    tap: Tap,
    near_tap: Tap,
}

impl Scene {
    fn new(test: &str, options: &GateOptions) -> Option<Self> {
        let [mut near, mut far] = pair(test)?;
        let (mut gates, _) = raise(&near.netns, options);
        gates.guard(&both()).unwrap();
        gates.attach(&BTreeSet::from(["eth0".to_owned()])).unwrap();
        give(&mut near, NEAR6.into(), 64);
        give(&mut far, FAR6.into(), 64);
        give(&mut near, VIP4.into(), 24);
        give(&mut near, VIP6.into(), 64);
        let tap = Tap::open(&mut far);
        let near_tap = Tap::open(&mut near);
        Some(Self {
            near,
            far,
            gates,
            tap,
            near_tap,
        })
    }

    fn open(&mut self) {
        self.gates
            .arm(&[(VIP4.into(), LONG), (VIP6.into(), LONG)])
            .unwrap();
    }

    fn close(&mut self) {
        self.gates.close(&[VIP4.into(), VIP6.into()]).unwrap();
    }

    /// Does it until the near machine speaks for the address.
    fn speaks(&self, name: &str, vip: IpAddr, mut work: impl FnMut()) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            work();
            std::thread::sleep(AGAIN);
            if !self.tap.spoken(vip).is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{name}: no answer from {vip}");
        }
    }

    /// Does it until a chain's rules have dropped something, and nothing is heard.
    fn silent(&mut self, name: &str, vip: IpAddr, place: (Family, &str), mut work: impl FnMut()) {
        std::thread::sleep(GRACE);
        self.tap.frames();
        let before = dropped(&mut self.gates, place);
        let deadline = Instant::now() + PATIENCE;
        while dropped(&mut self.gates, place) == before {
            work();
            std::thread::sleep(AGAIN);
            assert!(
                Instant::now() < deadline,
                "{name}: nothing was dropped in {place:?}"
            );
        }
        std::thread::sleep(GRACE);
        assert_eq!(self.tap.spoken(vip), [], "{name}: heard from {vip}");
    }

    /// Passes while held, is dropped there while not, and passes again.
    fn gate_counts(&mut self, name: &str, vip: IpAddr, place: (Family, &str), work: impl Fn()) {
        self.open();
        self.speaks(name, vip, &work);
        self.close();
        self.silent(name, vip, place, &work);
        self.open();
        self.speaks(name, vip, &work);
    }
}

/// An address on `eth0`, usable at once.
fn give(machine: &mut Machine, ip: IpAddr, prefix: u8) {
    let index = machine.kernel.link("eth0").unwrap().index;
    let mut spec = AddressSpec::new(index, ip, prefix);
    spec.nodad = ip.is_ipv6();
    machine.kernel.add_address(&spec).unwrap();
}

/// Packets that a chain's rules have dropped.
fn dropped(gates: &mut Gates, (family, chain): (Family, &str)) -> u64 {
    let counts =
        gates
            .channel
            .as_mut()
            .unwrap()
            .list(Kind::GetRule, family, |rule| -> Option<u64> {
                if rule.text(2).as_deref() != Some(chain) {
                    return None;
                }
                let steps = rule.nested(4);
                let count = |step| {
                    let step = Attributes::after(step, 0);
                    (step.text(1).as_deref() == Some("counter")).then(|| step.nested(2).be64(2))?
                };
                steps.all(1).find_map(count)
            });
    counts.unwrap().into_iter().sum()
}

#[test]
fn gates_and_their_watch_move_between_threads() {
    fn moves<T: Send>() {}
    moves::<Gates>();
    moves::<super::GateWatch>();
}
