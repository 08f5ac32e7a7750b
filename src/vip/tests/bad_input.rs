//! What cannot work: a clear reason, the right exit code, nothing left half done.

use super::*;
use netlink::sysctl;
use std::process::{Command, Stdio};

impl World {
    /// Address, link states and held table, to see that nothing changed.
    fn state(&mut self) -> Vec<String> {
        let mut state: Vec<String> = Vec::new();
        for link in self.kernel.links().unwrap() {
            state.push(format!("{} {}", link.name, link.up));
        }
        for a in self.kernel.addresses().unwrap() {
            // The kernel's own link-local addresses come when they come.
            if !matches!(a.ip, IpAddr::V6(six) if six.is_unicast_link_local()) {
                state.push(format!("{}/{} {}", a.ip, a.prefix, a.index));
            }
        }
        state.extend(self.vip.list().iter().map(|held| held.resource.clone()));
        state
    }

    /// A start that asks for another holder for so many milliseconds first.
    fn start_that_asks_for_ms(&self, ms: u64, params: &[(&str, &str)]) -> (i32, String) {
        let mut start = request("start", params);
        start.meta.insert(ASK_FIRST_MS.to_owned(), ms.to_string());
        self.near.run(|| self.vip.run(&start)).unwrap()
    }
}

#[test]
fn an_address_on_another_interface_is_not_given_a_second_place() {
    let Some(mut world) = World::new("an_address_on_another_interface") else {
        return;
    };
    let eth1 = world.index("eth1");
    let spec = AddressSpec::new(eth1, VIP.parse().unwrap(), 32);
    world.kernel.add_address(&spec).unwrap();
    let before = world.state();
    let (code, reason) = world.run("start", &[("ip", VIP), ("nic", "eth0")]);
    assert_eq!(code, rc::GENERIC);
    let expect = "10.7.0.100/32 is on eth1 already and would have two places on this node: \
                  ip address delete 10.7.0.100/32 dev eth1, or set nic=eth1";
    assert_eq!(reason, expect);
    assert_eq!(world.state(), before);
    // A copy on the loopback is what load balancers' targets have.
    world
        .kernel
        .delete_address(eth1, VIP.parse().unwrap(), 32)
        .unwrap();
    let lo = world.index("lo");
    world
        .kernel
        .add_address(&AddressSpec::new(lo, VIP.parse().unwrap(), 32))
        .unwrap();
    assert_eq!(world.run("start", &[("ip", VIP)]), OK);
}

#[test]
fn an_address_on_another_host_fails_the_start_that_was_told_to_ask() {
    let Some(mut world) = World::new("an_address_on_another_host") else {
        return;
    };
    let mut peer = Kernel::open_in(&world.far).unwrap();
    let eth0 = peer.link("eth0").unwrap();
    for params in [
        &[("ip", VIP), ("nic", "eth0")][..],
        &[("ip", "fd77::100"), ("nic", "eth0"), ("cidr_netmask", "64")],
    ] {
        let ip: IpAddr = params[0].1.parse().unwrap();
        let prefix = if ip.is_ipv4() { 24 } else { 64 };
        let spec = AddressSpec {
            nodad: true,
            ..AddressSpec::new(eth0.index, ip, prefix)
        };
        peer.add_address(&spec).unwrap();
        let before = world.state();
        // Long: the kernel of the other joins the group that is asked a moment later.
        let (code, reason) = world.start_that_asks_for_ms(3_000, params);
        assert_eq!(code, rc::GENERIC, "{reason}");
        let mac = eth0.mac.unwrap();
        let expect = format!("{ip} is in use already: {mac} answers for it on eth0");
        assert!(reason.starts_with(&expect), "{reason}");
        assert_eq!(world.state(), before);
        peer.delete_address(eth0.index, ip, prefix).unwrap();
        assert_eq!(
            world.start_that_asks_for_ms(30, params),
            OK,
            "nobody answers"
        );
        assert_eq!(world.run("stop", params), OK);
    }
}

#[test]
fn ipv6_that_is_switched_off_is_named() {
    let Some(mut world) = World::new("ipv6_that_is_switched_off") else {
        return;
    };
    let key = "net/ipv6/conf/eth0/disable_ipv6";
    world.near.run(|| sysctl::set(key, "1")).unwrap();
    let params = &[("ip", "fd77::100"), ("nic", "eth0"), ("cidr_netmask", "64")];
    let before = world.state();
    let (code, reason) = world.run("start", params);
    assert_eq!(code, rc::GENERIC);
    let expect = "IPv6 is switched off on eth0: set net/ipv6/conf/eth0/disable_ipv6 to 0 (sysctl)";
    assert_eq!(reason, expect);
    assert_eq!(world.state(), before);
    assert_eq!(world.run("monitor", params).0, rc::NOT_RUNNING);
    assert_eq!(world.run("stop", params), OK);
    world.near.run(|| sysctl::set(key, "0")).unwrap();
    assert_eq!(world.run("start", params), OK);
}

