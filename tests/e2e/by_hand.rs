//! What an administrator says over the cluster's head: a node is down, a resource has failed.

use crate::cluster::{Cluster, STILLNESS, brief, node_of, resource, started_on};
use crate::config::{Primitive, add, plain, properties};

#[test]
fn a_node_that_is_confirmed_down_counts_as_fenced_and_the_history_outlives_daemons() {
    let test = "a_node_that_is_confirmed_down_counts_as_fenced_and_the_history_outlives_daemons";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    c.install_agent("steady", "never) ;;");
    // Knows nobody, so that nobody is ever fenced by it.
    c.install_fence_agent("fence_nobody", "exit 1");
    c.power_on();
    c.must_edit("node1", |cib| {
        plain(cib);
        properties(cib, &[("stonith-enabled", "true")]);
        add(cib, Primitive::new("power", "stonith:fence_nobody"));
        add(cib, Primitive::new("s", "ocf:mainstay:steady"));
    });
    let lost = c.wait_started("node1", "s", None);
    let here = c.other_than(&[&lost]);

    // Nobody's word is taken for a node that is heard.
    let heard = c.sh(&here, &format!("stonith_admin --confirm {lost}"));
    assert_ne!(heard.code, 0, "{heard:?}");
    assert!(
        heard.stderr.contains(&format!("{lost} is heard")),
        "{heard:?}"
    );

    c.poweroff(&lost).unwrap();
    c.wait_for(&here, "a fencing that fails", |s| {
        let failed = s.fencings.iter().any(|f| f.failed.is_some());
        let unclean = node_of(s, &lost).is_some_and(|n| n.unclean);
        match failed && unclean {
            true => Ok(()),
            false => Err(format!("{:?}; {}", s.fencings, brief(s))),
        }
    });
    std::thread::sleep(STILLNESS);
    assert_eq!(started_on(&c.status(&here), "s"), [lost.as_str()]);
    let text = c.run(&here, "crm_mon -1");
    assert!(text.contains("\nFailed Fencing Actions:\n"), "{text}");
    assert!(!text.contains("Fencing History:"), "{text}");

    c.run(&here, &format!("stonith_admin --confirm {lost}"));
    c.wait_started(&here, "s", Some(&lost));

    every_survivor_remembers(&c, &lost);
}

/// Every node knows who was fenced by whom, and still does when its daemon is another one; until it
/// is to forget.
fn every_survivor_remembers(c: &Cluster, lost: &str) {
    // What agents tried last is what a human has done.
    let line = format!("of {lost} successful: delegate=a human, client=");
    for node in c.powered() {
        c.kill_daemon(&node).unwrap();
        c.wait_for(&node, "a DC and the history", |s| {
            let told = s.fencings.iter().any(|f| f.delegate == "a human");
            match told && s.dc.is_some() {
                true => Ok(()),
                false => Err(format!("{:?}; {}", s.fencings, brief(s))),
            }
        });
        let history = c.run(&node, &format!("stonith_admin --history {lost}"));
        assert!(history.contains(&line), "{history}");
        let text = c.run(&node, "crm_mon -1 -m");
        assert!(
            text.contains("\nFencing History:\n") && text.contains(&line),
            "{text}"
        );
        let xml = c.run(&node, "crm_mon --output-as=xml");
        assert!(
            xml.contains("<fence_event status=\"success\" action=\""),
            "{xml}"
        );
    }
    // Forgotten everywhere.
    let here = c.other_than(&[lost]);
    let cleaned = c.run(&here, "stonith_admin --history '*' --cleanup");
    assert_eq!(cleaned, "cleaning up fencing-history\n");
    for node in c.powered() {
        c.wait_for(&node, "no history", |s| match s.fencings.as_slice() {
            [] => Ok(()),
            left => Err(format!("{left:?}")),
        });
    }
}

#[test]
fn a_resource_that_is_failed_by_hand_is_recovered_and_counted() {
    let test = "a_resource_that_is_failed_by_hand_is_recovered_and_counted";
    let Some(c) = Cluster::off(test, 2) else {
        return;
    };
    c.install_agent("steady", "never) ;;");
    c.power_on();
    c.must_edit("node1", |cib| {
        plain(cib);
        add(
            cib,
            Primitive::new("s", "ocf:mainstay:steady").op("monitor", "1h", "20s"),
        );
    });
    let place = c.wait_started("node1", "s", None);
    let other = c.other_than(&[&place]);
    // Asked from elsewhere, as sfex_daemon and administrators do.
    let said = c.run(&other, &format!("crm_resource -F -r s --node {place}"));
    assert_eq!(
        said,
        "Waiting for 1 reply from the controller\n... got reply (done)\n"
    );
    c.wait_for(&other, "the failure to be counted", |s| {
        match s.failcounts.iter().find(|f| f.resource == "s") {
            Some(f) if f.node == place && f.count == 1 => Ok(()),
            other => Err(format!("{other:?}; {}", brief(s))),
        }
    });
    assert_eq!(c.wait_started(&other, "s", None), place);
    let status = c.status(&other);
    let failed = &resource(&status, "s").unwrap().failures;
    assert!(failed.iter().any(|f| f.key == "s_asyncmon_0"), "{failed:?}");
    // It was really stopped and started.
    let log = c.log_of(&place);
    assert!(log.contains("rsc=\"s\" operation=\"stop\""), "{log}");
    c.run(&other, "crm_resource --cleanup -r s");
    c.wait_for(&other, "nothing left of it", |s| {
        let clean =
            s.failcounts.is_empty() && resource(s, "s").is_some_and(|r| r.failures.is_empty());
        match clean && started_on(s, "s") == [place.as_str()] {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    for (line, code) in [
        (format!("crm_resource -F -r nothing -N {place}"), 105),
        ("crm_resource -F -r s -N nobody".to_owned(), 105),
        ("crm_resource -F -r s".to_owned(), 64),
        (format!("crm_resource -F -r s -N {other}"), 0),
    ] {
        assert_eq!(c.sh(&other, &line).code, code, "{line}");
    }
}
