//! A floating address that is moved on purpose: the next holder opens on the word of the one before,
//! and never ahead of it.
//!
//! Property, as for all leases: once another hardware address has spoken for the floating IP, the
//! former one is not heard any more.

use crate::cluster::{Cluster, STILLNESS, started_on};
use crate::lease::{Witness, holders_in_turn, mac_of, wait_taken, with_address};
use mainstay::lab::VIP;

/// What a daemon writes into its log when a grant in turn became its own.
const ITS_TURN: &str = "it is this node's turn";

fn took_its_turn(c: &Cluster, node: &str) -> bool {
    c.log_of(node).contains(ITS_TURN)
}

/// The kernels and the status agree on one holder.
fn wait_one_holder(c: &Cluster, asked: &str) {
    c.wait_until("one holder in the kernels", asked, || {
        let told = started_on(&c.status(asked), "ip");
        let holders = c.holders(VIP).unwrap();
        match holders.as_slice() {
            [one] if told == [one.clone()] => Ok(()),
            _ => Err(format!("{holders:?}, told {told:?}")),
        }
    });
}

#[test]
fn a_planned_move_goes_by_the_holders_word() {
    let Some((c, first)) = with_address("a_planned_move_goes_by_the_holders_word", 3, false) else {
        return;
    };
    let witness = Witness::start(&c);
    witness.wait_for(&c, &first);
    c.run(&first, &format!("crm -w node standby {first}"));
    let second = wait_taken(&c, &first);
    witness.wait_for(&c, &second);
    c.run(&second, &format!("crm -w node standby {second}"));
    let third = c.wait_started(&second, "ip", Some(&second));
    witness.wait_for(&c, &third);
    std::thread::sleep(STILLNESS);

    let turns = holders_in_turn(&c, &witness.stop());
    let macs = [&first, &second, &third].map(|node| mac_of(&c, node));
    assert_eq!(turns, macs);
    c.wait_sole_holder(&third);
    for node in [&second, &third] {
        if !took_its_turn(&c, node) {
            c.fail(node, "it waited for the log instead of the holder's word");
        }
    }
    // The log knows by now who has it, and says so to whoever asks.
    c.wait_until("the grant is the holder's own", &third, || {
        let shown = c.run(&third, "mainstay vip");
        if shown.contains("lease: grant") {
            Ok(())
        } else {
            Err(shown)
        }
    });
}

/// Standby and back, again and again, without waiting for what becomes of it: grants in turn are given
/// back or used, and in the end there is one holder.
#[test]
fn a_move_that_is_taken_back_leaves_one_holder() {
    let test = "a_move_that_is_taken_back_leaves_one_holder";
    let Some((c, first)) = with_address(test, 3, false) else {
        return;
    };
    let other = c.other_than(&[&first]);
    for _ in 0..6 {
        c.run(&other, &format!("crm node standby {first}"));
        c.run(&other, &format!("crm node online {first}"));
        let holders = c.holders(VIP).unwrap();
        if holders.len() > 1 {
            c.fail(&other, &format!("{holders:?} have the address"));
        }
    }
    c.wait_idle(&other);
    wait_one_holder(&c, &other);
}

/// Who is to have it next does not answer: the address goes all the same, to whom the log says.
#[test]
fn a_next_holder_that_is_frozen_is_not_waited_for() {
    let test = "a_next_holder_that_is_frozen_is_not_waited_for";
    let Some((c, first)) = with_address(test, 3, false) else {
        return;
    };
    let frozen = c.other_than(&[&first]);
    let witness = Witness::start(&c);
    c.suspend_daemon(&frozen).unwrap();
    c.run(&first, &format!("crm node standby {first}"));
    let last = c.other_than(&[&first, &frozen]);
    c.wait_started_on(&last, "ip", &last);
    let turns = holders_in_turn(&c, &witness.stop());
    assert!(!turns.contains(&mac_of(&c, &frozen)), "{turns:?}");
    // What it is told too late may make the cluster move the address once more.
    c.resume_daemon(&frozen).unwrap();
    c.wait_online();
    wait_one_holder(&c, &last);
}

/// The holder is killed while it stops, or just before or after: whatever it had said, one holder is
/// left, and it was never joined by another.
#[test]
fn a_holder_that_dies_during_its_move_is_followed_by_one() {
    let test = "a_holder_that_dies_during_its_move_is_followed_by_one";
    let Some((c, first)) = with_address(test, 3, false) else {
        return;
    };
    let other = c.other_than(&[&first]);
    let witness = Witness::start(&c);
    c.run(&other, &format!("crm node standby {first}"));
    c.kill_daemon(&first).unwrap();
    let taker = c.wait_started(&other, "ip", Some(&first));
    c.wait_online();
    std::thread::sleep(STILLNESS);
    let turns = holders_in_turn(&c, &witness.stop());
    assert!(turns.len() <= 2, "{turns:?}");
    wait_one_holder(&c, &taker);
}
