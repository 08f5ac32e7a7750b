//! The levels of crm that look at the cluster as a whole: its service, corosync.conf, what
//! happened, copies of the configuration, an archive for helpers.

use crate::cluster::{Cluster, resource};
use crate::terminal::Terminal;

impl Cluster {
    /// A shell line that must fail; what it said on standard error.
    fn fails(&self, node: &str, line: &str) -> String {
        let output = self.sh(node, line);
        if output.ok() {
            self.fail(node, &format!("expected `{line}` to fail: {output:?}"));
        }
        output.stderr
    }

    /// A shell line whose output must name all of this.
    fn tells(&self, node: &str, line: &str, wanted: &[&str]) -> String {
        let out = self.run(node, line);
        for text in wanted {
            if !out.contains(text) {
                self.fail(node, &format!("`{line}`: no {text:?} in {out}"));
            }
        }
        out
    }
}

#[test]
fn the_levels_of_crm_tell_and_change_what_they_should() {
    let test = "the_levels_of_crm_tell_and_change_what_they_should";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.run("node1", "crm cluster wait_for_startup 30");
    c.run("node1", "crm cluster wait_for_startup node2 30");
    let never = c.fails("node1", "crm cluster wait_for_startup node9 0");
    assert!(never.contains("node9 is not a node"), "{never}");
    c.tells(
        "node1",
        "crm cluster status",
        &[
            "corosync         active",
            "Local node ID 1",
            "node2",
            "connected",
        ],
    );
    let elsewhere = c.fails("node1", "crm cluster stop node2");
    assert!(
        elsewhere.contains("other nodes are not reached"),
        "{elsewhere}"
    );
    c.run("node1", "crm configure property stonith-enabled=false");
    a_copy_is_worked_on(&c);
    what_happened_is_told(&c);
    corosync_conf_is_changed_key_by_key(&c);
    an_archive_is_made(&c);
    an_agent_is_called_by_hand(&c);
    what_would_happen_is_tried(&c);
    a_few_values_make_a_service(&c);
    options_hold_for_the_next_command(&c);
}

/// The cluster leaves `d` alone meanwhile, and finds it as it was left.
fn an_agent_is_called_by_hand(c: &Cluster) {
    let holder = c.wait_started("node1", "d", None);
    let other = c.other_than(&[&holder]);
    let early = c.fails(&holder, "crm maintenance action d monitor");
    assert!(early.contains("Not in maintenance mode"), "{early}");
    c.run(&holder, "crm -w maintenance on d");
    c.tells(
        &holder,
        "crm maintenance action d monitor",
        &["returned 0 (ok)"],
    );
    let away = c.fails(&other, "crm maintenance action d stop");
    assert!(away.contains(&format!("d runs on {holder}")), "{away}");
    c.run(&holder, "crm maintenance action d stop");
    c.run(&holder, "crm maintenance action d start");
    c.run(&holder, "crm -w maintenance off d");
    c.wait_started_on("node1", "d", &holder);
    // Tickets: whoever cannot be asked must say that it is meant.
    let unsure = c.fails("node1", "crm site ticket grant t1");
    assert!(unsure.contains("say -F"), "{unsure}");
    c.run("node1", "crm -F site ticket grant t1");
    c.tells("node2", "crm site ticket show t1", &["t1\tgranted"]);
    c.run("node2", "crm site ticket standby t1");
    c.tells("node1", "crm site ticket show t1", &["[standby]"]);
    c.run("node1", "crm -F site ticket delete t1");
    c.fails("node2", "crm site ticket show t1");
}

/// What is only imagined happens to nobody.
fn what_would_happen_is_tried(c: &Cluster) {
    let holder = c.wait_started("node1", "d", None);
    let lines =
        format!("cibstatus\nop monitor d not_running\nnode {holder} offline\norigin\nrun\n");
    c.tells(
        "node1",
        &format!("printf '{lines}' | crm"),
        &[
            "live (modified)",
            &format!("OFFLINE: [ {holder} ]"),
            "* Start      d ",
        ],
    );
    assert_eq!(c.wait_started("node1", "d", None), holder);
    let saved = "crm cibstatus save /run/now.xml && crm cibstatus load /run/now.xml";
    c.run("node1", saved);
}

