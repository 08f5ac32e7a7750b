//! Commands of administrators against live daemons: changes as XML, in an editor, at a prompt; the
//! history of it all; fencing by hand; reload; the store's upkeep; a node that goes for good.

use crate::cluster::{Cluster, PATIENCE, brief, node_of};
use crate::config::{Primitive, add, plain, properties};
use crate::terminal::Terminal;
use mainstay::lab::Output;

/// A patchset that sets the timeout of `d-m` to 55 s, as crm_diff writes it.
const PATCH: &str = "<diff format=\"2\"><version><source admin_epoch=\"0\" epoch=\"0\" num_updates=\"0\"/><target admin_epoch=\"0\" epoch=\"0\" num_updates=\"0\"/></version><change operation=\"modify\" path=\"/cib/configuration/resources/primitive[@id=&apos;d&apos;]/operations/op[@id=&apos;d-m&apos;]\"><change-list><change-attr name=\"timeout\" operation=\"set\" value=\"55s\"/></change-list><change-result><op id=\"d-m\" name=\"monitor\" interval=\"10s\" timeout=\"55s\"/></change-result></change></diff>";
/// A node's corosync.conf, below its directory.
const CONF: &str = "etc-corosync/corosync.conf";

impl Cluster {
    /// A shell line that must fail with this exit code; what it said on standard error.
    pub(crate) fn refused(&self, node: &str, line: &str, code: i32) -> String {
        let Output {
            code: found,
            stdout,
            stderr,
        } = self.sh(node, line);
        if found != code {
            let what = format!("`{line}`: expected exit {code}, got {found}: {stdout}{stderr}");
            self.fail(node, &what);
        }
        stderr
    }
}

#[test]
fn the_configuration_changes_by_cibadmin() {
    let test = "the_configuration_changes_by_cibadmin";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    let primitive = |id: &str, timeout: &str| {
        format!(
            "<primitive id=\"{id}\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"><operations><op id=\"{id}-m\" name=\"monitor\" interval=\"10s\" timeout=\"{timeout}\"/></operations></primitive>"
        )
    };
    let new = primitive("d", "20s");
    c.run("node2", &format!("cibadmin -C -o resources -X '{new}'"));
    c.wait_started("node1", "d", None);
    let again = c.refused(
        "node1",
        &format!("cibadmin -C -o resources -X '{new}'"),
        108,
    );
    assert!(again.contains("already used"), "{again}");

    // -M merges, -R replaces, -P patches, by id or by XPath, from a word, a file and a pipe.
    c.run("node1", "cibadmin -M -X '<op id=\"d-m\" timeout=\"33s\"/>'");
    let timeout = "cibadmin -Q --xpath \"//op[@id='d-m']\"";
    let op = c.run("node2", timeout);
    assert!(
        op.contains("timeout=\"33s\"") && op.contains("interval=\"10s\""),
        "{op}"
    );
    let whole = primitive("d", "44s");
    c.run(
        "node1",
        &format!("echo '{whole}' > /run/new.xml; cibadmin -R -o resources -x /run/new.xml"),
    );
    assert!(c.run("node2", timeout).contains("timeout=\"44s\""));
    let unknown = c.refused(
        "node1",
        "cibadmin -M -o resources -X '<primitive id=\"nobody\"/>'",
        105,
    );
    assert!(!unknown.is_empty());
    c.run(
        "node1",
        "cibadmin -Q > /run/a.xml; sed 's/44s/55s/' /run/a.xml > /run/b.xml",
    );
    c.run(
        "node1",
        &format!("echo \"$(cat <<'END'\n{PATCH}\nEND\n)\" | cibadmin -P -p"),
    );
    assert!(c.run("node2", timeout).contains("timeout=\"55s\""));
    c.run("node1", "cibadmin -R -p < /run/a.xml");
    assert!(
        c.run("node2", timeout).contains("timeout=\"44s\""),
        "the whole CIB came back"
    );

    // What would be wrong, or cannot be, is refused and changes nothing.
    let before = c.cib("node1");
    for (line, code) in [
        (
            "cibadmin -C -o constraints -X '<rsc_location id=\"l\" rsc=\"nobody\" node=\"node1\" score=\"1\"/>'",
            78,
        ),
        ("cibadmin -M -X '<op'", 65),
        ("cibadmin -M -o status -X '<node_state id=\"1\"/>'", 65),
        ("cibadmin -E", 107),
        ("cibadmin --delete-all --xpath '//nvpair'", 107),
        ("cibadmin -Q --xpath '//nothing'", 105),
    ] {
        c.refused("node1", line, code);
    }
    assert_eq!(c.cib("node1").root(), before.root());

    c.run("node1", "cibadmin -D -X '<primitive id=\"d\"/>'");
    c.refused("node2", timeout, 105);
    c.run("node1", "cibadmin -D -X '<primitive id=\"d\"/>'");
    c.run("node2", "cibadmin -E --force");
    let empty = c.run("node1", "cibadmin -Q -o resources");
    assert_eq!(empty.trim(), "<resources/>");
}

