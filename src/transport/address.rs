//! Who is reached where: addresses by link and node.

use crate::conf::{ClusterConf, Hosts, NodeConf, WITNESS_ID, WitnessConf};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use wire::NodeId;

/// What the protocol core puts before a node's number.
const NODE_WORD: &str = "node ";

/// What the witness is called where a node would have its name.
const WITNESS_NAME: &str = "the witness";

/// Own address and every peer's on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkAddresses {
    /// Link number.
    pub link: u8,
    /// Higher goes first (`knet_link_priority`); among equals the fastest.
    pub priority: u8,
    /// Own address, UDP and TCP.
    pub own: SocketAddr,
    /// Peers that have this link.
    pub peers: BTreeMap<NodeId, SocketAddr>,
}

/// The cluster as this node sees it: itself, its name, everybody's addresses and names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// This node.
    pub me: NodeId,
    /// Links by number; never empty.
    pub links: Vec<LinkAddresses>,
    /// Name of every node, itself included.
    pub names: BTreeMap<NodeId, String>,
    /// Votes of every node, itself included.
    pub votes: BTreeMap<NodeId, u32>,
    /// The witness, which is no node and is reached over link 0 alone.
    pub witness: Option<NodeId>,
}

/// Why the addresses make no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No node is listed.
    #[error(
        "no node is listed: the multicast form of corosync.conf names no peers, and mainstay does not search for them; add nodelist {{ node {{ ring0_addr: ADDRESS }} … }} with one node section per machine, or run `mainstay join` to enter a cluster that is there"
    )]
    NoNodes,
    /// None of the listed addresses is this machine's.
    #[error(
        "none of the listed nodes is this machine: the file lists {listed}, this machine has {own}"
    )]
    NotListed {
        /// Addresses listed.
        listed: String,
        /// Addresses of the machine.
        own: String,
    },
    /// More than one node of the list is this machine.
    #[error("two listed nodes are this machine: {one} and {two}; each machine is one node")]
    Twice {
        /// Address of one.
        one: String,
        /// Address of the other.
        two: String,
    },
    /// A name does not resolve.
    #[error(
        "`{name}` of node {node} does not resolve: write an address, or add the name to /etc/hosts on every node"
    )]
    Unresolved {
        /// Node id.
        node: u32,
        /// The name.
        name: String,
    },
    /// This node lacks a link that others have.
    #[error("node {node} has no address for link 0 (ring0_addr)")]
    NoLink {
        /// Node id.
        node: u32,
    },
    /// The witness' host name does not resolve.
    #[error(
        "`{name}` of quorum {{ device {{ net }} }} does not resolve: write an address, or add the name to /etc/hosts on every node"
    )]
    WitnessUnresolved {
        /// The name.
        name: String,
    },
    /// The file names no witness, or another machine.
    #[error(
        "this machine is not the witness: quorum {{ device {{ net {{ host }} }} }} names {named}, this machine has {own}"
    )]
    NotWitness {
        /// What the file names.
        named: String,
        /// Addresses of the machine.
        own: String,
    },
    /// Two links of this node have the same address and port.
    #[error("links {one} and {two} of this node have the same address {address}")]
    SameAddress {
        /// Link.
        one: u8,
        /// Link.
        two: u8,
        /// The address.
        address: SocketAddr,
    },
}

impl Peers {
    /// A text of the protocol core, which knows numbers alone, with the nodes' names: `node 3`
    /// becomes what node 3 is called.
    #[must_use]
    pub fn named(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(NODE_WORD) {
            let (before, found) = rest.split_at(at);
            let digits = &found[NODE_WORD.len()..];
            let len = digits.bytes().take_while(u8::is_ascii_digit).count();
            let starts_word = !before.ends_with(|c: char| c.is_alphanumeric());
            let node = digits[..len].parse().map(NodeId);
            let name = node.ok().and_then(|n| self.named_node(n));
            out.push_str(before);
            match name.filter(|_| starts_word) {
                Some(name) => out.push_str(&name),
                None => out.push_str(&found[..NODE_WORD.len() + len]),
            }
            rest = &digits[len..];
        }
        out.push_str(rest);
        out
    }

