//! What people get wrong: each mistake gives one clear message that names the thing and the cure, a
//! command that did nothing fails, and nothing is lost.

use crate::cluster::{Cluster, PATIENCE, STILLNESS, brief, is_online, resource, started_on};
use crate::config::{Primitive, add, constrain, ip_and_web, plain, properties, web};
use mainstay::ipc::{ErrorKind, Response};
use mainstay::lab::{Output, Seen};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(crate) const CONF: &str = "etc-corosync/corosync.conf";
pub(crate) const KEY: &str = "etc-corosync/authkey";

/// Asserts that a command failed with `code` and said all of `words`.
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let said = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, code, "expected exit {code}: {output:?}");
    for word in words {
        assert!(said.contains(word), "expected {word:?} in: {said}");
    }
}

/// Asserts that a change was refused as `kind`, with all of `words`.
fn assert_change_refused(answer: &Result<Response, String>, kind: ErrorKind, words: &[&str]) {
    match answer {
        Ok(Response::Error { kind: k, text }) if *k == kind => {
            for word in words {
                assert!(text.contains(word), "expected {word:?} in: {text}");
            }
        }
        other => panic!("expected a refusal as {kind:?}: {other:?}"),
    }
}

/// Waits until a node's daemon has ended with `code` and its log has all of `words`.
fn wait_ended(c: &Cluster, node: &str, code: u8, words: &[&str]) {
    c.wait_until(
        &format!("the daemon of {node} to end with {code}"),
        node,
        || {
            let daemon = c.daemon(node).map_err(|e| e.to_string())?;
            match daemon.ended == Some(format!("exit {code}")) {
                true => Ok(()),
                false => Err(format!("{daemon:?}")),
            }
        },
    );
    let log = c.log_of(node);
    for word in words {
        assert!(
            log.contains(word),
            "expected {word:?} in {node}'s log:\n{log}"
        );
    }
}

/// What `of` says of its peer `node`.
fn diagnosis(c: &Cluster, of: &str, node: &str) -> String {
    let status = c.try_status(of).unwrap_or_default();
    let peer = status.peers.iter().find(|p| p.name == node);
    peer.map(|p| format!("{}: {}", p.state, p.why))
        .unwrap_or_default()
}

/// Waits until `of` says all of `words` of its peer `node`.
pub(crate) fn wait_diagnosis(c: &Cluster, of: &str, node: &str, words: &[&str]) {
    c.wait_until(&format!("{of} to say {words:?} of {node}"), of, || {
        let said = diagnosis(c, of, node);
        match words.iter().all(|w| said.contains(w)) {
            true => Ok(()),
            false => Err(said),
        }
    });
}

/// Waits until `node` and its peer see each other, whoever else is missing.
pub(crate) fn wait_pair(c: &Cluster, node: &str, other: &str) {
    c.wait_for(
        node,
        &format!("{node} and {other} online, with quorum"),
        |s| match s.quorate && is_online(s, node) && is_online(s, other) {
            true => Ok(()),
            false => Err(brief(s)),
        },
    );
}

#[test]
fn a_node_with_another_key_is_named_and_the_others_go_on() {
    let test = "a_node_with_another_key_is_named_and_the_others_go_on";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    let key = c.node_dir("node3").join(KEY);
    let right = std::fs::read(&key).unwrap();
    c.stop_daemon("node3", PATIENCE).unwrap();
    write_key(&key, &vec![0x5a; right.len()]);
    c.start_daemon("node3").unwrap();
    wait_diagnosis(&c, "node1", "node3", &["node3", "authkey differs"]);
    wait_diagnosis(&c, "node3", "node1", &["no answer", "same authkey"]);
    c.must_edit("node1", plain);
    let refused = c.edit("node3", |cib| properties(cib, &[("batch-limit", "3")]));
    assert_change_refused(
        &refused,
        ErrorKind::NoQuorum,
        &["no quorum", "nothing was changed"],
    );

    // The cure: the same key everywhere, and a restart.
    write_key(&key, &right);
    c.stop_daemon("node3", PATIENCE).unwrap();
    c.start_daemon("node3").unwrap();
    c.wait_online();
}

/// Writes an authkey as it has to be, readable by its owner alone.
fn write_key(path: &Path, key: &[u8]) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, key).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
}

