//! `pcs cluster config show`: what this node's corosync.conf says of the cluster.

use super::Context;
use super::flags::Format;
use super::level::misused;
use super::resource::show::shell;
use crate::cli::exit::{Exit, Failure};
use crate::conf;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// corosync.conf in the parts that pcs tells apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cluster {
    name: String,
    transport: String,
    nodes: Vec<Node>,
    totem: BTreeMap<String, String>,
    quorum: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    name: String,
    id: String,
    /// By the number of their links.
    addresses: BTreeMap<u32, String>,
}

/// `show`: the cluster, its nodes and its options.
pub(super) fn show(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let path = cx.paths.corosync_conf();
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))?;
    let keys = conf::map_keys(&path.display().to_string(), &text)
        .map_err(|e| Failure::new(Exit::Config, e.to_string()))?;
    let cluster = cluster(keys);
    let text = match cx.flags.format()? {
        Format::Text => cluster.text(),
        Format::Json => format!("{}\n", cluster.json()),
        Format::Cmd => cluster.command(),
    };
    cx.console.print(&text);
    Ok(())
}

fn cluster(keys: Vec<(String, String)>) -> Cluster {
    let mut found = Cluster {
        transport: "knet".to_owned(),
        ..Cluster::default()
    };
    let mut nodes: BTreeMap<u32, Node> = BTreeMap::new();
    for (key, value) in keys {
        let parts: Vec<&str> = key.split('.').collect();
        match parts.as_slice() {
            ["totem", "cluster_name"] => found.name = value,
            ["totem", "transport"] => found.transport = value,
            // Every corosync.conf has these two, and the key is nobody's business.
            ["totem", "version" | "key" | "keyfile"] | ["quorum", "provider"] => {}
            ["totem", name] => {
                found.totem.insert((*name).to_owned(), value);
            }
            ["quorum", name] => {
                found.quorum.insert((*name).to_owned(), value);
            }
            ["nodelist", "node", number, name] => {
                let Ok(number) = number.parse() else { continue };
                nodes.entry(number).or_default().set(name, value);
            }
            _ => {}
        }
    }
    found.nodes = nodes.into_values().collect();
    found
}

impl Node {
    fn set(&mut self, key: &str, value: String) {
        let link = key
            .strip_prefix("ring")
            .and_then(|k| k.strip_suffix("_addr"));
        match (key, link.and_then(|l| l.parse().ok())) {
            ("name", _) => self.name = value,
            ("nodeid", _) => self.id = value,
            (_, Some(link)) => {
                self.addresses.insert(link, value);
            }
            _ => {}
        }
    }

    /// A node without a name is called by its first address.
    fn name(&self) -> &str {
        match (self.name.as_str(), self.addresses.values().next()) {
            ("", Some(address)) => address,
            (name, _) => name,
        }
    }
}

impl Cluster {
    fn text(&self) -> String {
        let mut text = format!(
            "Cluster Name: {}\nTransport: {}\nNodes:\n",
            self.name, self.transport
        );
        for node in &self.nodes {
            let _ = writeln!(text, "  {}:", node.name());
            for (link, address) in &node.addresses {
                let _ = writeln!(text, "    Link {link} address: {address}");
            }
            let _ = writeln!(text, "    nodeid: {}", node.id);
        }
        for (title, options) in [("Totem", &self.totem), ("Quorum", &self.quorum)] {
            if !options.is_empty() {
                let _ = writeln!(text, "{title} Options:");
            }
            for (name, value) in options {
                let _ = writeln!(text, "  {name}: {value}");
            }
        }
        text
    }

    /// The command that makes a cluster like this one.
    fn command(&self) -> String {
        let mut lines = vec![format!("pcs cluster setup {}", shell(&self.name))];
        for node in &self.nodes {
            let addresses = node.addresses.values();
            let addresses: String = addresses.map(|a| format!(" addr={}", shell(a))).collect();
            lines.push(format!("  {}{addresses}", shell(node.name())));
        }
        lines.push(format!("  transport {}", shell(&self.transport)));
        for (section, options) in [("totem", &self.totem), ("quorum", &self.quorum)] {
            if options.is_empty() {
                continue;
            }
            let options = options.iter();
            let options: String = options
                .map(|(name, value)| format!(" {}", shell(&format!("{name}={value}"))))
                .collect();
            lines.push(format!("  {section}{options}"));
        }
        format!("{}\n", lines.join(" \\\n"))
    }

    fn json(&self) -> Value {
        let map = |options: &BTreeMap<String, String>| -> Map<String, Value> {
            options.iter().map(|(n, v)| (n.clone(), json!(v))).collect()
        };
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| {
                let addresses = node.addresses.iter();
                let addresses: Vec<Value> = addresses
                    .map(|(link, address)| json!({"addr": address, "link": link.to_string()}))
                    .collect();
                json!({"name": node.name(), "nodeid": node.id, "addrs": addresses})
            })
            .collect();
        json!({
            "cluster_name": self.name,
            "transport": self.transport.to_uppercase(),
            "nodes": nodes,
            "totem_options": map(&self.totem),
            "quorum_options": map(&self.quorum),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "totem {\n version: 2\n cluster_name: shop\n token: 1000\n key: s3cret\n interface {\n  linknumber: 0\n  mcastport: 5405\n }\n}\nnodelist {\n node {\n  name: a\n  nodeid: 1\n  ring0_addr: 10.0.0.1\n  ring1_addr: 10.1.0.1\n }\n node {\n  nodeid: 2\n  ring0_addr: 10.0.0.2\n }\n}\nquorum {\n provider: corosync_votequorum\n two_node: 1\n}\n";

    fn read() -> Cluster {
        cluster(conf::map_keys("corosync.conf", CONF).unwrap())
    }

    #[test]
    fn it_is_told_as_text() {
        assert_eq!(
            read().text(),
            "Cluster Name: shop\nTransport: knet\nNodes:\n  a:\n    Link 0 address: 10.0.0.1\n    Link 1 address: 10.1.0.1\n    nodeid: 1\n  10.0.0.2:\n    Link 0 address: 10.0.0.2\n    nodeid: 2\nTotem Options:\n  token: 1000\nQuorum Options:\n  two_node: 1\n"
        );
    }

    #[test]
    fn it_is_told_as_the_command_that_makes_it_and_as_json() {
        assert_eq!(
            read().command(),
            "pcs cluster setup shop \\\n  a addr=10.0.0.1 addr=10.1.0.1 \\\n  10.0.0.2 addr=10.0.0.2 \\\n  transport knet \\\n  totem token=1000 \\\n  quorum two_node=1\n"
        );
        let json = read().json();
        assert_eq!(json["nodes"][0]["addrs"][1]["link"], "1");
        assert_eq!(json["totem_options"], json!({"token": "1000"}));
    }
}
