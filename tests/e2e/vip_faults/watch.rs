//! What is seen from outside during a sequence, and the verdict on it.

use super::{VIP6, World};
use crate::cluster::PATIENCE;
use mainstay::lab::{Line, Talk, VIP};
use netlink::provoke::Provoker;
use netlink::speakers::{Capture, Kind, Word, late};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Time between two rounds of questions.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(5);
/// A move back after this time is another move, not two owners.
pub(super) const RETURN_AFTER: Duration = Duration::from_millis(50);
/// Two nodes that were hidden from each other have one holder again so soon (ruling 11).
const ONE_HOLDER_WITHIN: Duration = Duration::from_secs(1);

/// Everything that a client and the switch notice, from its start on.
pub(super) struct Observation {
    asking: Provoker,
    pub(super) capture: Capture,
    talks: Vec<(IpAddr, Talk)>,
}

/// What was noticed.
pub(super) struct Seen {
    words: Vec<Word>,
    lost: u64,
    lines: Vec<(IpAddr, Vec<Line>)>,
}

/// When two nodes could not know of each other, by how the faults were done and undone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

/// What the verdict found that is no violation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Frames of two owners while two nodes were hidden from each other.
    pub(super) hidden: usize,
    /// How long after the end of that two nodes were still heard.
    pub(super) settled_after: Duration,
    pub(super) words: usize,
    pub(super) lines: usize,
}

impl Observation {
    pub(super) fn start(world: &World) -> Self {
        let c = &world.c;
        let ips = BTreeSet::from([VIP, VIP6]);
        let (asking, capture) = c.watch_owners(&ips, ASK_EVERY).unwrap();
        let talk = |ip: &IpAddr| (*ip, c.talk(*ip).unwrap());
        Self {
            asking,
            capture,
            talks: ips.iter().map(talk).collect(),
        }
    }

    /// Waits until both addresses answer the questions, and connections through both go on.
    pub(super) fn wait_for_both(&self, world: &World, what: &str) {
        let from = Instant::now();
        for (ip, talk) in &self.talks {
            let heard = self.capture.wait_for(*ip, from, PATIENCE);
            assert!(heard.is_some(), "{what}: nobody answers for {ip}");
            let node = world.c.other_than(&[]);
            world.c.wait_until(
                &format!("{what}: a connection through {ip}"),
                &node,
                || match talk.goes_on_since(from) {
                    true => Ok(()),
                    false => Err("silence".to_owned()),
                },
            );
        }
    }

    pub(super) fn stop(self) -> Seen {
        drop(self.asking);
        let lines = self.talks.into_iter();
        let lines = lines.map(|(ip, talk)| (ip, talk.stop())).collect();
        let (words, lost) = self.capture.stop();
        Seen { words, lost, lines }
    }
}

impl Seen {
    /// The rule: no node speaks for an address, in whatever frame, after another one has begun to;
    /// two nodes that were hidden from each other may until they have met again.
    pub(super) fn judge(
        &self,
        world: &World,
        hidden: Option<Hidden>,
        strict: bool,
    ) -> Result<Found, String> {
        if self.lost > 0 {
            return Err(format!("{} frames were not captured", self.lost));
        }
        let names = world.macs();
        let mut found = Found {
            words: self.words.len(),
            ..Found::default()
        };
        for (ip, lines) in &self.lines {
            let of_this = self.words.iter().filter(|w| w.ip == *ip).copied();
            let words: Vec<Word> = of_this.collect();
            for word in late(&words, RETURN_AFTER) {
                let name = names.get(&word.mac).map_or("a stranger", String::as_str);
                let excused = hidden.filter(|h| word.at >= h.from);
                let Some(hidden) = excused else {
                    let story = story(&words, &word, &names);
                    return Err(format!(
                        "{name} spoke for {ip} ({:?}) though another did\n{story}",
                        word.kind
                    ));
                };
                found.hidden += 1;
                let after = word.at.saturating_duration_since(hidden.to);
                found.settled_after = found.settled_after.max(after);
            }
            one_node_a_connection(lines, &words, &names)?;
            found.lines += lines.len();
        }
        if strict && found.settled_after > ONE_HOLDER_WITHIN {
            return Err(format!(
                "two holders for {:?} after all was well again",
                found.settled_after
            ));
        }
        Ok(found)
    }
}

/// A connection is with one node as long as it lives, both ways, and whoever talks on it speaks
/// for the address.
fn one_node_a_connection(
    lines: &[Line],
    words: &[Word],
    names: &BTreeMap<netlink::Mac, String>,
) -> Result<(), String> {
    let mut newest: BTreeMap<usize, &Line> = BTreeMap::new();
    for line in lines {
        let by = |w: &&Word| names.get(&w.mac) == Some(&line.node) && w.kind == Kind::Tcp;
        let before = newest.insert(line.connection, line);
        let follows = match before {
            None => {
                if !words.iter().any(|w| by(&w)) {
                    return Err(format!("{line:?} came from nobody at the switch"));
                }
                line.number == 0
            }
            Some(before) => {
                before.node == line.node
                    && line.number == before.number + 1
                    && line.heard >= before.heard
            }
        };
        if !follows {
            return Err(format!("{line:?} does not follow {before:?}"));
        }
    }
    Ok(())
}

/// The turns around a word, for the message.
fn story(words: &[Word], around: &Word, names: &BTreeMap<netlink::Mac, String>) -> String {
    let near = |w: &&Word| {
        let (a, b) = (w.at.max(around.at), w.at.min(around.at));
        a.duration_since(b) < Duration::from_millis(400)
    };
    let mut lines: Vec<String> = Vec::new();
    let near: Vec<&Word> = words.iter().filter(near).collect();
    for turn in near.chunk_by(|a, b| a.mac == b.mac && a.kind == b.kind) {
        let first = turn[0];
        let ms = |at: Instant| {
            let after = at.saturating_duration_since(around.at).as_secs_f64();
            (after - around.at.saturating_duration_since(at).as_secs_f64()) * 1e3
        };
        lines.push(format!(
            "  {:8.2} ms: {} {:?} x{}",
            ms(first.at),
            names.get(&first.mac).map_or("?", String::as_str),
            first.kind,
            turn.len()
        ));
    }
    let middle = lines.iter().position(|l| l.starts_with("      0.00"));
    let from = middle.unwrap_or(0).saturating_sub(STORY_LINES / 2);
    let lines: Vec<String> = lines.into_iter().skip(from).take(STORY_LINES).collect();
    lines.join("\n")
}

/// Lines of a story.
const STORY_LINES: usize = 60;
