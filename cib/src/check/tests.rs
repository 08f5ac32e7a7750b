use super::*;

fn document(configuration: &str) -> Cib {
    let text = format!(
        "<cib><configuration><crm_config><cluster_property_set id=\"cib-bootstrap-options\">\
         <nvpair id=\"se\" name=\"stonith-enabled\" value=\"false\"/></cluster_property_set></crm_config>\
         <nodes><node id=\"1\" uname=\"n1\"/></nodes>{configuration}</configuration><status/></cib>"
    );
    Cib::parse(&text).unwrap()
}

fn verdict(configuration: &str) -> Vec<String> {
    verify(&document(configuration))
        .iter()
        .map(Finding::to_string)
        .collect()
}

fn with_constraint(constraint: &str) -> Vec<String> {
    verdict(&format!(
        "<resources><primitive id=\"vip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"/>\
         <primitive id=\"web\" class=\"systemd\" type=\"nginx\"/></resources>\
         <constraints>{constraint}</constraints>"
    ))
}

fn with_resources(resources: &str) -> Vec<String> {
    verdict(&format!("<resources>{resources}</resources><constraints/>"))
}

#[test]
fn a_sound_cib_has_no_findings() {
    assert_eq!(verify(&Cib::empty()), []);
    assert_eq!(
        with_constraint(
            "<rsc_colocation id=\"c\" rsc=\"web\" with-rsc=\"vip\" score=\"INFINITY\"/>\
             <rsc_order id=\"o\" first=\"vip\" then=\"web\" kind=\"Mandatory\"/>\
             <rsc_location id=\"l\" rsc=\"vip\" node=\"n1\" score=\"-100\"/>"
        ),
        [""; 0]
    );
}

#[test]
fn a_change_is_told_of_what_it_brought() {
    let missing = |names: &[&str]| {
        let lines = names.iter().map(|name| {
            format!("<rsc_location id=\"l-{name}\" rsc=\"{name}\" node=\"n1\" score=\"1\"/>")
        });
        let lines: String = lines.collect();
        document(&format!("<resources/><constraints>{lines}</constraints>"))
    };
    let brought = |old: &[&str], new: &[&str]| -> Vec<String> {
        let findings = added(&missing(old), verify(&missing(new)));
        findings.into_iter().map(|f| f.id).collect()
    };
    assert_eq!(brought(&[], &["a", "b"]), ["l-a", "l-b"]);
    assert_eq!(brought(&["a"], &["a", "b"]), ["l-b"]);
    assert_eq!(brought(&["a", "b"], &["b"]), [""; 0]);
    assert_eq!(brought(&["a"], &[]), [""; 0]);
}

#[test]
fn constraints() {
    let table = [
        (
            "<rsc_location id=\"l\" rsc=\"vpi\" node=\"n1\" score=\"1\"/>",
            "error: <rsc_location id=\"l\">: resource \"vpi\" does not exist; create the resource, or delete the constraint",
        ),
        (
            "<rsc_order id=\"o\" first=\"vip\" then=\"webb\"/>",
            "error: <rsc_order id=\"o\">: resource \"webb\" does not exist; did you mean \"web\"?",
        ),
        (
            "<rsc_location id=\"l\" rsc=\"vip\" node=\"n7\" score=\"1\"/>",
            "warning: <rsc_location id=\"l\">: node \"n7\" is not known; check its name; it may join later",
        ),
        (
            "<rsc_location id=\"l\" rsc=\"vip\"><rule id=\"r\" score=\"1\"><expression id=\"e\" attribute=\"#uname\" operation=\"eq\" value=\"n7\"/></rule></rsc_location>",
            "warning: <rsc_location id=\"l\">: node \"n7\" is not known; check its name; it may join later",
        ),
        (
            "<rsc_location id=\"l\" rsc=\"vip\" node=\"n1\" score=\"lots\"/>",
            "error: <rsc_location id=\"l\">: score=\"lots\" is not a score; write a whole number, INFINITY or -INFINITY",
        ),
        (
            "<rsc_location id=\"l\" rsc=\"vip\"/>",
            "error: <rsc_location id=\"l\">: it names no node; set node and score, or give it a rule",
        ),
        (
            "<rsc_order id=\"o\" first=\"vip\"/>",
            "error: <rsc_order id=\"o\">: then is not set; name both resources, or use resource sets",
        ),
        (
            "<rsc_order id=\"o\" first=\"vip\" then=\"web\" kind=\"Must\"/>",
            "error: <rsc_order id=\"o\">: kind=\"Must\" has no meaning; use one of Mandatory, Optional, Serialize",
        ),
        (
            "<rsc_colocation id=\"c\" rsc=\"vip\" with-rsc=\"vip\"/>",
            "warning: <rsc_colocation id=\"c\">: it binds \"vip\" to itself; name two different resources",
        ),
        (
            "<rsc_colocation rsc=\"vip\" with-rsc=\"web\"/>",
            "error: <rsc_colocation>: a rsc_colocation without id; give it an id that nothing else has",
        ),
        (
            "<rsc_colocation id=\"vip\" rsc=\"vip\" with-rsc=\"web\"/>",
            "error: <rsc_colocation id=\"vip\">: its id is already used by a <primitive>; ids must be unique in the configuration, rename one",
        ),
    ];
    for (constraint, finding) in table {
        assert_eq!(with_constraint(constraint), [finding], "{constraint}");
    }
}