fn a_few_values_make_a_service(c: &Cluster) {
    let dry = c.tells(
        "node1",
        "crm script verify virtual-ip id=vip ip=10.77.0.200",
        &["primitive vip ocf:heartbeat:IPaddr2 params ip=10.77.0.200"],
    );
    assert!(dry.starts_with("1. "), "{dry}");
    c.fails("node1", "crm configure show vip");
    c.run("node1", "crm configure primitive p1 ocf:pacemaker:Dummy");
    c.run("node1", "crm -w assist weak-bond p1 d");
    c.tells("node1", "crm configure show", &["( p1 d ) place-dummy-1"]);
    let made =
        "template\nnew mine mailto params email=root\nshow\napply\nup\nshow changed\nrefresh\n";
    c.tells(
        "node1",
        &format!("printf '{made}' | HOME=/run crm"),
        &["primitive mine ocf:heartbeat:MailTo params email=root"],
    );
    c.tells("node1", "HOME=/run crm template list configs", &["mine"]);
    c.fails("node1", "crm configure show mine");
}

fn options_hold_for_the_next_command(c: &Cluster) {
    c.run("node1", "HOME=/run crm options skill-level operator");
    let refused = c.fails("node1", "HOME=/run crm configure show");
    assert!(
        refused.contains("administrator skill level required"),
        "{refused}"
    );
    c.run("node1", "HOME=/run crm options reset");
    c.run("node1", "HOME=/run crm options output color-always");
    c.tells(
        "node1",
        "HOME=/run crm configure show d",
        &["\u{1b}[33mprimitive\u{1b}[0m"],
    );
    let plain = c.run("node1", "HOME=/run crm -D plain configure show d");
    assert!(plain.starts_with("primitive d"), "{plain}");
}

/// Nothing reaches the cluster before the commit of the copy.
fn a_copy_is_worked_on(c: &Cluster) {
    let script = "cib new test\nconfigure primitive d ocf:heartbeat:Dummy op monitor interval=10s\ncib diff\nconfigure simulate\n";
    let told = c.tells(
        "node1",
        &format!("printf '{script}' | crm"),
        &["+primitive d ", "Start      d"],
    );
    assert!(!told.contains("-primitive"), "{told}");
    assert!(
        resource(&c.status("node1"), "d").is_none(),
        "only in the copy"
    );
    c.tells("node1", "crm cib list", &["test"]);
    c.tells("node1", "crm -c test configure show d", &["primitive d "]);
    let there = c.fails("node1", "crm cib new test");
    assert!(there.contains("already exists"), "{there}");
    c.run("node1", "crm -w cib commit test");
    c.wait_started("node2", "d", None);
    c.run("node1", "crm cib delete test");
    c.fails("node1", "crm cib use test");
}

fn what_happened_is_told(c: &Cluster) {
    let place = c.wait_started("node1", "d", None);
    c.tells(
        "node1",
        "crm history events",
        &[
            &format!("{place}: start of d: ok"),
            "root changed the configuration with crm",
        ],
    );
    let about = c.tells("node2", "crm history resource d", &["start of d: ok"]);
    assert!(!about.contains("changed the configuration"), "{about}");
    c.tells(
        "node2",
        "crm history info",
        &["Nodes: node1 node2", "Resources: d"],
    );
    c.tells(
        "node1",
        "crm resource operations d",
        &["d_start_0", "d_monitor_10000"],
    );
    let dc = c.status("node1").dc.unwrap();
    c.wait_until("the decisions to be kept", &dc, || {
        match c
            .sh(&dc, "crm history transitions")
            .stdout
            .contains("pe-input-")
        {
            true => Ok(()),
            false => Err("none yet".to_owned()),
        }
    });
    c.tells(
        &dc,
        "crm history transition",
        &["pe-input-", "Transition Summary:"],
    );
    c.tells(&dc, "crm history diff pe-input-0 live", &["+primitive d "]);
    c.tells(&dc, "crm history log", &["INFO"]);
    let other = c.other_than(&[&dc]);
    let elsewhere = c.fails(&dc, &format!("crm history log {other}"));
    assert!(elsewhere.contains(&other), "{elsewhere}");
    // What lies in the future has not happened.
    let none = c.run(
        "node1",
        "printf 'history\\nlimit 2999-01-01T00:00:00Z\\nevents\\n' | crm",
    );
    assert_eq!(none, "");
}

