use super::*;
use crate::xml;

const TEXT: &str = r#"<cib epoch="3"><configuration>
  <crm_config><cluster_property_set id="cib-bootstrap-options">
    <nvpair id="c1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
  <resources>
    <clone id="cl"><primitive id="a" class="ocf"><meta_attributes id="am">
      <nvpair id="m1" name="target-role" value="Stopped"/></meta_attributes></primitive></clone>
    <primitive id="b" class="systemd"/><primitive id="c"/>
  </resources></configuration>
  <status>
    <node_state id="1" uname="n1" crmd="online"><lrm id="1"><lrm_resources><lrm_resource id="a">
      <lrm_rsc_op id="a_start_0" operation="start" op-status="-1"/>
      <lrm_rsc_op id="a_monitor_0" operation="monitor" op-status="0"/></lrm_resource></lrm_resources></lrm>
      <transient_attributes id="1"><instance_attributes id="s1"><nvpair id="t1" name="master-a" value="10"/></instance_attributes></transient_attributes></node_state>
    <node_state id="2" uname="n2" crmd="offline"/>
  </status></cib>"#;

fn tree() -> Element {
    xml::parse(TEXT).unwrap()
}

/// Ids (or attribute values) of what an expression selects.
fn ids(expression: &str) -> Vec<String> {
    let tree = tree();
    select(&tree, expression)
        .unwrap()
        .iter()
        .map(|m| match m.attribute {
            Some((_, value)) => value.to_owned(),
            None => m.element.id().unwrap_or(&m.element.name).to_owned(),
        })
        .collect()
}

#[test]
fn what_agents_and_tools_ask() {
    let table: [(&str, &[&str]); 34] = [
        (
            "//node_state[@uname='n1']//lrm_resource[@id='a']/lrm_rsc_op[@operation='start'][@op-status='-1']",
            &["a_start_0"],
        ),
        (
            "//node_state[@crmd='online']//nvpair[@name='master-a']",
            &["t1"],
        ),
        ("//nvpair[@name='target-role']", &["m1"]),
        ("//nvpair[@name=\"target-role\"]/@value", &["Stopped"]),
        ("/cib/configuration/resources/primitive", &["b", "c"]),
        ("/cib/configuration/resources//primitive", &["a", "b", "c"]),
        ("/cib/configuration/resources/*", &["cl", "b", "c"]),
        ("//primitive[1]", &["a", "b"]),
        ("//resources/primitive[last()]", &["c"]),
        ("//resources/primitive[position()>1]", &["c"]),
        ("//primitive[@class]", &["a", "b"]),
        ("//primitive[not(@class)]", &["c"]),
        ("//primitive[@class!='ocf']", &["b"]),
        ("//primitive[@class='ocf' or @id='c']", &["a", "c"]),
        ("//primitive[@class and @id='b']", &["b"]),
        (
            "//primitive[meta_attributes/nvpair/@value='Stopped']",
            &["a"],
        ),
        ("//primitive[.//nvpair[@name='target-role']]", &["a"]),
        ("//clone | //primitive[@id='b'] | //clone", &["cl", "b"]),
        ("//nvpair[starts-with(@id,'t')]/../..", &["1"]),
        ("//nvpair[contains(@name, 'stonith')]", &["c1"]),
        ("//nvpair[@value>9]", &["t1"]),
        ("//*[name()='clone']", &["cl"]),
        ("//node_state[count(*)=0]", &["2"]),
        ("//nothing", &[]),
        ("/cib/@epoch", &["3"]),
        ("/", &[]),
        // pcs and crmsh write axes out.
        ("//resources/descendant::primitive[@id=\"a\"]", &["a"]),
        (
            "/cib/configuration/resources/*[self::clone or self::group]",
            &["cl"],
        ),
        ("//nvpair[@id='m1']/ancestor::primitive", &["a"]),
        ("//nvpair[@id='m1']/ancestor::*[2]", &["a"]),
        ("//meta_attributes/ancestor-or-self::clone", &["cl"]),
        ("//primitive[@id='a']/parent::clone", &["cl"]),
        ("//primitive[@id='a']/parent::group", &[]),
        ("/descendant-or-self::clone/child::*/attribute::id", &["a"]),
    ];
    for (expression, expected) in table {
        assert_eq!(ids(expression), expected, "{expression}");
    }
}