#[test]
fn resources() {
    let table = [
        (
            "<primitive id=\"p\" class=\"ocf\" type=\"Dummy\"/>",
            "agent ocf:Dummy has no provider",
        ),
        ("<primitive id=\"p\"/>", "it names no agent"),
        (
            "<primitive id=\"p\" class=\"heartbeat\" type=\"apache\"/>",
            "use ocf:heartbeat:apache",
        ),
        (
            "<primitive id=\"p\" class=\"oct\" provider=\"h\" type=\"x\"/>",
            "there is no agent class \"oct\"",
        ),
        (
            "<primitive id=\"p\" template=\"t\"/>",
            "template \"t\" does not exist",
        ),
        ("<group id=\"g\"/>", "the group has no members"),
        (
            "<clone id=\"c\"><primitive id=\"a\" class=\"lsb\" type=\"a\"/><primitive id=\"b\" class=\"lsb\" type=\"b\"/></clone>",
            "the clone has 2 members",
        ),
        (
            "<master id=\"c\"><primitive id=\"a\" class=\"ocf\" provider=\"p\" type=\"a\"/></master>",
            "promotable=true",
        ),
        ("<primitve id=\"p\"/>", "<primitve> is not a resource"),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><operations><op id=\"o1\" name=\"monitor\" interval=\"10s\"/><op id=\"o2\" name=\"monitor\" interval=\"10000ms\" role=\"Promoted\"/></operations></primitive>",
            "same name and interval as operation \"o1\"",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><operations><op id=\"o1\" name=\"monitor\" interval=\"10 minuets\"/></operations></primitive>",
            "interval=\"10 minuets\" is not an interval",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><operations><op id=\"o1\" name=\"monitor\" interval=\"1s\" on-fail=\"explode\"/></operations></primitive>",
            "on-fail=\"explode\" has no meaning",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><operations><op id=\"o1\" name=\"monitr\" interval=\"1s\"/><op id=\"o2\" name=\"recount\" interval=\"1s\"/></operations></primitive>",
            "there is no operation \"monitr\"; did you mean monitor?",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><operations><op id=\"o1\" name=\"monitor\" interval=\"1s\"><instance_attributes id=\"i\"><nvpair id=\"i1\" name=\"timeuot\" value=\"1s\"/><nvpair id=\"i2\" name=\"OCF_CHECK_LEVEL\" value=\"1\"/></instance_attributes></op></operations></primitive>",
            "there is no option of operations \"timeuot\"; did you mean timeout?",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><meta_attributes id=\"m\"><nvpair id=\"t\" name=\"target-rle\" value=\"Stopped\"/><nvpair id=\"u\" name=\"owner\" value=\"me\"/></meta_attributes></primitive>",
            "there is no meta attribute \"target-rle\"; did you mean target-role?",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><meta_attributes id=\"m\"><nvpair id=\"t\" name=\"target-role\" value=\"Stoped\"/></meta_attributes></primitive>",
            "target-role=\"Stoped\" has no meaning",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><meta_attributes id=\"m\"><nvpair id=\"t\" value=\"x\"/></meta_attributes></primitive>",
            "a pair without name",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><meta_attributes id-ref=\"nowhere\"/></primitive>",
            "id-ref \"nowhere\" leads nowhere",
        ),
    ];
    for (resource, part) in table {
        let found = with_resources(resource);
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{resource}: {found:?}"
        );
    }
}

