//! Agents that fail, and agents of other people.

use crate::cluster::{Cluster, brief, resource, skip, started_on};
use crate::config::{Primitive, add, constrain, ip_and_web, plain, set_meta, web};
use mainstay::lab::VIP;
use mainstay::view::{FailCount, Status};
use std::path::Path;

/// Fail counts of a resource.
fn failures<'a>(status: &'a Status, id: &str) -> Vec<&'a FailCount> {
    status
        .failcounts
        .iter()
        .filter(|f| f.resource == id)
        .collect()
}

/// Kills the web service as a bug would: without a word to anybody.
fn kill_web(c: &Cluster, node: &str) {
    c.run(node, "kill -9 $(cat /run/resource-agents/demo-web-web.pid)");
}

#[test]
fn a_dead_service_is_started_again_and_counted_until_cleanup() {
    let test = "a_dead_service_is_started_again_and_counted_until_cleanup";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let other = c.other_than(&[&holder]);

    kill_web(&c, &holder);
    c.wait_for(&other, "a fail count of web", |s| {
        match failures(s, "web").as_slice() {
            [one] if one.count == 1 && one.node == holder => Ok(()),
            found => Err(format!("{found:?}; {}", brief(s))),
        }
    });
    assert_eq!(
        c.wait_started(&other, "web", None),
        holder,
        "restarted where it was"
    );
    let status = c.status(&other);
    let failed = &resource(&status, "web").unwrap().failures;
    assert!(
        failed.iter().any(|f| f.key.contains("monitor_1000")),
        "{failed:?}"
    );

    c.run(&other, "crm resource cleanup web");
    c.wait_for(&other, "no fail count of web, and web running", |s| {
        let clean =
            failures(s, "web").is_empty() && resource(s, "web").unwrap().failures.is_empty();
        match clean && started_on(s, "web") == [holder.as_str()] {
            true => Ok(()),
            false => Err(format!("{:?}; {}", s.failcounts, brief(s))),
        }
    });
    c.wait_sole_holder(&holder);

    // With a threshold of one, the next failure drives it away, and its address with it.
    c.must_edit(&other, |cib| {
        set_meta(cib, "web", "migration-threshold", Some("1"))
    });
    c.wait_idle(&other);
    kill_web(&c, &holder);
    assert_eq!(c.wait_started(&other, "web", Some(&holder)), other);
    c.wait_sole_holder(&other);
    let why = c.status(&other);
    let counts = failures(&why, "web");
    assert!(
        counts.iter().any(|f| f.node == holder && f.threshold == 1),
        "expected the threshold to be told: {counts:?}"
    );
}

#[test]
fn a_start_that_fails_is_tried_elsewhere() {
    let test = "a_start_that_fails_is_tried_elsewhere";
    let Some(c) = Cluster::off(test, 2) else {
        return;
    };
    c.install_agent(
        "picky",
        "start) [ -e /run/refuse ] && echo 'ocf-exit-reason:the flux is cold' >&2 && exit 1
         touch $state; exit 0 ;;",
    );
    c.power_on();
    c.run("node1", "touch /run/refuse");
    c.must_edit("node1", |cib| {
        plain(cib);
        add(
            cib,
            Primitive::new("picky", "ocf:mainstay:picky").op("monitor", "1s", "20s"),
        );
        constrain(
            cib,
            r#"<rsc_location id="rather" rsc="picky" node="node1" score="50"/>"#,
        );
    });
    assert_eq!(c.wait_started("node1", "picky", None), "node2");
    let status = c.status("node1");
    let failed = &resource(&status, "picky").unwrap().failures;
    let told = failed
        .iter()
        .any(|f| f.node == "node1" && f.exit_reason.contains("the flux is cold"));
    assert!(told, "expected the agent's own words: {failed:?}");
    let counts = failures(&status, "picky");
    assert!(counts.iter().any(|f| f.count == 1_000_000), "{counts:?}");
}

/// Agents of the packages resource-agents and pacemaker-resource-agents, with a state file each.
const FOREIGN: [(&str, &str); 3] = [
    ("theirs", "ocf:heartbeat:Dummy"),
    ("ours", "ocf:pacemaker:Dummy"),
    ("grown", "ocf:pacemaker:Stateful"),
];

#[test]
fn agents_of_other_people_run_unmodified() {
    let test = "agents_of_other_people_run_unmodified";
    let missing: Vec<_> = FOREIGN
        .iter()
        .map(|(_, agent)| {
            agent
                .replacen("ocf:", "/usr/lib/ocf/resource.d/", 1)
                .replace(':', "/")
        })
        .filter(|path| !Path::new(path).exists())
        .collect();
    if !missing.is_empty() {
        return skip(
            test,
            &format!(
                "{missing:?} are not installed (package resource-agents, pacemaker-resource-agents)"
            ),
        );
    }
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    let state = |id: &str| format!("/run/resource-agents/{id}.state");
    c.must_edit("node1", |cib| {
        plain(cib);
        for (id, agent) in FOREIGN {
            add(
                cib,
                Primitive::new(id, agent)
                    .param("state", &state(id))
                    .op("monitor", "1s", "20s"),
            );
        }
    });
    for (id, agent) in FOREIGN {
        let place = c.wait_started("node1", id, None);
        // Watched: what they keep is taken away, and comes back by a restart.
        c.run(&place, &format!("rm {}", state(id)));
        c.wait_for(
            "node1",
            &format!("the loss of {agent} to be noticed"),
            |s| match failures(s, id).is_empty() {
                false => Ok(()),
                true => Err(brief(s)),
            },
        );
        let place = c.wait_started("node1", id, None);
        c.run(&place, &format!("test -e {}", state(id)));
        c.must_edit("node1", |cib| {
            set_meta(cib, id, "target-role", Some("Stopped"))
        });
        c.wait_idle("node1");
        let status = c.status("node1");
        assert_eq!(started_on(&status, id), [""; 0], "{}", brief(&status));
        for node in c.powered() {
            assert!(
                !c.sh(&node, &format!("test -e {}", state(id))).ok(),
                "{agent} left its file on {node}"
            );
        }
    }
}

