//! Who is served: clients on the same network, which remember where the address lived, and clients
//! behind a router, which remembers it for them.
//!
//! Their kernels are told to believe what they know for an hour, so that only an announcement can
//! change it. The former holder disappears without a word: its cable is pulled.

use super::*;
use netlink::probe::EchoProbe;
use netlink::{Mac, RouteSpec, sysctl};
use std::process::Command;

const SIX: &str = "fd77::100";

/// A machine with `eth0` on the switch.
struct Host {
    netns: NetNs,
    kernel: Kernel,
}

impl Host {
    fn new(test: &str, hub: &mut Kernel, bridge: u32, port: &str) -> Option<Self> {
        let netns = space(test)?;
        let mut kernel = Kernel::open_in(&netns).unwrap();
        kernel.loopback_up().unwrap();
        hub.add_veth(VethEnd::here(port), VethEnd::within("eth0", &netns))
            .unwrap();
        let index = hub.link(port).unwrap().index;
        hub.set_bridge(index, Some(bridge)).unwrap();
        hub.set_up(index, true).unwrap();
        let mut host = Self { netns, kernel };
        host.up("eth0");
        Some(host)
    }

    fn up(&mut self, nic: &str) {
        let index = self.kernel.link(nic).unwrap().index;
        self.kernel.set_up(index, true).unwrap();
    }

    fn address(&mut self, nic: &str, ip: &str, prefix: u8) {
        let index = self.kernel.link(nic).unwrap().index;
        let spec = AddressSpec {
            nodad: true,
            ..AddressSpec::new(index, ip.parse().unwrap(), prefix)
        };
        self.kernel.add_address(&spec).unwrap();
    }

    fn way_out(&mut self, gateway: &str) {
        let route = RouteSpec::default_via(gateway.parse().unwrap());
        self.kernel.add_route(&route).unwrap();
    }

    /// The second node's own addresses and ways out go to another interface.
    fn move_in(&mut self, nic: &str) {
        let eth0 = self.kernel.link("eth0").unwrap().index;
        for (ip, prefix, gateway) in [("10.7.0.2", 24, "10.7.0.254"), ("fd77::2", 64, "fd77::fe")] {
            let old = RouteSpec::default_via(gateway.parse().unwrap());
            self.kernel.delete_route(&old).unwrap();
            self.kernel
                .delete_address(eth0, ip.parse().unwrap(), prefix)
                .unwrap();
            self.up(nic);
            self.address(nic, ip, prefix);
            self.way_out(gateway);
        }
    }

    /// What it knows of its neighbours it believes for an hour.
    fn trust(&self) {
        let set = || {
            for family in ["ipv4", "ipv6"] {
                for (key, value) in [
                    ("base_reachable_time_ms", "3600000"),
                    ("delay_first_probe_time", "3600"),
                ] {
                    let key = format!("net/{family}/neigh/eth0/{key}");
                    let set = sysctl::set(&key, value);
                    assert!(!matches!(set, sysctl::Set::Failed(_)), "{set:?}");
                }
            }
        };
        self.netns.run(set).unwrap();
    }

    fn knows(&mut self, ip: &str) -> Option<Mac> {
        let ip: IpAddr = ip.parse().unwrap();
        let known = self.kernel.neighbours().unwrap();
        known.into_iter().find(|n| n.ip == ip).map(|n| n.mac)
    }
}

fn space(test: &str) -> Option<NetNs> {
    match NetNs::create() {
        Ok(netns) => Some(netns),
        Err(error) => {
            rights::elsewhere(test, &error.to_string());
            None
        }
    }
}

/// Two nodes, a client and a router on a switch; another client behind the router.
struct Town {
    hub: Kernel,
    _hub_space: NetNs,
    nodes: [Host; 2],
    client: Host,
    router: Host,
    remote: Host,
}