#[test]
fn options_and_sections() {
    let check = |pair: &str| {
        let text = format!(
            "<cib><configuration><crm_config><cluster_property_set id=\"cib-bootstrap-options\">\
             <nvpair id=\"x\" {pair}/></cluster_property_set></crm_config><nodes/><resources/>\
             <constraints/></configuration><status/></cib>"
        );
        verify(&Cib::parse(&text).unwrap())
            .iter()
            .map(Finding::to_string)
            .collect::<Vec<_>>()
    };
    let table = [
        (
            "name=\"stonith-enabled\" value=\"flase\"",
            "stonith-enabled=\"flase\" is not a boolean",
        ),
        (
            "name=\"fencing-enabled\" value=\"flase\"",
            "fencing-enabled=\"flase\" is not a boolean",
        ),
        (
            "name=\"stonith-enbled\" value=\"false\"",
            "did you mean stonith-enabled?",
        ),
        (
            "name=\"no-quorum-policy\" value=\"ignored\"",
            "use one of stop, freeze, ignore",
        ),
        (
            "name=\"no-quorum-policy\" value=\"ignore\"",
            "as two_node: 1 does",
        ),
        (
            "name=\"stonith-timeout\" value=\"soon\"",
            "is not an interval",
        ),
        (
            "name=\"remove-after-stop\" value=\"yes\"",
            "remove-after-stop is deprecated: with every stop",
        ),
        (
            "name=\"remove-after-stop\" value=\"later\"",
            "remove-after-stop=\"later\" is not a boolean",
        ),
    ];
    for (pair, part) in table {
        let found = check(pair);
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{pair}: {found:?}"
        );
    }
    assert_eq!(check("name=\"remove-after-stop\" value=\"no\""), [""; 0]);
    let suicide = "name=\"no-quorum-policy\" value=\"suicide\"";
    assert_eq!(check(suicide), [""; 0]);
    let without = check(&format!(
        "{suicide}/><nvpair id=\"y\" name=\"stonith-enabled\" value=\"false\""
    ));
    assert!(
        without.len() == 1 && without[0].contains("is taken as stop"),
        "{without:?}"
    );
    assert_eq!(
        check("name=\"my-own-option\" value=\"x\""),
        [
            "warning: <nvpair id=\"x\">: there is no option \"my-own-option\"; it means nothing to the cluster"
        ]
    );
    assert_eq!(verdict("<resources/><constraints/><rsc_default/>").len(), 1);
    assert_eq!(verdict("<resources/><constraints/><resources/>").len(), 1);
    assert_eq!(verdict("<resources/>").len(), 1);
}

/// The findings of one resource with this inside, in a cluster with or without fencing.
fn inside(primitive: &str, fencing: bool) -> Vec<String> {
    let text = format!(
        "<cib><configuration><crm_config><cluster_property_set id=\"set\"><nvpair id=\"se\" \
         name=\"stonith-enabled\" value=\"{fencing}\"/></cluster_property_set></crm_config><nodes/>\
         <resources><primitive id=\"p\" class=\"stonith\" type=\"x\">{primitive}</primitive>\
         </resources><constraints/></configuration><status/></cib>"
    );
    let findings = verify(&Cib::parse(&text).unwrap());
    findings.iter().map(Finding::to_string).collect()
}

