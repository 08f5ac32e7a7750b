//! Transient attributes: the tools that set them, the agents that call these tools, and what the
//! cluster does by them.

use crate::cluster::{Cluster, brief, node_of, skip, started_on};
use crate::config::{Primitive, add, constrain, plain, set_meta, web};
use std::path::Path;

/// What `attrd_updater -Q` prints of an attribute.
fn line(name: &str, host: &str, value: &str) -> String {
    format!("name=\"{name}\" host=\"{host}\" value=\"{value}\"\n")
}

#[test]
fn attributes_until_reboot_are_kept_by_their_node_and_end_with_it() {
    let test = "attributes_until_reboot_are_kept_by_their_node_and_end_with_it";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    let ask = "crm_attribute -N node1 -l reboot -n colour -G";
    let missing = c.sh("node2", ask);
    assert_eq!(missing.code, 105, "{missing:?}");

    // Set from the node itself, and from elsewhere.
    c.run("node1", "crm_attribute -l reboot -n colour -v red");
    c.wait_until("red on node2", "node2", || {
        match c.sh("node2", ask).stdout.as_str() {
            "scope=status  name=colour value=red\n" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    c.run("node2", "attrd_updater -N node1 -n colour -U blue");
    let query = "attrd_updater -N node1 -n colour -Q";
    let blue = line("colour", "node1", "blue");
    assert_eq!(c.run("node1", query), blue);
    assert_eq!(c.run("node2", query), blue, "who asked sees it at once");
    c.run("node2", "attrd_updater -n colour -U green");
    let both = c.run("node2", "attrd_updater -n colour -Q -A");
    assert_eq!(both, format!("{blue}{}", line("colour", "node2", "green")));

    // Counting, a promotion score, and what is nobody's business.
    c.run("node1", "attrd_updater -n count -U 4");
    c.run("node1", "crm_attribute -l reboot -n count -v value++");
    assert_eq!(
        c.run("node1", "crm_attribute -l reboot -n count -G -q"),
        "5\n"
    );
    c.run("node1", "crm_attribute -p db -v 100");
    let score = c.run("node1", "OCF_RESOURCE_INSTANCE=db crm_attribute -p -G -q");
    assert_eq!(score, "100\n");
    c.run("node1", "crm_master -r db -l reboot -D");
    c.run("node1", "attrd_updater -n secret -p -U 1");
    assert_eq!(c.run("node1", "attrd_updater -n secret -Qq"), "1\n");
    let status = c.run("node1", "cibadmin -Q -o status");
    assert!(status.contains("name=\"colour\""), "{status}");
    for gone in ["master-db", "secret"] {
        assert!(!status.contains(gone), "{status}");
    }

    // What cannot be is said, with what to do.
    let nobody = c.sh("node1", "attrd_updater -N node9 -n colour -U 1");
    assert_eq!(nobody.code, 105, "{nobody:?}");
    c.poweroff("node2").unwrap();
    c.wait_for("node1", "node2 gone", |s| match node_of(s, "node2") {
        Some(n) if n.online => Err(brief(s)),
        _ => Ok(()),
    });
    c.poweron("node2").unwrap();
    c.wait_online();
    let gone = c.sh("node1", "attrd_updater -N node2 -n colour -Q");
    assert_eq!(gone.code, 105, "it outlived its node: {gone:?}");
    c.run("node1", "attrd_updater -N node1 -n colour -D");
    let deleted = c.sh("node2", query);
    assert_eq!(deleted.code, 105, "{deleted:?}");
}

#[test]
fn a_dampened_change_waits_for_its_time() {
    let test = "a_dampened_change_waits_for_its_time";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.run("node1", "attrd_updater -n pingd -U 1000 -d 1h");
    assert_eq!(c.run("node1", "attrd_updater -n pingd -Qq"), "1000\n");
    let valid = "crm_attribute -N node1 -l reboot -n pingd -G -q";
    assert_eq!(c.sh("node1", valid).code, 105, "it counts already");
    assert_eq!(c.sh("node2", valid).code, 105, "it counts already");
    // A shorter wait takes the longer one's place, and its end is everybody's.
    c.run("node1", "attrd_updater -n pingd -B 2000 -d 200ms");
    for node in ["node1", "node2"] {
        c.wait_until("the end of the wait", node, || {
            match c.sh(node, valid).stdout.as_str() {
                "2000\n" => Ok(()),
                other => Err(other.to_owned()),
            }
        });
    }
}

#[test]
fn standby_until_reboot_empties_a_node_and_online_takes_it_back() {
    let test = "standby_until_reboot_empties_a_node_and_online_takes_it_back";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, web());
    });
    let holder = c.wait_started("node1", "web", None);
    let other = c.other_than(&[&holder]);
    let standby = |node: &str| node_of(&c.status(&other), node).unwrap().standby;

    c.run(&other, &format!("crm -w node standby {holder} reboot"));
    assert_eq!(started_on(&c.status(&other), "web"), [other.as_str()]);
    assert!(standby(&holder));
    let shown = c.run(
        &other,
        &format!("crm node status-attr {holder} show standby"),
    );
    assert_eq!(shown, "scope=status  name=standby value=on\n");
    c.run(&other, &format!("crm -w node online {holder}"));
    assert!(!standby(&holder));

    // It ends with the node.
    c.run(&other, &format!("crm -w node standby {holder} reboot"));
    assert!(standby(&holder));
    c.poweroff(&holder).unwrap();
    c.poweron(&holder).unwrap();
    c.wait_online();
    assert!(!standby(&holder), "{}", brief(&c.status(&other)));
}

