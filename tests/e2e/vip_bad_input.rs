//! What people get wrong with a floating IP, and what their machine does to it: through a whole
//! daemon each ends as a failure with a reason that names the thing and the cure, and the code that
//! the agent would give; nothing is left half done, and what was amiss mended the address starts.

use crate::cluster::{Cluster, PATIENCE, brief, resource, started_on};
use crate::config::{Primitive, add, plain};
use mainstay::lab::VIP;
use std::net::IpAddr;

const NODE: &str = "node1";
/// OCF codes (the OCF resource agent API): generic, permission, configuration.
const GENERIC: i32 = 1;
const PERM: i32 = 4;
const CONFIGURED: i32 = 6;

/// A node alone, with what `daemon` names as its daemon.
fn alone(test: &str, daemon: &[&str]) -> Option<Cluster> {
    let c = Cluster::up(test, 1, |o| {
        o.daemon = daemon.iter().map(|&word| word.to_owned()).collect();
    })?;
    c.must_edit(NODE, plain);
    Some(c)
}

fn address(ip: &str, params: &[(&str, &str)]) -> Primitive {
    let ip = Primitive::new("ip", "ocf:heartbeat:IPaddr2").param("ip", ip);
    let ip = params.iter().fold(ip, |ip, (name, v)| ip.param(name, v));
    ip.op("monitor", "1s", "20s")
}

/// Waits until `ip` has failed with this code and all of these words, and runs nowhere; crm_mon
/// says it, too.
fn wait_refused(c: &Cluster, rc: i32, words: &[&str]) {
    c.wait_for(NODE, &format!("ip to fail with {rc}: {words:?}"), |s| {
        let failures = resource(s, "ip").map(|r| r.failures.clone());
        let failures = failures.unwrap_or_default();
        let is_it = failures
            .iter()
            .any(|f| f.rc == rc && words.iter().all(|w| f.exit_reason.contains(w)));
        match is_it && started_on(s, "ip").is_empty() {
            true => Ok(()),
            false => Err(format!("{failures:?}; {}", brief(s))),
        }
    });
    let shown = c.run(NODE, "crm_mon -1rf");
    for word in words {
        assert!(shown.contains(word), "expected {word:?} in: {shown}");
    }
}

/// Once what was amiss is mended, a cleanup is all it takes.
fn starts_after_cleanup(c: &Cluster) {
    c.run(NODE, "crm resource cleanup ip");
    assert_eq!(c.wait_started(NODE, "ip", None), NODE);
}

/// Every address in the node's kernel, but those that come when they come.
fn addresses(c: &Cluster) -> Vec<String> {
    let shown = c.run(NODE, "ip -br address show");
    let words = shown.split_ascii_whitespace().filter(|w| w.contains('/'));
    let lasting = words.filter(|w| !w.starts_with("fe80:"));
    lasting.map(str::to_owned).collect()
}

/// A second interface, up, whose other end is `wall`.
fn second_interface(c: &Cluster, address: &str) {
    c.run(
        NODE,
        &format!(
            "ip link add lan type veth peer name wall && ip link set wall up \
             && ip link set lan up && ip addr add {address} dev lan"
        ),
    );
}

#[test]
fn an_address_that_is_on_another_interface_is_refused_a_second_place() {
    let test = "an_address_that_is_on_another_interface_is_refused_a_second_place";
    let Some(c) = alone(test, &["mainstayd"]) else {
        return;
    };
    second_interface(&c, &format!("{VIP}/32"));
    let before = addresses(&c);
    c.must_edit(NODE, |cib| {
        add(cib, address(&VIP.to_string(), &[("nic", "eth0")]));
    });
    let words = ["is on lan already", "ip address delete", "set nic=lan"];
    wait_refused(&c, GENERIC, &words);
    assert_eq!(addresses(&c), before);
    c.run(NODE, &format!("ip address delete {VIP}/32 dev lan"));
    starts_after_cleanup(&c);
}

#[test]
fn an_address_that_another_host_has_is_told_with_its_hardware_address() {
    let test = "an_address_that_another_host_has_is_told_with_its_hardware_address";
    let Some(c) = alone(test, &["mainstayd"]) else {
        return;
    };
    let before = addresses(&c);
    let mac = foreign_holder(&c);
    c.must_edit(NODE, |cib| add(cib, address(&VIP.to_string(), &[])));
    // It was never anybody's here: the network is asked before it is used.
    wait_refused(&c, GENERIC, &[&mac]);
    assert_eq!(addresses(&c), before);
    assert_eq!(
        c.run(NODE, "mainstay vip | head -1"),
        "No floating address is up.\n"
    );
    let mon = c.run(NODE, "crm_mon -1rf");
    assert!(mon.contains(&mac), "{mon}");
    // Tried again it is asked for again.
    c.run(NODE, "crm resource cleanup ip");
    wait_refused(&c, GENERIC, &[&mac]);
    assert_eq!(addresses(&c), before);
    // Also by a DC that does not remember the first time.
    c.stop_daemon(NODE, PATIENCE).unwrap();
    c.start_daemon(NODE).unwrap();
    c.wait_online();
    wait_refused(&c, GENERIC, &[&mac]);
    assert_eq!(addresses(&c), before);
}

