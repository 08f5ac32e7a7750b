//! The lease of a floating address: whatever becomes of its holder, never two nodes answer for it.
//!
//! Property: once another hardware address has spoken for the floating IP, the former one is not
//! heard any more (ruling 10). The client asks by ARP every few milliseconds and notes every frame.

use crate::cluster::{Cluster, PATIENCE, STILLNESS, brief, is_online, started_on};
use crate::config::{Primitive, add, plain, properties};
use mainstay::lab::{Options, VIP};
use netlink::probe::longest_silence;
use netlink::{ArpListener, Kernel, Mac, NetNs};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Asks who has the floating IP, from the client's place, and notes who says so and when.
pub(crate) struct Witness {
    over: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<(Instant, Mac)>>>,
    thread: JoinHandle<()>,
}

impl Witness {
    pub(crate) fn start(c: &Cluster) -> Self {
        let client = c.client().unwrap();
        let netns = NetNs::of_pid(client.pid.unsigned_abs()).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let heard = Arc::default();
        let (end, note) = (Arc::clone(&over), Arc::clone(&heard));
        let thread = std::thread::spawn(move || {
            let watch = || watch(&end, &note);
            netns.run(watch).unwrap()
        });
        Self {
            over,
            heard,
            thread,
        }
    }

    /// Who has the address by the cluster's word has spoken for it: that comes a moment later.
    pub(crate) fn wait_for(&self, c: &Cluster, node: &str) {
        let mac = mac_of(c, node);
        c.wait_until("a word of the holder", node, || {
            let heard = self.heard.lock().unwrap();
            match heard.iter().any(|(_, m)| *m == mac) {
                true => Ok(()),
                false => Err(format!("{} words of others", heard.len())),
            }
        });
    }