#[test]
fn the_configuration_changes_in_an_editor_and_its_history_is_told() {
    let test = "the_configuration_changes_in_an_editor_and_its_history_is_told";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.run(
        "node1",
        "crm configure property stonith-enabled=false; crm configure primitive d ocf:heartbeat:Dummy op monitor interval=10s timeout=20s",
    );
    let shown = c.run(
        "node1",
        "EDITOR=\"sed -i s/timeout=20s/timeout=33s/\" crm configure edit",
    );
    assert!(
        shown.contains("-\top monitor interval=10s timeout=20s")
            && shown.contains("+\top monitor interval=10s timeout=33s"),
        "the difference is shown: {shown}"
    );
    let now = c.run("node2", "crm configure show d");
    assert!(now.contains("timeout=33s"), "{now}");
    let failed = c.refused("node1", "EDITOR=false crm configure edit", 1);
    assert!(failed.contains("nothing was changed"), "{failed}");
    let wrong = c.refused(
        "node1",
        "EDITOR=\"sed -i s/^primitive/primitiv3/\" crm configure edit",
        1,
    );
    assert!(wrong.contains("primitiv3"), "{wrong}");

    // Who did what, the newest last; the same numbers on every node.
    let history = c.run("node1", "mainstay history");
    let own: Vec<&str> = history
        .lines()
        .filter(|l| l.ends_with("root with crm on node1"))
        .collect();
    assert_eq!(own.len(), 3, "{history}");
    let number = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    let (old, new) = (number(own[1]), number(own[2]));
    let difference = c.run("node1", &format!("mainstay history diff {old} {new}"));
    assert!(
        difference.contains("-\top monitor interval=10s timeout=20s")
            && difference.contains("+\top monitor interval=10s timeout=33s"),
        "{difference}"
    );
    let there = c.run("node2", &format!("mainstay history diff {old}"));
    assert_eq!(there, difference, "{old} to now, on the other node");
    let before = c.run("node1", &format!("mainstay history show {old}"));
    assert!(
        before.contains("timeout=20s") && before.contains("root with crm"),
        "{before}"
    );
    let none = c.refused("node1", "mainstay history show 999999", 105);
    assert!(none.contains("mainstay history"), "{none}");
    // And back again.
    c.run(
        "node1",
        &format!("mainstay history show {old} --xml | cibadmin -R -p"),
    );
    assert!(
        c.run("node2", "crm configure show d")
            .contains("timeout=20s")
    );
}

