use super::*;
use crate::xml;

fn cib(configuration: &str) -> Cib {
    Cib::parse(&format!(
        "<cib><configuration>{configuration}</configuration></cib>"
    ))
    .unwrap()
}

fn section(cib: &Cib, section: Section) -> String {
    cib.section(section).map(xml::compact).unwrap_or_default()
}

fn gone(list: &[Deleted]) -> Vec<String> {
    list.iter().map(|d| format!("{}:{}", d.tag, d.id)).collect()
}

#[test]
fn a_property_gets_the_ids_of_crmsh() {
    let mut cib = Cib::empty();
    assert!(set_property(&mut cib, "stonith-enabled", Some("false")));
    assert!(!set_property(&mut cib, "stonith-enabled", Some("false")));
    assert_eq!(
        section(&cib, Section::CrmConfig),
        "<crm_config><cluster_property_set id=\"cib-bootstrap-options\">\
         <nvpair id=\"cib-bootstrap-options-stonith-enabled\" name=\"stonith-enabled\" value=\"false\"/>\
         </cluster_property_set></crm_config>"
    );
    assert!(set_property(&mut cib, "stonith-enabled", None));
    assert!(!set_property(&mut cib, "stonith-enabled", None));
}

#[test]
fn the_two_names_of_a_fencing_option_do_not_contradict() {
    let mut cib = Cib::empty();
    set_property(&mut cib, "stonith-enabled", Some("false"));
    assert!(set_property(&mut cib, "fencing-enabled", Some("true")));
    assert_eq!(Config::new(&cib).property("stonith-enabled"), Some("true"));
    assert!(!section(&cib, Section::CrmConfig).contains("stonith"));
}

#[test]
fn a_remote_node_is_not_mistaken_for_its_resource() {
    let mut cib = cib(
        "<nodes><node id=\"r\" uname=\"r\" type=\"remote\"/></nodes><tags><tag id=\"t\"><obj_ref id=\"r\"/>\
         <obj_ref id=\"x\"/></tag></tags><resources><primitive id=\"r\"/></resources>",
    );
    assert_eq!(gone(&delete(&mut cib, "r").unwrap()), ["primitive:r"]);
    assert_eq!(gone(&delete(&mut cib, "r").unwrap()), ["node:r"]);
    assert!(delete(&mut cib, "r").is_err());
}

#[test]
fn defaults_get_the_ids_of_crmsh() {
    let mut cib = Cib::empty();
    assert!(set_rsc_default(
        &mut cib,
        "resource-stickiness",
        Some("100")
    ));
    assert_eq!(
        section(&cib, Section::RscDefaults),
        "<rsc_defaults><meta_attributes id=\"rsc-options\">\
         <nvpair id=\"rsc-options-resource-stickiness\" name=\"resource-stickiness\" value=\"100\"/>\
         </meta_attributes></rsc_defaults>"
    );
}

#[test]
fn a_value_is_changed_where_it_stands() {
    let mut cib = cib("<crm_config><cluster_property_set id=\"mine\">\
        <nvpair id=\"x\" name=\"batch-limit\" value=\"1\"/></cluster_property_set></crm_config>");
    assert!(set_property(&mut cib, "batch-limit", Some("2")));
    assert!(
        section(&cib, Section::CrmConfig)
            .contains("<nvpair id=\"x\" name=\"batch-limit\" value=\"2\"/>")
    );
}

#[test]
fn standby_by_name_or_id() {
    let mut cib = cib("<nodes><node id=\"1\" uname=\"n1\"/></nodes>");
    assert_eq!(
        set_node_attribute(&mut cib, "n1", "standby", Some("on")),
        Ok(true)
    );
    assert_eq!(
        section(&cib, Section::Nodes),
        "<nodes><node id=\"1\" uname=\"n1\"><instance_attributes id=\"nodes-1\">\
         <nvpair id=\"nodes-1-standby\" name=\"standby\" value=\"on\"/>\
         </instance_attributes></node></nodes>"
    );
    assert_eq!(set_node_attribute(&mut cib, "1", "standby", None), Ok(true));
    let text = set_node_attribute(&mut cib, "n9", "standby", None)
        .unwrap_err()
        .to_string();
    assert!(text.starts_with("node \"n9\" does not exist"), "{text}");
}