#[test]
fn values() {
    let tree = tree();
    let answer = |e: &str| XPath::parse(e).unwrap().eval(&tree).unwrap();
    assert_eq!(answer("count(//primitive)"), Answer::Number(3.0));
    assert_eq!(answer("count(//primitive) > 2"), Answer::Bool(true));
    assert_eq!(answer("not(//group)"), Answer::Bool(true));
    assert!(XPath::parse("count(//a)").unwrap().select(&tree).is_err());
}

#[test]
fn places_lead_back_to_the_elements() {
    let mut tree = tree();
    let found = select(&tree, "//primitive[@id='a']").unwrap();
    let place = found[0].place.clone();
    assert_eq!(
        place.path(&tree),
        "/cib/configuration/resources/clone[@id='cl']/primitive[@id='a']"
    );
    assert_eq!(place.get(&tree).unwrap().id(), Some("a"));
    place.get_mut(&mut tree).unwrap().set("class", "lsb");
    assert_eq!(select(&tree, "//primitive[@class='lsb']").unwrap().len(), 1);
}

#[test]
fn everything_found_can_be_removed() {
    let mut tree = tree();
    let places: Vec<Place> = select(&tree, "//clone | //primitive | //cib")
        .unwrap()
        .into_iter()
        .map(|m| m.place)
        .collect();
    assert_eq!(remove_all(&mut tree, &places), 4);
    assert_eq!(select(&tree, "//resources/*").unwrap(), []);
}

#[test]
fn what_is_not_supported_is_named() {
    let table = [
        (
            "",
            1,
            "the expression ends where an element's name should be",
        ),
        (
            "//",
            3,
            "the expression ends where an element's name should be",
        ),
        ("//primitive[@id='x'", 20, "the expression ends before ]"),
        (
            "//primitive[@id='x]",
            17,
            "the string started with ' does not end",
        ),
        ("//primitive[@id=x y]", 19, "\"y\" instead of ]"),
        (
            "//following::primitive",
            3,
            "axis following:: is not supported",
        ),
        ("//text()", 3, "text() cannot be a step"),
        (
            "normalize-space(//a)",
            1,
            "function normalize-space() is not supported",
        ),
        ("contains(@a)", 1, "contains() with 1 arguments"),
        ("//a[1+1]", 6, "\"+\" instead of ]"),
        ("//a#b", 4, "character '#' has no meaning here"),
        ("(//a)[1]", 6, "a path that goes on after )"),
        ("//a ]", 5, "\"]\" is not expected here"),
        ("count('x')", 1, "count() of a value"),
    ];
    for (expression, position, finding) in table {
        match XPath::parse(expression) {
            Err(Error::XPath { at, what, .. }) => {
                assert_eq!((at, what.as_str()), (position, finding), "{expression}");
            }
            other => panic!("{expression}: {other:?}"),
        }
    }
}

#[test]
fn work_and_nesting_are_bounded() {
    let deep = format!("//a{}{}", "[b".repeat(40), "]".repeat(40));
    assert!(matches!(XPath::parse(&deep), Err(Error::XPath { .. })));
    assert!(matches!(
        XPath::parse(&"/a".repeat(5000)),
        Err(Error::XPath { .. })
    ));
    let chain = vec!["@a"; 1300].join(" or ");
    assert_eq!(
        select(&tree(), &format!("//primitive[{chain}]")).unwrap(),
        []
    );
    let mut wide = Element::new("cib");
    wide.children = vec![Element::new("a"); 6000];
    assert_eq!(
        select(&wide, "//a[//a[//a]]"),
        Err(Error::XPathWork { limit: VISITS_MAX })
    );
}
