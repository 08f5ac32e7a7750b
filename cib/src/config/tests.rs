use super::*;

const TEXT: &str = r##"<cib><configuration>
  <crm_config>
    <cluster_property_set id="other" score="500">
      <nvpair id="o1" name="stonith-enabled" value="true"/>
      <nvpair id="o2" name="batch-limit" value="7"/>
    </cluster_property_set>
    <cluster_property_set id="ruled" score="INFINITY">
      <rule id="r" score="1"><expression id="e" attribute="#uname" operation="eq" value="n1"/></rule>
      <nvpair id="r1" name="batch-limit" value="9"/>
    </cluster_property_set>
    <cluster_property_set id="cib-bootstrap-options">
      <nvpair id="b1" name="stonith-enabled" value="false"/>
    </cluster_property_set>
  </crm_config>
  <rsc_defaults><meta_attributes id="rsc-options">
    <nvpair id="d1" name="resource-stickiness" value="100"/>
    <nvpair id="d2" name="target-role" value="Started"/>
  </meta_attributes></rsc_defaults>
  <nodes>
    <node id="1" uname="n1"><instance_attributes id="nodes-1">
      <nvpair id="nodes-1-standby" name="standby" value="on"/></instance_attributes></node>
    <node id="2" uname="n2"/>
  </nodes>
  <resources>
    <template id="tmpl" class="ocf" provider="heartbeat" type="Dummy">
      <instance_attributes id="tmpl-i">
        <nvpair id="ti1" name="fake" value="template"/><nvpair id="ti2" name="op_sleep" value="1"/>
      </instance_attributes>
      <operations>
        <op id="to1" name="monitor" interval="10s"/><op id="to2" name="start" interval="0" timeout="1min"/>
      </operations>
    </template>
    <clone id="c"><meta_attributes id="c-m"><nvpair id="cm1" name="target-role" value="Stopped"/></meta_attributes>
      <group id="g">
        <meta_attributes id="g-m"><nvpair id="gm1" name="priority" value="5"/></meta_attributes>
        <primitive id="p" template="tmpl">
          <instance_attributes id="p-i"><nvpair id="pi1" name="fake" value="own"/></instance_attributes>
          <instance_attributes id-ref="shared"/>
          <operations><op id="po1" name="monitor" interval="10000ms" role="Promoted"/></operations>
        </primitive>
      </group>
    </clone>
    <primitive id="q" class="systemd" type="nginx">
      <instance_attributes id="shared"><nvpair id="s1" name="extra" value="x"/></instance_attributes>
    </primitive>
  </resources>
  <constraints>
    <rsc_colocation id="col" rsc="p" with-rsc="q" score="INFINITY"/>
    <rsc_order id="ord"><resource_set id="s"><resource_ref id="q"/><resource_ref id="c"/></resource_set></rsc_order>
  </constraints>
</configuration><status/></cib>"##;

fn with_config(check: impl FnOnce(Config<'_>)) {
    let cib = Cib::parse(TEXT).unwrap();
    check(Config::new(&cib));
}

#[test]
fn the_bootstrap_set_wins_and_rules_are_left_out() {
    with_config(|c| {
        assert_eq!(c.property("stonith-enabled"), Some("false"));
        assert_eq!(c.property("fencing-enabled"), Some("false"));
        assert_eq!(c.property("batch-limit"), Some("7"));
        assert_eq!(c.property("no-quorum-policy"), None);
    });
}

#[test]
fn nodes_by_name_and_id() {
    with_config(|c| {
        assert_eq!(c.node("n1").unwrap().attributes["standby"], "on");
        assert_eq!(c.node("2").unwrap().uname, "n2");
        assert!(c.node("n3").is_none());
    });
}

#[test]
fn resources_come_parents_first() {
    with_config(|c| {
        let walk: Vec<(&str, Option<&str>, usize)> = c
            .resources()
            .iter()
            .map(|r| (r.id, r.parent, r.depth))
            .collect();
        assert_eq!(
            walk,
            [
                ("c", None, 0),
                ("g", Some("c"), 1),
                ("p", Some("g"), 2),
                ("q", None, 0)
            ]
        );
    });
}

#[test]
fn templates_and_references_are_resolved() {
    with_config(|c| {
        let p = c.resource("p").unwrap();
        assert_eq!(c.agent(&p).unwrap().kind, "Dummy");
        let params = c.parameters(&p);
        assert_eq!(
            params,
            Attrs::from([("fake", "own"), ("op_sleep", "1"), ("extra", "x")])
        );
        let ops: Vec<(Option<&str>, u64)> =
            c.ops(&p).iter().map(|o| (o.id, o.interval_ms)).collect();
        assert_eq!(ops, [(Some("po1"), 10_000), (Some("to2"), 0)]);
        assert_eq!(c.ops(&p)[1].timeout_ms, Some(60_000));
    });
}

#[test]
fn meta_falls_back_to_parents_then_defaults() {
    with_config(|c| {
        let meta = c.meta(&c.resource("p").unwrap());
        assert_eq!(
            meta,
            Attrs::from([
                ("target-role", "Stopped"),
                ("priority", "5"),
                ("resource-stickiness", "100")
            ])
        );
    });
}

/// As the scheduler reads them, and `crm_resource` 2.1.5.
#[test]
fn of_sets_of_equal_score_the_later_wins() {
    let sets = |tag: &str, scores: [&str; 3]| -> String {
        let set = |(at, score): (usize, &str)| {
            format!(
                r#"<{tag} id="{tag}{at}" score="{score}"><nvpair id="{tag}{at}n" name="x" value="{at}"/></{tag}>"#
            )
        };
        scores.into_iter().enumerate().map(set).collect()
    };
    let text = format!(
        "<cib><configuration><crm_config>{}</crm_config><resources>\
         <template id=\"t\" class=\"ocf\" type=\"x\">{}</template>\
         <primitive id=\"p\" template=\"t\">{}{}</primitive></resources></configuration></cib>",
        sets("cluster_property_set", ["0", "0", "-1"]),
        sets("meta_attributes", ["0", "0", "5"]),
        sets("meta_attributes", ["0", "0", "0"]).replace("id=\"meta", "id=\"own"),
        sets("instance_attributes", ["3", "3", "0"]),
    );
    let cib = Cib::parse(&text).unwrap();
    let config = Config::new(&cib);
    let p = config.resource("p").unwrap();
    assert_eq!(config.property("x"), Some("1"));
    assert_eq!(config.parameters(&p).get("x"), Some(&"1"));
    // The template's is of a higher score.
    assert_eq!(config.meta(&p).get("x"), Some(&"2"));
}

#[test]
fn constraints_know_whom_they_bind() {
    with_config(|c| {
        let found = c.constraints();
        assert_eq!(found[0].resources, ["p", "q"]);
        assert_eq!(found[1].resources, ["q", "c"]);
    });
}
