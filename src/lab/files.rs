//! The files a lab writes: corosync.conf, authkey, hosts, boot id.

use super::error::{LabError, Tried};
use super::mounts::{self, Layout};
use super::state::{Config, Node};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The cluster's corosync.conf, the same on every node.
pub(super) fn corosync_conf(nodes: &[Node], config: &Config) -> String {
    let mut text = String::from("totem {\n    version: 2\n    cluster_name: lab\n");
    if let Some(token_ms) = config.token_ms {
        text += &format!("    token: {token_ms}\n");
    }
    text += "}\n\nnodelist {\n";
    let (members, witness) = match nodes.split_last() {
        Some((witness, members)) if config.witness => (members, Some(witness)),
        _ => (nodes, None),
    };
    for node in members {
        text += &format!(
            "    node {{\n        ring0_addr: {}\n        name: {}\n        nodeid: {}\n    }}\n",
            node.address, node.name, node.index
        );
    }
    text += "}\n\nquorum {\n    provider: corosync_votequorum\n";
    if config.two_node {
        text += "    two_node: 1\n";
    }
    for line in &config.quorum {
        text += &format!("    {line}\n");
    }
    if let Some(witness) = witness {
        let host = witness.address;
        text += &format!(
            "    device {{\n        model: net\n        net {{\n            host: {host}\n        }}\n    }}\n"
        );
    }
    text + "}\n\nlogging {\n    to_stderr: no\n    to_logfile: yes\n    logfile: /var/log/mainstayd.log\n}\n"
}

/// Writes a node's configuration, where it has none yet: what was edited inside stays.
pub(super) fn configure(
    lab: &Path,
    node: &Node,
    nodes: &[Node],
    config: &Config,
    authkey: &[u8],
) -> Result<(), LabError> {
    let layout = Layout::new(lab, &node.name);
    layout.make_node()?;
    let etc = layout.node().join("etc-corosync");
    mounts::write(&etc.join("corosync.conf"), &corosync_conf(nodes, config))?;
    let key = etc.join("authkey");
    let _ = fs::remove_file(&key);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&key)
        .and_then(|mut file| file.write_all(authkey))
        .tried(|| format!("write {}", key.display()))?;
    mounts::write(&layout.node().join("hostname"), &format!("{}\n", node.name))?;
    mounts::write(&layout.node().join("hosts"), &hosts(nodes))
}

fn hosts(nodes: &[Node]) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
    for node in nodes {
        text += &format!("{} {}\n", node.address, node.name);
    }
    text
}

/// Writes the boot id of the next power-on; a new one each time, as the kernel would.
pub(super) fn new_boot_id(lab: &Path, node: &str) -> Result<(), LabError> {
    let path = Layout::new(lab, node).node().join("boot_id");
    mounts::write(&path, &format!("{}\n", uuid(random()?)))
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], LabError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| LabError::Refused(format!("the kernel gives no random bytes: {e}")))?;
    Ok(bytes)
}

/// A random UUID (RFC 9562, version 4), the form of /proc/sys/kernel/random/boot_id.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn nodes() -> Vec<Node> {
        (1..=2)
            .map(|index| Node {
                name: format!("node{index}"),
                index,
                address: Ipv4Addr::new(10, 77, 0, 100 + index),
                init: None,
                cut: false,
                apart: false,
                deaf: false,
                mute: false,
                frozen: false,
            })
            .collect()
    }

    #[test]
    fn the_configuration_names_every_node_and_only_what_was_asked_for() {
        let plain = corosync_conf(&nodes(), &Config::default());
        assert!(
            plain.contains("ring0_addr: 10.77.0.102\n        name: node2\n"),
            "{plain}"
        );
        assert!(
            !plain.contains("token") && !plain.contains("two_node"),
            "{plain}"
        );
        let config = Config {
            token_ms: Some(200),
            two_node: true,
            ..Config::default()
        };
        let asked = corosync_conf(&nodes(), &config);
        assert!(asked.contains("    token: 200\n") && asked.contains("    two_node: 1\n"));
    }

    #[test]
    fn a_boot_id_has_the_kernels_form() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(hosts(&nodes()).lines().last(), Some("10.77.0.102 node2"));
    }
}