/// The service alone, with a monitor that must be seen to run.
#[test]
fn a_cluster_of_one_runs_watches_and_restarts() {
    let test = "a_cluster_of_one_runs_watches_and_restarts";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, web());
    });
    assert_eq!(c.wait_started("node1", "web", None), "node1");
    kill_web(&c, "node1");
    c.wait_for(
        "node1",
        "the dead service to be counted",
        |s| match failures(s, "web").len() {
            1 => Ok(()),
            _ => Err(brief(s)),
        },
    );
    c.wait_started("node1", "web", None);

    // What it knows survives its own power-off.
    let before = c.cib("node1");
    c.poweroff("node1").unwrap();
    c.poweron("node1").unwrap();
    c.wait_online();
    assert_eq!(
        c.cib("node1").root().first("configuration"),
        before.root().first("configuration")
    );
    c.wait_started("node1", "web", None);

    // And it leaves in order when told to: what it runs is stopped first.
    let ended = c.stop_daemon("node1", crate::cluster::PATIENCE).unwrap();
    assert_eq!(
        ended.ended.as_deref(),
        Some("exit 0"),
        "see {}",
        c.daemon_log("node1").display()
    );
    let running = c.sh("node1", "ls /run/resource-agents/demo-web-web.pid");
    assert!(!running.ok(), "the service still runs: {running:?}");
}

#[test]
fn an_address_that_somebody_removes_is_back_long_before_its_next_monitor() {
    let test = "an_address_that_somebody_removes_is_back_long_before_its_next_monitor";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        let ip = Primitive::new("ip", "ocf:heartbeat:IPaddr2")
            .param("ip", &VIP.to_string())
            .param("cidr_netmask", "24")
            .op("monitor", "1h", "20s");
        add(cib, ip);
    });
    let holder = c.wait_started("node1", "ip", None);
    c.wait_idle("node1");
    let nodes = c.nodes().unwrap();
    let init = nodes
        .iter()
        .find(|n| n.name == holder)
        .and_then(|n| n.init)
        .unwrap();
    let netns = netlink::NetNs::of_pid(init.pid.cast_unsigned()).unwrap();
    let remove = || {
        let mut kernel = netlink::Kernel::open().unwrap();
        let eth0 = kernel.link("eth0").unwrap().index;
        kernel.delete_address(eth0, VIP, 24).unwrap();
    };
    netns.run(remove).unwrap();
    c.wait_for(
        "node1",
        "the removal as a failure of ip",
        |s| match failures(s, "ip").as_slice() {
            [one] if one.count == 1 && one.node == holder => Ok(()),
            found => Err(format!("{found:?}; {}", brief(s))),
        },
    );
    c.wait_for(&holder, "the address to be back", |_| {
        match c.holders(VIP).unwrap().as_slice() {
            [held] if *held == holder => Ok(()),
            held => Err(format!("held by {held:?}")),
        }
    });
}

/// What cannot work is refused before it runs anywhere, as crmsh refuses it.
#[test]
fn what_its_agent_cannot_run_is_not_committed() {
    let test = "what_its_agent_cannot_run_is_not_committed";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, web());
    });
    let before = c.cib("node1");
    for (command, why) in [
        (
            "crm configure primitive new ocf:heartbeat:Nope",
            "new: the agent ocf:heartbeat:Nope is not installed on this node; nothing was committed",
        ),
        (
            "crm configure primitive new ocf:heartbeat:IPaddr2",
            "new: ocf:heartbeat:IPaddr2 needs ip; nothing was committed",
        ),
        (
            "crm configure primitive new ocf:heartbeat:IPaddr2 params ip=10.9.9.9 nicc=eth0",
            "new: ocf:heartbeat:IPaddr2 has no parameter `nicc`: is it `nic`?; nothing was committed",
        ),
        (
            "printf 'configure\\nprimitive new ocf:heartbeat:IPaddr2\\ncommit\\n' | crm",
            "new: ocf:heartbeat:IPaddr2 needs ip; nothing was committed",
        ),
        // Told once for each mistake, however many there are.
        (
            "printf 'configure\\nprimitive new ocf:heartbeat:Nope\\ncommit\\n' | crm",
            "new: the agent ocf:heartbeat:Nope is not installed on this node",
        ),
        (
            "printf 'configure\\nprimitive new ocf:heartbeat:IPaddr2\\n\
             colocation with inf: new nothere\\n' | crm",
            "does not exist; create the resource, or delete the constraint",
        ),
    ] {
        let done = c.sh("node1", command);
        assert!(!done.ok(), "{command}: {done:?}");
        let said = format!("{done:?}");
        assert_eq!(said.matches(why).count(), 1, "{command}: {done:?}");
    }
    let after = c.cib("node1");
    assert_eq!(
        after.root().first("configuration"),
        before.root().first("configuration")
    );
    c.run(
        "node1",
        "crm -F configure primitive new ocf:heartbeat:Nope meta target-role=Stopped",
    );
}