#[test]
fn the_prompt_asks_before_it_commits_and_remembers_nothing_wrong() {
    let test = "the_prompt_asks_before_it_commits_and_remembers_nothing_wrong";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    let mut crm = Terminal::run(c.command("node1", &["crm"]).unwrap());
    crm.wait("crm(live/node1)# ");
    crm.say("configure");
    crm.wait("crm(live/node1)configure# ");
    crm.say("property batch-limit=5 \\");
    crm.wait("   > ");
    crm.say("stonith-enabled=false");
    crm.wait("configure# ");
    crm.say("bogus");
    crm.wait("configure.bogus: No such command");
    crm.say("up");
    crm.wait("Do you want to commit them? (y/n)");
    crm.say("y");
    crm.wait("crm(live/node1)# ");
    crm.say("configure property batch-limit=6");
    crm.wait("Do you want to commit them? (y/n)");
    crm.say("n");
    crm.wait("crm(live/node1)# ");
    crm.say("quit");
    assert_eq!(
        crm.end(),
        0,
        "what was typed wrong and then right is no failure"
    );
    let set = c.run("node1", "crm_attribute -n batch-limit -Gq");
    assert_eq!(set, "5\n", "yes was done, no was not");

    // The end of input leaves as well.
    let mut crm = Terminal::run(c.command("node1", &["crm", "node"]).unwrap());
    crm.wait("crm(live/node1)node# ");
    crm.say("show");
    crm.wait("node1(1): member");
    // Before the prompt is there, the terminal itself would take the end and tell nobody.
    crm.wait("crm(live/node1)node# ");
    crm.hang_up();
    assert_eq!(crm.end(), 0);
}

#[test]
fn lines_that_are_pasted_are_commands_one_after_the_other() {
    let test = "lines_that_are_pasted_are_commands_one_after_the_other";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    // From a terminal that says what is pasted, and from one that only types fast.
    let lines =
        "configure\rproperty batch-limit=5 \\\r  cluster-delay=61s\rcommit\rup\rnode\rshow\rquit";
    for pasted in [lines.to_owned(), format!("\x1b[200~{lines}\x1b[201~")] {
        c.run("node1", "crm_attribute -n batch-limit -v 3");
        let mut crm = Terminal::run(c.command("node1", &["crm"]).unwrap());
        crm.wait("crm(live/node1)# ");
        crm.say(&pasted);
        crm.wait("node1(1): member");
        assert_eq!(crm.end(), 0, "{pasted:?}");
        assert_eq!(c.run("node1", "crm_attribute -n batch-limit -Gq"), "5\n");
        assert_eq!(
            c.run("node1", "crm_attribute -n cluster-delay -Gq"),
            "61s\n"
        );
    }
}

#[test]
fn one_slip_in_the_editor_does_not_cost_what_was_typed() {
    let test = "one_slip_in_the_editor_does_not_cost_what_was_typed";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.run("node1", "crm configure property batch-limit=5");
    // Makes a mistake the first time, and mends it the second time.
    let editor = "#!/bin/sh\ngrep -q ^bogus \"$1\" || { echo bogus >>\"$1\"; exit; }\n\
                  sed -i '/^bogus/d; s/batch-limit=5/batch-limit=9/' \"$1\"\n";
    c.run(
        "node1",
        &format!("cat >/tmp/editor <<'EOF'\n{editor}EOF\nchmod 0755 /tmp/editor"),
    );
    let argv = ["env", "EDITOR=/tmp/editor", "crm"];
    let mut crm = Terminal::run(c.command("node1", &argv).unwrap());
    crm.wait("crm(live/node1)# ");
    crm.say("configure edit");
    crm.wait("Do you want to edit it again? (y/n)");
    crm.say("y");
    crm.wait("batch-limit=9");
    crm.wait("Do you want to commit them? (y/n)");
    crm.say("y");
    crm.wait("crm(live/node1)# ");
    crm.say("quit");
    crm.end();
    let set = c.run("node1", "crm_attribute -n batch-limit -Gq");
    assert_eq!(set, "9\n");

    // A mistake in one command is one error, and no warning of the same beside it.
    let missing = c.refused("node1", "crm configure primitive n ocf:heartbeat:nosuch", 1);
    assert!(!missing.contains("WARNING"), "{missing}");
    assert!(missing.contains("is not installed on this node; nothing was committed"));
    c.run("node1", "crm configure primitive d ocf:pacemaker:Dummy");
    let odd = c.refused("node1", "crm resource trace d explode", 1);
    assert!(odd.contains("d has no operation explode"), "{odd}");
    let odd = c.refused("node1", "crm resource promote d", 1);
    assert!(!odd.to_lowercase().contains("error: error"), "{odd}");
    let odd = c.refused("node1", "crm node utilization node1 set cpu abc", 1);
    assert!(odd.contains("not a whole number"), "{odd}");
    c.refused(
        "node1",
        "crm configure rsc_defaults resource-stickiness=abc",
        1,
    );
    c.refused("node1", "crm_standby -v maybe", 65);
    c.refused("node1", "crmadmin -t abc -D", 64);
    let twice = c.refused("node1", "crm configure rename d", 1);
    assert!(twice.contains("usage: crm configure rename"), "{twice}");
}