#[test]
fn what_a_resource_cannot_have() {
    let meta = |name: &str, value: &str| {
        format!(
            "<meta_attributes id=\"m\"><nvpair id=\"m1\" name=\"{name}\" value=\"{value}\"/></meta_attributes>"
        )
    };
    for (name, value, fencing, part) in [
        (
            "requires",
            "lots",
            true,
            "error: <nvpair id=\"m1\">: requires=\"lots\" has no meaning",
        ),
        (
            "requires",
            "unfencing",
            false,
            "warning: <nvpair id=\"m1\">: it requires unfencing, but",
        ),
        (
            "target-role",
            "Promoted",
            true,
            "only instances of promotable clones can be Promoted",
        ),
        (
            "target-role",
            "Slave",
            true,
            "only instances of promotable clones can be Slave",
        ),
        ("migration-threshold", "-3", true, "counts as 1; set 0"),
    ] {
        let found = inside(&meta(name, value), fencing);
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{name}={value}: {found:?}"
        );
    }
    for (name, value, fencing) in [
        ("requires", "unfencing", true),
        ("target-role", "Stopped", true),
        ("migration-threshold", "0", true),
    ] {
        assert_eq!(
            inside(&meta(name, value), fencing),
            [""; 0],
            "{name}={value}"
        );
    }
    for (op, fencing, part) in [
        (
            "name=\"stop\" interval=\"0\" on-fail=\"stop\"",
            true,
            "not stopped once more",
        ),
        (
            "name=\"start\" interval=\"0\" on-fail=\"demote\"",
            true,
            "a failed start is not answered by demote",
        ),
        (
            "name=\"monitor\" interval=\"9\" on-fail=\"demote\"",
            true,
            "a failed monitor is not",
        ),
        (
            "name=\"start\" interval=\"0\" on-fail=\"fence\"",
            false,
            "warning: <op id=\"o\">: fencing is disabled",
        ),
    ] {
        let found = inside(
            &format!("<operations><op id=\"o\" {op}/></operations>"),
            fencing,
        );
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{op}: {found:?}"
        );
    }
    for op in [
        "name=\"monitor\" interval=\"9\" role=\"Promoted\" on-fail=\"demote\"",
        "name=\"promote\" interval=\"0\" on-fail=\"demote\"",
        "name=\"stop\" interval=\"0\" on-fail=\"fence\"",
    ] {
        assert_eq!(
            inside(
                &format!("<operations><op id=\"o\" {op}/></operations>"),
                true
            ),
            [""; 0]
        );
    }
    for action in ["start", "stop", "promote", "demote"] {
        let op = |interval| {
            format!(
                "<operations><op id=\"o\" name=\"{action}\" interval=\"{interval}\"/></operations>"
            )
        };
        assert_eq!(inside(&op("0s"), true), [""; 0]);
        let found = inside(&op("10s"), true);
        assert!(
            found.len() == 1 && found[0].contains("not every so often"),
            "{found:?}"
        );
    }
}

#[test]
fn what_a_clone_cannot_have() {
    let clone = |meta: &str, agent: &str| {
        with_resources(&format!(
            "<clone id=\"c\"><meta_attributes id=\"m\">{meta}</meta_attributes><primitive id=\"p\" {agent} type=\"x\">\
             <meta_attributes id=\"n\"><nvpair id=\"n1\" name=\"target-role\" value=\"Promoted\"/></meta_attributes></primitive></clone>"
        ))
    };
    let promotable = "<nvpair id=\"m1\" name=\"promotable\" value=\"true\"/>";
    let ocf = "class=\"ocf\" provider=\"p\"";
    assert_eq!(clone(promotable, ocf), [""; 0]);
    let found = clone(promotable, "class=\"lsb\"");
    assert!(
        found.len() == 1 && found[0].contains("class lsb cannot be promoted"),
        "{found:?}"
    );
    let found = clone("", ocf);
    assert!(
        found.len() == 1 && found[0].contains("can be Promoted"),
        "{found:?}"
    );
    let several = "<nvpair id=\"m2\" name=\"clone-node-max\" value=\"2\"/>";
    let found = clone(&format!("{promotable}{several}"), ocf);
    assert!(
        found.len() == 1 && found[0].contains("once on a node at most"),
        "{found:?}"
    );
    let unique = "<nvpair id=\"m3\" name=\"globally-unique\" value=\"true\"/>";
    assert_eq!(
        clone(&format!("{promotable}{several}{unique}"), ocf),
        [""; 0]
    );
}

