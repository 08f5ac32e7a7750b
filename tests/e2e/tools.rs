//! The tools that agents, shells and monitors call, on a running cluster and without one.

use crate::cluster::{Cluster, PATIENCE, brief, node_of};
use crate::config::{Primitive, add, plain};

#[test]
fn tools_ask_and_change_a_running_cluster() {
    let test = "tools_ask_and_change_a_running_cluster";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, Primitive::new("d", "ocf:pacemaker:Dummy"));
    });
    let holder = c.wait_started("node1", "d", None);
    let other = c.other_than(&[&holder]);

    // Who is who.
    let dc = c.run("node1", "crmadmin -D");
    assert!(dc.starts_with("Designated Controller is: node"), "{dc}");
    let name = c.run("node1", "crmadmin -D -q");
    let state = c.run("node2", &format!("crmadmin -S {}", name.trim()));
    assert!(state.contains("in state S_"), "{state}");
    let members = c.run("node1", "corosync-cmapctl -b runtime.members");
    for line in [
        "runtime.members.1.status (str) = joined\n",
        "runtime.members.2.status (str) = joined\n",
    ] {
        assert!(members.contains(line), "{members}");
    }
    assert_eq!(
        c.run("node1", "stonith_admin -L"),
        "No fence devices found\n"
    );

    // Standby from elsewhere, and back.
    c.run(&holder, &format!("crm_standby -N {other} -v on"));
    c.wait_for(&holder, "standby", |s| match node_of(s, &other) {
        Some(n) if n.standby => Ok(()),
        _ => Err(brief(s)),
    });
    let asked = c.run(&holder, &format!("crm_standby -G -N {other}"));
    assert_eq!(asked, "scope=nodes  name=standby value=on\n");
    c.run(&holder, &format!("crm_standby -D -N {other}"));

    // Moving, waiting, clearing.
    c.run("node1", &format!("crm_resource -M -r d -N {other}"));
    c.wait_started_on("node1", "d", &other);
    let cleared = c.run("node1", "crm_resource -U -r d");
    assert_eq!(cleared, "Removing constraint: cli-prefer-d\n");
    c.run("node1", "crm_resource --wait");
    let count = c.run("node1", &format!("crm_failcount -G -r d -N {other}"));
    assert_eq!(count, "scope=status  name=fail-count-d value=0\n");

    // A ticket is with both nodes, and decides.
    c.run(
        "node1",
        r#"cibadmin -C -o constraints -X '<rsc_ticket id="t" rsc="d" ticket="site" loss-policy="stop"/>'"#,
    );
    c.wait_for("node1", "no ticket, no resource", |s| {
        match s.resources.iter().all(|r| r.nodes.is_empty()) {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    c.run("node2", "crm_ticket -t site --grant --force");
    c.wait_until("the ticket on node1", "node1", || {
        match c
            .sh("node1", "crm_ticket -t site -G granted")
            .stdout
            .as_str()
        {
            "true\n" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    c.wait_started("node1", "d", None);
    let mon = c.run("node1", "crm_mon -1 -c");
    assert!(
        mon.contains("Tickets:\n  * site: granted last-granted=\""),
        "{mon}"
    );

    c.run(
        "node1",
        "crm configure primitive e ocf:pacemaker:Dummy op monitor interval=10s",
    );
    c.run("node1", "crm configure clone cl e");
    c.wait_idle("node1");
    c.run(
        "node1",
        &format!(
            "crm_resource -F -r d -N {}",
            c.wait_started("node1", "d", None)
        ),
    );
    c.wait_idle("node1");
    c.answers_in_xml();

    // A shadow changes nothing until it is carried over.
    c.run("node1", "crm_shadow -b -c try");
    c.run("node1", "CIB_shadow=try crm_attribute -n tried -v 1");
    assert_eq!(c.sh("node1", "crm_attribute -n tried -G -q").code, 105);
    assert_eq!(c.sh("node1", "CIB_shadow=try crm_shadow -d").code, 1);
    assert_eq!(c.sh("node1", "crm_shadow -C try").code, 64);
    c.run("node1", "crm_shadow -C try --force");
    assert_eq!(c.run("node1", "crm_attribute -n tried -G -q"), "1\n");
    assert_eq!(c.sh("node1", "CIB_shadow=nothing cibadmin -Q").code, 105);

    // For whom a change is made.
    c.run("node1", "CIB_user=alice crm_attribute -n tried -v 2");
    let cib = c.run("node1", "cibadmin -Q -n");
    assert!(cib.contains(r#"update-user="alice""#), "{cib}");
}

#[test]
fn tools_say_that_the_daemon_is_down_and_what_to_do() {
    let test = "tools_say_that_the_daemon_is_down_and_what_to_do";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.stop_daemon("node1", PATIENCE).unwrap();
    for (line, code) in [
        ("crm_mon -1", 102),
        ("crm_mon -1 --output-as=xml", 102),
        ("crm_node -l", 102),
        ("crm_attribute -n x -G", 102),
        ("attrd_updater -n x -Q", 102),
        ("crm_resource -L", 102),
        ("cibadmin -Q", 102),
        ("crmadmin -D", 102),
        ("stonith_admin -L", 102),
        ("crm_ticket -l", 102),
        ("crm_shadow -b -c x", 102),
        ("crm_standby -G", 102),
        ("crm_failcount -G -r d", 102),
        ("crm status", 1),
    ] {
        let output = c.sh("node1", line);
        assert_eq!(output.code, code, "{line}: {output:?}");
        let name = line.split(' ').next().unwrap_or_default();
        if code == 102 {
            let said = format!("{name}: Connection to cluster failed: Connection refused");
            assert!(output.stderr.contains(&said), "{line}: {output:?}");
        }
        assert!(
            output.stderr.contains("mainstayd does not run"),
            "{line}: {output:?}"
        );
    }
    let cmap = c.sh("node1", "corosync-cmapctl");
    assert_eq!(cmap.code, 1, "{cmap:?}");
    assert!(cmap.stderr.contains("CS_ERR_LIBRARY"), "{cmap:?}");
    // These need nobody.
    assert_eq!(c.run("node1", "crm_error -X 102"), "Not connected\n");
    assert!(
        c.run("node1", "iso8601 -n")
            .starts_with("Current date/time: ")
    );
}

/// `crm_mon -E` runs a program for what happens, and for nothing that lies behind.
#[test]
fn a_program_is_told_of_operations_by_crm_mon() {
    let test = "a_program_is_told_of_operations_by_crm_mon";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    let web = "ocf:mainstay:demo-web params port";
    c.run("node1", "crm configure property stonith-enabled=false");
    c.run("node1", &format!("crm configure primitive before {web}=81"));
    c.wait_started("node1", "before", None);
    c.run(
        "node1",
        "cat > /run/told.sh <<'END'\n#!/bin/sh\necho $CRM_notify_recipient $CRM_notify_node $CRM_notify_rsc $CRM_notify_task $CRM_notify_desc $CRM_notify_rc/$CRM_notify_target_rc >> /run/told\nEND\nchmod 755 /run/told.sh; : > /run/told",
    );
    c.run(
        "node1",
        "crm_mon -d -W -E /run/told.sh -e admin -p /run/mon.pid --output-to /run/mon.txt",
    );
    c.wait_until("the first look", "node1", || {
        match c.sh("node1", "grep -q before /run/mon.txt").ok() {
            true => Ok(()),
            false => Err("no file yet".to_owned()),
        }
    });
    c.run("node1", &format!("crm configure primitive web {web}=80"));
    let wanted = "admin node1 web start OK 0/0";
    c.wait_until("the start", "node1", || {
        let told = c.run("node1", "cat /run/told");
        match told.lines().any(|l| l == wanted) {
            true => Ok(()),
            false => Err(told),
        }
    });
    let told = c.run("node1", "cat /run/told");
    assert!(!told.contains("before"), "{told}");
    c.run("node1", "kill $(cat /run/mon.pid)");
}

/// An agent acts by hand, beside the cluster, and says everything.
#[test]
fn an_agent_acts_by_hand() {
    let test = "an_agent_acts_by_hand";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    for line in [
        "crm configure property stonith-enabled=false",
        "crm configure primitive web ocf:mainstay:demo-web params port=80 meta target-role=Stopped",
        "crm configure primitive ip ocf:heartbeat:IPaddr2 params ip=10.9.8.7 cidr_netmask=24",
    ] {
        c.run("node1", line);
    }
    c.run("node1", "crm_resource --wait");
    let stopped = c.sh("node1", "crm_resource --force-check -r web");
    assert_eq!(stopped.code, 7, "{stopped:?}");
    let started = c.run("node1", "pcs resource debug-start web");
    let wanted = "Operation force-start for web (ocf:mainstay:demo-web) returned 0 (ok)\n";
    assert!(started.starts_with(wanted), "{started}");
    c.run("node1", "pcs resource debug-monitor web");
    c.run("node1", "crm_resource --force-stop -r web");
    // An address answers only for whom the cluster says.
    let refused = c.sh("node1", "crm_resource --force-start -r ip");
    assert!(
        refused.code == 3 && refused.stderr.contains("served by the daemon"),
        "{refused:?}"
    );
    // What runs is not started once more.
    c.run("node1", "crm -w resource start web");
    let refused = c.sh("node1", "crm_resource --force-start -r web");
    assert!(
        refused.code == 107 && refused.stderr.contains("already active on node1"),
        "{refused:?}"
    );
}
