//! Node names without DNS: `/etc/hosts` both ways.

use super::NodeConf;
use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

/// The hosts file, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    by_name: BTreeMap<String, IpAddr>,
    first_name: BTreeMap<IpAddr, String>,
}

impl Hosts {
    /// Reads a hosts file; an absent one is an empty one.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    /// Reads hosts(5) text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for (at, name) in words.enumerate() {
                if at == 0 {
                    hosts
                        .first_name
                        .entry(address)
                        .or_insert_with(|| name.to_owned());
                }
                hosts.by_name.entry(name.to_owned()).or_insert(address);
            }
        }
        hosts
    }

    /// Address of a link's address or host name: itself, the hosts file, then the resolver.
    #[must_use]
    pub fn address(&self, text: &str) -> Option<IpAddr> {
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        if let Some(address) = self.by_name.get(text) {
            return Some(*address);
        }
        (text, 0).to_socket_addrs().ok()?.next().map(|a| a.ip())
    }

    /// A node's name, the same on every node that has the same files: `name`, else the host name
    /// written as address, else the hosts file's first name for the address, else the address.
    #[must_use]
    pub fn node_name(&self, node: &NodeConf) -> String {
        if let Some(name) = &node.name {
            return name.clone();
        }
        let first = node
            .addrs
            .iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_default();
        match first.parse::<IpAddr>() {
            Ok(address) => self.first_name.get(&address).cloned().unwrap_or(first),
            Err(_) => first,
        }
    }
}
