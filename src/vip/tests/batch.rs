//! Many addresses at once.

use super::*;
use crate::executor::NativeAgent;

/// `count` requests for 10.7.1.1, 10.7.1.2 …, and every third for an IPv6 address.
fn requests(operation: &str, count: u8) -> Vec<OpRequest> {
    let of = |n: u8| {
        let (ip, prefix) = match n % 3 {
            0 => (format!("fd07::{n:x}"), "64"),
            _ => (format!("10.7.1.{n}"), "24"),
        };
        OpRequest {
            rsc: format!("ip{n}"),
            instance: format!("ip{n}"),
            interval_ms: if operation == "monitor" { 10_000 } else { 0 },
            ..request(
                operation,
                &[("ip", &ip), ("cidr_netmask", prefix), ("nic", "eth0")],
            )
        }
    };
    (1..=count).map(of).collect()
}

fn together(world: &World, requests: &[OpRequest]) -> Vec<Option<(i32, String)>> {
    let run = || world.vip.run_together(requests);
    world.near.run(run).unwrap()
}

#[test]
fn many_start_are_seen_and_stop_in_one_go() {
    let Some(world) = World::new("many_start_are_seen_and_stop_in_one_go") else {
        return;
    };
    let mut kernel = Kernel::open_in(&world.near).unwrap();
    let mut ours = || {
        let all = kernel.addresses().unwrap();
        let is_ours = |a: &&Address| match a.ip {
            IpAddr::V4(four) => four.octets()[..3] == [10, 7, 1],
            IpAddr::V6(six) => six.segments()[0] == 0xfd07,
        };
        all.iter().filter(is_ours).count()
    };
    let ear = world.ear();
    let results = together(&world, &requests("start", 200));
    assert!(results.iter().all(|r| *r == Some(OK)), "{results:?}");
    assert_eq!(world.vip.list().len(), 200);
    assert!(world.vip.list().iter().all(|held| held.announces >= 1));
    assert_eq!(ours(), 200);
    let heard = ear.next(PATIENCE).unwrap();
    assert!(heard.is_some(), "an announcement reaches the other machine");

    let results = together(&world, &requests("monitor", 200));
    assert!(results.iter().all(|r| *r == Some(OK)), "{results:?}");
    // Started twice is started.
    let results = together(&world, &requests("start", 3));
    assert_eq!(results, vec![Some(OK); 3]);

    let results = together(&world, &requests("stop", 200));
    assert!(results.iter().all(|r| *r == Some(OK)), "{results:?}");
    assert!(world.vip.list().is_empty());
    assert_eq!(ours(), 0);
    let results = together(&world, &requests("stop", 3));
    assert_eq!(results, vec![Some(OK); 3], "stopped twice is stopped");
}

#[test]
fn what_is_amiss_or_takes_time_runs_by_itself() {
    let Some(world) = World::new("what_is_amiss_or_takes_time_runs_by_itself") else {
        return;
    };
    let good = request("start", &[("ip", VIP)]);
    let alone = [
        request("start", &[("ip", "10.7.0")]),
        request("start", &[("ip", "192.0.2.1")]),
        request("start", &[("ip", "10.7.0.101"), ("nic", "eth7")]),
        request("start", &[("ip", "10.7.0.102"), ("arp_bg", "false")]),
        request(
            "start",
            &[
                ("ip", "fd07::1"),
                ("nic", "eth0"),
                ("cidr_netmask", "64"),
                ("nodad", "false"),
            ],
        ),
        OpRequest {
            interval_ms: 10_000,
            ..request("monitor", &[("ip", "10.7.0.103")])
        },
        request("validate-all", &[("ip", VIP)]),
    ];
    let all: Vec<OpRequest> = alone.iter().cloned().chain([good]).collect();
    let results = together(&world, &all);
    let (last, others) = results.split_last().unwrap();
    assert_eq!(*last, Some(OK), "one that is refused keeps no other away");
    for (request, result) in alone.iter().zip(others) {
        assert_eq!(*result, None, "{} {:?}", request.operation, request.params);
    }
}

/// A node that comes back is asked about every resource.
#[test]
fn probes_that_find_nothing_are_part_of_the_round() {
    let Some(world) = World::new("probes_that_find_nothing_are_part_of_the_round") else {
        return;
    };
    let probe = |monitor: OpRequest| OpRequest {
        interval_ms: 0,
        ..monitor
    };
    let probes: Vec<OpRequest> = requests("monitor", 3).into_iter().map(probe).collect();
    for result in together(&world, &probes) {
        let (rc, reason) = result.expect("in the round");
        assert_eq!(rc, 7, "{reason}");
        assert!(reason.ends_with("is not on eth0"), "{reason}");
    }
}

#[test]
fn a_monitor_that_wants_an_answer_runs_by_itself() {
    let Some(world) = World::new("a_monitor_that_wants_an_answer_runs_by_itself") else {
        return;
    };
    let old = |operation: &str, params: &[(&str, &str)]| OpRequest {
        kind: "IPaddr".into(),
        ..request(operation, params)
    };
    let address = ("ip", VIP);
    let results = together(&world, &[old("start", &[address, ("nic", "eth0")])]);
    assert_eq!(results, [Some(OK)]);
    for (level, result) in [("0", Some(OK)), ("10", None)] {
        let params = [address, ("nic", "eth0"), ("OCF_CHECK_LEVEL", level)];
        assert_eq!(together(&world, &[old("monitor", &params)]), [result]);
    }
}