    /// Finds this machine in the list by its own addresses, and everybody's addresses.
    ///
    /// # Errors
    /// [`AddressError`], with what to write instead.
    pub fn resolve(
        conf: &ClusterConf,
        hosts: &Hosts,
        own: &[IpAddr],
    ) -> Result<Self, AddressError> {
        if conf.nodes.is_empty() {
            return Err(AddressError::NoNodes);
        }
        let mut addresses = BTreeMap::new();
        for node in &conf.nodes {
            addresses.insert(node.id, resolve_node(node, hosts)?);
        }
        let me = find_me(&addresses, own)?;
        let mut links = Vec::new();
        for link in &conf.links {
            let at = |id: &u32| {
                let addr = addresses
                    .get(id)?
                    .get(usize::from(link.number))
                    .copied()
                    .flatten();
                addr.map(|a| SocketAddr::new(a, link.port))
            };
            let Some(own) = at(&me) else { continue };
            let others = conf.nodes.iter().filter(|n| n.id != me);
            let mut peers: BTreeMap<_, _> = others
                .filter_map(|n| Some((NodeId(n.id), at(&n.id)?)))
                .collect();
            if let Some(witness) = conf.quorum.witness.as_ref().filter(|_| link.number == 0) {
                let address = witness_address(witness, hosts, link.port)?;
                peers.insert(NodeId(WITNESS_ID), address);
            }
            links.push(LinkAddresses {
                link: link.number,
                priority: link.priority,
                own,
                peers,
            });
        }
        if links.first().is_none_or(|l| l.link != 0) {
            return Err(AddressError::NoLink { node: me });
        }
        distinct(&links)?;
        Ok(Self {
            me: NodeId(me),
            links,
            names: names(conf, hosts),
            votes: conf.nodes.iter().map(|n| (NodeId(n.id), n.votes)).collect(),
            witness: conf.quorum.witness.as_ref().map(|_| NodeId(WITNESS_ID)),
        })
    }

    /// The cluster as its witness sees it: this machine is no node, and speaks to all of them over
    /// link 0.
    ///
    /// # Errors
    /// [`AddressError`]: the file names no witness or another machine, or a name does not resolve.
    pub fn resolve_witness(
        conf: &ClusterConf,
        hosts: &Hosts,
        own: &[IpAddr],
    ) -> Result<Self, AddressError> {
        let not_here = |named: &str| {
            let own: Vec<_> = own.iter().map(ToString::to_string).collect();
            Err(AddressError::NotWitness {
                named: named.to_owned(),
                own: own.join(", "),
            })
        };
        let Some(witness) = &conf.quorum.witness else {
            return not_here("none");
        };
        let link = conf.links.iter().find(|l| l.number == 0);
        let port = link.map_or(0, |l| l.port);
        let here = witness_address(witness, hosts, port)?;
        if !own.contains(&here.ip()) {
            return not_here(&witness.host);
        }
        let mut peers = BTreeMap::new();
        for node in &conf.nodes {
            let first = resolve_node(node, hosts)?.first().copied().flatten();
            let address = first.ok_or(AddressError::NoLink { node: node.id })?;
            peers.insert(NodeId(node.id), SocketAddr::new(address, port));
        }
        Ok(Self {
            me: NodeId(WITNESS_ID),
            links: vec![LinkAddresses {
                link: 0,
                priority: link.map_or(1, |l| l.priority),
                own: here,
                peers,
            }],
            names: names(conf, hosts),
            votes: conf.nodes.iter().map(|n| (NodeId(n.id), n.votes)).collect(),
            witness: Some(NodeId(WITNESS_ID)),
        })
    }

    /// Everybody this process speaks the protocol with, ascending: every peer, and the witness.
    #[must_use]
    pub fn partners(&self) -> Vec<NodeId> {
        let witness = self.witness.filter(|w| *w != self.me);
        self.others().into_iter().chain(witness).collect()
    }

    /// Every peer, ascending.
    #[must_use]
    pub fn others(&self) -> Vec<NodeId> {
        self.names
            .keys()
            .copied()
            .filter(|n| *n != self.me)
            .collect()
    }

    /// A node's name; its number where it has none.
    #[must_use]
    pub fn name(&self, node: NodeId) -> String {
        self.named_node(node).unwrap_or_else(|| node.to_string())
    }

    fn named_node(&self, node: NodeId) -> Option<String> {
        let witness = || (self.witness == Some(node)).then(|| WITNESS_NAME.to_owned());
        self.names.get(&node).cloned().or_else(witness)
    }

    /// The node of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<NodeId> {
        self.names
            .iter()
            .find(|(_, n)| n.as_str() == name)
            .map(|(id, _)| *id)
    }
}

fn names(conf: &ClusterConf, hosts: &Hosts) -> BTreeMap<NodeId, String> {
    let nodes = conf.nodes.iter();
    nodes.map(|n| (NodeId(n.id), hosts.node_name(n))).collect()
}

fn witness_address(
    witness: &WitnessConf,
    hosts: &Hosts,
    link_port: u16,
) -> Result<SocketAddr, AddressError> {
    let name = &witness.host;
    let Some(address) = hosts.address(name) else {
        let name = name.clone();
        return Err(AddressError::WitnessUnresolved { name });
    };
    Ok(SocketAddr::new(address, witness.port.unwrap_or(link_port)))
}

