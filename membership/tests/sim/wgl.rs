//! The checker is checked: on small histories the one-pass check of `linear` has to decide as the
//! search of Wing, Gong and Lowe does, which knows nothing of logs: it looks for any order of the
//! operations that real time allows and that explains every answer and the final content.

use std::collections::BTreeSet;

use crate::linear::{Call, End, check};
use crate::rng::Rng;

/// Histories that both have to judge alike.
const HISTORIES: u64 = 20_000;
/// Operations of one history at most.
const CALLS_MAX: u64 = 6;

/// The object: a list that operations append to, each answered with its position.
fn linearizable(calls: &[Call<u64>], log: &[u64]) -> bool {
    let mut seen = BTreeSet::new();
    search(calls, log, 0, &mut Vec::new(), &mut seen)
}

/// `done`: bits of the operations that took effect or never will.
fn search(
    calls: &[Call<u64>],
    log: &[u64],
    done: u32,
    list: &mut Vec<u64>,
    seen: &mut BTreeSet<(u32, Vec<u64>)>,
) -> bool {
    if !seen.insert((done, list.clone())) {
        return false;
    }
    let open: Vec<usize> = (0..calls.len()).filter(|i| done >> i & 1 == 0).collect();
    let finished = |i: &usize| !matches!(calls[*i].end, End::Acked { .. });
    if list == log && open.iter().all(finished) {
        return true;
    }
    let answered = |i: &usize| match calls[*i].end {
        End::Acked { at, .. } => at,
        _ => u64::MAX,
    };
    // Only what was asked for before the first open answer can be the next to take effect.
    let limit = open.iter().map(answered).min().unwrap_or(u64::MAX);
    open.iter()
        .filter(|i| calls[**i].invoked <= limit)
        .any(|i| {
            let call = &calls[*i];
            let place = list.len() as u64 + 1;
            let wrong = match call.end {
                End::Acked { position, .. } => position.is_some_and(|p| p != place),
                End::Refused => true,
                End::Unknown => false,
            };
            if wrong {
                return false;
            }
            list.push(call.op);
            let found = search(calls, log, done | 1 << i, list, seen);
            list.pop();
            found
        })
}

/// Mostly what a right system would show, with something changed in half of them.
fn history(rng: &mut Rng) -> (Vec<Call<u64>>, Vec<u64>) {
    let mut calls = Vec::new();
    let mut effects = Vec::new();
    for op in 1..=rng.range(1, CALLS_MAX) {
        let invoked = rng.below(40);
        let effect = invoked + rng.below(12);
        let at = effect + rng.below(12);
        let end = match rng.below(6) {
            0 => End::Refused,
            1 => End::Unknown,
            _ => End::Acked { at, position: None },
        };
        if matches!(end, End::Acked { .. }) || (end == End::Unknown && rng.permille(500)) {
            effects.push((effect, op));
        }
        calls.push(Call { op, invoked, end });
    }
    effects.sort_unstable();
    let mut log: Vec<u64> = effects.into_iter().map(|(_, op)| op).collect();
    for call in &mut calls {
        let place = log.iter().position(|op| *op == call.op);
        if let End::Acked { position, .. } = &mut call.end
            && rng.permille(500)
        {
            *position = place.map(|p| p as u64 + 1);
        }
    }
    if rng.permille(500) {
        spoil(rng, &mut log);
    }
    (calls, log)
}

fn spoil(rng: &mut Rng, log: &mut Vec<u64>) {
    if log.is_empty() {
        return log.push(1);
    }
    let (a, b) = (
        rng.below(log.len() as u64) as usize,
        rng.below(log.len() as u64) as usize,
    );
    match rng.below(4) {
        0 => drop(log.remove(a)),
        1 => log.insert(a, log[b]),
        2 => log.push(rng.range(1, CALLS_MAX + 1)),
        _ => log.swap(a, b),
    }
}

#[test]
fn the_quick_check_decides_as_the_search() {
    let mut rng = Rng::new(4);
    let (mut good, mut bad) = (0, 0);
    for number in 0..HISTORIES {
        let (calls, log) = history(&mut rng);
        let placed: Vec<(u64, u64)> = log.iter().zip(1..).map(|(op, at)| (at, *op)).collect();
        let quick = check(&calls, &placed);
        let searched = linearizable(&calls, &log);
        assert_eq!(
            quick.is_ok(),
            searched,
            "history {number}: {quick:?}\n{calls:#?}\n{log:?}"
        );
        match searched {
            true => good += 1,
            false => bad += 1,
        }
    }
    println!("{good} linearizable and {bad} other histories were judged alike");
    assert!(
        good > HISTORIES / 5 && bad > HISTORIES / 5,
        "{good} and {bad}"
    );
}