fn corosync_conf_is_changed_key_by_key(c: &Cluster) {
    c.tells("node1", "crm corosync get totem.cluster_name", &["lab"]);
    let before = c.tells("node1", "crm corosync show", &["totem {"]);
    let wrong = c.fails("node1", "crm corosync set totem.tokne 700");
    assert!(wrong.contains("tokne"), "{wrong}");
    assert_eq!(
        c.run("node1", "crm corosync show"),
        before,
        "nothing was changed"
    );
    c.fails("node1", "crm corosync get totem.tokne");
    let told = c.sh("node1", "crm corosync set totem.token 700");
    assert!(
        told.ok() && told.stderr.contains("on this node alone"),
        "{told:?}"
    );
    c.tells("node1", "crm corosync get totem.token", &["700"]);
    c.tells("node1", "crm corosync reload", &["token"]);
    c.tells("node1", "crm corosync status", &["Quorate: Yes", "token"]);
}

fn an_archive_is_made(c: &Cluster) {
    c.run("node1", "crm configure primitive secret ocf:heartbeat:Dummy params fake=1 && crm resource param secret set passwd tiger");
    c.tells("node1", "crm report /run/help", &["/run/help.tar.bz2"]);
    let again = c.fails("node1", "crm report /run/help");
    assert!(again.contains("is there already"), "{again}");
    c.tells("node1", "stat -c %a /run/help.tar.bz2", &["600"]);
    let unpack = "mkdir /run/unpacked && tar -C /run/unpacked -xf /run/help.tar.bz2";
    if c.sh("node1", "command -v bzip2").ok() {
        c.run("node1", unpack);
        c.tells(
            "node1",
            "cat /run/unpacked/help/status.txt",
            &["Online: [ node1 node2 ]"],
        );
        c.tells(
            "node1",
            "cat /run/unpacked/help/events.txt",
            &["start of d: ok"],
        );
        let found = c.sh("node1", "grep -r tiger /run/unpacked");
        assert_eq!(found.code, 1, "the secret came along: {found:?}");
    }
}

#[test]
fn the_prompt_completes_names_and_remembers_what_was_typed() {
    let test = "the_prompt_completes_names_and_remembers_what_was_typed";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    let shell = || {
        let line = "XDG_CACHE_HOME=/run/cache exec crm";
        Terminal::run(c.command("node1", &["sh", "-c", line]).unwrap())
    };
    let mut crm = shell();
    crm.wait("crm(live/node1)# ");
    // A level, a verb, a node. What is typed shows behind its prompt, too, again and again: the
    // next prompt is the one that begins a line.
    for (line, prompt) in [
        ("nod\tmaint\tno\t", "crm(live/node1)# "),
        ("configure", "crm(live/node1)configure# "),
        ("property stonith-en\tfalse", "crm(live/node1)configure# "),
        ("commit", "crm(live/node1)configure# "),
        ("cd ..", "crm(live/node1)# "),
        ("cib new test", "crm(test/node1)# "),
        ("cib use", "crm(live/node1)# "),
    ] {
        crm.say(line);
        crm.wait(&format!("\n\r{prompt}"));
    }
    crm.say("quit");
    assert_eq!(crm.end(), 0);
    let set = c.run("node1", "crm_attribute -N node1 -n maintenance -Gq");
    assert_eq!(set, "true\n");
    let set = c.run("node1", "crm_attribute -n stonith-enabled -Gq");
    assert_eq!(set, "false\n");
    c.tells(
        "node1",
        "cat /run/cache/crm/history",
        &["node maintenance node1", "cib new test"],
    );
    // What was typed then is there with the arrow.
    let mut crm = shell();
    crm.wait("crm(live/node1)# ");
    crm.say("\u{1b}[A");
    assert_eq!(crm.end(), 0, "quit was the last line");

    // The shells' completion asks the same.
    c.tells(
        "node1",
        "mainstay complete crm -- node standby ''",
        &["node1\n"],
    );
    c.tells(
        "node1",
        "mainstay complete pcs -- node stand",
        &["standby\n"],
    );
    c.tells("node1", "mainstay complete mainstay -- li", &["lint\n"]);
    // As bash asks, with a word that it splits at the colon.
    let file = include_str!("../../scripts/completion/mainstay.bash");
    let completed = |line: &str| {
        let ask = format!(
            "{file}\nCOMP_LINE='{line}' COMP_POINT={}; _mainstay_complete crm; echo ${{COMPREPLY[*]}}",
            line.len()
        );
        let mut bash = c.command("node1", &["bash", "-c", &ask]).unwrap();
        String::from_utf8(bash.output().unwrap().stdout).unwrap()
    };
    assert_eq!(completed("crm node stand"), "standby\n");
    assert_eq!(completed("crm node standby "), "node1\n");
    let agents = completed("crm ra info ocf:heartbeat:IPaddr");
    assert!(agents.starts_with("IPaddr IPaddr2"), "{agents}");
}
