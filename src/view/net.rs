//! The network between the nodes as data: links, ways through other nodes, who hears whom, votes.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// How the nodes reach each other, as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetStatus {
    /// Id of the node that answers.
    pub local: u32,
    /// All configured nodes, the answering one included, by id.
    pub nodes: Vec<NetNode>,
    /// How quorum stands.
    pub quorum: NetQuorum,
    /// Membership epoch.
    pub view_no: u64,
    /// Now, seconds since the epoch.
    pub now: i64,
}

/// A node of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetNode {
    /// Node id.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Votes.
    pub votes: u32,
    /// It and the answering node hear each other (or are the same).
    pub here: bool,
    /// `self`, `up`, `degraded`, `lost`, `left`, `unknown`.
    pub state: String,
    /// Node that passes packets on, where nothing goes directly both ways.
    pub through: Option<u32>,
    /// Round trip that way, in microseconds.
    pub through_rtt_us: Option<u64>,
    /// Links to it; of the answering node its own addresses.
    pub links: Vec<NetLink>,
    /// Whom it receives: its row of the matrix. Empty while it is not heard.
    pub row: Vec<NetHeard>,
}

/// A link to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetLink {
    /// Number.
    pub number: u8,
    /// The node's address on it.
    pub address: String,
    /// Carries data.
    pub up: bool,
    /// Data takes this one now.
    pub best: bool,
    /// Round trip, in microseconds.
    pub rtt_us: Option<u64>,
    /// Heartbeats lost lately, in thousandths.
    pub loss_permille: u32,
    /// Times it went down since the daemon started.
    pub flaps: u32,
    /// Milliseconds since something came by it; `None` = never.
    pub silent_ms: Option<u64>,
    /// Milliseconds for which it stays down after a flap, although it may be heard.
    pub hold_down_ms: u64,
}

/// A field of the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetHeard {
    /// Who is received.
    pub id: u32,
    /// It counts as heard.
    pub counts: bool,
    /// Directly.
    pub direct: bool,
    /// Directly, and the other way as well.
    pub both_ways: bool,
}

/// How quorum stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetQuorum {
    /// This partition has it.
    pub quorate: bool,
    /// Why (not), in a sentence.
    pub why: String,
    /// Votes expected, present, needed.
    pub votes: (u32, u32, u32),
    /// Words of votequorum in force: `2Node`, `WaitForAll` …
    pub flags: Vec<String>,
    /// A witness or quorum device has a vote.
    pub device: bool,
}

impl NetStatus {
    /// The answering node.
    #[must_use]
    pub fn own(&self) -> Option<&NetNode> {
        self.nodes.iter().find(|n| n.id == self.local)
    }

    /// Every node but the answering one.
    pub fn others(&self) -> impl Iterator<Item = &NetNode> {
        self.nodes.iter().filter(|n| n.id != self.local)
    }

    fn name(&self, id: u32) -> String {
        let node = self.nodes.iter().find(|n| n.id == id);
        node.map_or_else(|| id.to_string(), |n| n.name.clone())
    }
}

/// The text of `mainstay net`.
#[must_use]
pub fn text(net: &NetStatus) -> String {
    let mut text = String::new();
    let own = net.own().cloned().unwrap_or_default();
    // Writing into a string has no way to fail.
    let _ = writeln!(text, "Paths from {} ({}):", own.name, own.id);
    for node in net.others() {
        let _ = writeln!(
            text,
            "  * {} ({}): {}",
            node.name,
            node.id,
            state(net, node)
        );
        for link in &node.links {
            let from = own.links.iter().find(|l| l.number == link.number);
            let from = from.map_or("?", |l| l.address.as_str());
            let _ = writeln!(
                text,
                "      link {} {from} -> {}: {}",
                link.number,
                link.address,
                link_state(link)
            );
        }
    }
    text.push_str(&matrix(net));
    text
}

fn state(net: &NetStatus, node: &NetNode) -> String {
    let Some(through) = node.through else {
        return node.state.clone();
    };
    let rtt = node.through_rtt_us.map(|us| format!(", {}", millis(us)));
    format!(
        "{}, reached through {} only{}",
        node.state,
        net.name(through),
        rtt.unwrap_or_default()
    )
}