impl Town {
    fn new(test: &str) -> Option<Self> {
        let hub_space = space(test)?;
        let mut hub = Kernel::open_in(&hub_space).unwrap();
        let bridge = hub.add_bridge("br0").unwrap();
        hub.set_up(bridge, true).unwrap();
        let mut host = |port: &str| Host::new(test, &mut hub, bridge, port);
        let mut nodes = [host("node1")?, host("node2")?];
        let (mut client, mut router) = (host("client")?, host("router")?);
        let mut remote = Host {
            netns: space(test)?,
            kernel: Kernel::open().unwrap(),
        };
        remote.kernel = Kernel::open_in(&remote.netns).unwrap();
        let (near, far) = (
            VethEnd::here("eth1"),
            VethEnd::within("eth0", &remote.netns),
        );
        router.kernel.add_veth(near, far).unwrap();
        router.up("eth1");
        remote.up("eth0");
        for (n, node) in (1..).zip(&mut nodes) {
            node.address("eth0", &format!("10.7.0.{n}"), 24);
            node.address("eth0", &format!("fd77::{n}"), 64);
            node.way_out("10.7.0.254");
            node.way_out("fd77::fe");
        }
        client.address("eth0", "10.7.0.9", 24);
        client.address("eth0", "fd77::9", 64);
        for (nic, four, six) in [
            ("eth0", "10.7.0.254", "fd77::fe"),
            ("eth1", "10.8.0.254", "fd88::fe"),
        ] {
            router.address(nic, four, 24);
            router.address(nic, six, 64);
        }
        remote.address("eth0", "10.8.0.9", 24);
        remote.address("eth0", "fd88::9", 64);
        remote.way_out("10.8.0.254");
        remote.way_out("fd88::fe");
        let forward = || {
            sysctl::set("net/ipv4/ip_forward", "1");
            sysctl::set("net/ipv6/conf/all/forwarding", "1");
        };
        router.netns.run(forward).unwrap();
        client.trust();
        router.trust();
        Some(Self {
            hub,
            _hub_space: hub_space,
            nodes,
            client,
            router,
            remote,
        })
    }

    fn cable(&mut self, port: &str, up: bool) {
        let index = self.hub.link(port).unwrap().index;
        self.hub.set_up(index, up).unwrap();
    }
}

fn params<'a>(ip: &'a str, nic: &'a str) -> [(&'a str, &'a str); 3] {
    let prefix = if ip.contains(':') { "64" } else { "24" };
    [("ip", ip), ("nic", nic), ("cidr_netmask", prefix)]
}

/// Moves both addresses from the first node to `nic` of the second and looks at the clients.
fn moves_to(test: &str, town: &mut Town, nic: &str) {
    let holders: Vec<NativeVip> = town
        .nodes
        .iter()
        .map(|node| node.netns.run(NativeVip::new).unwrap().unwrap())
        .collect();
    let start = |town: &Town, n: usize, ip: &str, nic: &str| {
        let asked = OpRequest {
            rsc: format!("vip-{ip}"),
            ..request("start", &params(ip, nic))
        };
        town.nodes[n].netns.run(|| holders[n].run(&asked)).unwrap()
    };
    for ip in [VIP, SIX] {
        let target = ip.parse().unwrap();
        let tick = Duration::from_millis(1);
        assert_eq!(start(town, 0, ip, "eth0"), OK);
        let near = EchoProbe::start(Some(&town.client.netns), target, tick).unwrap();
        let far = EchoProbe::start(Some(&town.remote.netns), target, tick).unwrap();
        let old = town.nodes[0].kernel.link("eth0").unwrap().mac;
        for probe in [&near, &far] {
            let begin = Instant::now();
            assert!(
                probe.wait_for_answer(begin, PATIENCE).is_some(),
                "{nic} {ip}"
            );
        }
        assert_eq!(
            (town.client.knows(ip), town.router.knows(ip)),
            (old, old),
            "{ip}"
        );
        town.cable("node1", false);
        let cut = Instant::now() + Duration::from_millis(20);
        std::thread::sleep(Duration::from_millis(40));
        assert_eq!(
            near.wait_for_answer(cut, tick),
            None,
            "nobody answers any more"
        );

        let begin = Instant::now();
        assert_eq!(start(town, 1, ip, nic), OK);
        let new = town.nodes[1].kernel.link(nic).unwrap().mac;
        for (who, probe) in [("on the network", &near), ("behind the router", &far)] {
            let answer = probe.wait_for_answer(begin, PATIENCE);
            let answer = answer.unwrap_or_else(|| panic!("{nic} {ip}: silence {who}"));
            let after = answer - begin;
            println!(
                "{test} {nic} {ip}: first answer {who} {} us after the decision",
                after.as_micros()
            );
        }
        assert_eq!(
            (town.client.knows(ip), town.router.knows(ip)),
            (new, new),
            "{ip}"
        );
        drop((near, far));
        let stop = OpRequest {
            rsc: format!("vip-{ip}"),
            ..request("stop", &params(ip, nic))
        };
        for (node, holder) in town.nodes.iter().zip(&holders) {
            assert_eq!(node.netns.run(|| holder.run(&stop)).unwrap(), OK);
        }
        town.cable("node1", true);
    }
}