#[test]
fn a_capacity_until_reboot_decides_what_a_node_can_carry() {
    let test = "a_capacity_until_reboot_decides_what_a_node_can_carry";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    for line in [
        "crm configure property stonith-enabled=false placement-strategy=utilization",
        "crm configure primitive web ocf:mainstay:demo-web params port=80 utilization cpu=4 op monitor interval=1s",
    ] {
        c.run("node1", line);
    }
    // From elsewhere, and by the tool of agents.
    c.run("node1", "crm_attribute -N node2 -z -l reboot -n cpu -v 4");
    c.wait_started_on("node1", "web", "node2");
    c.run("node1", "attrd_updater -z -n cpu -U 8");
    c.run("node2", "crm_attribute -N node2 -z -l reboot -n cpu -v 2");
    c.wait_started_on("node2", "web", "node1");
    c.wait_until("both capacities on node2", "node2", || {
        let asked = ["node1", "node2"].map(|node| {
            c.sh(
                "node2",
                &format!("crm_attribute -N {node} -z -l reboot -n cpu -Gq"),
            )
            .stdout
        });
        match [asked[0].as_str(), asked[1].as_str()] {
            ["8\n", "2\n"] => Ok(()),
            _ => Err(format!("{asked:?}")),
        }
    });
    let status = c.run("node1", "cibadmin -Q -o status");
    assert!(
        status.contains("<utilization id=\"status-1-utilization\">"),
        "{status}"
    );
    // What the nodes can carry for ever is another matter.
    c.run("node1", "crm node utilization node2 set cpu 4");
    let shown = c.run("node1", "crm node utilization node2 show cpu");
    assert_eq!(shown, "scope=nodes  name=cpu value=4\n");
    c.run("node1", "crm_attribute -N node1 -z -l reboot -n cpu -D");
    let gone = c.sh("node1", "crm_attribute -N node1 -z -l reboot -n cpu -G");
    assert_eq!(gone.code, 105, "{gone:?}");
}

/// Agents of Pacemaker's package that call the tools.
const AGENTS: [&str; 3] = ["Stateful", "attribute", "ping"];