#[test]
fn a_new_cluster_waits_for_all_its_nodes_and_says_for_whom() {
    let test = "a_new_cluster_waits_for_all_its_nodes_and_says_for_whom";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    c.poweron("node1").unwrap();
    c.poweron("node2").unwrap();
    c.wait_for("node1", "a word on what is missing", |s| {
        let words = ["a new cluster needs all its nodes", "node3"];
        let log = c.log_of("node1");
        let told = words
            .iter()
            .all(|w| s.quorum_why.contains(w) && log.contains(w));
        match told && !s.quorate {
            true => Ok(()),
            false => Err(s.quorum_why.clone()),
        }
    });
    let refused = c.edit("node1", plain);
    assert_change_refused(&refused, ErrorKind::NoQuorum, &["nothing was changed"]);
    c.poweron("node3").unwrap();
    c.wait_online();
}

#[test]
fn a_key_that_is_missing_or_readable_by_others_is_refused() {
    let test = "a_key_that_is_missing_or_readable_by_others_is_refused";
    let Some(c) = Cluster::off(test, 1) else {
        return;
    };
    let key = c.node_dir("node1").join(KEY);
    let right = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    c.poweron_all().unwrap();
    let check = ["mainstayd", "-t"];
    wait_ended(
        &c,
        "node1",
        77,
        &["/etc/corosync/authkey", "corosync-keygen"],
    );
    let refused = c.exec("node1", &check).unwrap();
    assert_refused(&refused, 77, &["/etc/corosync/authkey", "corosync-keygen"]);

    write_key(&key, &right);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o440)).unwrap();
    let refused = c.exec("node1", &check).unwrap();
    assert_refused(&refused, 77, &["/etc/corosync/authkey", "chmod"]);

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(c.exec("node1", &check).unwrap().ok());
    // Its supervisor has kept trying.
    c.wait_online();
}

#[test]
fn a_configuration_that_is_wrong_is_refused_by_file_line_and_key() {
    let test = "a_configuration_that_is_wrong_is_refused_by_file_line_and_key";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    let path = c.node_dir("node1").join(CONF);
    let right = std::fs::read_to_string(&path).unwrap();
    let typo = right.replace("version: 2", "version: 2\n    tokn: 500");
    let twice = right.replace(
        "nodeid: 1\n    }",
        "nodeid: 1\n    }\n    node {\n        ring0_addr: 10.77.0.102\n        name: node2\n        nodeid: 1\n    }",
    );
    let low = right.replace("version: 2", "version: 2\n    token: 1");
    let links: String = (1..9)
        .map(|n| format!("\n        ring{n}_addr: 10.{n}.0.1"))
        .collect();
    let nine = right.replace(
        "ring0_addr: 10.77.0.101",
        &format!("ring0_addr: 10.77.0.101{links}"),
    );
    for (text, words) in [
        (typo, vec!["corosync.conf:3", "tokn", "token"]),
        (
            twice,
            vec!["corosync.conf:12", "nodeid 1", "10.77.0.101", "10.77.0.102"],
        ),
        (
            low,
            vec!["corosync.conf:3", "token", "1 ms", "at least 50 ms"],
        ),
        (nine, vec!["corosync.conf", "at most 8 links", "ring7_addr"]),
    ] {
        std::fs::write(&path, text).unwrap();
        let refused = c.exec("node1", &["mainstayd", "-t"]).unwrap();
        assert_refused(&refused, 78, &words);
        // The running daemon keeps what it has, and says so.
        c.signal_daemon("node1", nix::sys::signal::Signal::SIGHUP as i32)
            .unwrap();
        c.wait_for("node1", "a notice of the refused reload", |s| {
            let told = s
                .notices
                .iter()
                .any(|n| words.iter().all(|w| n.text.contains(w)));
            match told && s.quorate {
                true => Ok(()),
                false => Err(format!("{:?}", s.notices)),
            }
        });
    }
    std::fs::write(&path, right).unwrap();
    assert!(c.exec("node1", &["mainstayd", "-t"]).unwrap().ok());
}