    pub(crate) fn stop(self) -> Vec<(Instant, Mac)> {
        self.over.store(true, Ordering::Release);
        self.thread.join().unwrap();
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

fn watch(over: &AtomicBool, heard: &Mutex<Vec<(Instant, Mac)>>) {
    let vip = four();
    let link = Kernel::open().unwrap().link("eth0").unwrap();
    let own = link.mac.unwrap();
    let ear = ArpListener::open(&link).unwrap();
    while !over.load(Ordering::Acquire) {
        ear.ask(vip).unwrap();
        let round = Instant::now() + ASK_EVERY;
        while let Some(left) = round.checked_duration_since(Instant::now()) {
            let Some(packet) = ear.next(left).unwrap() else {
                break;
            };
            if packet.sender_ip == vip && packet.sender_mac != own {
                let word = (Instant::now(), packet.sender_mac);
                heard.lock().unwrap().push(word);
            }
        }
    }
}

fn four() -> Ipv4Addr {
    match VIP {
        IpAddr::V4(vip) => vip,
        IpAddr::V6(_) => unreachable!("the lab's floating IP is IPv4"),
    }
}

/// Every hardware address that spoke for the floating IP, in order of its first word; fails when
/// one was heard again after its successor.
pub(crate) fn holders_in_turn(c: &Cluster, heard: &[(Instant, Mac)]) -> Vec<Mac> {
    let mut turns: Vec<Mac> = Vec::new();
    for (at, mac) in heard {
        if turns.last() == Some(mac) {
            continue;
        }
        if turns.contains(mac) {
            let since = heard.iter().find(|(_, m)| Some(m) == turns.last());
            let after = since.map(|(first, _)| at.duration_since(*first));
            c.fail(
                "node1",
                &format!("{mac} answered for {VIP} again, {after:?} after {turns:?}"),
            );
        }
        turns.push(*mac);
    }
    turns
}

pub(crate) fn mac_of(c: &Cluster, node: &str) -> Mac {
    let nodes = c.nodes().unwrap();
    let node = nodes.iter().find(|n| n.name == node).unwrap();
    let netns = NetNs::of_pid(node.running().unwrap().pid.unsigned_abs()).unwrap();
    let link = netns.run(|| Kernel::open().unwrap().link("eth0").unwrap());
    link.unwrap().mac.unwrap()
}

/// Tables of ours in a node's kernel.
fn tables(c: &Cluster, node: &str) -> Vec<String> {
    let all = c.run(node, "nft list tables");
    let ours = all.lines().filter(|l| l.ends_with(" mainstay"));
    ours.map(str::to_owned).collect()
}

/// Three nodes and one floating IP; its holder.
pub(crate) fn with_address(test: &str, nodes: u8, two_node: bool) -> Option<(Cluster, String)> {
    with_daemon(test, nodes, |o| o.two_node = two_node)
}

/// The same on a kernel that lacks something.
fn on_older_kernel(test: &str, lacks: &str) -> Option<(Cluster, String)> {
    let daemon = ["mainstayd", "--kernel-without", lacks];
    with_daemon(test, 3, |o| o.daemon = daemon.map(str::to_owned).to_vec())
}

pub(crate) fn with_daemon(
    test: &str,
    nodes: u8,
    change: impl FnOnce(&mut Options),
) -> Option<(Cluster, String)> {
    let c = Cluster::up(test, nodes, change)?;
    c.must_edit("node1", |cib| {
        plain(cib);
        let ip = Primitive::new("ip", "ocf:heartbeat:IPaddr2");
        let ip = ip.param("ip", &VIP.to_string()).param("cidr_netmask", "24");
        add(cib, ip.op("monitor", "1s", "20s"));
    });
    let holder = c.wait_started("node1", "ip", None);
    Some((c, holder))
}

pub(crate) fn wait_taken(c: &Cluster, from: &str) -> String {
    let witness = c.other_than(&[from]);
    c.wait_started(&witness, "ip", Some(from))
}

#[test]
fn a_frozen_holder_is_followed_by_another_and_never_joined_by_it() {
    let test = "a_frozen_holder_is_followed_by_another_and_never_joined_by_it";
    let Some((c, holder)) = with_address(test, 3, false) else {
        return;
    };
    let (first, witness) = (mac_of(&c, &holder), Witness::start(&c));
    let probe = c.probe(VIP, ASK_EVERY).unwrap();
    c.wait_answer(&probe, PATIENCE).unwrap();
    let from = Instant::now();
    c.freeze(&holder).unwrap();
    let other = c.other_than(&[&holder]);
    let taker = c.wait_for(&other, "the address elsewhere", |s| {
        match started_on(s, "ip").as_slice() {
            [one] if *one != holder => Ok(one.clone()),
            other => Err(format!("{other:?}; {}", brief(s))),
        }
    });
    let second = mac_of(&c, &taker);
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();
    eprintln!(
        "silent for {:?}",
        longest_silence(&probe.stop(), from, Instant::now())
    );

    // Its kernel has the address until the end of its lifetime, and the thawed daemon does not
    // know yet that it is no member.
    c.thaw(&holder).unwrap();
    c.wait_online();
    witness.wait_for(&c, &taker);
    std::thread::sleep(STILLNESS);
    let turns = holders_in_turn(&c, &witness.stop());
    assert_eq!(turns, [first, second]);
    c.wait_sole_holder(&taker);
}

#[test]
fn a_holder_that_was_cut_off_is_silent_when_the_cable_is_mended() {
    let test = "a_holder_that_was_cut_off_is_silent_when_the_cable_is_mended";
    let Some((c, holder)) = with_address(test, 3, false) else {
        return;
    };
    let first = mac_of(&c, &holder);
    let witness = Witness::start(&c);
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();
    c.cut(&holder).unwrap();
    let taker = wait_taken(&c, &holder);
    c.heal(&holder).unwrap();
    c.wait_online();
    witness.wait_for(&c, &taker);
    std::thread::sleep(STILLNESS);
    let turns = holders_in_turn(&c, &witness.stop());
    assert_eq!(turns, [first, mac_of(&c, &taker)]);
    c.wait_sole_holder(&taker);
}

/// The clients reach every node, the nodes do not reach the holder.
#[test]
fn a_holder_that_only_its_peers_have_lost_falls_silent_for_clients_too() {
    let test = "a_holder_that_only_its_peers_have_lost_falls_silent_for_clients_too";
    let Some((c, holder)) = with_address(test, 3, false) else {
        return;
    };
    let first = mac_of(&c, &holder);
    let witness = Witness::start(&c);
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();
    let nodes = c.nodes().unwrap();
    let port = |node: &str| {
        format!(
            "nft -f - <<END
table inet apart {{
    chain in {{ type filter hook input priority 0; ip saddr {{ {node} }} drop; }}
    chain out {{ type filter hook output priority 0; ip daddr {{ {node} }} drop; }}
}}
END"
        )
    };
    let peers: Vec<String> = nodes
        .iter()
        .filter(|n| n.name != holder)
        .map(|n| n.address.to_string())
        .collect();
    c.run(&holder, &port(&peers.join(", ")));
    let taker = wait_taken(&c, &holder);
    std::thread::sleep(STILLNESS);
    c.run(&holder, "nft delete table inet apart");
    c.wait_online();
    witness.wait_for(&c, &taker);
    std::thread::sleep(STILLNESS);
    let turns = holders_in_turn(&c, &witness.stop());
    assert_eq!(turns, [first, mac_of(&c, &taker)]);
    c.wait_sole_holder(&taker);
}

#[test]
fn a_killed_daemon_leaves_its_address_silent_and_the_next_start_takes_the_rules_over() {
    let test = "a_killed_daemon_leaves_its_address_silent_and_the_next_start_takes_the_rules_over";
    let Some((c, holder)) = with_address(test, 3, false) else {
        return;
    };
    let first = mac_of(&c, &holder);
    let witness = Witness::start(&c);
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();
    c.supervise(&holder, false).unwrap();
    // The parent too, so that nobody closes the gates.
    let parent = c.daemon(&holder).unwrap().pid.unwrap();
    c.run(
        &holder,
        &format!("kill -9 {parent} $(cat /proc/{parent}/task/{parent}/children)"),
    );
    let taker = wait_taken(&c, &holder);
    assert_eq!(tables(&c, &holder).len(), 3, "the rules fail closed");
    c.start_daemon(&holder).unwrap();
    c.wait_online();
    c.wait_idle(&taker);
    witness.wait_for(&c, &taker);
    std::thread::sleep(STILLNESS);
    assert_eq!(
        holders_in_turn(&c, &witness.stop()),
        [first, mac_of(&c, &taker)]
    );
    c.wait_sole_holder(&taker);
    let ended = c.stop_daemon(&holder, PATIENCE).unwrap();
    assert_eq!(ended.ended.as_deref(), Some("exit 0"));
    assert_eq!(tables(&c, &holder), [""; 0], "taken over, and taken away");
}

#[test]
fn a_clean_stop_leaves_neither_address_nor_rule() {
    let test = "a_clean_stop_leaves_neither_address_nor_rule";
    let Some((c, holder)) = with_address(test, 3, false) else {
        return;
    };
    assert_eq!(tables(&c, &holder).len(), 3);
    let witness = Witness::start(&c);
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();
    let ended = c.stop_daemon(&holder, PATIENCE).unwrap();
    assert_eq!(ended.ended.as_deref(), Some("exit 0"));
    assert_eq!(tables(&c, &holder), [""; 0]);
    let taker = wait_taken(&c, &holder);
    c.wait_sole_holder(&taker);
    witness.wait_for(&c, &taker);
    assert_eq!(holders_in_turn(&c, &witness.stop()).len(), 2);
}

#[test]
fn who_detaches_leaves_a_lasting_address_without_rules_and_takes_it_back() {
    let test = "who_detaches_leaves_a_lasting_address_without_rules_and_takes_it_back";
    let Some((c, holder)) = with_address(test, 3, false) else {
        return;
    };
    let other = c.other_than(&[&holder]);
    c.must_edit(&other, |cib| {
        properties(cib, &[("maintenance-mode", "true")])
    });
    c.wait_idle(&other);
    let shown = |c: &Cluster| c.run(&holder, &format!("ip -4 -o address show to {VIP}"));
    assert!(shown(&c).contains("valid_lft 2sec"), "{}", shown(&c));
    let ended = c.stop_daemon(&holder, PATIENCE).unwrap();
    assert_eq!(ended.ended.as_deref(), Some("exit 0"));
    assert_eq!(tables(&c, &holder), [""; 0]);
    assert!(shown(&c).contains("valid_lft forever"), "{}", shown(&c));
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();

    c.start_daemon(&holder).unwrap();
    c.wait_online();
    c.wait_until("the address to be mortal again", &holder, || {
        match shown(&c) {
            line if line.contains("forever") => Err(line),
            _ => Ok(()),
        }
    });
    c.must_edit(&other, |cib| {
        properties(cib, &[("maintenance-mode", "false")])
    });
    assert_eq!(c.wait_started(&other, "ip", None), holder);
    assert!(is_online(&c.status(&other), &holder));
}

#[test]
fn of_two_without_fencing_the_survivor_takes_over_what_nobody_answers_for() {
    let test = "of_two_without_fencing_the_survivor_takes_over_what_nobody_answers_for";
    let Some((c, holder)) = with_address(test, 2, true) else {
        return;
    };
    let other = c.other_than(&[&holder]);
    c.poweroff(&holder).unwrap();
    assert_eq!(c.wait_started(&other, "ip", Some(&holder)), other);
    c.wait_sole_holder(&other);
}

#[test]
fn of_two_without_fencing_nothing_is_taken_from_one_that_still_answers() {
    let test = "of_two_without_fencing_nothing_is_taken_from_one_that_still_answers";
    let Some((c, holder)) = with_address(test, 2, true) else {
        return;
    };
    let other = c.other_than(&[&holder]);
    // Frozen, its kernel answers for the node's own address.
    c.freeze(&holder).unwrap();
    c.wait_for(&other, "to say that the silent node answers", |s| {
        match s.notices.iter().any(|n| n.code == "peer-answers") {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    std::thread::sleep(STILLNESS);
    assert!(!c.holders(VIP).unwrap().contains(&other));
    c.thaw(&holder).unwrap();
    c.wait_online();
    let last = c.wait_started(&other, "ip", None);
    c.wait_sole_holder(&last);
}

#[test]
fn a_lease_is_shown_with_its_grant_belts_and_last_move() {
    let test = "a_lease_is_shown_with_its_grant_belts_and_last_move";
    let Some((c, holder)) = with_address(test, 3, false) else {
        return;
    };
    let text = c.run(&holder, "mainstay vip");
    for word in [
        "grant 1,",
        "ms left",
        "belts: nf_tables",
        "lifetime",
        "last move: ",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let json = c.run(&holder, "mainstay vip -o json");
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let vip = &told["addresses"][0];
    assert_eq!(vip["lease"], "open", "{json}");
    assert_eq!(vip["last_move"]["to"], holder.as_str(), "{json}");
    let switch = &told["switches"][0];
    assert_eq!(switch["key"], "net.ipv4.ip_nonlocal_bind", "{json}");
    assert_eq!(switch["value"], "0", "{json}");
}

/// Nobody can tell this from a death (ruling 11): both hold the address until the cable is mended.
#[test]
fn two_that_were_hidden_from_each_other_agree_on_one_holder() {
    let test = "two_that_were_hidden_from_each_other_agree_on_one_holder";
    let Some((c, holder)) = with_address(test, 2, true) else {
        return;
    };
    let other = c.other_than(&[&holder]);
    c.cut(&holder).unwrap();
    assert_eq!(c.wait_started(&other, "ip", Some(&holder)), other);
    let status = c.status(&other);
    let told = |text: &str| text.contains("looks the same") && text.contains("A third node");
    assert!(
        status.notices.iter().any(|n| told(&n.text)),
        "{}",
        brief(&status)
    );
    c.heal(&holder).unwrap();
    c.wait_online();
    let last = c.wait_started(&other, "ip", None);
    c.wait_until("one holder in the kernels", &last, || {
        match c.holders(VIP).unwrap() {
            one if one == [last.as_str()] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn without_nf_tables_the_lifetime_of_the_address_keeps_two_from_answering() {
    let test = "without_nf_tables_the_lifetime_of_the_address_keeps_two_from_answering";
    let Some((c, holder)) = on_older_kernel(test, "nf-tables") else {
        return;
    };
    assert_eq!(tables(&c, &holder), [""; 0]);
    let text = c.run(&holder, "mainstay vip");
    assert!(
        text.contains("belts: lifetime") && text.contains("weaker: "),
        "{text}"
    );
    let hold = |name: &(String, u64)| name == &("hold".to_owned(), 2_300);
    assert!(c.status(&holder).timers.iter().any(hold));
    let (first, witness) = (mac_of(&c, &holder), Witness::start(&c));
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();
    c.freeze(&holder).unwrap();
    let taker = wait_taken(&c, &holder);
    c.thaw(&holder).unwrap();
    c.wait_online();
    witness.wait_for(&c, &taker);
    std::thread::sleep(STILLNESS);
    let turns = holders_in_turn(&c, &witness.stop());
    assert_eq!(turns, [first, mac_of(&c, &taker)]);
}

#[test]
fn a_table_that_somebody_flushed_is_put_up_again_and_told() {
    let test = "a_table_that_somebody_flushed_is_put_up_again_and_told";
    let Some((c, holder)) = on_older_kernel(test, "owner") else {
        return;
    };
    c.run(&holder, "nft flush ruleset");
    c.wait_for(&holder, "the flush to be told", |s| {
        match s.notices.iter().any(|n| n.code == "vip-table-changed") {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    assert_eq!(tables(&c, &holder).len(), 3);
    c.wait_answer(&c.probe(VIP, ASK_EVERY).unwrap(), PATIENCE)
        .unwrap();
    c.wait_idle(&holder);
    assert_eq!(started_on(&c.status(&holder), "ip"), [holder.as_str()]);
}

/// Time between two questions of a client.
const ASK_EVERY: Duration = Duration::from_millis(5);