#[test]
fn agents_that_set_attributes_steer_the_cluster() {
    let test = "agents_that_set_attributes_steer_the_cluster";
    let file = |agent: &&str| format!("/usr/lib/ocf/resource.d/pacemaker/{agent}");
    let missing: Vec<_> = AGENTS.iter().map(file).collect();
    if let Some(path) = missing.iter().find(|p| !Path::new(p).exists()) {
        return skip(test, &format!("{path} is not installed"));
    }
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    let address = |node: &str| {
        let nodes = c.nodes().unwrap();
        let node = nodes.iter().find(|n| n.name == node).unwrap();
        node.address.to_string()
    };
    // What both nodes can reach, until it goes.
    let target = address("node2");
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, Primitive::new("grown", "ocf:pacemaker:Stateful"));
        add(
            cib,
            Primitive::new("flag", "ocf:pacemaker:attribute").op("monitor", "1s", "20s"),
        );
        add(
            cib,
            Primitive::new("probe", "ocf:pacemaker:ping")
                .param("host_list", &target)
                .param("name", "reach")
                .param("multiplier", "100")
                .param("dampen", "1s")
                .op("monitor", "2s", "30s"),
        );
        add(cib, web());
        constrain(
            cib,
            r#"<rsc_location id="probe-here" rsc="probe" node="node1" score="INFINITY"/>"#,
        );
        constrain(
            cib,
            r##"<rsc_location id="web-reaches" rsc="web"><rule id="reaches" score="-INFINITY"><expression id="reaches-e" attribute="reach" operation="not_defined"/></rule></rsc_location>"##,
        );
    });
    let attribute = |node: &str, name: &str| {
        c.sh(node, &format!("crm_attribute -l reboot -n {name} -Gq"))
            .stdout
    };
    for (rsc, name, value) in [
        ("grown", "master-grown", "5\n"),
        ("flag", "opa-flag", "1\n"),
    ] {
        let place = c.wait_started("node1", rsc, None);
        c.wait_until(&format!("{name} on {place}"), &place, || {
            match attribute(&place, name) {
                found if found == value => Ok(()),
                other => Err(other),
            }
        });
    }
    // The web service waits for the word of ping, which comes by its dampened attribute.
    c.wait_started_on("node1", "web", "node1");
    assert_eq!(attribute("node1", "reach"), "100\n");

    // Stopped, the agents take their attributes back.
    c.must_edit("node1", |cib| {
        for id in ["grown", "probe"] {
            set_meta(cib, id, "target-role", Some("Stopped"));
        }
    });
    c.wait_for(
        "node1",
        "web stopped, because ping says no more",
        |s| match started_on(s, "web").as_slice() {
            [] => Ok(()),
            _ => Err(brief(s)),
        },
    );
    for node in ["node1", "node2"] {
        assert_eq!(attribute(node, "master-grown"), "", "on {node}");
        assert_eq!(attribute(node, "reach"), "", "on {node}");
    }
}

/// A clone that was never anything else: its agents' scores are found, and one of them is promoted.
#[test]
fn an_agents_promotion_score_promotes_it() {
    let test = "an_agents_promotion_score_promotes_it";
    let agent = "/usr/lib/ocf/resource.d/pacemaker/Stateful";
    if !Path::new(agent).exists() {
        return skip(test, &format!("{agent} is not installed"));
    }
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    c.run(
        "node1",
        r"printf 'configure\nprimitive grown ocf:pacemaker:Stateful op monitor interval=10s role=Promoted op monitor interval=11s role=Unpromoted\nclone both grown meta promotable=true\ncommit\n' | crm",
    );
    let promoted = || {
        let text = c.run("node1", "crm_mon -1");
        let line = text.lines().find(|l| l.contains("* Promoted: [ node"));
        line.map(|l| l.trim_matches([' ', '*', '[', ']']).to_owned())
            .and_then(|l| l.strip_prefix("Promoted: [ ").map(str::to_owned))
            .ok_or(text)
    };
    let place = c.wait_until("one promoted", "node1", promoted);
    for node in ["node1", "node2", "node3"] {
        let score = if node == place { "10\n" } else { "5\n" };
        c.wait_until(&format!("the score on {node}"), node, || {
            let found = c.sh(node, "crm_attribute -p grown -Gq").stdout;
            if found == score { Ok(()) } else { Err(found) }
        });
    }
    // Another takes the role over when its node goes.
    c.run("node1", &format!("crm -w node standby {place}"));
    c.wait_until("another promoted", "node1", || match promoted()? {
        now if now == place => Err(now),
        _ => Ok(()),
    });
}