#[test]
fn fencing_by_hand_says_how_it_went() {
    let test = "fencing_by_hand_says_how_it_went";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    let unsure = c.refused("node1", "mainstay fence node3", 107);
    assert!(unsure.contains("mainstay fence node3 --yes"), "{unsure}");
    let unknown = c.refused("node1", "mainstay fence node9 --yes", 105);
    assert!(unknown.contains("node9"), "{unknown}");
    let odd = c.refused("node1", "mainstay fence node3 --action melt --yes", 65);
    assert!(odd.contains("reboot"), "{odd}");
    let none = c.refused("node1", "mainstay fence node3 --yes", 1);
    assert!(none.contains("could not be fenced"), "{none}");

    c.must_edit("node1", |cib| {
        properties(cib, &[("stonith-enabled", "true")]);
        let power = Primitive::new("power", "stonith:fence_lab");
        add(cib, power.op("monitor", "60s", "20s"));
    });
    c.wait_started("node1", "power", None);
    let life = || {
        let nodes = c.nodes().unwrap();
        nodes.into_iter().find(|n| n.name == "node3").unwrap().init
    };
    let before = life();
    let told = c.run("node1", "mainstay fence node3 --yes");
    assert!(was_fenced(&told, "node3"), "{told}");
    assert_ne!(life(), before, "it was said, and not done");
    c.wait_until("node3 to be back", "node1", || match c.powered().len() {
        3 => Ok(()),
        n => Err(format!("{n} have power")),
    });
    c.wait_online();
    let told = c.sh("node2", "crm -F node fence node3");
    assert!(told.ok() && was_fenced(&told.stderr, "node3"), "{told:?}");
}

/// Whether a fencing is told as done. A node may be back before its switch has answered: then its new
/// life is the proof.
fn was_fenced(told: &str, node: &str) -> bool {
    let by = |proof: &str| told.contains(&format!("{node} was fenced by {proof}\n"));
    by("power") || by("the machine booted again")
}

#[test]
fn a_coordinator_fenced_by_hand_is_killed_once_and_its_successor_tells() {
    let test = "a_coordinator_fenced_by_hand_is_killed_once_and_its_successor_tells";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        properties(cib, &[("stonith-enabled", "true")]);
        add(cib, Primitive::new("power", "stonith:fence_lab"));
    });
    c.wait_started("node1", "power", None);
    let dc = c.status("node1").dc.unwrap();
    let asker = c.other_than(&[&dc]);
    let told = c.run(&asker, &format!("mainstay fence {dc} --yes"));
    assert!(was_fenced(&told, &dc), "{told}");
    let log = c.log_of(&asker);
    assert!(!log.contains("could not be fenced"), "{log}");
}

#[test]
fn reload_says_what_it_took_over_and_keeps_what_is_wrong_out() {
    let test = "reload_says_what_it_took_over_and_keeps_what_is_wrong_out";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    let same = c.run("node1", "mainstay reload");
    assert!(same.contains("nothing else changed"), "{same}");
    c.edit_file("node1", CONF, |text| {
        let text = text.replace("mainstayd.log", "other.log");
        text.replace("cluster_name: lab", "cluster_name: lab\n    token: 700")
    });
    let told = c.run("node1", "mainstay reload");
    assert!(told.contains("token") && told.contains("restart"), "{told}");
    // The next line goes to the new file.
    c.run("node1", "mainstay reload");
    c.run("node1", "grep -q 'INFO MAIN: reload' /var/log/other.log");
    // Everything is told of one part, and of no other.
    c.edit_file("node1", CONF, |text| {
        let part = "logging {\n    logger_subsys {\n        subsys: CFG\n        debug: on\n    }";
        text.replacen("logging {", part, 1)
    });
    c.run("node1", "mainstay reload");
    c.run("node1", "crm_mon -1");
    let debug = c.run("node1", "grep DEBUG /var/log/other.log");
    assert!(
        debug.lines().all(|line| line.contains(" DEBUG IPC: ")),
        "{debug}"
    );

    c.edit_file("node1", CONF, |text| text.replace("token:", "tokne:"));
    let wrong = c.refused("node1", "mainstay reload", 78);
    assert!(wrong.contains("tokne"), "{wrong}");
    let notices = c.status("node1").notices;
    assert!(
        notices.iter().any(|n| n.code == "reload-refused"),
        "{notices:?}"
    );
    c.wait_online();
}

