//! Who is not concerned notices nothing: routers and clients of an address that another node
//! holds, and other programs' tables.

use super::foreign::Foreign;
use super::*;
use crate::{RouteSpec, VethEnd, sysctl};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};

/// Client, a router in between with closed gates, and the holder behind it.
#[test]
fn a_router_and_a_client_of_anothers_address_go_on() {
    let test = "a_router_and_a_client_of_anothers_address_go_on";
    let Some([mut router, mut client]) = pair(test) else {
        return;
    };
    let Some((holder_ns, holder_kernel)) = machine(test) else {
        return;
    };
    let mut holder = Machine {
        netns: holder_ns,
        kernel: holder_kernel,
    };
    let inside = VethEnd::within("eth0", &holder.netns);
    router
        .kernel
        .add_veth(VethEnd::here("eth1"), inside)
        .unwrap();
    let index = holder.kernel.link("eth0").unwrap().index;
    holder.kernel.set_up(index, true).unwrap();
    let index = router.kernel.link("eth1").unwrap().index;
    router.kernel.set_up(index, true).unwrap();
    let (vip4, vip6) = (ip("10.8.0.100"), ip("fd78::100"));
    for (own, prefix) in [
        ("10.8.0.2", 24),
        ("fd78::2", 64),
        ("10.8.0.100", 24),
        ("fd78::100", 64),
    ] {
        give(&mut holder, ip(own), prefix);
    }
    for (own, prefix) in [("10.8.0.1", 24), ("fd78::1", 64)] {
        let mut spec = AddressSpec::new(index, ip(own), prefix);
        spec.nodad = true;
        router.kernel.add_address(&spec).unwrap();
    }
    give(&mut router, NEAR6.into(), 64);
    give(&mut client, FAR6.into(), 64);
    for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        let set = router.netns.run(|| sysctl::set(key, "1")).unwrap();
        assert!(!matches!(set, sysctl::Set::Failed(_)), "{set:?}");
    }
    for gateway in [IpAddr::from(NEAR4), NEAR6.into()] {
        let route = RouteSpec::default_via(gateway);
        client.kernel.add_route(&route).unwrap();
    }
    for gateway in [ip("10.8.0.1"), ip("fd78::1")] {
        let route = RouteSpec::default_via(gateway);
        holder.kernel.add_route(&route).unwrap();
    }
    let mut gates = full(&router.netns);
    gates.guard(&BTreeSet::from([vip4, vip6])).unwrap();
    gates
        .attach(&BTreeSet::from(["eth0".into(), "eth1".into()]))
        .unwrap();
    for vip in [vip4, vip6] {
        let serve = || UdpSocket::bind((vip, 7000)).unwrap();
        let server = holder.netns.run(serve).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| echo(&server, &done));
            let _end = Ends(&done);
            asks(&client.netns, vip);
            asks(&router.netns, vip);
        });
    }
    for chain in ["prerouting", "input", "output", "postrouting"] {
        assert_eq!(dropped(&mut gates, (Family::Inet, chain)), 0, "{chain}");
    }
    assert_eq!(dropped(&mut gates, (Family::Arp, "output")), 0);
    assert_eq!(dropped(&mut gates, (Family::Netdev, "announce")), 0);
}

/// Ends the server also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn echo(server: &UdpSocket, done: &AtomicBool) {
    server.set_read_timeout(Some(AGAIN)).unwrap();
    let mut buffer = [0; 8];
    while !done.load(Ordering::Relaxed) {
        if let Ok((len, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..len], from).unwrap();
        }
    }
}

fn asks(netns: &NetNs, vip: IpAddr) {
    let any: IpAddr = if vip.is_ipv4() {
        ip("0.0.0.0")
    } else {
        ip("::")
    };
    let socket = netns.run(|| UdpSocket::bind((any, 0)).unwrap()).unwrap();
    socket.connect((vip, 7000)).unwrap();
    socket.set_read_timeout(Some(ms(200))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // A router may have to look for its neighbours first.
    loop {
        socket.send(b"ask").unwrap();
        if socket.recv(&mut [0; 8]).is_ok() {
            return;
        }
        assert!(Instant::now() < deadline, "no answer from {vip}");
    }
}

#[test]
fn foreign_tables_stay_as_they_are() {
    let Some((netns, mut kernel)) = machine("foreign_tables_stay_as_they_are") else {
        return;
    };
    let mut foreign = Foreign::open(&netns);
    foreign.add_chain("elsewhere", "filter", 0, -500);
    foreign.add_rule("elsewhere", 0, |list| {
        super::super::expression::expression(list, "counter", |_| {});
    });
    let before = foreign.seen("elsewhere");
    assert_eq!(before.len(), 3);
    let mut gates = full(&netns);
    gates.guard(&both()).unwrap();
    gates.attach(&BTreeSet::from(["lo".into()])).unwrap();
    gates.arm(&[(VIP4.into(), LONG)]).unwrap();
    gates.repair().unwrap();
    gates.lower().unwrap();
    assert_eq!(foreign.seen("elsewhere"), before);
    assert_eq!(
        foreign.seen("mainstay").len(),
        0,
        "all is gone after lowering"
    );
    assert!(kernel.links().unwrap().iter().any(|link| link.name == "lo"));
}