#[test]
fn meta_goes_to_the_resource_inside_its_containers() {
    let mut cib = cib(
        "<resources><clone id=\"c\"><group id=\"g\"><primitive id=\"p\">\
        <operations/></primitive></group></clone></resources>",
    );
    assert_eq!(
        set_meta(&mut cib, "p", "target-role", Some("Stopped")),
        Ok(true)
    );
    assert!(section(&cib, Section::Resources).contains(
        "<primitive id=\"p\"><meta_attributes id=\"p-meta_attributes\">\
         <nvpair id=\"p-meta_attributes-target-role\" name=\"target-role\" value=\"Stopped\"/>\
         </meta_attributes><operations/></primitive>"
    ));
    assert!(set_meta(&mut cib, "nobody", "target-role", None).is_err());
}

#[test]
fn a_primitive_as_crmsh_writes_it() {
    let mut cib = Cib::empty();
    let primitive = Element::new("primitive")
        .with("id", "failover-ip")
        .with("class", "ocf")
        .with("provider", "heartbeat")
        .with("type", "IPaddr2")
        .child(attribute_set(
            SetKind::Instance,
            "failover-ip",
            [("ip", "10.0.2.10"), ("cidr_netmask", "32")],
        ))
        .child(
            Element::new("operations")
                .child(operation("failover-ip", "monitor", [("interval", "10s")]))
                .child(operation(
                    "failover-ip",
                    "monitor",
                    [("interval", "10s"), ("role", "Stopped")],
                ))
                .child(operation("failover-ip", "start", [("timeout", "20s")])),
        );
    insert(&mut cib, Section::Resources, primitive.clone()).unwrap();
    let text = section(&cib, Section::Resources);
    for part in [
        "<instance_attributes id=\"failover-ip-instance_attributes\">",
        "<nvpair id=\"failover-ip-instance_attributes-ip\" name=\"ip\" value=\"10.0.2.10\"/>",
        "<op id=\"failover-ip-monitor-10s\" name=\"monitor\" interval=\"10s\"/>",
        "<op id=\"failover-ip-monitor-10s-1\" name=\"monitor\" interval=\"10s\" role=\"Stopped\"/>",
        "<op id=\"failover-ip-start-0s\" name=\"start\" interval=\"0s\" timeout=\"20s\"/>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(
        insert(&mut cib, Section::Resources, primitive),
        Err(Error::Exists {
            id: "failover-ip".into(),
            by: "primitive".into()
        })
    );
}

#[test]
fn a_group_takes_the_place_of_its_first_member() {
    let mut cib = cib(
        "<resources><primitive id=\"a\"/><primitive id=\"b\"/><primitive id=\"c\"/></resources>",
    );
    let group = Element::new("group")
        .with("id", "g")
        .child(Element::new("meta_attributes").with("id", "m"));
    wrap(&mut cib, group.clone(), &["c", "b"]).unwrap();
    assert_eq!(
        section(&cib, Section::Resources),
        "<resources><primitive id=\"a\"/><group id=\"g\"><primitive id=\"c\"/><primitive id=\"b\"/>\
         <meta_attributes id=\"m\"/></group></resources>"
    );
    let before = cib.clone();
    for (object, members) in [
        (group.clone(), vec!["a"]),
        (Element::new("group").with("id", "g2"), vec!["c"]),
        (Element::new("group").with("id", "g2"), vec!["g"]),
        (Element::new("group").with("id", "g2"), vec!["a", "a"]),
        (Element::new("group").with("id", "g2"), vec![]),
        (Element::new("clone").with("id", "g2"), vec!["a", "g"]),
        (Element::new("clone").with("id", "g2"), vec!["nobody"]),
    ] {
        assert!(wrap(&mut cib, object, &members).is_err(), "{members:?}");
        assert_eq!(cib, before);
    }
    wrap(&mut cib, Element::new("clone").with("id", "cl"), &["g"]).unwrap();
    assert!(section(&cib, Section::Resources).contains("<clone id=\"cl\"><group id=\"g\">"));
}

