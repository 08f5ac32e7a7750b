//! The paths of older kernels, by switch: what is weaker is said, and what is left works.

use super::*;
use crate::Announcer;

#[test]
fn without_an_owner_the_gates_stand_and_the_belts_say_so() {
    let options = GateOptions {
        owner: false,
        ..GateOptions::default()
    };
    let Some((netns, _)) = machine("without_an_owner_the_gates_stand") else {
        return;
    };
    let (mut gates, belts) = raise(&netns, &options);
    assert!(belts.gates && !belts.owned && belts.egress);
    assert!(belts.weaker.concat().contains("no owner"), "{belts:?}");
    gates.guard(&both()).unwrap();
    gates.arm(&[(VIP4.into(), LONG)]).unwrap();
    // The next process finds what this one left.
    drop(gates);
    let (mut gates, _) = raise(&netns, &options);
    assert_eq!(*gates.guarded(), both());
    assert!(gates.left(VIP4.into()).unwrap().is_some());
    assert_eq!(
        gates.renew(&[(VIP4.into(), LONG)]).unwrap(),
        [] as [IpAddr; 0]
    );
    // One that can own makes the tables anew: guarding, with every gate closed.
    drop(gates);
    let mut gates = full(&netns);
    assert_eq!(*gates.guarded(), both());
    assert_eq!(gates.left(VIP4.into()).unwrap(), None);
    // And back again: persistence stays, ownership not.
    drop(gates);
    let (mut gates, belts) = raise(&netns, &options);
    assert!(belts.gates && !belts.owned);
    assert_eq!(gates.intact().unwrap(), Ok(()));
}

#[test]
fn without_egress_gates_only_raw_announcements_pass() {
    let options = GateOptions {
        egress: false,
        ..GateOptions::default()
    };
    let Some(mut scene) = Scene::new("without_egress_gates_only_raw", &options) else {
        return;
    };
    let belts = scene.gates.belts().clone();
    assert!(belts.gates && belts.owned && !belts.egress);
    assert!(belts.weaker.concat().contains("raw sockets"), "{belts:?}");
    let link = scene.near.kernel.link("eth0").unwrap();
    let open = || Announcer::open(&link).unwrap();
    let mouth = scene.near.netns.run(open).unwrap();
    scene.speaks("announce", VIP4.into(), || {
        mouth.announce(VIP4.into()).unwrap()
    });
    let tap = Tap::open(&mut scene.far);
    let from = tap.mac;
    let ask = || tap.send(&wire::arp_question(from, FAR4, VIP4));
    scene.gate_counts("who has", VIP4.into(), (Family::Arp, "output"), ask);
}

#[test]
fn without_nf_tables_nothing_is_gated_and_nothing_fails() {
    let options = GateOptions {
        nf_tables: false,
        ..GateOptions::default()
    };
    let Some(mut scene) = Scene::new("without_nf_tables_nothing_is_gated", &options) else {
        return;
    };
    let belts = scene.gates.belts().clone();
    assert!(!belts.gates && !belts.owned && !belts.egress);
    assert!(belts.weaker.concat().contains("no gates"), "{belts:?}");
    let vip = IpAddr::from(VIP4);
    scene.gates.arm(&[(vip, LONG)]).unwrap();
    assert_eq!(
        scene.gates.renew(&[(vip, LONG)]).unwrap(),
        [] as [IpAddr; 0]
    );
    assert_eq!(scene.gates.left(vip).unwrap(), None);
    scene.gates.share(&both()).unwrap();
    scene.gates.close(&[vip]).unwrap();
    scene.gates.close_all().unwrap();
    assert_eq!(scene.gates.intact().unwrap(), Ok(()));
    let tap = Tap::open(&mut scene.far);
    let from = tap.mac;
    scene.speaks("who has", vip, || {
        tap.send(&wire::arp_question(from, FAR4, VIP4));
    });
    scene.gates.repair().unwrap();
    scene.gates.lower().unwrap();
}
