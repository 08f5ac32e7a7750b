//! `quorum{}`: what decides, and what contradicts what (votequorum(5), corosync-qdevice(8)).

use super::ConfError;
use super::model::{ClusterConf, LMS_WINDOW_MS, QuorumConf, Tie, WITNESS_ID, WitnessConf};
use super::syntax::{Item, Section};
use membership::VoterSet;
use wire::NodeId;

/// Reads the section; its names were checked before.
pub(super) struct QuorumReader<'a> {
    file: &'a str,
    quorum: QuorumConf,
    window_ms: u64,
    tie_breaker: bool,
    tie: Tie,
}

impl<'a> QuorumReader<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self {
            file,
            quorum: QuorumConf::default(),
            window_ms: LMS_WINDOW_MS,
            tie_breaker: false,
            tie: Tie::Lowest,
        }
    }

    pub(super) fn read(mut self, section: &Section) -> Result<QuorumConf, ConfError> {
        let mut last_man = false;
        for item in &section.items {
            match item.key.as_str() {
                "provider" if item.value != "corosync_votequorum" => {
                    return Err(self.bad(item, "must be corosync_votequorum"));
                }
                "expected_votes" => self.quorum.expected_votes = Some(self.number(item)?),
                "two_node" => self.quorum.two_node = self.yes_no(item)?,
                "wait_for_all" => self.quorum.wait_for_all = Some(self.yes_no(item)?),
                "last_man_standing" => last_man = self.yes_no(item)?,
                "last_man_standing_window" => self.window_ms = self.window(item)?,
                "auto_tie_breaker" => self.tie_breaker = self.yes_no(item)?,
                "auto_tie_breaker_node" => self.tie = self.tie(item)?,
                _ => {}
            }
        }
        self.quorum.tie = self.tie_breaker.then_some(self.tie);
        self.quorum.last_man_standing_ms = last_man.then_some(self.window_ms);
        if let Some(device) = section.all("device").next() {
            self.device(device)?;
        }
        Ok(self.quorum)
    }

    fn window(&self, item: &Item) -> Result<u64, ConfError> {
        match self.number(item)? {
            ms @ LMS_WINDOW_MS_MIN..=LMS_WINDOW_MS_MAX => Ok(ms),
            _ => {
                let what =
                    format!("must be {LMS_WINDOW_MS_MIN} to {LMS_WINDOW_MS_MAX} milliseconds");
                Err(self.bad(item, &what))
            }
        }
    }

    fn tie(&self, item: &Item) -> Result<Tie, ConfError> {
        match item.value.as_str() {
            "lowest" => Ok(Tie::Lowest),
            "highest" => Ok(Tie::Highest),
            value => match value.parse() {
                Ok(id) => Ok(Tie::Node(id)),
                Err(_) if value.split_whitespace().count() > 1 => {
                    let what = "a list of nodes is not offered: if the first of them fails, half of \
                                the votes stops being enough; write lowest, highest or one node id";
                    Err(self.bad(item, what))
                }
                Err(_) => Err(self.bad(item, "must be lowest, highest or one node id")),
            },
        }
    }

    fn device(&mut self, device: &Section) -> Result<(), ConfError> {
        let net = device.all("net").next();
        let items = device.items.iter().chain(net.iter().flat_map(|n| &n.items));
        let mut host = None;
        let mut port = None;
        let mut modelled = false;
        for item in items {
            match (item.key.as_str(), item.value.as_str()) {
                ("model", "net") => modelled = true,
                ("model", other) => {
                    let what = format!(
                        "`{other}` is no model offered here: write net, and run mainstay-witness on \
                         the machine that net{{ host }} names"
                    );
                    return Err(self.bad(item, &what));
                }
                ("votes", "1") | ("algorithm", "ffsplit") => {}
                ("votes", _) => return Err(self.bad(item, "a witness has one vote: write 1")),
                ("algorithm", other) => {
                    let what = format!(
                        "`{other}` is not offered: the witness gives its one vote to one side, \
                         which Corosync calls ffsplit"
                    );
                    return Err(self.bad(item, &what));
                }
                ("host", name) => host = Some(name.to_owned()),
                ("port", _) => port = Some(self.number(item)?),
                _ => {}
            }
        }
        let fail = |what: &str| {
            Err(ConfError::at(
                self.file,
                device.line,
                "device",
                what.to_owned(),
            ))
        };
        match (modelled, host) {
            (false, _) => fail("a device needs `model: net`"),
            (true, None) => {
                fail("a device needs net{ host: ADDRESS }, where mainstay-witness runs")
            }
            (true, Some(host)) => {
                self.quorum.witness = Some(WitnessConf { host, port });
                Ok(())
            }
        }
    }

    fn bad(&self, item: &Item, what: &str) -> ConfError {
        ConfError::at(self.file, item.line, &item.key, what.to_owned())
    }

    fn number<T: std::str::FromStr>(&self, item: &Item) -> Result<T, ConfError> {
        let what = format!("`{}` is no number in the range allowed here", item.value);
        item.value.parse().map_err(|_| self.bad(item, &what))
    }

    fn yes_no(&self, item: &Item) -> Result<bool, ConfError> {
        match item.value.as_str() {
            "yes" | "on" | "1" | "true" => Ok(true),
            "no" | "off" | "0" | "false" => Ok(false),
            other => Err(self.bad(item, &format!("`{other}` is neither yes nor no"))),
        }
    }
}