#[test]
fn rules_and_their_dates() {
    let rule = |score: &str, expression: &str| {
        with_constraint(&format!(
            "<rsc_location id=\"l\" rsc=\"vip\"><rule id=\"r\"{score}>{expression}</rule></rsc_location>"
        ))
    };
    let date = |rest: &str| {
        rule(
            " score=\"1\"",
            &format!("<date_expression id=\"d\" {rest}</date_expression>"),
        )
    };
    for sound in [
        "operation=\"gt\" start=\"2026-01-01\">",
        "operation=\"in_range\" start=\"2026-01-01\" end=\"2026-02-01 12:00:00Z\">",
        "operation=\"in_range\" start=\"2026-01-01\"><duration id=\"x\" weeks=\"2\"/>",
        "operation=\"date_spec\"><date_spec id=\"x\" hours=\"9-16\" years=\"2026-\"/>",
    ] {
        assert_eq!(date(sound), [""; 0], "{sound}");
    }
    for (rest, part) in [
        (
            "operation=\"gt\" start=\"nonsense\">",
            "start=\"nonsense\" is not a date; write it as",
        ),
        (
            "operation=\"lt\" end=\"2026-02-30\">",
            "end=\"2026-02-30\" is not a date",
        ),
        (
            "operation=\"in_range\" start=\"2027-01-01\" end=\"2026-01-01\">",
            "it never holds",
        ),
        (
            "operation=\"in_range\" start=\"2026-01-01\"><duration id=\"x\" hours=\"y\"/>",
            "hours=\"y\" of its duration is no number",
        ),
        (
            "operation=\"date_spec\"><date_spec id=\"x\" hours=\"later\"/>",
            "hours=\"later\" of its date_spec",
        ),
        (
            "operation=\"later\" start=\"2026-01-01\">",
            "use one of in_range, gt, lt, date_spec",
        ),
        (
            "operation=\"lt\" start=\"2026-01-01\">",
            "lt takes end alone",
        ),
    ] {
        let found = date(rest);
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{rest}: {found:?}"
        );
    }
    let defined = "<expression id=\"e\" attribute=\"x\" operation=\"defined\"/>";
    let found = rule("", defined);
    assert!(
        found.len() == 1 && found[0].contains("it has no score"),
        "{found:?}"
    );
    let found = rule(" score=\"1\"", "");
    assert!(
        found.len() == 1 && found[0].contains("has no expressions"),
        "{found:?}"
    );
}

#[test]
fn what_has_no_place_is_named_with_what_has() {
    for (resource, part) in [
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\" colour=\"red\"/>",
            "it has no attribute colour; take it away; there are id, description, class, provider, type",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\" descripton=\"x\"/>",
            "it has no attribute descripton; did you mean description?",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" provider=\"x\" type=\"a\"/>",
            "agents of class lsb have no provider, but it names \"x\"",
        ),
        (
            "<primitive id=\"a b\" class=\"lsb\" type=\"a\"/>",
            "id=\"a b\" is no id; begin with a letter",
        ),
        (
            "<bundle id=\"b\"/>",
            "the bundle has no containers; add a podman, or delete it",
        ),
        (
            "<bundle id=\"b\"><podman/></bundle>",
            "error: <podman id=\"b\">: image is not set; set image",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><meta_attribute id=\"m\"/></primitive>",
            "a meta_attribute cannot stand in a primitive; did you mean <meta_attributes>?",
        ),
        (
            "<primitive id=\"p\" class=\"lsb\" type=\"a\"><operations><op id=\"o\" name=\"start\"/></operations></primitive>",
            "interval is not set; set interval, 0s for",
        ),
    ] {
        let found = with_resources(resource);
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{resource}: {found:?}"
        );
    }
}

#[test]
fn a_schema_that_is_none_checks_nothing() {
    let with = |schema: &str| {
        let text = format!(
            "<cib validate-with=\"{schema}\"><configuration><crm_config/><nodes/><resources>\
             <template id=\"t\" class=\"lsb\" type=\"x\" colour=\"red\"/></resources><constraints/>\
             </configuration><status/></cib>"
        );
        let findings = verify(&Cib::parse(&text).unwrap());
        findings
            .into_iter()
            .map(|f| (f.severity, f.what))
            .collect::<Vec<_>>()
    };
    let strange = "it has no attribute colour".to_owned();
    assert_eq!(with("none"), [(Severity::Warning, strange.clone())]);
    assert_eq!(with("pacemaker-3.9"), [(Severity::Error, strange.clone())]);
    let unknown = "there is no schema \"pacemaker-39\"".to_owned();
    assert_eq!(
        with("pacemaker-39"),
        [(Severity::Error, unknown), (Severity::Error, strange)]
    );
}

#[test]
fn ignoring_quorum_depends_on_the_number_of_nodes() {
    let text = |nodes: &str| {
        format!(
            "<cib><configuration><crm_config><cluster_property_set id=\"s\"><nvpair id=\"x\" name=\"no-quorum-policy\" value=\"ignore\"/></cluster_property_set></crm_config><nodes>{nodes}</nodes><resources/><constraints/></configuration><status/></cib>"
        )
    };
    let nodes = |n: u8| -> String {
        let node = |i: u8| format!("<node id=\"{i}\" uname=\"n{i}\"/>");
        (1..=n).map(node).collect()
    };
    for (n, part) in [
        (2, "two_node"),
        (3, "taken as freeze"),
        (5, "taken as freeze"),
    ] {
        let found = verify(&Cib::parse(&text(&nodes(n))).unwrap());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Notice);
        assert!(found[0].what.contains(part), "{n}: {found:?}");
    }
}