fn resolve_node(node: &NodeConf, hosts: &Hosts) -> Result<Vec<Option<IpAddr>>, AddressError> {
    let resolve = |text: &Option<String>| match text {
        None => Ok(None),
        Some(name) => hosts
            .address(name)
            .map(Some)
            .ok_or_else(|| AddressError::Unresolved {
                node: node.id,
                name: name.clone(),
            }),
    };
    node.addrs.iter().map(resolve).collect()
}

fn find_me(
    addresses: &BTreeMap<u32, Vec<Option<IpAddr>>>,
    own: &[IpAddr],
) -> Result<u32, AddressError> {
    let is_here = |addrs: &Vec<Option<IpAddr>>| addrs.iter().flatten().any(|a| own.contains(a));
    let mut here = addresses.iter().filter(|(_, addrs)| is_here(addrs));
    let first = |addrs: &[Option<IpAddr>]| {
        addrs
            .iter()
            .flatten()
            .next()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    match (here.next(), here.next()) {
        (Some((me, _)), None) => Ok(*me),
        (Some((_, one)), Some((_, two))) => Err(AddressError::Twice {
            one: first(one),
            two: first(two),
        }),
        (None, _) => {
            let list =
                |addrs: &mut dyn Iterator<Item = String>| addrs.collect::<Vec<_>>().join(", ");
            Err(AddressError::NotListed {
                listed: list(&mut addresses.values().map(|a| first(a))),
                own: list(&mut own.iter().map(ToString::to_string)),
            })
        }
    }
}

fn distinct(links: &[LinkAddresses]) -> Result<(), AddressError> {
    for (at, one) in links.iter().enumerate() {
        for two in &links[at + 1..] {
            if one.own == two.own {
                return Err(AddressError::SameAddress {
                    one: one.link,
                    two: two.link,
                    address: one.own,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Strictness, read};

    fn conf(text: &str) -> ClusterConf {
        read("c", text, Strictness::Strict).unwrap()
    }

    const TWO: &str = "totem {\n interface {\n ringnumber: 1\n mcastport: 5407\n }\n}\nnodelist {\n node {\n ring0_addr: 10.0.0.1\n ring1_addr: 10.1.0.1\n nodeid: 1\n }\n node {\n ring0_addr: beta\n ring1_addr: 10.1.0.2\n nodeid: 2\n }\n}";

    fn resolve(text: &str, own: &[&str]) -> Result<Peers, AddressError> {
        let own: Vec<IpAddr> = own.iter().map(|a| a.parse().unwrap()).collect();
        Peers::resolve(&conf(text), &Hosts::parse("10.0.0.2 beta\n"), &own)
    }

    #[test]
    fn a_machine_finds_itself_and_its_peers_on_every_link() {
        let peers = resolve(TWO, &["127.0.0.1", "10.0.0.2", "10.1.0.2"]).unwrap();
        assert_eq!(peers.me, NodeId(2));
        assert_eq!(peers.links[1].own.to_string(), "10.1.0.2:5407");
        assert_eq!(
            peers.links[0].peers[&NodeId(1)].to_string(),
            "10.0.0.1:5405"
        );
        assert_eq!(peers.name(NodeId(2)), "beta");
        assert_eq!(peers.others(), [NodeId(1)]);
    }

    #[test]
    fn a_text_of_the_core_gets_the_names_of_the_nodes() {
        let peers = resolve(TWO, &["10.0.0.2"]).unwrap();
        for (text, named) in [
            ("node 2 is not there", "beta is not there"),
            ("waits for node 2, node 7", "waits for beta, node 7"),
            ("of node 22: node 2", "of node 22: beta"),
            ("the anode 2 and node two", "the anode 2 and node two"),
            ("ends with node ", "ends with node "),
        ] {
            assert_eq!(peers.named(text), named);
        }
    }

    #[test]
    fn a_machine_that_is_not_listed_is_told_both_lists() {
        let said = resolve(TWO, &["192.168.7.7"]).unwrap_err().to_string();
        assert!(
            said.contains("10.0.0.1, 10.0.0.2") && said.contains("192.168.7.7"),
            "{said}"
        );
    }

    #[test]
    fn two_nodes_on_one_machine_are_refused() {
        let error = resolve(TWO, &["10.0.0.1", "10.0.0.2"]).unwrap_err();
        assert!(matches!(error, AddressError::Twice { .. }));
    }

    #[test]
    fn a_file_without_nodes_says_what_to_add() {
        let text = "totem {\n interface {\n bindnetaddr: 192.168.1.0\n }\n}";
        let said = resolve(text, &["192.168.1.101"]).unwrap_err().to_string();
        assert!(said.contains("add nodelist"), "{said}");
    }
}
