//! A cluster that falls apart on paper: which part would decide, step by step.

use crate::conf::{ClusterConf, WITNESS_ID};
use membership::paper::{Paper, Part, Why};
use std::collections::BTreeSet;
use wire::NodeId;

/// The whole story: after each step of the script every part of the cluster, and why it may decide or
/// not.
///
/// # Errors
/// What is wrong with a line of the script, or with the voters that `conf` names.
pub fn play(conf: &ClusterConf, script: &str) -> Result<String, String> {
    let names = Names(conf);
    let mut paper = Paper::new(conf.voters())?;
    let mut told = format!("start\n{}", parts(&paper, &names));
    for (at, line) in script.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        step(&mut paper, &names, line).map_err(|e| format!("line {}: {e}", at + 1))?;
        told += &format!("{line}\n{}", parts(&paper, &names));
    }
    Ok(told)
}

fn step(paper: &mut Paper, names: &Names<'_>, line: &str) -> Result<(), String> {
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match verb {
        "split" => paper.split(
            rest.split('|')
                .map(|part| names.of(part))
                .collect::<Result<_, _>>()?,
        ),
        "heal" => paper.split(Vec::new()),
        "fail" => paper.fail(&names.of(rest)?),
        "start" => paper.start(&names.of(rest)?),
        "wait" => paper.wait(),
        other => {
            return Err(format!(
                "`{other}` is no step: write split A B | C, heal, fail A, start A or wait"
            ));
        }
    }
    Ok(())
}

fn parts(paper: &Paper, names: &Names<'_>) -> String {
    let mut text = String::new();
    for part in paper.parts() {
        let who: Vec<_> = part.nodes.iter().map(|n| names.name(*n)).collect();
        let verdict = if part.quorate { "quorum" } else { "no quorum" };
        text += &format!("  {}: {verdict}: {}\n", who.join(" "), why(&part, names));
    }
    let absent: Vec<_> = paper.voters().absent.iter().collect();
    if !absent.is_empty() {
        let who: Vec<_> = absent.iter().map(|(n, _)| names.name(*n)).collect();
        text += &format!("  no vote any more until back: {}\n", who.join(" "));
    }
    text
}

fn why(part: &Part, names: &Names<'_>) -> String {
    let (have, need, all) = part.votes;
    let counted = format!("{have} of {all} votes, {need} needed");
    match part.why {
        Why::Majority | Why::TooFew => counted,
        Why::Tie(tie) => format!(
            "{have} of {all} votes with the tie-breaker {}",
            names.name(tie)
        ),
        Why::Witness => format!("{counted}, the witness is one of them"),
        Why::TwoNode => "either of two nodes goes on; what it takes over waits for fencing".into(),
        Why::TieLost(tie) => {
            let tie = names.name(tie);
            format!("{have} of {all} votes without the tie-breaker {tie}")
        }
        Why::OutOfView => {
            "the witness helps only who was with it when it last decided; the others may know more"
                .into()
        }
        Why::NotAllSeen => format!("{counted}, but wait_for_all wants all nodes after a start"),
        Why::WitnessAlone => "the witness alone decides nothing".into(),
    }
}

/// Names of nodes, and back.
struct Names<'a>(&'a ClusterConf);

impl Names<'_> {
    fn name(&self, node: NodeId) -> String {
        if node.0 == WITNESS_ID {
            return WITNESS.to_owned();
        }
        let found = self.0.nodes.iter().find(|n| n.id == node.0);
        let name = found.and_then(|n| n.name.clone().or_else(|| n.addrs.first().cloned()?));
        name.unwrap_or_else(|| node.to_string())
    }

    fn of(&self, words: &str) -> Result<BTreeSet<NodeId>, String> {
        let known = self.0.nodes.iter().map(|n| NodeId(n.id));
        let witness = self.0.quorum.witness.as_ref().map(|_| NodeId(WITNESS_ID));
        let known: Vec<NodeId> = known.chain(witness).collect();
        let find = |word: &str| {
            let is_it = |n: &&NodeId| self.name(**n) == word || n.to_string() == word;
            let found = known.iter().find(is_it).copied();
            found.ok_or_else(|| format!("`{word}` is neither a node nor `{WITNESS}`"))
        };
        words.split_whitespace().map(find).collect()
    }
}

/// What the script calls the witness.
const WITNESS: &str = "witness";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{self, Strictness};

    fn conf(quorum: &str, n: u32) -> ClusterConf {
        let node =
            |id| format!("node {{\n ring0_addr: 10.0.0.{id}\n nodeid: {id}\n name: n{id}\n}}\n");
        let nodes: String = (1..=n).map(node).collect();
        let text = format!("nodelist {{\n{nodes}}}\nquorum {{\n{quorum}\n}}\n");
        conf::read("c", &text, Strictness::Strict).unwrap()
    }

    #[test]
    fn a_script_tells_who_decides_and_why() {
        let tied = conf("auto_tie_breaker: 1", 4);
        let told = play(&tied, "split n1 n2 | n3 n4\nheal # again\n").unwrap();
        for line in [
            "  n1 n2: quorum: 2 of 4 votes with the tie-breaker n1",
            "  n3 n4: no quorum: 2 of 4 votes without the tie-breaker n1",
            "  n1 n2 n3 n4: quorum: 4 of 4 votes, 3 needed",
        ] {
            assert!(told.contains(line), "{told}");
        }
        let device = conf("device {\n model: net\n net {\n host: 10.0.0.9\n }\n}", 2);
        let told = play(&device, "fail n2\nfail n1\nstart n2").unwrap();
        assert!(
            told.contains(
                "  n1 witness: quorum: 2 of 3 votes, 2 needed, the witness is one of them"
            ),
            "{told}"
        );
        assert!(
            told.contains("  n2 witness: no quorum: the witness helps only"),
            "{told}"
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        let plain = conf("", 3);
        assert!(
            play(&plain, "\nfall n1")
                .unwrap_err()
                .contains("line 2: `fall` is no step")
        );
        assert!(
            play(&plain, "fail n9")
                .unwrap_err()
                .contains("`n9` is neither")
        );
    }
}
