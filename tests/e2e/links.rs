//! Paths between nodes that come and go: cut pairs, one-way cuts, flapping and second links, an
//! address that is taken away. Nothing of it may change a view or lose a word.

use crate::cluster::{Cluster, PATIENCE, started_on};
use crate::config::{Primitive, add, constrain, plain};
use crate::lease::with_daemon;
use mainstay::ipc::{Request, Response};
use mainstay::lab::VIP;
use mainstay::view::net::{NetLink, NetNode, NetStatus};
use std::time::Duration;

/// Long enough for a busy machine to stand still without a false loss.
const TOKEN_MS: u32 = 3_000;
/// Time between two echo requests to the floating address.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// No interface has it: what is sent there is lost.
const NOWHERE: &str = "02:00:00:00:00:01";

fn net(c: &Cluster, node: &str) -> Result<NetStatus, String> {
    match c.ask(node, &Request::Net)? {
        Response::Net(net) => Ok(*net),
        other => Err(format!("not the network: {other:?}")),
    }
}

/// A peer as a node sees it.
fn peer(c: &Cluster, at: &str, of: &str) -> Result<NetNode, String> {
    let net = net(c, at)?;
    let found = net.nodes.iter().find(|n| n.name == of);
    found.cloned().ok_or_else(|| format!("{at} knows no {of}"))
}