fn link_state(link: &NetLink) -> String {
    let loss = format!(
        "loss {}.{} %, {} flaps",
        link.loss_permille / 10,
        link.loss_permille % 10,
        link.flaps
    );
    if link.up {
        let rtt = link.rtt_us.map_or_else(|| "?".to_owned(), millis);
        let data = if link.best { ", carries the data" } else { "" };
        return format!("up, {rtt}, {loss}{data}");
    }
    let silent = match link.silent_ms {
        None => "never heard".to_owned(),
        Some(ms) => format!("silent for {}.{} s", ms / 1_000, ms % 1_000 / 100),
    };
    let held = match link.hold_down_ms {
        0 => String::new(),
        ms => format!(", held down for {}.{} s more", ms / 1_000, ms % 1_000 / 100),
    };
    format!("DOWN, {silent}, {loss}{held}")
}

fn millis(us: u64) -> String {
    format!("{}.{:03} ms", us / 1_000, us % 1_000)
}

/// Who hears whom, a row per listener.
fn matrix(net: &NetStatus) -> String {
    let widths = net.nodes.iter().map(|n| n.name.chars().count());
    let wide = widths.max().unwrap_or(0).max(4);
    let mut text = String::from("\nWho hears whom (a row per listener):\n");
    let head = net.nodes.iter().map(|n| format!(" {:>wide$}", n.name));
    let _ = writeln!(text, "  {:wide$}{}", "", head.collect::<String>());
    for listener in &net.nodes {
        let cells = net
            .nodes
            .iter()
            .map(|n| format!(" {:>wide$}", cell(listener, n)));
        let _ = writeln!(
            text,
            "  {:wide$}{}",
            listener.name,
            cells.collect::<String>()
        );
    }
    text.push_str(
        "  both: directly, both ways; one: directly, one way; far: through another node;\n  \
         not: received and not counted (it hears nobody, or cannot work); -: silent; ?: not known\n",
    );
    text
}

fn cell(listener: &NetNode, of: &NetNode) -> &'static str {
    if listener.id == of.id {
        return ".";
    }
    if !listener.here {
        return "?";
    }
    match listener.row.iter().find(|h| h.id == of.id) {
        None => "-",
        Some(h) if !h.counts => "not",
        Some(h) if h.both_ways => "both",
        Some(h) if h.direct => "one",
        Some(_) => "far",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(id: u32, direct: bool, both_ways: bool) -> NetHeard {
        NetHeard {
            id,
            counts: true,
            direct,
            both_ways,
        }
    }

    fn node(id: u32, row: Vec<NetHeard>) -> NetNode {
        let link = NetLink {
            address: format!("10.0.0.{id}"),
            up: true,
            best: true,
            rtt_us: Some(312),
            ..NetLink::default()
        };
        NetNode {
            id,
            name: format!("node{id}"),
            here: true,
            state: "up".to_owned(),
            links: vec![link],
            row,
            ..NetNode::default()
        }
    }

    #[test]
    fn a_cut_pair_is_seen_at_a_glance() {
        let mut far = node(2, vec![heard(1, false, false), heard(3, true, true)]);
        far.state = "degraded".to_owned();
        (far.through, far.through_rtt_us) = (Some(3), Some(640));
        far.links[0] = NetLink {
            up: false,
            silent_ms: Some(3_250),
            loss_permille: 1_000,
            flaps: 1,
            ..far.links[0].clone()
        };
        let net = NetStatus {
            local: 1,
            nodes: vec![
                node(1, vec![heard(2, false, false), heard(3, true, true)]),
                far,
                node(3, vec![heard(1, true, true), heard(2, true, true)]),
            ],
            ..NetStatus::default()
        };
        let want = "\
Paths from node1 (1):
  * node2 (2): degraded, reached through node3 only, 0.640 ms
      link 0 10.0.0.1 -> 10.0.0.2: DOWN, silent for 3.2 s, loss 100.0 %, 1 flaps
  * node3 (3): up
      link 0 10.0.0.1 -> 10.0.0.3: up, 0.312 ms, loss 0.0 %, 0 flaps, carries the data

Who hears whom (a row per listener):
        node1 node2 node3
  node1     .   far  both
  node2   far     .  both
  node3  both  both     .
";
        assert!(text(&net).starts_with(want), "{}", text(&net));
    }
}
