//! What each step does. `false`: it cannot happen now.

use std::collections::BTreeSet;

use membership::VoterSet;
use membership::quorum::Predicates;
use wire::NodeId;

use crate::protocol::{Ballot, Body, Bug, Entry, Node, Protocol, Role, State};

pub fn stand(model: &Protocol, state: &mut State, n: u8) -> bool {
    let node = state.node_mut(n);
    let counter = node.promised.0 + 1;
    if counter > model.counter_max || matches!(node.role, Role::Leader(_)) {
        return false;
    }
    let ballot = (counter, n);
    node.promised = ballot;
    node.role = Role::Candidate(ballot);
    let own = (node.boot, node.log.clone());
    let election = state.elections.entry(ballot).or_default();
    election.boot = own.0;
    election.promises.insert(n, own);
    true
}

/// R10: whoever has a certificate for a boot takes nothing of it any more, however late it comes.
fn is_certified(node: &Node, ballot: Ballot, boot: u8) -> bool {
    let dead = Body::Certificate {
        node: ballot.1,
        boot,
    };
    node.log.iter().any(|e| e.body == dead)
}

pub fn promise(model: &Protocol, state: &mut State, n: u8, ballot: Ballot) -> bool {
    let boot = state.elections[&ballot].boot;
    let node = state.node_mut(n);
    let newer = ballot > node.promised || (model.has(Bug::PromisesTwice) && ballot.1 != n);
    if !newer || is_certified(node, ballot, boot) {
        return false;
    }
    node.promised = ballot;
    node.role = Role::Follower;
    let own = (node.boot, node.log.clone());
    let election = state.elections.entry(ballot).or_default();
    election.promises.insert(n, own);
    true
}

/// Promises to who does not stand any more are of no use, and kept apart states that are alike.
pub fn forget_given_up(state: &mut State) {
    for (ballot, election) in &mut state.elections {
        let candidate = &state.nodes[usize::from(ballot.1) - 1];
        if candidate.role != Role::Candidate(*ballot) {
            election.promises.clear();
        }
    }
}

/// A quorum promised, by the rules of the log that is adopted: its best one goes on.
pub fn lead(model: &Protocol, state: &mut State, n: u8) -> bool {
    let Role::Candidate(ballot) = state.node(n).role else {
        return false;
    };
    let promises = &state.elections[&ballot].promises;
    let runs = |from: u8, boot: u8| state.node(from).boot == boot;
    let promises: Vec<_> = promises
        .iter()
        .filter(|(n, (boot, _))| runs(**n, *boot))
        .collect();
    let best = promises
        .iter()
        .map(|(_, (_, log))| log)
        .max_by_key(|log| worth(log));
    let Some(best) = best.cloned() else {
        return false;
    };
    let own = state.node(n).log.clone();
    let log = if model.has(Bug::KeepsOwnLog) {
        own
    } else {
        best
    };
    let who: BTreeSet<NodeId> = promises.iter().map(|(from, _)| id(**from)).collect();
    let alone = model.two_node && who.len() == 1;
    let quorate = rules_of(model, &log, 0).quorate(&who);
    if !quorate || (alone && !state.node(n).let_in) || log.len() >= model.log_max {
        return false;
    }
    let mut members = [None; 4];
    for (from, (boot, _)) in &promises {
        members[usize::from(**from) - 1] = Some(*boot);
    }
    let adopted = log.len() as u8;
    let node = state.node_mut(n);
    node.log = log;
    node.role = Role::Leader(ballot);
    if let Some(election) = state.elections.get_mut(&ballot) {
        election.adopted = adopted;
    }
    append(model, state, n, Body::View(members))
}

/// How often its writer came to be alone with proof, then ballot, then length.
fn worth(log: &[Entry]) -> (usize, Ballot, usize) {
    let proofs = log
        .iter()
        .filter(|e| matches!(e.body, Body::Certificate { .. }));
    let last = log.last().map_or((0, 0), |e| e.ballot);
    (proofs.count(), last, log.len())
}

pub fn append(model: &Protocol, state: &mut State, n: u8, body: Body) -> bool {
    let node = state.node_mut(n);
    let Role::Leader(ballot) = node.role else {
        return false;
    };
    if node.log.len() >= model.log_max {
        return false;
    }
    node.log.push(Entry { ballot, body });
    let log = node.log.clone();
    state.elections.entry(ballot).or_default().log = log;
    commit(model, state, n);
    true
}

/// One step at a time: joint, and the new set alone once that is committed.
pub fn step_config(model: &Protocol, state: &mut State, n: u8) -> bool {
    let node = state.node(n);
    let at = |body: Body| node.log.iter().position(|e| e.body == body);
    let (joint, new) = (at(Body::Joint), at(Body::New));
    if !model.moves || new.is_some() {
        return false;
    }
    let committed = |at: usize| at < usize::from(node.commit);
    match joint {
        _ if model.has(Bug::SkipsJointStep) => append(model, state, n, Body::New),
        None => append(model, state, n, Body::Joint),
        Some(at) if committed(at) => append(model, state, n, Body::New),
        Some(_) => false,
    }
}

pub fn accept(model: &Protocol, state: &mut State, n: u8, ballot: Ballot, length: u8) -> bool {
    let (log, commit_told, boot) = {
        let election = &state.elections[&ballot];
        let log = election.log[..usize::from(length)].to_vec();
        (log, election.commit, election.boot)
    };
    let node = state.node_mut(n);
    if ballot < node.promised || ballot.1 == n || is_certified(node, ballot, boot) {
        return false;
    }
    node.promised = ballot;
    node.role = Role::Follower;
    // What is there already stays, with what follows it.
    if !node.log.starts_with(&log) {
        node.log = log;
    }
    learn(state, n, commit_told.min(length));
    let election = state.elections.entry(ballot).or_default();
    let acked = election.acks.entry(n).or_default();
    *acked = length.max(*acked);
    commit(model, state, ballot.1);
    true
}