fn wait_state(c: &Cluster, at: &str, of: &str, state: &str) {
    c.wait_until(&format!("{of} to be {state} at {at}"), at, || {
        let found = peer(c, at, of)?;
        match found.state == state {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    });
}

fn wait_link(c: &Cluster, at: &str, of: &str, number: u8, ok: impl Fn(&NetLink) -> bool) {
    let what = format!("link {number} of {at} to {of} to be as wanted");
    c.wait_until(&what, at, || {
        let found = peer(c, at, of)?;
        let link = found.links.iter().find(|l| l.number == number);
        match link.is_some_and(&ok) {
            true => Ok(()),
            false => Err(format!("{:?}", found.links)),
        }
    });
}

fn address(node: &str, network: u8) -> String {
    let number = node.trim_start_matches("node");
    format!("10.{network}.0.10{number}")
}

/// What `from` sends to `to` on the first link is lost from now on.
fn cut(c: &Cluster, from: &str, to: &str) {
    let to = address(to, 77);
    let line = format!("ip neigh replace {to} lladdr {NOWHERE} dev eth0 nud permanent");
    c.run(from, &line);
}

fn mend(c: &Cluster, from: &str, to: &str) {
    let line = format!("ip neigh del {} dev eth0", address(to, 77));
    c.run(from, &line);
}

/// A change too large for a datagram, and work for `node`: it gets both.
fn reaches(c: &Cluster, dc: &str, node: &str, name: &str) {
    c.must_edit(dc, |cib| {
        let large = "x".repeat(6_000);
        let dummy = Primitive::new(name, "ocf:pacemaker:Dummy").param("fake", &large);
        add(cib, dummy);
        constrain(
            cib,
            &format!(
                r#"<rsc_location id="at-{name}" rsc="{name}" node="{node}" score="INFINITY"/>"#
            ),
        );
    });
    c.wait_started_on(dc, name, node);
    c.wait_for(node, &format!("{name} started here"), |s| {
        match started_on(s, name) == [node] {
            true => Ok(()),
            false => Err(format!("{:?}", started_on(s, name))),
        }
    });
}

/// Every node is in the view of this number.
fn same_view(c: &Cluster, view_no: u64) {
    for node in c.powered() {
        let now = c.status(&node).view_no;
        if now != view_no {
            c.fail(&node, &format!("the view changed from {view_no} to {now}"));
        }
    }
}

#[test]
fn a_cut_pair_is_served_by_the_third_node() {
    let test = "a_cut_pair_is_served_by_the_third_node";
    let up = with_daemon(test, 3, |o| o.token_ms = Some(TOKEN_MS));
    let Some((c, holder)) = up else {
        return;
    };
    let dc = c.status("node1").dc.unwrap();
    let far = if holder == dc {
        c.other_than(&[&dc])
    } else {
        holder.clone()
    };
    let third = c.other_than(&[&dc, &far]);
    let view_no = c.status(&dc).view_no;
    let probe = c.probe(VIP, PROBE_EVERY).unwrap();
    c.wait_answer(&probe, PATIENCE).unwrap();

    cut(&c, &dc, &far);
    cut(&c, &far, &dc);
    wait_state(&c, &dc, &far, "degraded");
    wait_state(&c, &far, &dc, "degraded");
    wait_state(&c, &third, &far, "up");
    reaches(&c, &dc, &far, "both-ways");
    c.wait_for(&dc, "the path told", |s| {
        let told = s.notices.iter().any(|n| n.code == "degraded-path");
        told.then_some(()).ok_or_else(|| format!("{:?}", s.notices))
    });
    let shown = c.run(&dc, "mainstay net");
    let through = format!("degraded, reached through {third} only");
    assert!(shown.contains(&through), "{shown}");
    same_view(&c, view_no);

    // One way is as good as none.
    mend(&c, &far, &dc);
    wait_state(&c, &dc, &far, "degraded");
    reaches(&c, &dc, &far, "one-way");
    same_view(&c, view_no);

    // It comes and goes.
    for _ in 0..3 {
        mend(&c, &dc, &far);
        wait_link(&c, &far, &dc, 0, |l| l.silent_ms.is_some_and(|ms| ms < 500));
        cut(&c, &dc, &far);
        wait_link(&c, &far, &dc, 0, |l| {
            l.silent_ms.is_some_and(|ms| ms > 1_000)
        });
    }
    reaches(&c, &dc, &far, "flapping");
    same_view(&c, view_no);

    mend(&c, &dc, &far);
    c.run(&dc, "corosync-cfgtool -r");
    c.run(&far, "corosync-cfgtool -r");
    wait_state(&c, &dc, &far, "up");
    wait_state(&c, &far, &dc, "up");
    c.wait_for(&dc, "the notice withdrawn", |s| {
        let told = s.notices.iter().find(|n| n.code == "degraded-path");
        told.map_or(Ok(()), |n| Err(n.text.clone()))
    });
    same_view(&c, view_no);
    assert_eq!(started_on(&c.status(&dc), "ip"), [holder]);
    // Answers come in order: after this one, what is not answered never will be.
    c.wait_answer(&probe, PATIENCE).unwrap();
    let echoes = probe.stop();
    let first = echoes.iter().position(|e| e.answered.is_some()).unwrap();
    let last = echoes.iter().rposition(|e| e.answered.is_some()).unwrap();
    let lost = echoes[first..last].iter().filter(|e| e.answered.is_none());
    assert_eq!(lost.count(), 0, "probes of the floating address were lost");
}

/// Three nodes with a second link, whose addresses are there only once the daemons run.
fn two_links(test: &str) -> Option<Cluster> {
    let c = Cluster::off_with(test, 3, |o| o.token_ms = Some(TOKEN_MS))?;
    let names: Vec<String> = c.nodes().unwrap().into_iter().map(|n| n.name).collect();
    for node in &names {
        c.edit_file(node, "etc-corosync/corosync.conf", |text| {
            let mut text = text.to_owned();
            for (at, name) in names.iter().enumerate() {
                let first = format!("ring0_addr: {}\n", address(name, 77));
                let both = format!("{first}        ring1_addr: {}\n", address(name, 78));
                assert!(text.contains(&first), "node {at}");
                text = text.replace(&first, &both);
            }
            text
        });
    }
    c.power_on();
    for node in &names {
        c.run(
            node,
            &format!("ip addr add {}/24 dev eth0", address(node, 78)),
        );
    }
    for (at, of) in pairs(&names) {
        wait_link(&c, at, of, 1, |l| l.up);
    }
    Some(c)
}

fn pairs(names: &[String]) -> impl Iterator<Item = (&String, &String)> {
    let all = names.iter().flat_map(|a| names.iter().map(move |b| (a, b)));
    all.filter(|(a, b)| a != b)
}

#[test]
fn one_of_two_links_is_lost_and_nobody_minds() {
    let Some(c) = two_links("one_of_two_links_is_lost_and_nobody_minds") else {
        return;
    };
    let names = c.powered();
    c.must_edit("node1", plain);
    c.wait_idle("node1");
    let dc = c.status("node1").dc.unwrap();
    let far = c.other_than(&[&dc]);
    let view_no = c.status(&dc).view_no;
    for (from, to) in pairs(&names) {
        cut(&c, from, to);
    }
    for (at, of) in pairs(&names) {
        wait_link(&c, at, of, 0, |l| !l.up);
        wait_link(&c, at, of, 1, |l| l.up && l.best);
        assert_eq!(peer(&c, at, of).unwrap().state, "up");
    }
    reaches(&c, &dc, &far, "second-link");
    same_view(&c, view_no);
    let shown = c.run(&far, "corosync-cfgtool -s");
    let of_dc = dc.trim_start_matches("node");
    for (link, word) in [(0, "disconnected"), (1, "connected")] {
        let part = shown.split("LINK ID ").nth(link + 1).unwrap_or_default();
        let line = format!("nodeid: {of_dc:>10}:\t{word}\n");
        assert!(part.contains(&line), "{shown}");
    }
    let votes = c.run(&far, "corosync-quorumtool -s");
    assert!(
        votes.contains("Total votes:      3\nQuorum:           2  \n"),
        "{votes}"
    );

    for (from, to) in pairs(&names) {
        mend(&c, from, to);
    }
    for node in &names {
        c.run(node, "corosync-cfgtool -r");
    }
    for (at, of) in pairs(&names) {
        wait_link(&c, at, of, 0, |l| l.up);
    }

    // The address of a link is taken away, and comes back.
    let gone = format!("{}/24 dev eth0", address(&far, 77));
    c.run(&far, &format!("ip addr del {gone}"));
    for other in names.iter().filter(|n| **n != far) {
        wait_link(&c, other, &far, 0, |l| !l.up);
        wait_link(&c, &far, other, 0, |l| !l.up);
    }
    let bound = c.run(&far, "ss -Hlun sport = :5405");
    assert!(!bound.contains("127.0.0.1:5405"), "{bound}");
    assert!(
        bound.contains(&format!("{}:5405", address(&far, 77))),
        "{bound}"
    );
    reaches(&c, &dc, &far, "without-address");
    c.run(&far, &format!("ip addr add {gone}"));
    c.run(&far, "corosync-cfgtool -r");
    for other in names.iter().filter(|n| **n != far) {
        c.run(other, "corosync-cfgtool -r");
        wait_link(&c, other, &far, 0, |l| l.up);
        wait_link(&c, &far, other, 0, |l| l.up);
    }
    same_view(&c, view_no);
}