#[test]
fn a_store_is_checked_exported_forgotten_and_brought_back() {
    let test = "a_store_is_checked_exported_forgotten_and_brought_back";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        properties(cib, &[("batch-limit", "7")]);
    });
    let busy = c.sh("node3", "mainstay store export /run/export");
    assert!(!busy.ok() && busy.stderr.contains("mainstayd"), "{busy:?}");
    c.stop_daemon("node3", PATIENCE).unwrap();
    let sound = c.run("node3", "mainstay store verify");
    assert!(sound.contains("everything in it is sound"), "{sound}");
    let told = c.sh("node3", "mainstay store export /run/export");
    assert!(told.ok() && told.stderr.contains("log records"), "{told:?}");
    let full = c.refused("node3", "mainstay store import /run/export", 108);
    assert!(!full.is_empty());

    let unsure = c.refused("node3", "mainstay store reset", 107);
    assert!(unsure.contains("--yes-lose-state"), "{unsure}");
    let aside = c.run("node3", "mainstay store reset --yes-lose-state");
    assert!(aside.contains("the old state lies in"), "{aside}");
    c.refused("node3", "mainstay store verify", 66);
    let told = c.run("node3", "mainstay store import /run/export");
    assert!(told.contains("imported"), "{told}");
    let sound = c.run("node3", "mainstay store verify");
    assert!(sound.contains("does not vote until"), "{sound}");
    c.start_daemon("node3").unwrap();
    c.wait_online();
    assert_eq!(c.run("node3", "crm_attribute -n batch-limit -Gq"), "7\n");

    // Without an export, it fetches everything from the others.
    c.stop_daemon("node3", PATIENCE).unwrap();
    c.run("node3", "mainstay store reset --yes-lose-state");
    c.start_daemon("node3").unwrap();
    c.wait_online();
    assert_eq!(c.run("node3", "crm_attribute -n batch-limit -Gq"), "7\n");
}

#[test]
fn a_node_that_is_gone_for_good_is_deleted() {
    let test = "a_node_that_is_gone_for_good_is_deleted";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    let there = c.refused("node1", "crm node delete node3", 1);
    assert!(
        there.contains("is in the cluster") && there.contains("stop mainstayd"),
        "{there}"
    );
    c.stop_daemon("node3", PATIENCE).unwrap();
    c.wait_for("node1", "node3 gone", |s| match node_of(s, "node3") {
        Some(n) if n.online => Err(brief(s)),
        _ => Ok(()),
    });
    c.poweroff("node3").unwrap();
    for node in ["node1", "node2"] {
        c.edit_file(node, CONF, |text| {
            let (before, rest) = text
                .split_once("    node {\n        ring0_addr: 10.77.0.103")
                .unwrap();
            let (_, after) = rest.split_once("    }\n").unwrap();
            format!("{before}{after}")
        });
    }
    for node in ["node1", "node2"] {
        c.stop_daemon(node, PATIENCE).unwrap();
    }
    for node in ["node1", "node2"] {
        c.start_daemon(node).unwrap();
    }
    c.wait_online();
    c.refused("node2", "crm node delete node9", 1);
    c.run("node2", "crm node delete node3");
    c.wait_for("node1", "two nodes, and quorum", |s| {
        match (s.nodes.len(), s.quorate) {
            (2, true) => Ok(()),
            _ => Err(brief(s)),
        }
    });
    let nodes = c.run("node1", "crm_node -l");
    assert!(!nodes.contains("node3"), "{nodes}");
}