#[test]
fn fencing_without_device_is_told() {
    let text = "<cib><configuration><crm_config/><nodes/><resources><primitive id=\"a\" class=\"lsb\" type=\"x\"/>\
                </resources><constraints/></configuration><status/></cib>";
    let found = verify(&Cib::parse(text).unwrap());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(found[0].what.contains("nothing will start"));
}

#[test]
fn ids_repeat_in_status_but_not_in_the_configuration() {
    let text = |second: &str| {
        format!(
            "<cib><configuration><nodes><node id=\"1\"/>{second}</nodes><tags><tag id=\"t\"><obj_ref id=\"1\"/></tag></tags></configuration>\
                 <status><node_state id=\"1\"><lrm id=\"1\"/></node_state></status></cib>"
        )
    };
    assert_eq!(check_ids(&crate::xml::parse(&text("")).unwrap()), Ok(()));
    let remote = text("<primitive id=\"1\"/>");
    assert_eq!(check_ids(&crate::xml::parse(&remote).unwrap()), Ok(()));
    for (second, first) in [
        ("<node id=\"1\"/>", "node"),
        ("<nvpair id=\"t\"/>", "nvpair"),
    ] {
        let found = check_ids(&crate::xml::parse(&text(second)).unwrap());
        assert!(
            matches!(&found, Err(Error::DuplicateId { first: f, .. }) if f == first),
            "{found:?}"
        );
    }
}

#[test]
fn defaults_and_amounts_are_judged_as_well() {
    let pair = |name: &str, value: &str| {
        format!(
            "<meta_attributes id=\"m\"><nvpair id=\"n\" name=\"{name}\" value=\"{value}\"/></meta_attributes>"
        )
    };
    for (section, name, value, expected) in [
        (
            "rsc_defaults",
            "resource-stickiness",
            "abc",
            "is not a score",
        ),
        ("rsc_defaults", "target-role", "Stoped", "has no meaning"),
        ("op_defaults", "timeout", "abc", "is not an interval"),
        ("op_defaults", "on-fail", "explode", "has no meaning"),
        ("op_defaults", "timeuot", "20s", "did you mean timeout?"),
    ] {
        let inside = pair(name, value);
        let found = verdict(&format!(
            "<crm_config/><nodes/><resources/><constraints/><{section}>{inside}</{section}>"
        ));
        let told = found.iter().any(|f| f.contains(expected));
        assert!(told, "{name}={value}: {found:?}");
    }
    let promoted = pair("target-role", "Promoted");
    let fine = verdict(&format!(
        "<crm_config/><nodes/><resources/><constraints/><rsc_defaults>{promoted}</rsc_defaults>"
    ));
    assert!(!fine.iter().any(|f| f.contains("Promoted")), "{fine:?}");
    let amount = with_resources(
        "<primitive id=\"p\" class=\"lsb\" type=\"a\"><utilization id=\"u\"><nvpair id=\"c\" name=\"cpu\" value=\"10GB\"/></utilization></primitive>",
    );
    assert!(
        amount
            .iter()
            .any(|f| f.contains("cpu=\"10GB\" is not a whole number")),
        "{amount:?}"
    );
}

/// The way from a resource to what contains it ends, whatever their ids are.
#[test]
fn what_contains_one_of_its_own_id_is_judged_to_its_end() {
    let inside = "<primitive id=\"p\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/>";
    for resources in [
        format!("<group id=\"g\"><group id=\"g\">{inside}</group></group>"),
        format!("<group id=\"g\"><clone id=\"h\"><group id=\"g\">{inside}</group></clone></group>"),
    ] {
        let said = with_resources(&resources);
        assert!(said.iter().any(|s| s.contains("already used")), "{said:?}");
    }
}

#[test]
fn only_a_group_that_is_taken_apart_is_warned_of() {
    let said = |value: &str| {
        with_resources(&format!(
            "<group id=\"g\"><meta_attributes id=\"m\"><nvpair id=\"o\" name=\"ordered\" \
             value=\"{value}\"/></meta_attributes><primitive id=\"p\" class=\"ocf\" \
             provider=\"heartbeat\" type=\"Dummy\"/></group>"
        ))
    };
    assert_eq!((said("true").len(), said("false").len()), (0, 1));
}
