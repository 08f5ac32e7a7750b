//! Who may act: quorum, and certainty about the silent by fencing.

use crate::cluster::{Cluster, brief, is_online, resource, started_on};
use crate::config::{Primitive, add, constrain, ip, ip_and_web, plain, properties};
use crate::lease::{Witness, holders_in_turn, mac_of};
use mainstay::ipc::{ErrorKind, Response};
use mainstay::lab::VIP;

#[test]
fn without_quorum_nothing_runs_and_nothing_changes() {
    let test = "without_quorum_nothing_runs_and_nothing_changes";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    let survivor = c.wait_started("node1", "web", None);
    let others: Vec<_> = c.powered().into_iter().filter(|n| *n != survivor).collect();
    let before = c.cib(&survivor);
    for other in &others {
        c.poweroff(other).unwrap();
    }

    c.wait_for(&survivor, "no quorum, and nothing running", |s| {
        let stopped = ["ip", "web"].iter().all(|r| started_on(s, r).is_empty());
        match !s.quorate && stopped && c.holders(VIP).unwrap().is_empty() {
            true => Ok(()),
            false => Err(format!("{}; {VIP} on {:?}", brief(s), c.holders(VIP))),
        }
    });
    let refused = c.edit(&survivor, |cib| properties(cib, &[("batch-limit", "7")]));
    match refused {
        Ok(Response::Error {
            kind: ErrorKind::NoQuorum,
            text,
        }) => assert!(text.contains("no quorum"), "{text}"),
        other => c.fail(
            &survivor,
            &format!("expected a refusal for want of quorum: {other:?}"),
        ),
    }
    assert_eq!(
        c.cib(&survivor).root(),
        before.root(),
        "a refused change left traces"
    );

    // One comes back: two of three are a quorum.
    c.poweron(&others[0]).unwrap();
    c.wait_online();
    let holder = c.wait_started(&survivor, "web", None);
    c.wait_sole_holder(&holder);
    c.must_edit(&survivor, |cib| properties(cib, &[("batch-limit", "7")]));
}

