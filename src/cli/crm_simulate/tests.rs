//! What is said of a small cluster, as crm_simulate(8) 2.1.5 says it.

use super::*;

const CLUSTER: &str = r#"<cib have-quorum="1"><configuration>
<crm_config><cluster_property_set id="o"><nvpair id="f" name="stonith-enabled" value="false"/>
</cluster_property_set></crm_config>
<nodes><node id="1" uname="node1"/></nodes>
<resources><primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/></resources><constraints/>
</configuration><status><node_state id="1" uname="node1" in_ccm="true" crmd="online" join="member"
expected="member"><transient_attributes id="1"><instance_attributes id="a">
<nvpair id="c" name="fail-count-d#monitor_10000" value="2"/><nvpair id="t" name="tier" value="9"/>
</instance_attributes></transient_attributes><lrm id="1"><lrm_resources><lrm_resource id="d"
class="ocf" provider="pacemaker" type="Dummy"><lrm_rsc_op id="d_last_0" operation="stop" interval="0"
operation_key="d_stop_0" call-id="3" rc-code="0" op-status="0" transition-magic="0:0;1:1:0:k"
transition-key="1:1:0:k"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>"#;

/// Status and results of what `wanted` asks for.
fn told(wanted: &Wanted) -> String {
    told_of(wanted, CLUSTER)
}

fn told_of(wanted: &Wanted, cib: &str) -> String {
    let mut session = Session {
        wanted,
        out: Printer::new(wanted.form(), Element::new("pacemaker-result")),
        now: 0,
        complete: true,
    };
    let mut cib = cib::xml::parse(cib).unwrap();
    let mut console = Console::buffers();
    session.run(&mut cib, &mut console).unwrap();
    let text = session.out.take();
    match session.out.into_xml() {
        Some(xml) => cib::xml::format(&xml),
        None => text,
    }
}

fn all_of_it() -> Wanted {
    Wanted {
        attributes: true,
        failcounts: true,
        date: Some(("1970-01-01 00:00:00Z".to_owned(), 0)),
        ..Wanted::default()
    }
}

#[test]
fn attributes_and_fail_counts_follow_the_resources() {
    let text = told(&all_of_it());
    let wanted = "\
  * Full List of Resources:
    * d\t(ocf:pacemaker:Dummy):\t Stopped

  * Node Attributes:
    * Node: node1:
      * tier                            \t: 9         

  * Migration Summary:
    * Node: node1:
      * d: migration-threshold=1000000 fail-count=2
";
    assert!(text.ends_with(wanted), "{text}");
}

#[test]
fn scores_between_them_leave_only_the_entries() {
    let text = told(&Wanted {
        scores: true,
        ..all_of_it()
    });
    let wanted = "
d\t(ocf:pacemaker:Dummy):\t Stopped

tier                            \t: 9         

d: migration-threshold=1000000 fail-count=2
";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn the_same_in_xml() {
    let text = told(&Wanted {
        xml: true,
        ..all_of_it()
    });
    for part in [
        "<attribute name=\"tier\" value=\"9\"/>",
        "<resource_history id=\"d\" orphan=\"false\" migration-threshold=\"1000000\" fail-count=\"2\"/>",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("<failures"), "nothing failed: {text}");
}

#[test]
fn infinity_has_its_name_in_xml_too() {
    let wanted = Wanted {
        xml: true,
        process: true,
        scores: true,
        ..all_of_it()
    };
    let ban = "<constraints><rsc_location id=\"l\" rsc=\"d\" node=\"node1\" score=\"-INFINITY\"/></constraints>";
    let text = told_of(&wanted, &CLUSTER.replace("<constraints/>", ban));
    let weight = "<node_weight function=\"pcmk__primitive_assign\" node=\"node1\" score=\"-INFINITY\" id=\"d\"/>";
    assert!(text.contains(weight), "{text}");
}

#[test]
fn a_node_that_nobody_knew_joins() {
    let mut wanted = Wanted {
        simulate: true,
        process: true,
        ..all_of_it()
    };
    wanted.injections.nodes_up = vec!["node2".to_owned()];
    let text = told(&wanted);
    assert!(text.contains("d               monitor on node2"), "{text}");
    let revised = "Revised Cluster Status:\n  * Node List:\n    * Online: [ node1 node2 ]\n";
    assert!(text.contains(revised), "{text}");
}

#[test]
fn the_tool_gives_all_parts_of_an_answer_in_xml() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cli/status/three-nodes.xml"
    );
    let args = ["-x", file, "--output-as=xml", "-S"].map(str::to_owned);
    let found = crate::cli::getopt::parse(&OPTIONS, &args).unwrap();
    let mut console = Console::buffers();
    console.answer_in_xml();
    run(&mut console, &found).unwrap();
    let parts = console.take_answer().unwrap();
    let parts: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
    let all = [
        "cluster_status",
        "actions",
        "transition",
        "revised_cluster_status",
    ];
    assert_eq!(parts, all);
}

