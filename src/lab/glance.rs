//! What a node says of the cluster, as far as the lab needs it.

use super::cluster::Lab;
use super::error::LabError;
use super::wait::Seen;
use crate::ipc::Client;
use crate::paths::Paths;
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;

/// The parts of `mainstay status -o json` that the lab waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Glance {
    /// The answering node's protocol state.
    #[serde(default)]
    pub local_state: String,
    /// The DC, when one is known.
    #[serde(default)]
    pub dc: Option<String>,
    /// The partition has quorum.
    #[serde(default)]
    pub quorate: bool,
    /// Why (not).
    #[serde(default)]
    pub quorum_why: String,
    /// Number of the membership view.
    #[serde(default)]
    pub view_no: u64,
    /// The nodes.
    #[serde(default)]
    pub nodes: Vec<GlanceNode>,
}

/// A node in a [`Glance`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct GlanceNode {
    /// Its name.
    pub name: String,
    /// In the membership and joined.
    #[serde(default)]
    pub online: bool,
}

impl Glance {
    fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|e| format!("`mainstay status -o json`: {e}"))
    }

    /// True when the partition is quorate and lists all of `names` as online.
    #[must_use]
    pub fn has_members(&self, names: &[String]) -> bool {
        self.quorate
            && names
                .iter()
                .all(|n| self.nodes.iter().any(|m| m.online && m.name == *n))
    }

    fn describe(&self) -> String {
        let online: Vec<&str> = self
            .nodes
            .iter()
            .filter(|n| n.online)
            .map(|n| n.name.as_str())
            .collect();
        let quorum = if self.quorate { "quorate" } else { "no quorum" };
        format!(
            "{}, {quorum}, online: {}",
            self.local_state,
            online.join(" ")
        )
    }
}

impl Lab {
    /// Asks a node's daemon for the cluster's state; the inner error says why it has no answer.
    ///
    /// # Errors
    /// When the command cannot be run in the node.
    pub fn glance(&self, node: &str) -> Result<Result<Glance, String>, LabError> {
        let answer = self.exec_with(node, &STATUS, b"", STATUS_WITHIN)?;
        if !answer.ok() {
            let line = answer.stderr.lines().next().unwrap_or("no reason given");
            return Ok(Err(format!("exit {}: {line}", answer.code)));
        }
        Ok(Glance::parse(&answer.stdout))
    }

    /// Connects to a node's daemon as a command in that node would.
    ///
    /// # Errors
    /// When the node is off or its daemon does not answer.
    pub fn client_of(&self, node: &str) -> Result<Client, LabError> {
        let nodes = self.nodes()?;
        let init = nodes.iter().find(|n| n.name == node);
        let init = init.ok_or_else(|| LabError::Refused(format!("there is no {node}")))?;
        let root = format!("/proc/{}/root", init.running()?.pid);
        Client::connect(&Paths::below(root)).map_err(|e| {
            let why = format!("the daemon of {node}: {e}: {}", e.cure());
            LabError::Refused(why)
        })
    }

    /// Waits until every node that is powered on sees all of them online, with quorum.
    ///
    /// # Errors
    /// A timeout that says what which node saw instead.
    pub fn wait_members(&self, bound: Duration) -> Result<(), LabError> {
        let names: Vec<String> = self
            .nodes()?
            .into_iter()
            .filter(|n| n.running().is_ok())
            .map(|n| n.name)
            .collect();
        let Some(first) = names.first() else {
            return Err(LabError::Refused("every node is powered off".to_owned()));
        };
        let what = format!("{} to be online with quorum", names.join(", "));
        self.wait(what, bound)
            .log(&self.daemon_log(first))
            .until(|| {
                for name in &names {
                    match self.glance(name)? {
                        Ok(glance) if glance.has_members(&names) => {}
                        Ok(glance) => {
                            return Ok(Seen::NotYet(format!("{name}: {}", glance.describe())));
                        }
                        Err(cause) => return Ok(Seen::NotYet(format!("{name}: {cause}"))),
                    }
                }
                Ok(Seen::Yes(()))
            })
    }

    /// Waits until the kernel of exactly one node, other than `not`, has `address`.
    ///
    /// # Errors
    /// A timeout that says who had it instead.
    pub fn wait_holder(
        &self,
        address: IpAddr,
        not: Option<&str>,
        bound: Duration,
    ) -> Result<String, LabError> {
        self.wait(format!("a node to hold {address}"), bound)
            .every(HOLDER_EVERY)
            .until(|| {
                let mut holders = self.holders(address)?;
                Ok(match (holders.pop(), holders.is_empty()) {
                    (Some(one), true) if not != Some(one.as_str()) => Seen::Yes(one),
                    (Some(one), _) => Seen::NotYet(format!("{one} {} has it", holders.join(" "))),
                    (None, _) => Seen::NotYet("nobody has it".to_owned()),
                })
            })
    }
}

/// The status command.
const STATUS: [&str; 4] = ["mainstay", "status", "-o", "json"];
/// Bound of that command.
const STATUS_WITHIN: Duration = Duration::from_secs(10);
/// Time between two looks into the kernels.
const HOLDER_EVERY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glance_reads_the_status_model() {
        let status = crate::view::Status {
            quorate: true,
            local_state: "dc".into(),
            nodes: vec![scheduler::NodeStatus {
                name: "node1".into(),
                online: true,
                ..Default::default()
            }],
            ..Default::default()
        };
        let glance = Glance::parse(&serde_json::to_string(&status).unwrap()).unwrap();
        assert!(glance.has_members(&["node1".to_owned()]));
        assert!(!glance.has_members(&["node1".to_owned(), "node2".to_owned()]));
        assert_eq!(glance.describe(), "dc, quorate, online: node1");
    }
}