#[test]
fn two_machines_with_one_id_are_told_apart() {
    let test = "two_machines_with_one_id_are_told_apart";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.poweroff("node3").unwrap();
    // node3's file says that node3 is number 2.
    c.edit_file("node3", CONF, |text| {
        let text = text
            .replace("nodeid: 3", "nodeid: x")
            .replace("nodeid: 2", "nodeid: 3");
        text.replace("nodeid: x", "nodeid: 2")
    });
    c.poweron("node3").unwrap();
    c.wait_for("node1", "a word about the two with number 2", |s| {
        let said: Vec<_> = s.notices.iter().map(|n| n.text.clone()).collect();
        let words = ["node3", "nodeid 2", "node2", "corosync.conf"];
        let told = said.iter().any(|t| words.iter().all(|w| t.contains(w)));
        match told {
            true => Ok(()),
            false => Err(format!("{said:?}; {}", brief(s))),
        }
    });
    // The real number 2 is not disturbed, and the one with the wrong number is no member.
    std::thread::sleep(STILLNESS);
    wait_pair(&c, "node1", "node2");
    assert!(!is_online(&c.status("node1"), "node3"));
    let refused = c.edit("node3", plain);
    assert_change_refused(&refused, ErrorKind::NoQuorum, &["nothing was changed"]);
}

#[test]
fn a_node_that_is_not_in_the_list_is_named_and_ignored() {
    let test = "a_node_that_is_not_in_the_list_is_named_and_ignored";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    for node in ["node1", "node2"] {
        c.edit_file(node, CONF, |text| {
            let (before, rest) = text
                .split_once("    node {\n        ring0_addr: 10.77.0.103")
                .unwrap();
            let (_, after) = rest.split_once("    }\n").unwrap();
            format!("{before}{after}")
        });
    }
    c.poweron_all().unwrap();
    wait_pair(&c, "node1", "node2");
    c.wait_for(
        "node1",
        "a notice that names the stranger and the cure",
        |s| {
            let told = |t: &str| t.contains("10.77.0.103") && t.contains("corosync.conf");
            match s.notices.iter().any(|n| told(&n.text)) {
                true => Ok(()),
                false => Err(format!("{:?}", s.notices)),
            }
        },
    );
    let status = c.status("node1");
    assert!(
        status.nodes.iter().all(|n| n.name != "node3"),
        "{}",
        brief(&status)
    );
    c.must_edit("node1", plain);
}

#[test]
fn agents_that_are_absent_hang_or_print_rubbish_harm_only_themselves() {
    let test = "agents_that_are_absent_hang_or_print_rubbish_harm_only_themselves";
    let Some(c) = Cluster::off(test, 1) else {
        return;
    };
    c.install_agent("hanging", "start) sleep 617 & sleep 617 ;;");
    c.install_agent(
        "rubbish",
        "start) head -c 300000 /dev/urandom; head -c 300000 /dev/urandom >&2
         printf 'ocf-exit-reason:\\001\\377<&>\"\\n' >&2; exit 77 ;;",
    );
    c.power_on();
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, web());
        add(cib, Primitive::new("missing", "ocf:mainstay:missing"));
        add(
            cib,
            Primitive::new("slow", "ocf:mainstay:hanging").op("start", "0s", "1s"),
        );
        add(cib, Primitive::new("loud", "ocf:mainstay:rubbish"));
    });
    let failure = |id: &str, look: &dyn Fn(&scheduler::OpFailure) -> bool| {
        c.wait_for("node1", &format!("the failure of {id}"), |s| {
            let failures = resource(s, id)
                .map(|r| r.failures.clone())
                .unwrap_or_default();
            match failures.iter().any(look) && started_on(s, id).is_empty() {
                true => Ok(()),
                false => Err(format!("{failures:?}; {}", brief(s))),
            }
        });
    };
    // rc 5 is OCF_ERR_INSTALLED, status 2 a timeout.
    failure("missing", &|f| {
        f.rc == 5 && f.exit_reason.contains("missing")
    });
    failure("slow", &|f| f.op_status == 2 && f.key.contains("start"));
    failure("loud", &|f| f.rc == 1 && f.exit_reason.contains("<&>\""));
    assert_eq!(c.wait_started("node1", "web", None), "node1");
    // What hung is gone, with everything it had started.
    let sleeping = c.sh("node1", "grep -la '[s]leep.617' /proc/[0-9]*/cmdline");
    assert_eq!(sleeping.stdout.lines().count(), 0, "{sleeping:?}");
}

