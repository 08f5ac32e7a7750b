//! Cuts, losses, links and timeouts (R0, R9).

use super::*;

#[test]
fn a_minority_stops_and_a_majority_goes_on() {
    let mut c = Cluster::running(5, 6);
    let old = c.dc().unwrap();
    let friend = other_than(&c, old);
    let rest: Vec<u32> = (1..=5).filter(|id| *id != old && *id != friend).collect();
    for id in &rest {
        c.cut_both(*id, old);
        c.cut_both(*id, friend);
    }
    c.propose(old, 1, b"minority");
    c.run(1_000 * MS);
    let dcs = c.dcs();
    assert_eq!(dcs.len(), 1, "{}", c.picture());
    assert!(rest.contains(&dcs[0]));
    assert!(
        !c.status(old).quorate && !c.status(friend).quorate,
        "{}",
        c.picture()
    );
    c.propose(dcs[0], 2, b"majority");
    c.run(100 * MS);
    assert!(matches!(c.outcome(dcs[0], 2), Some(Ok(_))));
    assert_eq!(c.outcome(old, 1), None);
    c.heal();
    let took = c.settle();
    assert!(took < 1_000 * MS, "healed in {} ms", took / MS);
    everywhere(&mut c, b"majority");
    // The minority's write either made it once everywhere or nowhere so far: its name was kept.
    everywhere(&mut c, b"minority");
    for node in c.nodes.values() {
        assert_eq!(
            node.app
                .applied
                .iter()
                .filter(|(_, p)| p == b"minority")
                .count(),
            1
        );
    }
}

#[test]
fn a_one_way_cut_neither_raises_ballots_nor_flaps() {
    let mut c = Cluster::running(3, 7);
    let dc = c.dc().unwrap();
    let deaf = other_than(&c, dc);
    c.cut.insert((dc, deaf));
    c.run(5_000 * MS);
    assert_eq!(c.dc(), Some(dc), "{}", c.picture());
    let promised: Vec<Ballot> = c.alive().iter().map(|id| c.status(*id).promised).collect();
    assert!(promised.iter().all(|b| *b == promised[0]), "{promised:?}");
    let view_no = c.status(dc).view.view_no;
    c.run(10_000 * MS);
    assert!(c.status(dc).view.view_no <= view_no + 1, "{}", c.picture());
    c.heal();
    c.settle();
}

#[test]
fn an_isolated_dc_stops_before_the_others_elect() {
    for seed in 0..10 {
        let mut c = Cluster::running(3, 800 + seed);
        c.watch = Some(|c| {
            assert!(
                c.dcs().len() < 2,
                "two DCs act at {}\n{}",
                c.now,
                c.picture()
            )
        });
        let old = c.dc().unwrap();
        c.isolate(old);
        c.run(2_000 * MS);
        assert_ne!(c.dc(), Some(old));
        assert!(c.dc().is_some());
        c.heal();
        c.settle();
    }
}

#[test]
fn losses_do_not_change_views() {
    let mut c = Cluster::running(3, 25);
    c.loss_percent = 5;
    let view_no = c.status(1).view.view_no;
    c.run(60_000 * MS);
    assert_eq!(c.status(1).view.view_no, view_no, "{}", c.picture());
}

#[test]
fn an_idle_cluster_is_quiet() {
    let mut c = Cluster::running(3, 26);
    let before = c.sent_packets;
    c.run(10_000 * MS);
    let per_second = (c.sent_packets - before) / 10;
    // 3 nodes x 2 peers x 20 beats, each answered.
    assert!(per_second <= 260, "{per_second} packets a second");
}

#[test]
fn eight_links_survive_on_the_last_one() {
    let mut c = Cluster::new(3, 27);
    c.links = (0..8).collect();
    c.start_all();
    c.settle();
    let status = c.status(1);
    assert!(
        status
            .peers
            .iter()
            .all(|p| p.links.iter().all(|l| l.up && l.rtt_us.is_some()))
    );
}

#[test]
fn a_tenth_of_a_second_is_enough_on_a_quiet_lan() {
    let mut c = Cluster::new(3, 28);
    c.t_fail_us = 100 * MS;
    c.start_all();
    c.settle();
    let view_no = c.status(1).view.view_no;
    c.run(20_000 * MS);
    assert_eq!(c.status(1).view.view_no, view_no);
    let old = c.dc().unwrap();
    c.kill(old);
    let took = c.until("new DC", 1_000 * MS, |c| c.dc().is_some_and(|dc| dc != old));
    assert!(took < 140 * MS, "took {} ms", took / MS);
}

#[test]
fn different_timeouts_wait_for_the_longest_hold() {
    // One node was configured with token 2000, the others with 200 (R0).
    for dc_is_slow in [false, true] {
        let mut c = Cluster::new(3, 29);
        c.t_fail_us = 200 * MS;
        let slow = if dc_is_slow { 1 } else { 3 };
        for id in 1..=3 {
            let mut config = c.config(id);
            if id == slow {
                config.timing = Timing::derive(2_000 * MS).unwrap();
            }
            c.start_with(id, config);
        }
        c.settle();
        c.watch = Some(|c| assert!(c.dcs().len() < 2, "two DCs act\n{}", c.picture()));
        let dc = c.dc().unwrap();
        c.isolate(dc);
        c.run(4_000 * MS);
        assert!(c.dc().is_some_and(|d| d != dc), "{}", c.picture());
    }
}

/// R0's attack: A-B cut, C killed and back in 60 ms without hearing A; A still acts on C's echoes.
/// B must not be bound itself by what it hears of A through C.
fn echoer_restarts() -> bool {
    let mut c = Cluster::running(3, 31);
    c.no_relay = true;
    let a = c.dc().unwrap();
    let b = other_than(&c, a);
    let third = (1..=3).find(|id| *id != a && *id != b).unwrap();
    c.cut_both(a, b);
    c.run(2_000 * MS);
    assert_eq!(c.dc(), Some(a));
    c.kill(third);
    c.cut_both(a, third);
    c.run(60 * MS);
    c.start(third);
    let mut two = false;
    for _ in 0..1_000 {
        c.run(MS);
        two |= c.dcs().len() > 1;
    }
    assert!(c.dc().is_some_and(|dc| dc != a), "{}", c.picture());
    two
}

#[test]
fn an_echoer_that_restarts_keeps_its_predecessors_promise() {
    assert!(!echoer_restarts());
}

#[cfg(feature = "mutants")]
#[test]
fn the_forgotten_hold_is_noticed() {
    mutant::seed(Some(mutant::Mutant::HoldForgottenAtRestart));
    let two = echoer_restarts();
    mutant::seed(None);
    assert!(two, "the seeded bug went unnoticed");
}