#[test]
fn an_address_whose_resource_was_deleted_is_asked_for_anew() {
    let test = "an_address_whose_resource_was_deleted_is_asked_for_anew";
    let Some(c) = alone(test, &["mainstayd"]) else {
        return;
    };
    let before = addresses(&c);
    c.must_edit(NODE, |cib| add(cib, address(&VIP.to_string(), &[])));
    c.wait_started(NODE, "ip", None);
    c.run(
        NODE,
        "crm -w resource stop ip && crm -w configure delete ip",
    );
    c.wait_idle(NODE);
    assert_eq!(addresses(&c), before);
    // Meanwhile it is somebody else's.
    let mac = foreign_holder(&c);
    c.must_edit(NODE, |cib| add(cib, address(&VIP.to_string(), &[])));
    wait_refused(&c, GENERIC, &[&mac]);
    assert_eq!(addresses(&c), before);
}

/// Gives the floating IP to the client, who is no member; its hardware address.
fn foreign_holder(c: &Cluster) -> String {
    let client = c.client().unwrap();
    let netns = netlink::NetNs::of_pid(client.pid.unsigned_abs()).unwrap();
    let mut kernel = netlink::Kernel::open_in(&netns).unwrap();
    let eth0 = kernel.link("eth0").unwrap();
    let spec = netlink::AddressSpec::new(eth0.index, VIP, 24);
    kernel.add_address(&spec).unwrap();
    eth0.mac.unwrap().to_string()
}

#[test]
fn an_address_in_no_network_of_the_node_names_those_there_are() {
    let test = "an_address_in_no_network_of_the_node_names_those_there_are";
    let Some(c) = alone(test, &["mainstayd"]) else {
        return;
    };
    let before = addresses(&c);
    c.must_edit(NODE, |cib| add(cib, address("192.168.99.7", &[])));
    let words = [
        "192.168.99.7",
        "no connected network",
        "10.77.0.0/24 on eth0",
    ];
    // As the packaged agent: a network may come later, or be there on another node.
    wait_refused(&c, GENERIC, &words);
    assert_eq!(addresses(&c), before);
    second_interface(&c, "192.168.99.1/24");
    starts_after_cleanup(&c);
}

#[test]
fn a_prefix_that_cannot_be_is_named() {
    let test = "a_prefix_that_cannot_be_is_named";
    let Some(c) = alone(test, &["mainstayd"]) else {
        return;
    };
    let before = addresses(&c);
    c.must_edit(NODE, |cib| {
        add(cib, address(&VIP.to_string(), &[("cidr_netmask", "33")]));
    });
    wait_refused(&c, CONFIGURED, &["cidr_netmask", "33"]);
    assert_eq!(addresses(&c), before);
    c.run(NODE, "crm resource param ip set cidr_netmask 24");
    starts_after_cleanup(&c);
}

#[test]
fn an_interface_that_comes_and_goes_leaves_a_reason_and_nothing_else() {
    let test = "an_interface_that_comes_and_goes_leaves_a_reason_and_nothing_else";
    let Some(c) = alone(test, &["mainstayd"]) else {
        return;
    };
    let before = addresses(&c);
    // It is there for some milliseconds, again and again, while the address is started on it.
    let flapping = "for i in $(seq 40); do ip link add lan type veth peer name wall \
                    && ip link set wall up && ip link set lan up; ip link del lan; done";
    c.must_edit(NODE, |cib| {
        let params = [("nic", "lan"), ("cidr_netmask", "24")];
        add(cib, address("172.16.5.9", &params));
    });
    std::thread::scope(|scope| {
        let at_it = scope.spawn(|| c.run(NODE, flapping));
        while !at_it.is_finished() {
            c.run(NODE, "crm resource cleanup ip");
            c.wait_idle(NODE);
        }
        at_it.join().unwrap();
    });
    c.run(NODE, "crm resource cleanup ip");
    wait_refused(&c, CONFIGURED, &["no interface lan", "eth0"]);
    assert_eq!(addresses(&c), before);
    second_interface(&c, "172.16.5.1/24");
    starts_after_cleanup(&c);
}

#[test]
fn without_the_right_to_change_the_network_every_start_says_so() {
    let test = "without_the_right_to_change_the_network_every_start_says_so";
    // util-linux is on every machine that has mount(8).
    let powerless = [
        "setpriv",
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
        "mainstayd",
    ];
    let Some(c) = alone(test, &powerless) else {
        return;
    };
    let before = addresses(&c);
    c.must_edit(NODE, |cib| add(cib, address(&VIP.to_string(), &[])));
    wait_refused(&c, PERM, &["CAP_NET_ADMIN"]);
    assert_eq!(addresses(&c), before);
    assert_eq!(c.run(NODE, "nft list tables").trim(), "");
}

#[test]
fn ipv6_that_is_switched_off_is_named_with_its_switch() {
    let test = "ipv6_that_is_switched_off_is_named_with_its_switch";
    let Some(c) = alone(test, &["mainstayd"]) else {
        return;
    };
    let switch = "/proc/sys/net/ipv6/conf/eth0/disable_ipv6";
    c.run(NODE, &format!("echo 1 > {switch}"));
    let before = addresses(&c);
    let params = [("nic", "eth0"), ("cidr_netmask", "64")];
    c.must_edit(NODE, |cib| add(cib, address("fd77::10", &params)));
    wait_refused(
        &c,
        GENERIC,
        &["IPv6 is switched off on eth0", "disable_ipv6"],
    );
    assert_eq!(addresses(&c), before);
    c.run(NODE, &format!("echo 0 > {switch}"));
    starts_after_cleanup(&c);
    let six: IpAddr = "fd77::10".parse().unwrap();
    assert_eq!(c.holders(six).unwrap(), [NODE]);
}
