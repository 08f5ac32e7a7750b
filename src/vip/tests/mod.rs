//! The native agents on a real kernel, in throw-away namespaces.

mod agents;
mod bad_input;
mod batch;
mod clients;
mod conflicts;
mod guard;
#[path = "../../../netlink/src/rights.rs"]
mod rights;
mod special;

use super::*;
use netlink::{Address, AddressSpec, ArpListener, NetNs, VethEnd};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const VIP: &str = "10.7.0.100";
/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a new holder sends beside the configured number: at 0.1, 0.5 and 2 s.
const REPEATS: u64 = 3;

/// Two machines on one wire (10.7.0.1/24 brd 10.7.0.255 and 10.7.0.2/24 on eth0); the first one
/// also has eth1 without address.
struct World {
    near: NetNs,
    far: NetNs,
    kernel: Kernel,
    vip: Arc<NativeVip>,
}

impl World {
    fn new(test: &str) -> Option<Self> {
        let (near, far) = match (NetNs::create(), NetNs::create()) {
            (Ok(near), Ok(far)) => (near, far),
            (Err(error), _) | (_, Err(error)) => {
                rights::elsewhere(test, &error.to_string());
                return None;
            }
        };
        let mut kernel = Kernel::open_in(&near).unwrap();
        let mut peer = Kernel::open_in(&far).unwrap();
        kernel
            .add_veth(VethEnd::here("eth0"), VethEnd::within("eth0", &far))
            .unwrap();
        kernel
            .add_veth(VethEnd::here("eth1"), VethEnd::within("eth1", &far))
            .unwrap();
        let broadcast = Some(Ipv4Addr::new(10, 7, 0, 255));
        // The end that is opened last can send at once; the other's queue starts a moment later.
        for (kernel, ip) in [(&mut peer, "10.7.0.2"), (&mut kernel, "10.7.0.1")] {
            let eth0 = kernel.link("eth0").unwrap().index;
            let eth1 = kernel.link("eth1").unwrap().index;
            let spec = AddressSpec::new(eth0, ip.parse().unwrap(), 24);
            kernel
                .add_address(&AddressSpec { broadcast, ..spec })
                .unwrap();
            kernel.loopback_up().unwrap();
            kernel.set_up(eth0, true).unwrap();
            kernel.set_up(eth1, true).unwrap();
        }
        let vip = near.run(NativeVip::new).unwrap().unwrap();
        Some(Self {
            near,
            far,
            kernel,
            vip: Arc::new(vip),
        })
    }

    fn run(&self, operation: &str, params: &[(&str, &str)]) -> (i32, String) {
        self.near
            .run(|| self.vip.run(&request(operation, params)))
            .unwrap()
    }

    /// The address as `ip/prefix label brd`, with the interface it is on.
    fn shown(&mut self, ip: &str) -> Vec<String> {
        let ip: IpAddr = ip.parse().unwrap();
        let links = self.kernel.links().unwrap();
        let name = |index| {
            links
                .iter()
                .find(|link| link.index == index)
                .unwrap()
                .name
                .clone()
        };
        let mut addresses = self.kernel.addresses().unwrap();
        addresses.retain(|address| address.ip == ip);
        let brd = |a: &Address| {
            a.broadcast
                .map(|ip| format!(" brd {ip}"))
                .unwrap_or_default()
        };
        let show = |a: &Address| format!("{} /{} {}{}", name(a.index), a.prefix, a.label, brd(a));
        addresses.iter().map(show).collect()
    }

    fn index(&mut self, nic: &str) -> u32 {
        self.kernel.link(nic).unwrap().index
    }

    fn ear(&self) -> ArpListener {
        let open = || ArpListener::open(&Kernel::open().unwrap().link("eth0").unwrap()).unwrap();
        self.far.run(open).unwrap()
    }

    fn announces(&self) -> u64 {
        self.vip.list().first().map_or(0, |held| held.announces)
    }

