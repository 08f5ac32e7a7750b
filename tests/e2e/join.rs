//! Nodes that come and go, and the authkey that is replaced, while the cluster runs.

use crate::cluster::{Cluster, brief, is_online};
use crate::config::{plain, properties};
use mainstay::ipc::{Request, Response};
use mainstay::lab::Output;
use std::path::PathBuf;

/// A lab of three of which the third belongs to no cluster: no file of it names one.
fn two_and_a_stranger(test: &str) -> Option<Cluster> {
    let c = Cluster::off(test, 3)?;
    for node in ["node1", "node2"] {
        c.edit_file(node, "etc-corosync/corosync.conf", |text| {
            let third = text.rfind("    node {").unwrap();
            let end = third + text[third..].find("    }\n").unwrap() + "    }\n".len();
            let two = format!("{}{}", &text[..third], &text[end..]);
            two.replace("votequorum\n", "votequorum\n    two_node: 1\n")
        });
    }
    let etc = c.node_dir("node3").join("etc-corosync");
    for file in ["corosync.conf", "authkey"] {
        std::fs::remove_file(etc.join(file)).unwrap();
    }
    for node in ["node1", "node2"] {
        c.poweron(node).unwrap();
    }
    c.wait_online();
    Some(c)
}

fn conf(c: &Cluster, node: &str) -> String {
    let path = c.node_dir(node).join("etc-corosync/corosync.conf");
    std::fs::read_to_string(path).unwrap_or_default()
}

fn key(c: &Cluster, node: &str) -> Vec<u8> {
    std::fs::read(key_file(c, node, "authkey")).unwrap_or_default()
}

fn key_file(c: &Cluster, node: &str, name: &str) -> PathBuf {
    c.node_dir(node).join("etc-corosync").join(name)
}

fn must(c: &Cluster, node: &str, argv: &[&str]) -> Output {
    let output = c.exec(node, argv).unwrap();
    if !output.ok() {
        c.fail(node, &format!("{argv:?}: {output:?}"));
    }
    output
}

/// Waits until every node named sees these votes: expected, present, needed.
fn wait_votes(c: &Cluster, nodes: &[&str], votes: (u32, u32, u32)) {
    for node in nodes {
        c.wait_for(node, &format!("votes {votes:?}"), |s| match s.votes {
            seen if seen == votes && s.quorate => Ok(()),
            seen => Err(format!("votes {seen:?}; {}", brief(s))),
        });
    }
}

