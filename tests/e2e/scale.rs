//! Many nodes on one machine are one cluster, whoever is lost: one of them, a minority at a blow, the
//! coordinator dead or frozen. Whoever is left is never taken for lost meanwhile.

use crate::cluster::{Cluster, brief};
use crate::config::{plain, properties};
use mainstay::view::Status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Nodes; `MAINSTAY_SCALE_NODES` says otherwise.
const NODES: u8 = 16;
/// Detection timeout in milliseconds: so many daemons get their turns late on few processors.
const TOKEN_MS: u32 = 4_000;

#[test]
fn many_nodes_are_one_cluster_whoever_is_lost() {
    let test = "many_nodes_are_one_cluster_whoever_is_lost";
    let nodes = std::env::var("MAINSTAY_SCALE_NODES").ok();
    let nodes = nodes.map_or(NODES, |n| n.parse().expect("a number of nodes"));
    let began = Instant::now();
    let Some(c) = Cluster::up(test, nodes, |o| o.token_ms = Some(TOKEN_MS)) else {
        return;
    };
    let all = c.powered();
    let dc = agreed(&c, &all).1;
    figure("formed", began);
    c.must_edit(&dc, plain);

    let one = c.other_than(&[&dc]);
    lose(&c, "one lost", &[one], cut_power);
    heal(&c, &all);

    let dc = agreed(&c, &all).1;
    let minority = all.iter().filter(|n| **n != dc).cloned();
    let minority: Vec<_> = minority.take((all.len() - 1) / 2).collect();
    lose(&c, "a minority lost", &minority, cut_power);
    heal(&c, &all);

    let dc = agreed(&c, &all).1;
    lose(&c, "the coordinator lost", &[dc], cut_power);
    heal(&c, &all);

    let dc = agreed(&c, &all).1;
    let frozen = std::slice::from_ref(&dc);
    lose(&c, "the coordinator frozen", frozen, |c, names| {
        names.iter().for_each(|name| c.freeze(name).unwrap());
    });
    c.thaw(&dc).unwrap();
    heal(&c, &all);

    c.must_edit(&dc, |cib| properties(cib, &[("batch-limit", "9")]));
    let there = |c: &Cluster, node: &str| c.cib(node).root().first("configuration").cloned();
    let wanted = there(&c, &dc);
    for node in &all {
        c.wait_until("the same configuration everywhere", node, || {
            match there(&c, node) == wanted {
                true => Ok(()),
                false => Err(format!("{node} has another")),
            }
        });
    }
}

fn figure(what: &str, began: Instant) {
    eprintln!("    {what} after {:.1} s", began.elapsed().as_secs_f64());
}

/// SIGKILL to the first process of each: all die at the same moment.
fn cut_power(c: &Cluster, names: &[String]) {
    let nodes = c.nodes().unwrap();
    let lost = nodes.iter().filter(|n| names.contains(&n.name));
    let first: Vec<_> = lost.map(|n| n.running().unwrap().pid).collect();
    first
        .iter()
        .for_each(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap());
}

/// Strikes at these; the others have to agree on a view without them, and never lose one another.
fn lose(c: &Cluster, what: &str, names: &[String], strike: impl FnOnce(&Cluster, &[String])) {
    let rest: Vec<_> = c
        .powered()
        .into_iter()
        .filter(|n| !names.contains(n))
        .collect();
    let marks: BTreeMap<_, _> = rest.iter().map(|n| (n, c.log_of(n).len())).collect();
    let began = Instant::now();
    strike(c, names);
    agreed(c, &rest);
    figure(what, began);
    let mut views = BTreeSet::new();
    for node in &rest {
        let log = c.log_of(node);
        for line in log[marks[node]..]
            .lines()
            .filter(|l| l.contains("new membership"))
        {
            let members = field(line, "members");
            let members: Vec<_> = members.split_whitespace().collect();
            let dropped = rest.iter().find(|n| !members.contains(&n.as_str()));
            assert_eq!(dropped, None, "{node} lost somebody who lives: {line}");
            views.insert(field(line, "view").to_owned());
        }
    }
    eprintln!("      new views: {}", views.len());
    assert!(!views.is_empty(), "nobody told of a new view");
}

/// Gives power to whoever has none; all of them are one cluster again.
fn heal(c: &Cluster, all: &[String]) {
    let began = Instant::now();
    c.poweron_all().unwrap();
    agreed(c, all);
    figure("  whole again", began);
}

/// Waits until exactly these are online, with quorum, in one view of which all of them know; its
/// number and coordinator.
fn agreed(c: &Cluster, names: &[String]) -> (u64, String) {
    let wanted: BTreeSet<_> = names.iter().map(String::as_str).collect();
    c.wait_until(
        "one view of exactly those that are there",
        &names[0],
        || {
            let mut views = BTreeSet::new();
            for name in names {
                let status = c.try_status(name)?;
                if online(&status) != wanted || !status.quorate {
                    return Err(format!("{name}: {}", brief(&status)));
                }
                let dc = status
                    .dc
                    .ok_or_else(|| format!("{name} knows no coordinator"))?;
                views.insert((status.view_no, dc));
            }
            match views.len() {
                1 => Ok(views.pop_first().expect("there is one")),
                _ => Err(format!("views {views:?}")),
            }
        },
    )
}

fn online(status: &Status) -> BTreeSet<&str> {
    let there = status.nodes.iter().filter(|n| n.online);
    there.map(|n| n.name.as_str()).collect()
}

/// The value of a field of a log line, in quotes or not.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let Some((_, rest)) = line.split_once(&format!("{name}=")) else {
        return "";
    };
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or(""),
        None => rest.split_whitespace().next().unwrap_or(""),
    }
}
