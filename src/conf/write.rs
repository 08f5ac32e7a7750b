//! Writing into a corosync.conf: another node list, and nothing else changed.

use super::model::{ClusterConf, NodeConf};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The text with another node list, and with `expected_votes` where the file gives it. Everything
/// else, comments included, stays as it is; only what stands in the old `nodelist {}` goes.
#[must_use]
pub fn with_nodes(text: &str, nodes: &[NodeConf], expected_votes: Option<u32>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Vec<&str> = Vec::new();
    let mut written = false;
    for line in text.lines() {
        let word = line.trim();
        let opens = word.strip_suffix('{').map(str::trim);
        if opens.filter(|_| !word.starts_with('#')).is_some() {
            open.push(opens.unwrap_or_default());
        }
        let inside = open.first() == Some(&"nodelist");
        if word == "}" {
            open.pop();
        }
        if inside {
            if !std::mem::replace(&mut written, true) {
                out.push_str(&nodelist(nodes));
            }
            continue;
        }
        let is_expected = open == ["quorum"] && word.starts_with("expected_votes:");
        match expected_votes.filter(|_| is_expected) {
            Some(votes) => {
                let indent = &line[..line.len() - line.trim_start().len()];
                out.push_str(&format!("{indent}expected_votes: {votes}\n"));
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    if !written {
        out.push('\n');
        out.push_str(&nodelist(nodes));
    }
    out
}

/// A file for a new cluster of the nodes that `conf` names.
#[must_use]
pub fn new_file(conf: &ClusterConf) -> String {
    let mut text = format!(
        "totem {{\n    version: 2\n    cluster_name: {}\n",
        conf.cluster_name
    );
    if let Some(token_ms) = conf.token_ms {
        text.push_str(&format!("    token: {token_ms}\n"));
    }
    text.push_str("}\n\n");
    text.push_str(&nodelist(&conf.nodes));
    text.push_str("\nquorum {\n    provider: corosync_votequorum\n");
    text.push_str("    # Counts while the cluster has two nodes, and then alone.\n");
    text.push_str("    two_node: 1\n}\n\nlogging {\n    to_syslog: yes\n}\n");
    text
}

fn nodelist(nodes: &[NodeConf]) -> String {
    let mut text = "nodelist {\n".to_owned();
    for node in nodes {
        text.push_str("    node {\n");
        for (link, address) in node.addrs.iter().enumerate() {
            if let Some(address) = address {
                text.push_str(&format!("        ring{link}_addr: {address}\n"));
            }
        }
        if let Some(name) = &node.name {
            text.push_str(&format!("        name: {name}\n"));
        }
        text.push_str(&format!("        nodeid: {}\n", node.id));
        if node.votes != 1 {
            text.push_str(&format!("        quorum_votes: {}\n", node.votes));
        }
        text.push_str("    }\n");
    }
    text.push_str("}\n");
    text
}

/// Puts `bytes` in the place of a file in one step: after a crash there is the old file or the new
/// one, whole.
///
/// # Errors
/// What the kernel says; the old file is untouched then.
pub fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new-by-mainstay");
    let aside = dir.join(name);
    // Left by a process that was killed in between.
    let _ = std::fs::remove_file(&aside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options.open(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| std::fs::rename(&aside, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    placed.and_then(|()| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::super::{Strictness, read};
    use super::*;

    const FILE: &str = "# ours\ntotem {\n\tversion: 2\n\tcluster_name: web # not a comment\n}\nnodelist {\n\t# the first\n\tnode {\n\t\tring0_addr: 10.0.0.1\n\t\tnodeid: 1\n\t}\n}\nquorum {\n\tprovider: corosync_votequorum\n\texpected_votes: 1\n}\n";

    fn node(id: u32, votes: u32) -> NodeConf {
        NodeConf {
            id,
            name: Some(format!("node{id}")),
            addrs: vec![Some(format!("10.0.0.{id}")), None],
            votes,
        }
    }

    #[test]
    fn only_the_node_list_and_the_votes_change() {
        let nodes = [node(1, 1), node(7, 3)];
        let text = with_nodes(FILE, &nodes, Some(4));
        let conf = read("c", &text, Strictness::Strict).unwrap();
        let names: Vec<_> = conf.nodes.iter().map(|n| (n.id, n.votes)).collect();
        assert_eq!(names, [(1, 1), (7, 3)]);
        assert_eq!(conf.quorum.expected_votes, Some(4));
        assert!(text.starts_with("# ours\ntotem {\n\tversion: 2\n\tcluster_name: web # not"));
        assert!(text.contains("\n\texpected_votes: 4\n}\n"), "{text}");
        assert_eq!(with_nodes(&text, &nodes, Some(4)), text, "a second time");
    }

    #[test]
    fn a_file_of_corosync_1_gets_a_list() {
        let old = "totem {\n version: 2\n interface {\n  ringnumber: 0\n  bindnetaddr: 10.0.0.0\n  member {\n   memberaddr: 10.0.0.1\n  }\n }\n}\n";
        let text = with_nodes(old, &[node(1, 1), node(2, 1)], None);
        let conf = read("c", &text, Strictness::Strict).unwrap();
        assert_eq!(conf.nodes.len(), 2);
        assert!(text.starts_with(old));
    }

    #[test]
    fn a_new_file_is_read_without_a_word() {
        let conf = ClusterConf {
            cluster_name: "new".to_owned(),
            nodes: vec![node(1, 1)],
            ..ClusterConf::default()
        };
        let read = read("c", &new_file(&conf), Strictness::Strict).unwrap();
        assert_eq!(read.warnings, []);
        assert_eq!((read.cluster_name.as_str(), read.nodes.len()), ("new", 1));
        assert!(read.quorum.two_node);
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_or_not_at_all() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authkey");
        for text in ["one", "two"] {
            replace_file(&path, text.as_bytes(), 0o400).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace_file(&dir.path().join("no/where"), b"", 0o400).is_err());
    }
}