#[test]
fn a_silent_peer_of_two_is_killed_before_its_work_is_taken_over() {
    let test = "a_silent_peer_of_two_is_killed_before_its_work_is_taken_over";
    let Some(c) = Cluster::up(test, 2, |o| o.two_node = true) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        properties(
            cib,
            &[("stonith-enabled", "true"), ("stonith-timeout", "40s")],
        );
        add(
            cib,
            Primitive::new("power", "stonith:fence_lab").op("monitor", "60s", "20s"),
        );
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let survivor = c.other_than(&[&holder]);
    let pid_1 = |node: &str| {
        let nodes = c.nodes().unwrap();
        nodes.into_iter().find(|n| n.name == node).unwrap().init
    };
    let first_life = pid_1(&holder);

    // Silent, but not dead: its kernel still answers for the floating IP.
    c.freeze(&holder).unwrap();
    let taker = c.wait_started(&survivor, "web", Some(&holder));
    assert_eq!(taker, survivor);
    let log = c.log_of(&survivor);
    let line = |words: &[&str]| {
        let found = log
            .lines()
            .position(|l| words.iter().all(|w| l.contains(w)));
        found.unwrap_or_else(|| c.fail(&survivor, &format!("no line with {words:?}")))
    };
    // By its switch, or by a new life of it that is heard before the switch has answered.
    let certificate = line(&[&format!("{holder} was fenced by")]);
    for resource in ["ip", "web"] {
        let rsc = format!("rsc=\"{resource}\"");
        let start = line(&["operation done", &rsc, "operation=\"start\""]);
        assert!(
            certificate < start,
            "{resource} was started before the certificate:\n{log}"
        );
    }
    assert_ne!(pid_1(&holder), first_life, "{holder} was not really killed");

    // Fenced means rebooted: it comes back by itself and takes part.
    c.wait_until(
        "the fenced node to have power again",
        &survivor,
        || match c.powered().len() {
            2 => Ok(()),
            _ => Err(format!("powered: {:?}", c.powered())),
        },
    );
    c.wait_online();
    c.wait_for(&survivor, "nobody unclean, web where it was", |s| {
        let clean = s.nodes.iter().all(|n| !n.unclean) && is_online(s, &holder);
        match clean && started_on(s, "web") == [survivor.as_str()] {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    c.wait_sole_holder(&survivor);
    assert!(resource(&c.status(&survivor), "power").unwrap().active);
}

#[test]
fn of_two_that_are_cut_apart_one_is_killed_and_the_other_goes_on() {
    let test = "of_two_that_are_cut_apart_one_is_killed_and_the_other_goes_on";
    let Some(c) = Cluster::up(test, 2, |o| o.two_node = true) else {
        return;
    };
    let device = |node: &str| {
        let id = format!("power-{node}");
        Primitive::new(&id, "stonith:fence_lab").param("pcmk_host_list", node)
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        properties(cib, &[("stonith-enabled", "true")]);
        // Both want to kill the other; whoever aims at node1 has to wait first.
        add(cib, device("node1").param("pcmk_delay_base", "20s"));
        add(cib, device("node2"));
        ip_and_web(cib);
        constrain(
            cib,
            r#"<rsc_location id="there" rsc="ip" node="node2" score="50"/>"#,
        );
    });
    c.wait_started_on("node1", "web", "node2");
    let life = |node: &str| {
        let nodes = c.nodes().unwrap();
        nodes.into_iter().find(|n| n.name == node).unwrap().init
    };
    let before = (life("node1"), life("node2"));

    c.cut("node2").unwrap();
    c.wait_until("node2 to be killed", "node1", || match life("node2") {
        now if now != before.1 => Ok(()),
        _ => Err(brief(&c.try_status("node1")?)),
    });
    assert_eq!(c.wait_started("node1", "ip", Some("node2")), "node1");
    assert_eq!(c.holders(VIP).unwrap(), ["node1"]);
    assert_eq!(life("node1"), before.0, "node1 was killed too");
    // The fenced node comes back with a sound cable, and waits for nobody's death.
    c.wait_until("node2 to have power again", "node1", || {
        match c.powered().len() {
            2 => Ok(()),
            _ => Err(format!("powered: {:?}", c.powered())),
        }
    });
    c.wait_online();
    assert_eq!(
        life("node1"),
        before.0,
        "node1 was killed by the one that came back"
    );
    assert_eq!(c.holders(VIP).unwrap(), ["node1"]);
}

#[test]
fn half_of_four_nodes_goes_on_with_the_tie_breaker_and_not_without() {
    let test = "half_of_four_nodes_goes_on_with_the_tie_breaker_and_not_without";
    let tied = |o: &mut mainstay::lab::Options| o.quorum = vec!["auto_tie_breaker: 1".to_owned()];
    let Some(c) = Cluster::up(test, 4, tied) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    for gone in ["node3", "node4"] {
        c.poweroff(gone).unwrap();
    }
    c.wait_for("node1", "two of four online, with quorum", |s| {
        match (s.quorate, is_online(s, "node3"), is_online(s, "node4")) {
            (true, false, false) => Ok(()),
            other => Err(format!("{other:?}; {}", brief(s))),
        }
    });
    c.wait_for(
        "node1",
        "the service on one of the two",
        |s| match started_on(s, "web").as_slice() {
            [one] if one == "node1" || one == "node2" => Ok(()),
            other => Err(format!("{other:?}; {}", brief(s))),
        },
    );
    c.must_edit("node2", |cib| properties(cib, &[("batch-limit", "7")]));

    // The other half, which has everything again, is nothing without the tie-breaker.
    for back in ["node3", "node4"] {
        c.poweron(back).unwrap();
    }
    c.wait_online();
    for gone in ["node1", "node2"] {
        c.poweroff(gone).unwrap();
    }
    c.wait_for("node3", "no quorum, and nothing running", |s| {
        let stopped = ["ip", "web"].iter().all(|r| started_on(s, r).is_empty());
        match !s.quorate && stopped && c.holders(VIP).unwrap().is_empty() {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
}

/// Two nodes and a witness, as the third machine of the lab. The holder of the address hears nobody
/// and the client hears both nodes.
#[test]
fn with_a_witness_the_other_of_two_nodes_takes_over_and_never_both() {
    let test = "with_a_witness_the_other_of_two_nodes_takes_over_and_never_both";
    let Some(c) = Cluster::off_with(test, 3, |o| o.witness = true) else {
        return;
    };
    c.poweron_all().unwrap();
    let both = |c: &Cluster| {
        for node in ["node1", "node2"] {
            c.wait_for(node, "both nodes online, with quorum", |s| {
                match s.quorate && is_online(s, "node1") && is_online(s, "node2") {
                    true => Ok(()),
                    false => Err(brief(s)),
                }
            });
        }
    };
    both(&c);
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, ip());
    });
    let holder = c.wait_started("node1", "ip", None);
    let other = if holder == "node1" { "node2" } else { "node1" };
    c.wait_until("the witness to have a vote", other, || {
        let log = c.log_of("node3");
        match log.contains("it has a vote") {
            true => Ok(()),
            false => Err(log),
        }
    });
    let (first, second) = (mac_of(&c, &holder), mac_of(&c, other));
    let listener = Witness::start(&c);
    listener.wait_for(&c, &holder);
    c.apart(&holder).unwrap();
    c.wait_for(other, "the address here", |s| {
        match started_on(s, "ip").as_slice() {
            [one] if one == other => Ok(()),
            found => Err(format!("{found:?}; {}", brief(s))),
        }
    });
    c.must_edit(other, |cib| properties(cib, &[("batch-limit", "7")]));
    listener.wait_for(&c, other);
    let turns = holders_in_turn(&c, &listener.stop());
    assert_eq!(turns, [first, second]);
    c.wait_for(
        &holder,
        "the holder to know that it has no quorum",
        |s| match s.quorate {
            false => Ok(()),
            true => Err(brief(s)),
        },
    );

    // It comes back and takes what was written without it.
    c.heal(&holder).unwrap();
    both(&c);
    assert_eq!(c.cib(&holder).root(), c.cib(other).root());
}

/// R3: the quorum grows and shrinks back by entries of the log, and never below the votes there are.
#[test]
fn expected_votes_are_set_for_the_whole_cluster_and_never_below_the_votes() {
    let test = "expected_votes_are_set_for_the_whole_cluster_and_never_below_the_votes";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    for (node, few) in [("node1", 2), ("node2", 7)] {
        let out = c.sh(node, &format!("corosync-quorumtool -e {few}"));
        assert!(!out.ok(), "{few} of three votes: {out:?}");
    }
    c.run("node1", "corosync-quorumtool -e 5");
    let seen = |node: &str, votes: (u32, u32, u32)| {
        c.wait_for(node, "other votes", |s| {
            match s.quorate && s.votes == votes {
                true => Ok(()),
                false => Err(format!("{:?}; {}", s.votes, brief(s))),
            }
        });
    };
    for node in ["node1", "node2", "node3"] {
        seen(node, (5, 3, 3));
    }
    // It outlives every process, and the file says so.
    c.poweroff("node3").unwrap();
    c.wait_for("node1", "no quorum of five", |s| match s.quorate {
        false => Ok(()),
        true => Err(brief(s)),
    });
    c.poweron("node3").unwrap();
    seen("node3", (5, 3, 3));
    assert!(
        c.run("node3", "cat /etc/corosync/corosync.conf")
            .contains("expected_votes: 5")
    );
    assert_eq!(
        c.run("node2", "mainstay quorum expected-votes 3"),
        "3 votes are expected, 2 needed\n"
    );
    seen("node3", (3, 3, 2));
    let flags = c.run("node1", "corosync-quorumtool -s");
    assert!(flags.contains("Flags:            Quorate"), "{flags}");
}

/// Beside `stop`: what a node that lost its quorum keeps, and what it gives up.
#[test]
fn what_goes_on_without_quorum_is_the_policys_affair() {
    let test = "what_goes_on_without_quorum_is_the_policys_affair";
    let agent = "/usr/lib/ocf/resource.d/pacemaker/Stateful";
    if !std::path::Path::new(agent).exists() {
        return crate::skip::skip(test, &format!("{agent} is not installed"));
    }
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    c.run("node1", "crm configure primitive plain ocf:heartbeat:Dummy");
    c.run(
        "node1",
        "crm configure primitive grown ocf:pacemaker:Stateful",
    );
    c.run(
        "node1",
        "crm configure clone both grown meta promotable=true",
    );
    let promoted = |node: &str| {
        let text = c.run(node, "crm_mon -1");
        let line = text.lines().find(|l| l.contains("* Promoted:"));
        line.is_some_and(|l| l.contains(node))
    };
    for policy in ["freeze", "ignore", "demote"] {
        c.run(
            "node1",
            &format!("crm configure property no-quorum-policy={policy}"),
        );
        let survivor = c.wait_started("node1", "plain", None);
        c.run(
            "node1",
            &format!("crm configure location here both role=Promoted 100: {survivor}"),
        );
        c.wait_until("the promoted one beside it", &survivor, || {
            match promoted(&survivor) {
                true => Ok(()),
                false => Err(c.run(&survivor, "crm_mon -1")),
            }
        });
        let others = c.powered().into_iter().filter(|n| *n != survivor);
        let others: Vec<_> = others.collect();
        // A stop and a start would leave another file.
        let trace = "stat -c %i-%Y /run/resource-agents/Dummy-plain.state";
        let before = c.run(&survivor, trace);
        for other in &others {
            c.poweroff(other).unwrap();
        }
        // `demote` stops what cannot be demoted.
        let keeps = policy != "demote";
        c.wait_for(&survivor, policy, |s| {
            let kept = (!started_on(s, "plain").is_empty(), promoted(&survivor));
            match !s.quorate && kept == (keeps, keeps) {
                true => Ok(()),
                false => Err(brief(s)),
            }
        });
        for other in &others {
            c.poweron(other).unwrap();
        }
        c.wait_online();
        if keeps {
            let after = c.run(&survivor, trace);
            assert_eq!(after, before, "{policy} stopped what ran");
        }
        c.run("node1", "crm configure delete here");
    }
}