    /// Waits until nothing more is to be announced; how often it was. After `regular` ones as the
    /// parameters say come the repeats: a machine without time for them leaves some out.
    fn wait_for_series(&self, regular: u64) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        while !self.vip.bursts.are_over() {
            assert!(Instant::now() < deadline, "announced for ever");
            std::thread::sleep(Duration::from_millis(1));
        }
        let count = self.announces();
        assert!(
            (regular + 1..=regular + REPEATS).contains(&count),
            "{count}"
        );
        count
    }

    fn wait_for_announces(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.announces() < count {
            assert!(
                Instant::now() < deadline,
                "only {} announcements",
                self.announces()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn request(operation: &str, params: &[(&str, &str)]) -> OpRequest {
    OpRequest {
        rsc: "ip_r0".into(),
        instance: "ip_r0".into(),
        class: "ocf".into(),
        provider: Some("heartbeat".into()),
        kind: "IPaddr2".into(),
        operation: operation.into(),
        interval_ms: 0,
        params: params
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        ..OpRequest::default()
    }
}

const OK: (i32, String) = (0, String::new());

#[test]
fn an_address_starts_is_seen_and_stops() {
    let Some(mut world) = World::new("an_address_starts_is_seen_and_stops") else {
        return;
    };
    let ip = &[("ip", VIP)];
    assert_eq!(world.run("monitor", ip).0, rc::NOT_RUNNING);
    assert_eq!(world.run("status", ip).0, rc::NOT_RUNNING);
    assert_eq!(world.run("start", ip), OK);
    assert_eq!(world.shown(VIP), ["eth0 /24 eth0 brd 10.7.0.255"]);
    assert_eq!(world.run("monitor", ip), OK);
    assert_eq!(world.run("status", ip), OK);
    let held = world.vip.list();
    assert_eq!(
        (held[0].resource.as_str(), held[0].address.as_str()),
        ("ip_r0", "10.7.0.100/24")
    );
    assert_eq!(held[0].device, "eth0");
    assert_eq!(world.run("stop", ip), OK);
    assert_eq!(world.shown(VIP), [""; 0]);
    assert_eq!(world.shown("10.7.0.1").len(), 1);
    assert!(world.vip.list().is_empty());
    assert_eq!(world.run("monitor", ip).0, rc::NOT_RUNNING);
}

#[test]
fn start_and_stop_are_idempotent() {
    let Some(mut world) = World::new("start_and_stop_are_idempotent") else {
        return;
    };
    let ip = &[("ip", VIP), ("arp_count", "1")];
    assert_eq!(world.run("stop", ip), OK);
    assert_eq!(world.run("start", ip), OK);
    let told = world.wait_for_series(1);
    assert_eq!(world.run("start", ip), OK);
    assert_eq!(world.shown(VIP).len(), 1);
    assert_eq!(
        world.announces(),
        told,
        "an address that is there is not announced again"
    );
    assert_eq!(world.run("stop", ip), OK);
    assert_eq!(world.run("stop", ip), OK);
}

#[test]
fn what_the_configuration_names_is_taken() {
    let Some(mut world) = World::new("what_the_configuration_names_is_taken") else {
        return;
    };
    let params = &[
        ("ip", "172.16.5.9"),
        ("nic", "eth1:web"),
        ("cidr_netmask", "255.255.0.0"),
        ("broadcast", "+"),
        ("noprefixroute", "true"),
    ];
    assert_eq!(world.run("start", params), OK);
    assert_eq!(
        world.shown("172.16.5.9"),
        ["eth1 /16 eth1:web brd 172.16.255.255"]
    );
    let eth1 = world.index("eth1");
    let routes = world.kernel.routes().unwrap();
    assert!(
        routes
            .iter()
            .all(|route| route.index != Some(eth1) || route.destination.is_ipv6())
    );
    assert_eq!(world.run("monitor", params), OK);
    assert_eq!(world.run("stop", params), OK);
    assert_eq!(world.shown("172.16.5.9"), [""; 0]);
}

#[test]
fn the_burst_has_the_configured_number() {
    let Some(world) = World::new("the_burst_has_the_configured_number") else {
        return;
    };
    let ear = world.ear();
    assert_eq!(
        world.run("start", &[("ip", VIP), ("arp_interval", "1")]),
        OK
    );
    let told = world.wait_for_series(5);
    let vip: Ipv4Addr = VIP.parse().unwrap();
    let mut heard = 0;
    // Frames over veth are queued when send returns; all are there, no other is to come.
    while let Some(packet) = ear.next(Duration::from_millis(100)).unwrap() {
        // The question whether somebody else has it names no sender.
        if packet.sender_ip.is_unspecified() {
            continue;
        }
        assert!(packet.request && packet.sender_ip == vip && packet.target_ip == vip);
        heard += 1;
    }
    assert_eq!(heard, told);
}

#[test]
fn an_announcement_that_cannot_be_sent_is_told_and_recovers() {
    let Some(mut world) = World::new("an_announcement_that_cannot_be_sent") else {
        return;
    };
    let params = &[("ip", VIP), ("arp_interval", "1"), ("arp_count", "1000000")];
    assert_eq!(world.run("start", params), OK);
    let eth0 = world.index("eth0");
    let trouble = |world: &World| world.vip.list()[0].trouble.clone();
    for (up, expect) in [(false, "cannot send a frame on eth0: "), (true, "")] {
        world.kernel.set_up(eth0, up).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !trouble(&world).starts_with(expect) || trouble(&world).is_empty() != up {
            assert!(Instant::now() < deadline, "trouble {:?}", trouble(&world));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_burst_ends_with_its_address() {
    let Some(world) = World::new("a_burst_ends_with_its_address") else {
        return;
    };
    let params = &[("ip", VIP), ("arp_interval", "1"), ("arp_count", "1000000")];
    assert_eq!(world.run("start", params), OK);
    world.wait_for_announces(2);
    assert_eq!(world.run("stop", params), OK);
    let ear = world.ear();
    assert_eq!(ear.next(Duration::from_millis(50)).unwrap(), None);
}

#[test]
fn a_recurring_monitor_refreshes_when_asked() {
    let Some(world) = World::new("a_recurring_monitor_refreshes_when_asked") else {
        return;
    };
    let params = &[("ip", VIP), ("arp_count", "1"), ("arp_count_refresh", "2")];
    let params = &[params[0], params[1], params[2], ("arp_interval", "1")];
    assert_eq!(world.run("start", params), OK);
    let told = world.wait_for_series(1);
    assert_eq!(world.run("monitor", params), OK);
    assert_eq!(world.announces(), told, "a probe announces nothing");
    let recurring = OpRequest {
        interval_ms: 10_000,
        ..request("monitor", params)
    };
    assert_eq!(world.near.run(|| world.vip.run(&recurring)).unwrap(), OK);
    world.wait_for_announces(told + 2);
}

#[test]
fn an_address_deleted_behind_our_back_is_not_running() {
    let Some(mut world) = World::new("an_address_deleted_behind_our_back") else {
        return;
    };
    let ip = &[("ip", VIP)];
    assert_eq!(world.run("start", ip), OK);
    let eth0 = world.index("eth0");
    world
        .kernel
        .delete_address(eth0, VIP.parse().unwrap(), 24)
        .unwrap();
    let (code, reason) = world.run("monitor", ip);
    assert_eq!(
        (code, reason.as_str()),
        (rc::NOT_RUNNING, "10.7.0.100/24 is not on eth0")
    );
    assert!(world.vip.list().is_empty());
}

#[test]
fn a_link_that_is_down_is_an_error_until_the_address_moves() {
    let Some(mut world) = World::new("a_link_that_is_down_is_an_error") else {
        return;
    };
    let ip = &[("ip", VIP)];
    assert_eq!(world.run("start", ip), OK);
    let eth0 = world.index("eth0");
    world.kernel.set_up(eth0, false).unwrap();
    let (code, reason) = world.run("monitor", ip);
    assert_eq!(code, rc::GENERIC);
    assert!(
        reason.contains("eth0 is down: ip link set eth0 up"),
        "{reason}"
    );
    // A daemon that has just started finds no route to it, but the address itself.
    world.vip = Arc::new(world.near.run(NativeVip::new).unwrap().unwrap());
    let (code, reason) = world.run("monitor", ip);
    assert_eq!(code, rc::GENERIC);
    assert!(
        reason.contains("is on eth0, but eth0 is down or has lost its network"),
        "{reason}"
    );
    assert_eq!(world.run("stop", ip), OK);
    assert_eq!(
        world.shown(VIP),
        [""; 0],
        "it would have two owners once eth0 is up again"
    );
    // With everything named, a start brings the link up, as the agent does.
    let named = &[("ip", VIP), ("nic", "eth0"), ("cidr_netmask", "24")];
    assert_eq!(world.run("start", named), OK);
    assert!(world.kernel.link("eth0").unwrap().up);
}

#[test]
fn a_restarted_daemon_adopts_what_is_there() {
    let Some(mut world) = World::new("a_restarted_daemon_adopts_what_is_there") else {
        return;
    };
    let ip = &[("ip", VIP)];
    assert_eq!(world.run("start", ip), OK);
    world.vip = Arc::new(world.near.run(NativeVip::new).unwrap().unwrap());
    assert!(world.vip.list().is_empty());
    assert_eq!(world.run("monitor", ip), OK);
    assert_eq!(world.vip.list()[0].address, "10.7.0.100/24");
    assert_eq!(world.run("stop", ip), OK);
    assert_eq!(world.shown(VIP), [""; 0]);
}

#[test]
fn failures_say_what_where_and_cure() {
    let Some(world) = World::new("failures_say_what_where_and_cure") else {
        return;
    };
    type Params<'a> = &'a [(&'a str, &'a str)];
    let table: &[(Params<'_>, i32, &str)] = &[
        (&[], rc::CONFIGURED, "parameter ip is missing"),
        (
            &[("ip", "192.0.2.9")],
            rc::GENERIC,
            "no connected network holds 192.0.2.9; this node has 10.7.0.0/24 on eth0: correct ip",
        ),
        (
            &[("ip", VIP), ("nic", "eth7")],
            rc::CONFIGURED,
            "no interface eth7 on this node; it has lo, eth0, eth1: correct parameter nic",
        ),
        (
            &[("ip", VIP), ("nic", "eth1")],
            rc::GENERIC,
            "no connected network on eth1 holds 10.7.0.100; this node has 10.7.0.0/24 on eth0",
        ),
    ];
    for (params, code, text) in table {
        for operation in ["start", "validate-all"] {
            let (rc, reason) = world.run(operation, params);
            assert_eq!(rc, *code, "{operation} {params:?}: {reason}");
            assert!(reason.contains(text), "{reason}\nlacks\n{text}");
        }
        assert_eq!(
            world.run("stop", params),
            OK,
            "a stop of what cannot be is done"
        );
    }
    // A probe finds nothing; a recurring monitor without a network is the agent's error.
    let lost = &[("ip", "192.0.2.9")];
    assert_eq!(world.run("monitor", lost).0, rc::NOT_RUNNING);
    let recurring = OpRequest {
        interval_ms: 10_000,
        ..request("monitor", lost)
    };
    assert_eq!(
        world.near.run(|| world.vip.run(&recurring)).unwrap().0,
        rc::GENERIC
    );
    assert_eq!(world.run("promote", &[("ip", VIP)]).0, rc::UNIMPLEMENTED);
}

#[test]
fn a_second_owner_keeps_the_address_away_when_asked_to_look() {
    let Some(mut world) = World::new("a_second_owner_keeps_the_address_away") else {
        return;
    };
    let mut peer = Kernel::open_in(&world.far).unwrap();
    let eth0 = peer.link("eth0").unwrap().index;
    peer.add_address(&AddressSpec::new(eth0, VIP.parse().unwrap(), 24))
        .unwrap();
    let params = &[("ip", VIP), ("run_arping", "true")];
    let (code, reason) = world.run("start", params);
    assert_eq!(code, rc::GENERIC);
    let mac = peer.link("eth0").unwrap().mac.unwrap();
    let expect = format!("{VIP} is in use already: {mac} answers for it on eth0");
    assert!(reason.starts_with(&expect), "{reason}");
    assert_eq!(world.shown(VIP), [""; 0]);
}

#[test]
fn the_nodes_own_address_survives_when_the_floating_one_came_first() {
    let Some(mut world) = World::new("the_nodes_own_address_survives") else {
        return;
    };
    let params = &[("ip", "10.8.0.9"), ("nic", "eth1"), ("cidr_netmask", "24")];
    assert_eq!(world.run("start", params), OK);
    let eth1 = world.index("eth1");
    world
        .kernel
        .add_address(&AddressSpec::new(eth1, "10.8.0.1".parse().unwrap(), 24))
        .unwrap();
    assert_eq!(world.run("stop", params), OK);
    assert_eq!(world.shown("10.8.0.9"), [""; 0]);
    assert_eq!(world.shown("10.8.0.1").len(), 1);
}

#[test]
fn ipv6_is_usable_at_once() {
    let Some(mut world) = World::new("ipv6_is_usable_at_once") else {
        return;
    };
    let params = &[("ip", "fd77::100"), ("nic", "eth0"), ("cidr_netmask", "64")];
    assert_eq!(world.run("start", params), OK);
    let addresses = world.kernel.addresses().unwrap();
    let ours = addresses
        .iter()
        .find(|a| a.ip == "fd77::100".parse::<IpAddr>().unwrap())
        .unwrap();
    assert!(!ours.is_tentative());
    let bound = world
        .near
        .run(|| std::net::UdpSocket::bind("[fd77::100]:0").map(drop))
        .unwrap();
    bound.unwrap();
    assert!(world.announces() >= 1);
    assert_eq!(world.run("monitor", params), OK);
    assert_eq!(world.run("stop", params), OK);
}

#[test]
fn ipv6_asks_around_when_told_to() {
    let Some(mut world) = World::new("ipv6_asks_around_when_told_to") else {
        return;
    };
    let params = &[
        ("ip", "fd77::100"),
        ("nic", "eth0"),
        ("cidr_netmask", "64"),
        ("nodad", "false"),
    ];
    let mut peer = Kernel::open_in(&world.far).unwrap();
    let eth0 = peer.link("eth0").unwrap().index;
    let taken = AddressSpec::new(eth0, "fd77::100".parse().unwrap(), 64);
    peer.add_address(&AddressSpec {
        nodad: true,
        ..taken
    })
    .unwrap();
    let (code, reason) = world.run("start", params);
    assert_eq!(code, rc::GENERIC, "{reason}");
    assert!(reason.contains("fd77::100 is in use already"), "{reason}");
    assert_eq!(world.shown("fd77::100"), [""; 0]);
}

#[test]
fn loopback_addresses_need_no_announcement() {
    let Some(mut world) = World::new("loopback_addresses_need_no_announcement") else {
        return;
    };
    let params = &[("ip", "127.0.0.9")];
    assert_eq!(world.run("start", params), OK);
    assert_eq!(world.shown("127.0.0.9"), ["lo /8 lo"]);
    assert_eq!(world.announces(), 0);
    assert_eq!(world.run("stop", params), OK);
    assert_eq!(world.shown("127.0.0.9"), [""; 0]);
    assert_eq!(world.shown("127.0.0.1").len(), 1);
}

#[test]
fn ipaddr_is_served_with_its_own_numbers() {
    let Some(mut world) = World::new("ipaddr_is_served_with_its_own_numbers") else {
        return;
    };
    let one = |operation: &str| OpRequest {
        kind: "IPaddr".into(),
        ..request(
            operation,
            &[("ip", VIP), ("ARP_INTERVAL_MS", "1"), ("ARP_REPEAT", "3")],
        )
    };
    let run = |world: &World, op: &str| world.near.run(|| world.vip.run(&one(op))).unwrap();
    assert_eq!(run(&world, "start"), OK);
    world.wait_for_announces(3);
    assert_eq!(world.shown(VIP), ["eth0 /24 eth0 brd 10.7.0.255"]);
    assert_eq!(run(&world, "monitor"), OK);
    assert_eq!(run(&world, "stop"), OK);
    assert_eq!(world.shown(VIP), [""; 0]);
}

#[test]
fn only_the_two_agents_are_handled() {
    let Some(world) = World::new("only_the_two_agents_are_handled") else {
        return;
    };
    let handles = |request: &OpRequest| world.vip.handles(request);
    assert_eq!(handles(&request("start", &[("ip", VIP)])), Ok(true));
    let other = OpRequest {
        kind: "Dummy".into(),
        ..request("start", &[])
    };
    assert_eq!(handles(&other), Ok(false));
    let foreign = OpRequest {
        provider: Some("acme".into()),
        ..request("start", &[])
    };
    assert_eq!(handles(&foreign), Ok(false));
    let options = request("start", &[("ip", VIP), ("send_arp_opts", "-b")]);
    assert_eq!(
        handles(&options),
        Err("parameter send_arp_opts=-b is for the agent's program".to_owned())
    );
    let described = request("meta-data", &[("send_arp_opts", "-b")]);
    assert_eq!(handles(&described), Ok(true));
    assert!(
        world
            .vip
            .run(&described)
            .1
            .contains("<resource-agent name=\"IPaddr2\"")
    );
    assert!(NativeVip::meta_data("Dummy").is_none());
}
