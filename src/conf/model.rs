//! What corosync.conf says, whichever generation wrote it.

use super::logging::Logging;
use std::net::IpAddr;

/// One cluster's configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterConf {
    /// `totem.cluster_name`; empty when not given.
    pub cluster_name: String,
    /// `totem.token`, milliseconds, when given.
    pub token_ms: Option<u64>,
    /// Peers; empty for the multicast form (`bindnetaddr` without any list).
    pub nodes: Vec<NodeConf>,
    /// Links by number: ports and bind addresses.
    pub links: Vec<Link>,
    /// Limit generated node ids to 31 bits; always done, kept for the record.
    pub clear_node_high_bit: bool,
    /// `quorum{}`.
    pub quorum: QuorumConf,
    /// `logging{}`.
    pub logging: Logging,
    /// What was accepted but means less than it says.
    pub warnings: Vec<Warning>,
}

impl ClusterConf {
    /// Links whose `bindnetaddr` is neither an address of the node list, nor an address or network of
    /// this machine, whose addresses and prefix lengths are given: in a sentence each. The node list
    /// decides, so that it is no error; but whoever wrote it meant something else.
    #[must_use]
    pub fn bind_remarks(&self, own: &[(IpAddr, u8)]) -> Vec<String> {
        let listed = |text: &str| {
            let mut addresses = self.nodes.iter().flat_map(|n| n.addrs.iter().flatten());
            addresses.any(|a| a == text)
        };
        let remark = |link: &Link| {
            let bind = link.bindnetaddr.as_deref().filter(|text| !listed(text))?;
            let fits = |(ip, prefix): &(IpAddr, u8)| {
                let network = network_of(*ip, *prefix);
                bind == ip.to_string() || bind == network.to_string()
            };
            if own.iter().any(fits) {
                return None;
            }
            let known = own.iter().filter(|(ip, _)| !ip.is_loopback());
            let known: Vec<String> = known
                .map(|(ip, prefix)| format!("{} ({ip}/{prefix})", network_of(*ip, *prefix)))
                .collect();
            Some(format!(
                "bindnetaddr: {bind} of link {} is no address and no network of this machine; it has {}; the list of nodes says which address is used",
                link.number,
                known.join(", ")
            ))
        };
        self.links.iter().filter_map(remark).collect()
    }

    /// UDP and TCP port of the first link.
    #[must_use]
    pub fn first_port(&self) -> u16 {
        let first = self.links.iter().min_by_key(|l| l.number);
        first.map_or(PORT_DEFAULT, |l| l.port)
    }
}

/// An address without what stands behind its prefix.
fn network_of(ip: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX
                .checked_shl(32_u32.saturating_sub(prefix))
                .unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX
                .checked_shl(128_u32.saturating_sub(prefix))
                .unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// A node of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeConf {
    /// `nodeid`, or made from the first link's IPv4 address.
    pub id: u32,
    /// `name`, when given.
    pub name: Option<String>,
    /// Addresses or host names by link number.
    pub addrs: Vec<Option<String>>,
    /// `quorum_votes`.
    pub votes: u32,
}

/// A link (ring).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `ringnumber` / `linknumber`.
    pub number: u8,
    /// UDP and TCP port (`mcastport`).
    pub port: u16,
    /// `bindnetaddr`, as written.
    pub bindnetaddr: Option<String>,
    /// `knet_link_priority`: data takes the link with the highest one that is up.
    pub priority: u8,
}

/// `quorum{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumConf {
    /// `expected_votes`.
    pub expected_votes: Option<u32>,
    /// `two_node`, as written: it counts while two nodes vote.
    pub two_node: bool,
    /// `wait_for_all`, when given (two_node and last_man_standing imply it otherwise).
    pub wait_for_all: Option<bool>,
    /// `last_man_standing: 1`: its window, milliseconds.
    pub last_man_standing_ms: Option<u64>,
    /// `auto_tie_breaker: 1`: who breaks a tie.
    pub tie: Option<Tie>,
    /// `device{}`: where the witness is.
    pub witness: Option<WitnessConf>,
}

/// `auto_tie_breaker_node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// The node with the lowest id.
    Lowest,
    /// The node with the highest id.
    Highest,
    /// This node.
    Node(u32),
}

/// `quorum{ device{ net{} } }`: the machine that runs mainstay-witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessConf {
    /// Address or host name.
    pub host: String,
    /// UDP port; that of link 0 when not given.
    pub port: Option<u16>,
}

/// Something accepted with a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line, from 1.
    pub line: usize,
    /// Key or section.
    pub key: String,
    /// Remark.
    pub text: String,
    /// Nobody knows this key or section; it was read over because that was asked for.
    pub unknown: bool,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.key, self.text)
    }
}

/// Port of links that name none (`mcastport` of corosync.conf(5)).
pub const PORT_DEFAULT: u16 = 5405;
/// Node id of the witness, which no node may have: it stands in no file, so that nobody can give it
/// twice.
pub const WITNESS_ID: u32 = u32::MAX;
/// `last_man_standing_window` where none is given, milliseconds (votequorum(5)).
pub(super) const LMS_WINDOW_MS: u64 = 10_000;
/// `knet_link_priority` of links that give none.
pub(super) const LINK_PRIORITY_DEFAULT: u8 = 1;
/// Links per node.
pub(super) const LINKS_MAX: u8 = 8;
/// Nodes per cluster.
pub(super) const NODES_MAX: usize = 128;
/// Shortest `token`, in milliseconds.
pub(super) const TOKEN_MS_MIN: u64 = 50;
/// Longest `token`, in milliseconds: one minute.
pub(crate) const TOKEN_MS_MAX: u64 = 60_000;