/// The leader commits, as early as it ever could, what a quorum of every set in force has, if that is
/// of its own ballot.
fn commit(model: &Protocol, state: &mut State, n: u8) {
    let node = state.node(n);
    let Role::Leader(ballot) = node.role else {
        return;
    };
    let acks = &state.elections[&ballot].acks;
    let has = |length: u8| -> BTreeSet<NodeId> {
        let acked = acks.iter().filter(|(_, l)| **l >= length);
        acked.map(|(from, _)| id(*from)).chain([id(n)]).collect()
    };
    let own = |length: u8| node.log[usize::from(length) - 1].ballot == ballot;
    let reached = (node.commit + 1..=node.log.len() as u8)
        .rev()
        .find(|length| {
            let holders = has(*length);
            let rules = rules_of(model, &node.log[..usize::from(*length)], node.commit);
            own(*length) && rules.quorate(&holders) && proved(model, node, *length, &holders)
        });
    if let Some(length) = reached {
        learn(state, n, length);
        state.elections.entry(ballot).or_default().commit = length;
    }
}

/// R11: of two nodes one commits alone only with a certificate for the boot of the other that the
/// last view with it named.
fn proved(model: &Protocol, node: &Node, length: u8, holders: &BTreeSet<NodeId>) -> bool {
    if !model.two_node || holders.len() == 2 || model.has(Bug::CommitsAlone) {
        return true;
    }
    let other = (1..=2).find(|n| !holders.contains(&id(*n))).unwrap_or(0);
    let log = &node.log[..usize::from(length)];
    let seen = log.iter().rev().find_map(|e| match e.body {
        Body::View(members) => members[usize::from(other) - 1],
        _ => None,
    });
    log.iter().any(|e| match e.body {
        Body::Certificate { node, boot } => {
            let names = seen.unwrap_or(0) == boot || model.has(Bug::CertificateForAnyBoot);
            node == other && names
        }
        _ => false,
    })
}

fn learn(state: &mut State, n: u8, through: u8) {
    let node = state.node_mut(n);
    let through = through.max(node.commit).min(node.log.len() as u8);
    node.commit = through;
    let log = node.log[..usize::from(through)].to_vec();
    let boot = node.boot;
    let named = |e: &Entry| matches!(e.body, Body::View(m) if m[usize::from(n) - 1] == Some(boot));
    node.let_in |= log.iter().any(named);
    let shared = log.len().min(state.committed.len());
    state.broken |= log[..shared] != state.committed[..shared];
    if log.len() > state.committed.len() {
        state.committed = log;
    }
}

/// The process is killed and started again at once; its disk stays.
pub fn crash(state: &mut State, n: u8) -> bool {
    state.crashes += 1;
    let node = state.node_mut(n);
    node.role = Role::Follower;
    node.commit = 0;
    true
}

/// A lone leader of two has the other's machine powered off, and then writes that down.
pub fn fence(model: &Protocol, state: &mut State, n: u8) -> bool {
    if !model.two_node || state.fencings >= model.fencings_max {
        return false;
    }
    let other = 3 - n;
    let Some(Body::View(members)) = last_view(&state.node(n).log) else {
        return false;
    };
    let target = state.node_mut(other);
    if members[usize::from(other) - 1].is_some() || !target.up {
        return false;
    }
    target.up = false;
    target.role = Role::Follower;
    target.commit = 0;
    let boot = target.boot;
    state.fencings += 1;
    append(model, state, n, Body::Certificate { node: other, boot })
}

fn last_view(log: &[Entry]) -> Option<Body> {
    let views = log.iter().rev().map(|e| e.body);
    views.into_iter().find(|b| matches!(b, Body::View(_)))
}

/// Another boot, which nobody has let in yet.
pub fn start(model: &Protocol, state: &mut State, n: u8) -> bool {
    let node = state.node_mut(n);
    node.up = true;
    node.boot += 1;
    node.let_in = !model.two_node;
    true
}

/// The sets that must agree for a log of which `commit` entries are known to be committed.
fn rules_of(model: &Protocol, log: &[Entry], commit: u8) -> Predicates {
    let sets_of = |body: &Body| -> Option<Vec<VoterSet>> {
        match body {
            Body::Joint => Some(model.sets.to_vec()),
            Body::New => Some(vec![model.sets[1].clone()]),
            _ => None,
        }
    };
    let settled = usize::from(commit).min(log.len());
    let known = log[..settled].iter().rev().find_map(|e| sets_of(&e.body));
    let known = known.unwrap_or_else(|| vec![model.sets[0].clone()]);
    let open = log[settled..].iter().filter_map(|e| sets_of(&e.body));
    let open: Vec<VoterSet> = open.flatten().collect();
    if model.has(Bug::SkipsJointStep) {
        // Whatever came last decides alone.
        let last = open.last().cloned().map_or(known, |set| vec![set]);
        return Predicates::new(last);
    }
    Predicates::new(known.into_iter().chain(open))
}

pub fn match_where_ballots_do(a: &[Entry], b: &[Entry]) -> bool {
    let shared = a.len().min(b.len());
    let last = (0..shared).rev().find(|i| a[*i].ballot == b[*i].ballot);
    last.is_none_or(|i| a[..=i] == b[..=i])
}

fn id(n: u8) -> NodeId {
    NodeId(u32::from(n))
}