impl ClusterConf {
    /// The voters that the file names.
    #[must_use]
    pub fn voters(&self) -> VoterSet {
        let mut votes: Vec<_> = self.nodes.iter().map(|n| (NodeId(n.id), n.votes)).collect();
        votes.sort_unstable();
        self.voters_among(votes, self.quorum.expected_votes)
    }

    /// votequorum(5) as the file says it, of these nodes; the witness votes with any of them.
    #[must_use]
    pub fn voters_among(
        &self,
        mut votes: Vec<(NodeId, u32)>,
        expected_votes: Option<u32>,
    ) -> VoterSet {
        let quorum = &self.quorum;
        let two_node = quorum.two_node && votes.len() == 2;
        let mut with_vote = votes.iter().filter(|(_, v)| *v > 0).map(|(n, _)| *n);
        let tie_node = match quorum.tie {
            None => None,
            Some(Tie::Lowest) => with_vote.next(),
            Some(Tie::Highest) => with_vote.next_back(),
            Some(Tie::Node(id)) => with_vote.find(|n| n.0 == id),
        };
        // A cluster that shrank to one node needs nobody to break a tie.
        let witness = quorum.witness.as_ref().filter(|_| votes.len() > 1);
        let witness = witness.map(|_| NodeId(WITNESS_ID));
        votes.extend(witness.map(|w| (w, 1)));
        VoterSet {
            votes,
            expected_votes,
            two_node,
            wait_for_all: quorum.wait_for_all.unwrap_or(two_node),
            last_man_standing: quorum.last_man_standing_ms.map(|ms| ms * 1_000),
            tie_node,
            witness,
            absent: Vec::new(),
        }
    }

    /// What follows from the whole file, with remarks: key and text.
    pub(super) fn settle_quorum(&mut self) -> Vec<(&'static str, String)> {
        let mut remarks = Vec::new();
        let nodes = self.nodes.len();
        let votes: u32 = self.nodes.iter().map(|n| n.votes).sum();
        let quorum = &mut self.quorum;
        if quorum.two_node && nodes > 2 {
            // It stays as written: nodes may go, and then it counts.
            let text = format!("no effect with {nodes} nodes: two_node is for two");
            remarks.push(("two_node", text));
        }
        if quorum.two_node && quorum.witness.is_some() {
            let text = "no effect: the witness decides which of two nodes goes on alone";
            remarks.push(("two_node", text.to_owned()));
            quorum.two_node = false;
        }
        if quorum.last_man_standing_ms.is_some() && quorum.wait_for_all.is_none() {
            let text = "last_man_standing implies it: a cold start waits for all nodes";
            remarks.push(("wait_for_all", text.to_owned()));
            quorum.wait_for_all = Some(true);
        }
        if quorum.witness.is_some() && nodes % 2 == 1 && nodes > 1 {
            let text = format!(
                "with {nodes} nodes a witness makes a majority larger, not safer: it is for an even \
                 number of nodes"
            );
            remarks.push(("device", text));
        }
        if quorum.expected_votes.is_some_and(|e| e < votes) && votes > 0 {
            let text = format!(
                "no effect: the nodes have {votes} votes, and fewer than a majority of them never \
                 is a quorum"
            );
            remarks.push(("expected_votes", text));
        }
        remarks
    }

    /// Contradictions: key and text.
    pub(super) fn check_quorum(&self) -> Result<(), (&'static str, String)> {
        let quorum = &self.quorum;
        let bad = |key, what: &str| Err((key, what.to_owned()));
        let last_man = quorum.last_man_standing_ms.is_some();
        let two_node = quorum.two_node && self.nodes.len() <= 2;
        if two_node && quorum.tie.is_some() {
            return bad(
                "auto_tie_breaker",
                "contradicts two_node, which lets either node go on: remove one of them",
            );
        }
        if quorum.witness.is_some() && quorum.tie.is_some() {
            return bad(
                "auto_tie_breaker",
                "contradicts device{}: the witness breaks the tie; remove one of them",
            );
        }
        if last_man && (quorum.witness.is_some() || two_node) {
            return bad(
                "last_man_standing",
                "goes neither with device{} nor with two_node: remove one of them",
            );
        }
        if last_man && quorum.wait_for_all == Some(false) {
            return bad("last_man_standing", "needs wait_for_all: 1");
        }
        if last_man && self.nodes.iter().any(|n| n.votes != 1) {
            return bad("last_man_standing", "needs one vote per node");
        }
        if let Some(Tie::Node(id)) = quorum.tie
            && !self.nodes.iter().any(|n| n.id == id && n.votes > 0)
        {
            let what = format!("node {id} is not in the node list or has no vote");
            return Err(("auto_tie_breaker_node", what));
        }
        let many = self.nodes.len() > membership::WITNESS_NODES_MAX;
        if quorum.witness.is_some() && (self.nodes.len() < 2 || many) {
            let what = format!(
                "a witness is for 2 to {} nodes",
                membership::WITNESS_NODES_MAX
            );
            return Err(("device", what));
        }
        Ok(())
    }
}

/// Shortest window of last_man_standing, milliseconds: a node that restarts is not taken out.
const LMS_WINDOW_MS_MIN: u64 = 1_000;
/// Longest, milliseconds: a day.
const LMS_WINDOW_MS_MAX: u64 = 86_400_000;