/// An instance that is not whole has a line of its own, and its number.
#[test]
fn instances_of_groups_have_numbers() {
    let group = r#"<clone id="c"><group id="g"><primitive id="d" class="ocf" provider="pacemaker"
        type="Dummy"/><primitive id="e" class="ocf" provider="pacemaker" type="Dummy"/></group></clone>"#;
    let plain = r#"<primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/>"#;
    let cib = CLUSTER.replace(plain, group).replace("stop", "start");
    let text = told_of(&all_of_it(), &cib);
    assert!(
        text.contains("      * Resource Group: g:0:\n        * d\t"),
        "{text}"
    );
}

#[test]
fn what_is_done_to_nodes_in_xml() {
    let xml = |line| cib::xml::compact(&summary::xml(line));
    assert_eq!(
        xml("Fence (reboot) n1 'peer is no longer part of the cluster'"),
        "<node_action task=\"Fence (reboot)\" node=\"n1\" \
         reason=\"peer is no longer part of the cluster\"/>"
    );
    assert_eq!(
        xml("Shutdown n1"),
        "<node_action task=\"Shutdown\" node=\"n1\" reason=\"\"/>"
    );
}

/// The CIB of [`CLUSTER`] after its transition.
fn executed(cib: &str, change: &str) -> Element {
    let mut wanted = Wanted {
        simulate: true,
        process: true,
        quiet: true,
        ..all_of_it()
    };
    wanted
        .injections
        .operations
        .extend((!change.is_empty()).then(|| change.to_owned()));
    let mut cib = cib::xml::parse(cib).unwrap();
    let mut session = Session {
        wanted: &wanted,
        out: Printer::new(Form::Fancy, Element::default()),
        now: 0,
        complete: true,
    };
    session.run(&mut cib, &mut Console::buffers()).unwrap();
    cib
}

fn entries(element: &Element) -> Vec<&Element> {
    let below = element.children.iter().flat_map(entries);
    let own = (element.name == "lrm_rsc_op").then_some(element);
    own.into_iter().chain(below).collect()
}

/// As pcmk_injections.c writes it: over what stands there, with the call in the key, and with a
/// reason where something failed.
#[test]
fn results_are_written_over_those_before() {
    let with_more = CLUSTER.replace("<lrm_rsc_op ", "<lrm_rsc_op on_node=\"node1\" ");
    let with_more = with_more.replace("<cib ", "<cib num_updates=\"5\" ");
    let cib = executed(&with_more, "");
    let [op] = entries(&cib)[..] else {
        panic!("{}", cib::xml::format(&cib))
    };
    let read = |name| op.attr(name).unwrap_or_default();
    assert_eq!(read("operation"), "start");
    assert_eq!(read("on_node"), "node1");
    assert!(read("transition-key").starts_with("4:-1:0:"), "{op:?}");
    assert_eq!(read("exit-reason"), "");
    assert_eq!(cib.attr("num_updates"), Some("6"));
    let cib = executed(&with_more, "d_monitor_10000@node1=7");
    let ops = entries(&cib);
    let failed = ops.iter().find(|op| op.id() == Some("d_last_failure_0"));
    let reason = failed.and_then(|op| op.attr("exit-reason"));
    assert_eq!(reason, Some("Simulated action result"));
}

#[test]
fn quiet_changes_leave_a_line_before_what_comes_of_them() {
    let mut wanted = Wanted {
        simulate: true,
        process: true,
        quiet: true,
        ..all_of_it()
    };
    assert_eq!(told(&wanted), "");
    wanted.injections.quorum = Some("1".to_owned());
    assert_eq!(told(&wanted), "\n");
    wanted.simulate = false;
    assert_eq!(told(&wanted), "");
    wanted.scores = true;
    assert!(told(&wanted).starts_with("\npcmk__primitive_assign"));
}

/// Nodes have the order of the list of nodes, not that of the status section.
#[test]
fn attributes_are_in_the_order_of_the_nodes() {
    let second = r#"<node_state id="0" uname="node0" in_ccm="true" crmd="online" join="member"
        expected="member"><transient_attributes id="0"><instance_attributes id="b"><nvpair id="u"
        name="tier" value="1"/></instance_attributes></transient_attributes></node_state></status>"#;
    let node = r#"<node id="0" uname="node0"/></nodes>"#;
    let cib = CLUSTER
        .replace("</status>", second)
        .replace("</nodes>", node);
    let text = told_of(&all_of_it(), &cib);
    let at = |name: &str| text.find(&format!("* Node: {name}:")).unwrap();
    assert!(at("node0") < at("node1"), "{text}");
}

#[test]
fn migrations_and_notifications_have_entries_of_their_own() {
    let outcome = |operation, notification| record::Outcome {
        operation,
        interval_ms: 0,
        rc: 0,
        target_rc: 0,
        exit_reason: "",
        digest: None,
        migration: None,
        notification,
        at: 0,
    };
    let mut history = Element::new("lrm_resource").with("id", "d");
    record::result(&mut history, "d", &outcome("migrate_to", None));
    let told = Some(("post", "start"));
    record::result(&mut history, "d", &outcome("notify", told));
    record::result(&mut history, "d", &outcome("stop", None));
    let ids: Vec<_> = history.children.iter().filter_map(Element::id).collect();
    assert_eq!(ids, ["d_migrate_to_0", "d_post_notify_start_0", "d_last_0"]);
}