const TANGLE: &str = "<resources>\
    <group id=\"g\"><primitive id=\"a\"/></group><primitive id=\"b\"/><primitive id=\"c\"/></resources>\
    <constraints>\
    <rsc_colocation id=\"ab\" rsc=\"a\" with-rsc=\"b\"/>\
    <rsc_order id=\"gb\" first=\"g\" then=\"b\"/>\
    <rsc_location id=\"lb\" rsc=\"b\" node=\"n1\" score=\"1\"/>\
    <rsc_order id=\"set\"><resource_set id=\"s1\"><resource_ref id=\"a\"/><resource_ref id=\"b\"/></resource_set>\
    <resource_set id=\"s2\"><resource_ref id=\"c\"/></resource_set></rsc_order>\
    <rsc_colocation id=\"pair\"><resource_set id=\"s3\"><resource_ref id=\"a\"/><resource_ref id=\"c\"/></resource_set></rsc_colocation>\
    </constraints>\
    <fencing-topology><fencing-level id=\"f1\" target=\"n1\" index=\"1\" devices=\"a,c\"/>\
    <fencing-level id=\"f2\" target=\"n2\" index=\"1\" devices=\"a\"/></fencing-topology>\
    <acls><acl_role id=\"r\"><acl_permission id=\"p1\" kind=\"read\" reference=\"a\"/></acl_role></acls>\
    <tags><tag id=\"t\"><obj_ref id=\"a\"/><obj_ref id=\"b\"/></tag><tag id=\"u\"><obj_ref id=\"a\"/></tag></tags>";

#[test]
fn what_hangs_on_a_resource_goes_with_it() {
    let mut cib = cib(TANGLE);
    let list = delete(&mut cib, "a").unwrap();
    assert_eq!(
        gone(&list),
        [
            "primitive:a",
            "group:g",
            "rsc_colocation:ab",
            "rsc_colocation:pair",
            "fencing-level:f2",
            "tag:u",
            "rsc_order:gb"
        ]
    );
    assert!(list[0].asked && !list[1].asked);
    let left = section(&cib, Section::Configuration);
    assert!(!left.contains("\"a\"") && !left.contains("\"g\""), "{left}");
    assert!(left.contains("devices=\"c\""), "{left}");
    assert!(
        left.contains("<resource_set id=\"s1\"><resource_ref id=\"b\"/></resource_set>"),
        "{left}"
    );
    assert!(
        left.contains("<tag id=\"t\"><obj_ref id=\"b\"/></tag>"),
        "{left}"
    );
}

#[test]
fn members_of_a_deleted_group_stay() {
    let mut cib = cib(TANGLE);
    assert_eq!(
        gone(&delete(&mut cib, "g").unwrap()),
        ["group:g", "rsc_order:gb"]
    );
    assert!(
        section(&cib, Section::Resources)
            .starts_with("<resources><primitive id=\"a\"/><primitive id=\"b\"/>")
    );
}

#[test]
fn a_used_template_stays() {
    let mut cib =
        cib("<resources><template id=\"t\"/><primitive id=\"p\" template=\"t\"/></resources>");
    let text = delete(&mut cib, "t").unwrap_err().to_string();
    assert_eq!(
        text,
        "template \"t\" is used by p; delete those resources first"
    );
    delete(&mut cib, "p").unwrap();
    delete(&mut cib, "t").unwrap();
    assert_eq!(section(&cib, Section::Resources), "<resources/>");
    assert!(matches!(delete(&mut cib, "t"), Err(Error::Unknown { .. })));
}

#[test]
fn a_node_goes_with_its_state_and_constraints() {
    let mut cib = Cib::parse(
        "<cib><configuration><nodes><node id=\"1\" uname=\"n1\"/><node id=\"2\" uname=\"n2\"/></nodes>\
         <constraints><rsc_location id=\"l\" rsc=\"p\" node=\"n1\"/></constraints></configuration>\
         <status><node_state id=\"1\" uname=\"n1\"/><node_state id=\"2\" uname=\"n2\"/></status></cib>",
    )
    .unwrap();
    assert_eq!(
        gone(&delete_node(&mut cib, "n1").unwrap()),
        ["node:n1", "rsc_location:l"]
    );
    assert_eq!(
        section(&cib, Section::Nodes),
        "<nodes><node id=\"2\" uname=\"n2\"/></nodes>"
    );
    assert_eq!(
        section(&cib, Section::Status),
        "<status><node_state id=\"2\" uname=\"n2\"/></status>"
    );
    assert!(delete_node(&mut cib, "n1").is_err());
}