#[test]
fn a_configuration_that_cannot_be_is_refused_and_changes_nothing() {
    let test = "a_configuration_that_cannot_be_is_refused_and_changes_nothing";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    c.wait_started("node1", "web", None);
    let before = c.cib("node1");

    let ghost = c.edit("node1", |cib| {
        constrain(
            cib,
            r#"<rsc_order id="o" first="web" then="ghost" kind="Mandatory"/>"#,
        );
    });
    assert_change_refused(
        &ghost,
        ErrorKind::Config,
        &["ghost", "id=\"o\"", "create the resource"],
    );
    let line = "crm configure colocation c inf: web ghost";
    let pasted = c.sh("node1", line);
    assert!(
        !pasted.ok() && pasted.stderr.contains("ghost"),
        "`{line}`: {pasted:?}"
    );
    let line = "cibadmin -R -X '<cib><configuration>'";
    let pasted = c.sh("node1", line);
    assert!(
        !pasted.ok() && !pasted.stderr.is_empty(),
        "`{line}`: {pasted:?}"
    );
    let cut = c.replace("node1", "<configuration><resources>".to_owned(), None);
    assert_change_refused(&cut, ErrorKind::Invalid, &["resources"]);
    let entity = "<!DOCTYPE x [<!ENTITY a \"b\">]><configuration/>";
    let doctype = c.replace("node1", entity.to_owned(), None);
    assert_change_refused(&doctype, ErrorKind::Invalid, &["DOCTYPE"]);
    assert_eq!(
        c.cib("node1").root(),
        before.root(),
        "a refused change left traces"
    );
    assert_eq!(started_on(&c.status("node1"), "web"), ["node1"]);
}

#[test]
fn a_second_daemon_on_the_same_store_is_refused() {
    let test = "a_second_daemon_on_the_same_store_is_refused";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    let worker = c.daemon_worker("node1").unwrap();
    let refused = c.exec("node1", &["mainstayd"]).unwrap();
    assert_refused(
        &refused,
        73,
        &["/var/lib/mainstay/store", "another mainstayd", "stop it"],
    );
    assert_eq!(c.daemon_worker("node1").unwrap(), worker);
    c.must_edit("node1", plain);
}

#[test]
fn a_node_whose_disk_is_full_steps_back_and_nothing_is_lost() {
    let test = "a_node_whose_disk_is_full_steps_back_and_nothing_is_lost";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
        constrain(
            cib,
            r#"<rsc_location id="there" rsc="ip" node="node3" score="1000"/>"#,
        );
    });
    c.wait_started_on("node1", "web", "node3");
    c.stop_daemon("node3", PATIENCE).unwrap();
    c.run(
        "node3",
        "cp -a /var/lib/mainstay /tmp/was && mount -t tmpfs -o size=24m tmpfs /var/lib/mainstay \
         && cp -a /tmp/was/. /var/lib/mainstay/",
    );
    c.start_daemon("node3").unwrap();
    c.wait_online();
    assert_eq!(c.wait_started("node1", "web", None), "node3");

    c.run(
        "node3",
        "dd if=/dev/zero of=/var/lib/mainstay/filler bs=4k 2>/dev/null; true",
    );
    // Every change is written on every node; on that one the writes will fail sooner or later.
    let mut changes = 0;
    c.wait("node3 to step back", PATIENCE)
        .log(&c.daemon_log("node3"))
        .until(|| {
            changes += 1;
            let value = format!("{changes}{}", "x".repeat(20_000));
            c.must_edit("node1", |cib| properties(cib, &[("note", &value)]));
            let status = c.status("node1");
            // A process that starts again within the lease finds some room, and keeps what it has for
            // a few changes more.
            let there = started_on(&status, "web");
            let moved = !there.is_empty() && there.iter().all(|n| n != "node3");
            Ok(match moved {
                true => Seen::Yes(()),
                false => Seen::NotYet(brief(&status)),
            })
        })
        .unwrap_or_else(|e| panic!("{e}"));
    let log = c.log_of("node3");
    for word in ["/var/lib/mainstay/store", "no space left", "free space"] {
        assert!(
            log.contains(word),
            "expected {word:?} in node3's log:\n{log}"
        );
    }
    // The others have had the service, and have every change that was acknowledged.
    let acknowledged = c.cib("node1");

    c.run("node3", "rm /var/lib/mainstay/filler");
    c.wait_online();
    c.wait_until("node3 to have everything again", "node3", || {
        match c.cib("node3").root().first("configuration")
            == acknowledged.root().first("configuration")
        {
            true => Ok(()),
            false => Err(format!("{:?}", c.cib("node3").version())),
        }
    });
}