/// Between the look for the place and the adding of the address.
#[test]
fn an_interface_that_vanishes_during_the_start_is_named() {
    let Some(mut world) = World::new("an_interface_that_vanishes_during") else {
        return;
    };
    let pairs = &[
        ("ip", "172.16.5.9"),
        ("nic", "eth1"),
        ("cidr_netmask", "24"),
    ];
    let asked = request("start", pairs);
    let (settings, place) = world.vip.validate(Agent::IPaddr2, &asked).unwrap();
    let eth1 = world.index("eth1");
    world.kernel.delete_link(eth1).unwrap();
    let before = world.state();
    let refusal = world.vip.add(&asked, &settings, &place, None).unwrap_err();
    assert_eq!(refusal.rc, rc::GENERIC);
    assert!(
        refusal.reason.contains("172.16.5.9/24 on link #"),
        "{}",
        refusal.reason
    );
    let (code, reason) = world.run("start", pairs);
    assert_eq!(code, rc::CONFIGURED);
    assert!(
        reason.contains("no interface eth1 on this node"),
        "{reason}"
    );
    assert_eq!(world.run("stop", pairs), OK);
    assert_eq!(world.state(), before);
}

/// Whatever comes first, the end is one of two clean states.
#[test]
fn an_interface_that_comes_and_goes_leaves_no_half_start() {
    let Some(mut world) = World::new("an_interface_that_comes_and_goes") else {
        return;
    };
    let pairs = &[
        ("ip", "172.16.5.9"),
        ("nic", "dum0"),
        ("cidr_netmask", "24"),
    ];
    let flapping = std::sync::atomic::AtomicBool::new(true);
    let mut kernel = Kernel::open_in(&world.near).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while flapping.load(std::sync::atomic::Ordering::Relaxed) {
                let (near, far) = (VethEnd::here("dum0"), VethEnd::here("dum1"));
                kernel.add_veth(near, far).unwrap();
                for name in ["dum1", "dum0"] {
                    let index = kernel.link(name).unwrap().index;
                    kernel.set_up(index, true).unwrap();
                }
                std::thread::sleep(Duration::from_micros(300));
                let index = kernel.link("dum0").unwrap().index;
                kernel.delete_link(index).unwrap();
            }
        });
        for _ in 0..60 {
            let (code, reason) = world.run("start", pairs);
            assert!(
                code == rc::OK
                    || (matches!(code, rc::GENERIC | rc::CONFIGURED) && !reason.is_empty()),
                "{code} {reason}"
            );
            let (code, reason) = world.run("stop", pairs);
            assert_eq!(code, rc::OK, "{reason}");
        }
        flapping.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(world.vip.list().is_empty());
    assert_eq!(world.shown("172.16.5.9"), [""; 0]);
}

/// Runs itself once more without the right to change the network.
#[test]
fn without_the_right_to_change_the_network_the_reason_says_so() {
    let test = "without_the_right_to_change_the_network";
    if std::env::var_os(POWERLESS).is_some() {
        return powerless();
    }
    let thread = std::thread::current();
    let Some(name) = thread.name().filter(|name| name.contains("::")) else {
        return println!("SKIPPED {test}: single test thread");
    };
    let output = Command::new("setpriv")
        .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(POWERLESS, "1")
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        return println!("SKIPPED {test}: no setpriv(1)");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("setpriv:") {
        return println!("SKIPPED {test}: {errors}");
    }
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{errors}"
    );
}

fn powerless() {
    let Ok(netns) = NetNs::create() else {
        return println!("no namespace");
    };
    let vip = netns.run(NativeVip::new).unwrap().unwrap();
    let params = &[("ip", "127.0.0.9"), ("nic", "lo"), ("cidr_netmask", "8")];
    let run = |operation: &str| netns.run(|| vip.run(&request(operation, params))).unwrap();
    let (code, reason) = run("start");
    assert_eq!(code, rc::PERM, "{reason}");
    assert!(reason.contains("needs root or CAP_NET_ADMIN"), "{reason}");
    assert_eq!(run("monitor").0, rc::NOT_RUNNING);
    assert_eq!(run("stop"), OK);
    assert!(vip.list().is_empty());
}

const POWERLESS: &str = "MAINSTAY_TEST_WITHOUT_NET_ADMIN";