#[test]
fn clients_reach_the_new_holder_at_once() {
    let test = "clients_reach_the_new_holder_at_once";
    let Some(mut town) = Town::new(test) else {
        return;
    };
    moves_to(test, &mut town, "eth0");
}

/// What the other tests show is the announcement's doing.
#[test]
fn without_an_announcement_clients_stay_with_the_former_holder() {
    let test = "without_an_announcement_clients_stay";
    let Some(mut town) = Town::new(test) else {
        return;
    };
    let target = VIP.parse().unwrap();
    town.nodes[0].address("eth0", VIP, 24);
    let probe = EchoProbe::start(Some(&town.client.netns), target, Duration::from_millis(1));
    let probe = probe.unwrap();
    assert!(probe.wait_for_answer(Instant::now(), PATIENCE).is_some());
    town.cable("node1", false);
    let vip = town.nodes[1].netns.run(NativeVip::new).unwrap().unwrap();
    vip.announce_only_if(Box::new(|_| false));
    let start = request("start", &params(VIP, "eth0"));
    assert_eq!(town.nodes[1].netns.run(|| vip.run(&start)).unwrap(), OK);
    let begin = Instant::now() + Duration::from_millis(20);
    assert_eq!(
        probe.wait_for_answer(begin, Duration::from_millis(300)),
        None
    );
}

/// The address on a bridge of the node's own, as with virtual machines beside it.
#[test]
fn clients_reach_an_address_on_a_bridge() {
    let test = "clients_reach_an_address_on_a_bridge";
    let Some(mut town) = Town::new(test) else {
        return;
    };
    let node = &mut town.nodes[1];
    let bridge = node.kernel.add_bridge("br0").unwrap();
    let eth0 = node.kernel.link("eth0").unwrap().index;
    node.kernel.set_bridge(eth0, Some(bridge)).unwrap();
    node.move_in("br0");
    moves_to(test, &mut town, "br0");
}

#[test]
fn clients_reach_an_address_on_a_macvlan() {
    let test = "clients_reach_an_address_on_a_macvlan";
    let Some(mut town) = Town::new(test) else {
        return;
    };
    let node = &mut town.nodes[1];
    let words = "link add link eth0 name mv0 type macvlan mode bridge";
    let add = || Command::new("ip").args(words.split(' ')).output();
    match node.netns.run(add).unwrap() {
        Ok(output) if output.status.success() => {}
        other => return println!("SKIPPED {test}: {other:?}"),
    }
    node.move_in("mv0");
    moves_to(test, &mut town, "mv0");
}