/// A change of the configuration; the cluster may be making one of its own at the same time.
fn edit(c: &Cluster, node: &str, change: impl Fn(&mut cib::Cib)) {
    c.wait_until("the change to be made", node, || {
        match c.edit(node, &change) {
            Ok(Response::Changed { .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn write(c: &Cluster, node: &str, limit: &str) {
    edit(c, node, |cib| properties(cib, &[("batch-limit", limit)]));
}

/// A command that is refused for as long as the cluster has not seen something yet.
fn at_last(c: &Cluster, node: &str, argv: &[&str]) {
    c.wait_until(&format!("{argv:?} to be done"), node, || {
        let output = c.exec(node, argv).unwrap();
        match output.ok() {
            true => Ok(()),
            false => Err(output.stderr),
        }
    });
}

fn token(c: &Cluster, node: &str) -> String {
    let created = must(c, node, &["mainstay", "token", "create"]);
    created.stdout.trim().to_owned()
}

#[test]
fn a_third_node_joins_two_votes_and_is_removed() {
    let test = "a_third_node_joins_two_votes_and_is_removed";
    let Some(c) = two_and_a_stranger(test) else {
        return;
    };
    edit(&c, "node1", plain);
    wait_votes(&c, &["node1", "node2"], (2, 2, 1));

    // The machine is there, and nobody's node: two are two.
    c.poweron("node3").unwrap();
    let token = token(&c, "node1");
    wait_votes(&c, &["node1", "node2"], (2, 2, 1));
    let wrong = token.replace(&token[60..], &"0".repeat(token.len() - 60));
    let refused = c.exec("node3", &["mainstay", "join", "node1", "--token", &wrong]);
    let refused = refused.unwrap();
    assert!(
        !refused.ok() && refused.stderr.contains("does not prove"),
        "{refused:?}"
    );
    assert_eq!(conf(&c, "node3"), "", "a stranger was given files");

    let joined = must(
        &c,
        "node3",
        &["mainstay", "join", "node1", "--token", &token],
    );
    assert!(joined.stdout.contains("node3 is node 3"), "{joined:?}");
    assert_eq!(key(&c, "node3"), key(&c, "node1"));
    // Its daemon finds its files, and it becomes a voter: two of three decide from now on.
    wait_votes(&c, &["node1", "node2", "node3"], (3, 3, 2));
    c.wait_online();
    for node in ["node1", "node2", "node3"] {
        c.wait_until("its corosync.conf to name all three", node, || {
            match conf(&c, node) {
                text if text.contains("name: node3") && text.contains("nodeid: 3") => Ok(()),
                text => Err(text),
            }
        });
    }
    // The token is used up.
    let again = c.exec("node3", &["mainstay", "join", "node1", "--token", &token]);
    assert!(!again.unwrap().ok());

    // It counts: with the first node dead the second decides with it. A restart agrees with the log.
    c.poweroff("node1").unwrap();
    wait_votes(&c, &["node2", "node3"], (3, 2, 2));
    write(&c, "node3", "7");
    c.poweron("node1").unwrap();
    wait_votes(&c, &["node1", "node2", "node3"], (3, 3, 2));

    // A node that runs is not removed by mistake; one that said goodbye is.
    let refused = c
        .exec("node1", &["mainstay", "node", "remove", "node3"])
        .unwrap();
    assert!(
        !refused.ok() && refused.stderr.contains("is online"),
        "{refused:?}"
    );
    c.exec("node3", &["crm", "cluster", "stop"]).ok();
    c.poweroff("node3").unwrap();
    wait_votes(&c, &["node1", "node2"], (3, 2, 2));
    at_last(
        &c,
        "node1",
        &["mainstay", "node", "rename", "node3", "third"],
    );
    c.wait_for("node2", "node3 under its new name", |s| {
        match s.nodes.iter().any(|n| n.name == "third") {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    c.poweron("node3").unwrap();
    wait_votes(&c, &["node1", "node2", "node3"], (3, 3, 2));
    c.wait_for("node3", "itself under its new name", |s| {
        match s.local_node == "third" && is_online(s, "third") {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    c.poweroff("node3").unwrap();
    wait_votes(&c, &["node1", "node2"], (3, 2, 2));
    at_last(&c, "node1", &["crm", "-F", "node", "delete", "third"]);
    wait_votes(&c, &["node1", "node2"], (2, 2, 1));
    for node in ["node1", "node2"] {
        c.wait_until("its corosync.conf to name two", node, || {
            match conf(&c, node) {
                text if text.contains("third") => Err(text),
                _ => Ok(()),
            }
        });
        c.wait_for(node, "it in no list", |s| {
            let listed = s.nodes.iter().any(|n| n.name == "third");
            let peer = s.peers.iter().any(|p| p.name == "third");
            match listed || peer {
                true => Err(brief(s)),
                false => Ok(()),
            }
        });
    }
    // Back from the dead it is nobody's member, and says itself that it has no quorum.
    c.poweron("node3").unwrap();
    c.wait_for("node3", "no quorum for the removed node", |s| {
        match !s.quorate && !is_online(s, "node1") {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    wait_votes(&c, &["node1", "node2"], (2, 2, 1));
    write(&c, "node2", "8");
}

#[test]
fn a_cluster_begins_with_one_machine_and_grows() {
    let test = "a_cluster_begins_with_one_machine_and_grows";
    let Some(c) = Cluster::off(test, 2) else {
        return;
    };
    for node in ["node1", "node2"] {
        for file in ["corosync.conf", "authkey"] {
            std::fs::remove_file(key_file(&c, node, file)).unwrap();
        }
        c.poweron(node).unwrap();
    }
    for (command, code, why) in [
        (
            "mainstay init --cluster-name ''",
            64,
            "the cluster's name is empty",
        ),
        (
            "mainstay init --name 'a b'",
            78,
            "`a b` is no name for a node",
        ),
        (
            "mainstay init --address 192.0.2.9",
            64,
            "192.0.2.9 is no address of this machine",
        ),
    ] {
        let said = c.refused("node1", command, code);
        assert!(said.contains(why), "{command}: {said}");
    }
    must(
        &c,
        "node1",
        &["mainstay", "init", "--cluster-name", "grown"],
    );
    wait_votes(&c, &["node1"], (1, 1, 1));
    edit(&c, "node1", plain);
    let token = token(&c, "node1");
    // What goes wrong on this side does not cost the token.
    let at_home = format!("mainstay join node1 --token {token} --address 127.0.0.1");
    let said = c.refused("node2", &at_home, 64);
    assert!(said.contains("other nodes do not reach"), "{said}");
    let nobody = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups mainstay join node1 --token {token}"
    );
    let said = c.refused("node2", &nobody, 73);
    assert!(said.contains("nothing was asked"), "{said}");
    let file = c.node_dir("node2").join("etc-corosync/token");
    std::fs::write(&file, &token).unwrap();
    let argv = [
        "mainstay",
        "join",
        "node1",
        "--token-file",
        "/etc/corosync/token",
    ];
    must(&c, "node2", &argv);
    wait_votes(&c, &["node1", "node2"], (2, 2, 1));
    write(&c, "node2", "7");
    assert_eq!(c.status("node2").cluster_name, "grown");
}

#[test]
fn the_authkey_is_replaced_under_writes() {
    let test = "the_authkey_is_replaced_under_writes";
    // A long timeout: what is to lose no node here is the rotation, not a busy machine.
    let Some(c) = Cluster::up(test, 3, |o| o.token_ms = Some(5_000)) else {
        return;
    };
    edit(&c, "node1", plain);
    let old = key(&c, "node1");
    let view = c.status("node1").view_no;
    must(&c, "node1", &["mainstay", "key", "rotate", "--no-wait"]);
    let mut writes = 0;
    c.wait_until("the rotation to be over, under writes", "node1", || {
        writes += 1;
        write(&c, "node2", &writes.to_string());
        match c.ask("node1", &Request::KeyStatus) {
            Ok(Response::Keys(state)) if state.step.is_none() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // Nobody was lost on the way: it is the view that it was.
    assert_eq!(c.status("node1").view_no, view);
    let new = key(&c, "node1");
    assert_ne!(new, old, "the key is the same");
    for node in ["node1", "node2", "node3"] {
        c.wait_until("the new key alone in its files", node, || {
            let rest = ["authkey.next", "authkey.old"].map(|f| key_file(&c, node, f).exists());
            match key(&c, node) == new && rest == [false, false] {
                true => Ok(()),
                false => Err(format!(
                    "same key: {}, other files: {rest:?}",
                    key(&c, node) == new
                )),
            }
        });
    }
    // A node that comes with the old key alone is refused, by name and with the cure. (With its store
    // it would find the new one there, sealed under the old.)
    c.poweroff("node3").unwrap();
    std::fs::remove_dir_all(c.node_dir("node3").join("var/lib/mainstay")).unwrap();
    let path = key_file(&c, "node3", "authkey");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &old).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(&path, mode).unwrap();
    c.poweron("node3").unwrap();
    c.wait_for("node1", "a word about node3's key", |s| {
        let why = s
            .peers
            .iter()
            .find(|p| p.name == "node3")
            .map(|p| p.why.clone());
        match why.unwrap_or_default() {
            why if why.contains("authkey differs") && why.contains("copy") => Ok(()),
            why => Err(why),
        }
    });
    c.wait_for("node1", "node3 not online", |s| {
        match is_online(s, "node3") {
            true => Err(brief(s)),
            false => Ok(()),
        }
    });
}