/// A failure ends what waits for it, but for what has the highest priority: here that a clone's
/// start is over (pcmk_graph_consumer.c:pcmk__update_graph).
#[test]
fn a_failure_frees_what_has_the_highest_priority() {
    let clone = r#"<clone id="c"><primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/></clone>"#;
    let plain = r#"<primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/>"#;
    let mut wanted = Wanted {
        simulate: true,
        process: true,
        ..all_of_it()
    };
    wanted.failures = vec![inject::OpSpec::parse("d_start_0@node1=1").unwrap()];
    let text = told_of(&wanted, &CLUSTER.replace(plain, clone));
    assert!(text.contains("Pseudo action:   c_running_0\n"), "{text}");
    // A probe's failure frees no start.
    let unknown = CLUSTER.replace("<lrm_resource id=\"d\"", "<lrm_resource id=\"other\"");
    wanted.failures = vec![inject::OpSpec::parse("d_monitor_0@node1=1").unwrap()];
    let text = told_of(&wanted, &unknown.replace(plain, clone));
    assert!(text.contains("failed with rc=1"), "{text}");
    assert!(!text.contains("c_start_0"), "{text}");
}

/// Instances that can be told apart have numbers; a number that none has names nothing.
#[test]
fn an_instance_is_called_by_its_number() {
    let unique = r#"<clone id="c"><meta_attributes id="m"><nvpair id="u" name="globally-unique"
        value="true"/></meta_attributes><primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/></clone>"#;
    let plain = r#"<primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/>"#;
    let unique = CLUSTER.replace(plain, unique);
    for (cib, name, takes) in [
        (CLUSTER, "d", true),
        (CLUSTER, "c", false),
        (&unique, "d:0", true),
        (&unique, "d", false),
        (&unique, "d:7", false),
    ] {
        let mut wanted = all_of_it();
        wanted.injections.operations = vec![format!("{name}_monitor_10000@node1=7")];
        let mut session = Session {
            wanted: &wanted,
            out: Printer::new(wanted.form(), Element::default()),
            now: 0,
            complete: true,
        };
        let mut cib = cib::xml::parse(cib).unwrap();
        session.run(&mut cib, &mut Console::buffers()).unwrap();
        let took = cib::xml::compact(&cib).contains("rc-code=\"7\"");
        assert_eq!(took, takes, "{name}");
    }
}

/// A ping's attribute is judged where a ping runs.
#[test]
fn lost_connectivity_is_told_where_a_ping_runs() {
    let ping = r#"<primitive id="d" class="ocf" provider="pacemaker" type="ping"><instance_attributes
        id="p"><nvpair id="h" name="host_list" value="10.0.0.1"/><nvpair id="n" name="name" value="tier"/>
        </instance_attributes></primitive>"#;
    let plain = r#"<primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/>"#;
    let stopped = CLUSTER.replace(plain, ping).replace("\"9\"", "\"0\"");
    let running = stopped.replace("stop", "start");
    let lost = |cib: &str| told_of(&all_of_it(), cib).contains("Connectivity is lost");
    assert_eq!((lost(&running), lost(&stopped)), (true, false));
}

/// Fail counts stand beside the threshold that is configured.
#[test]
fn a_threshold_that_is_not_reached_is_told() {
    let plain = r#"<primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/>"#;
    let limited = r#"<primitive id="d" class="ocf" provider="pacemaker" type="Dummy"><meta_attributes
        id="m"><nvpair id="t" name="migration-threshold" value="5"/></meta_attributes></primitive>"#;
    let text = told_of(&all_of_it(), &CLUSTER.replace(plain, limited));
    assert!(
        text.contains("d: migration-threshold=5 fail-count=2"),
        "{text}"
    );
}

/// No plan is made of what no cluster takes.
#[test]
fn what_the_schema_refuses_is_not_planned() {
    let nowhere =
        r#"<constraints><rsc_location id="l" rsc="nope" node="node1" score="5"/></constraints>"#;
    let wanted = all_of_it();
    for (sound, broken, word) in [
        (
            r#"type="Dummy"/></resources>"#,
            r#"type="Dummy" foo="bar"/></resources>"#,
            "foo",
        ),
        ("<constraints/>", nowhere, "\"nope\" does not exist"),
    ] {
        let text = CLUSTER.replace(sound, broken);
        assert_ne!(text, CLUSTER);
        let mut session = Session {
            wanted: &wanted,
            out: Printer::new(wanted.form(), Element::default()),
            now: 0,
            complete: true,
        };
        let mut cib = cib::xml::parse(&text).unwrap();
        let refused = session.run(&mut cib, &mut Console::buffers()).unwrap_err();
        assert_eq!(refused.exit, Exit::Config);
        assert!(refused.text.contains(word), "{}", refused.text);
        assert_eq!(session.out.take(), "");
    }
}
