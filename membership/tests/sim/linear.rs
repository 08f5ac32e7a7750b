//! Is what clients were told about their writes linearizable? Every acknowledged operation stands
//! exactly once in the one final log, refused ones never, those of unknown end at most once, and the
//! log's order agrees with real time. One pass, so that histories of any length can be checked; `wgl`
//! checks that it decides as the general search does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// What a client was told, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Acknowledged; at which position of the log, where that was said.
    Acked { at: u64, position: Option<u64> },
    /// Not done and never will be.
    Refused,
    /// No answer, or "in doubt".
    Unknown,
}

/// One operation of one client.
#[derive(Clone, Copy, Debug)]
pub struct Call<K> {
    pub op: K,
    pub invoked: u64,
    pub end: End,
}

/// `log`: what is there in the end, by position.
pub fn check<K: Ord + Copy + Debug>(calls: &[Call<K>], log: &[(u64, K)]) -> Result<(), String> {
    let mut places = BTreeMap::new();
    for (position, op) in log {
        if let Some(first) = places.insert(*op, *position) {
            return Err(format!("{op:?} is there twice, at {first} and {position}"));
        }
    }
    for call in calls {
        told_the_truth(call, places.get(&call.op).copied())?;
    }
    let known: BTreeSet<K> = calls.iter().map(|c| c.op).collect();
    if let Some((position, op)) = log.iter().find(|(_, op)| !known.contains(op)) {
        return Err(format!("{op:?} at {position} was never asked for"));
    }
    agrees_with_time(calls, log)
}

fn told_the_truth<K: Debug>(call: &Call<K>, place: Option<u64>) -> Result<(), String> {
    let op = &call.op;
    match (call.end, place) {
        (End::Acked { .. }, None) => Err(format!("{op:?} was acknowledged and is lost")),
        (End::Acked { position, .. }, Some(place)) if position.is_some_and(|p| p != place) => Err(
            format!("{op:?} was acknowledged at {position:?} and is at {place}"),
        ),
        (End::Refused, Some(place)) => Err(format!("{op:?} was refused and is at {place}")),
        _ => Ok(()),
    }
}

/// Nothing stands before what had been acknowledged when it was asked for.
fn agrees_with_time<K: Ord + Copy + Debug>(
    calls: &[Call<K>],
    log: &[(u64, K)],
) -> Result<(), String> {
    let by_op: BTreeMap<K, &Call<K>> = calls.iter().map(|c| (c.op, c)).collect();
    let mut earliest: Option<(u64, K)> = None;
    for (position, op) in log.iter().rev() {
        let Some(call) = by_op.get(op) else { continue };
        if let Some((answered, later)) = earliest.filter(|(at, _)| *at < call.invoked) {
            return Err(format!(
                "{op:?} at {position} was asked for at {}, after {later:?} behind it had been \
                 acknowledged at {answered}",
                call.invoked
            ));
        }
        if let End::Acked { at, .. } = call.end
            && earliest.is_none_or(|(first, _)| at < first)
        {
            earliest = Some((at, *op));
        }
    }
    Ok(())
}
