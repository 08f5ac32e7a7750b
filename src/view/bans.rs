//! Which constraints keep resources away from which nodes, as `crm_mon -L` lists them: by a node's
//! name, by a rule, for sets and for patterns (lib/pacemaker/pcmk_sched_location.c).

use super::model::Ban;
use cib::config::{Config, Kind, Resource};
use cib::value::Score;
use cib::{Cib, Element};
use regex_lite::Regex;
use std::collections::BTreeMap;

/// The newest constraint first, as Pacemaker has them.
pub(super) fn bans(cib: &Cib, now: i64) -> Vec<Ban> {
    let config = Config::new(cib);
    let constraints = config.constraints().into_iter().map(|c| c.element);
    let mut found = Vec::new();
    let mut nodes: Option<Vec<Facts<'_>>> = None;
    let all = config.resources();
    // The first of equal ids counts: from it, the way outwards ends.
    let resources: Resources<'_, '_> = all.iter().rev().map(|r| (r.id, r)).collect();
    for constraint in constraints.filter(|c| c.name == "rsc_location") {
        let fixed = constraint.attr("node").is_some() && constraint.attr("score").is_some();
        for target in targets(&all, &resources, constraint) {
            if fixed {
                found.push(by_name(constraint, &target).into_iter().collect());
                continue;
            }
            let nodes = nodes.get_or_insert_with(|| facts(&config, cib.root()));
            let parameters = resources.get(target.resource).map(|r| config.parameters(r));
            let parameters = owned(parameters.unwrap_or_default());
            for rule in constraint.all("rule") {
                let holds = |node: &Facts<'_>| {
                    scheduler::rule_holds(rule, &node.attributes, &parameters, now)
                };
                found.push(by_rule(
                    constraint,
                    rule,
                    &target,
                    nodes.iter().filter(|n| holds(n)),
                ));
            }
        }
    }
    found.reverse();
    found.into_iter().flatten().collect()
}

/// What a constraint is about: a resource, and the role where a set says one.
struct Target<'a> {
    resource: &'a str,
    role: Option<&'a str>,
}

/// Resources by their ids.
type Resources<'r, 'a> = BTreeMap<&'a str, &'r Resource<'a>>;

fn targets<'a>(
    all: &[Resource<'a>],
    resources: &Resources<'_, 'a>,
    constraint: &'a Element,
) -> Vec<Target<'a>> {
    let role = constraint.attr("role");
    let mut found = Vec::new();
    let mut put = |id: Option<&str>, role| {
        if let Some(resource) = id.and_then(|id| whole(resources, id)) {
            found.push(Target { resource, role });
        }
    };
    put(constraint.attr("rsc"), role);
    for set in constraint.all("resource_set") {
        for reference in set.all("resource_ref") {
            put(reference.id(), set.attr("role").or(role));
        }
    }
    if let Some(pattern) = constraint.attr("rsc-pattern") {
        let (inverted, text) = match pattern.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, pattern),
        };
        if let Ok(pattern) = Regex::new(text) {
            let all = all.iter().filter(|r| r.parent.is_none());
            let meant = all.filter(|r| pattern.is_match(r.id) != inverted);
            meant.for_each(|r| put(Some(r.id), role));
        }
    }
    found
}

/// A constraint on what a clone is made of is one on the clone.
fn whole<'a>(resources: &Resources<'_, 'a>, id: &str) -> Option<&'a str> {
    let mut resource = *resources.get(id)?;
    let mut found = resource.id;
    while let Some(parent) = resource.parent.and_then(|p| resources.get(p).copied()) {
        if parent.kind == Kind::Clone {
            found = parent.id;
        }
        resource = parent;
    }
    Some(found)
}

fn by_name(constraint: &Element, target: &Target<'_>) -> Option<Ban> {
    let weight = Score::parse(constraint.attr("score")?).ok()?;
    (weight < Score::default()).then_some(Ban {
        id: constraint.id()?.to_owned(),
        resource: target.resource.to_owned(),
        node: constraint.attr("node")?.to_owned(),
        weight: weight.get(),
        promoted_only: is_promoted(target.role),
    })
}

fn is_promoted(role: Option<&str>) -> bool {
    let names = ["promoted", "master"];
    role.is_some_and(|role| names.contains(&role.to_ascii_lowercase().as_str()))
}

/// One for each node, of those where the rule holds, whose score is below 0.
fn by_rule<'n>(
    constraint: &Element,
    rule: &Element,
    target: &Target<'_>,
    here: impl Iterator<Item = &'n Facts<'n>>,
) -> Vec<Ban> {
    let score = rule.attr("score").or_else(|| constraint.attr("score"));
    let score = score.map_or(Ok(Score::default()), Score::parse);
    let Ok(score) = score else {
        return Vec::new();
    };
    let id = rule.id().or_else(|| constraint.id()).unwrap_or_default();
    let promoted_only = is_promoted(rule.attr("role").or(target.role));
    let scored = here.map(|node| {
        let score = match rule.attr("score-attribute") {
            None => score,
            // A node without a usable attribute is not allowed.
            Some(name) => {
                let value = node.attributes.get(name);
                let value = value.and_then(|v| Score::parse(v).ok());
                value.unwrap_or(Score::MINUS_INFINITY)
            }
        };
        (node, score)
    });
    let below = scored.filter(|(_, score)| *score < Score::default());
    let bans = below.map(|(node, score)| Ban {
        id: id.to_owned(),
        resource: target.resource.to_owned(),
        node: node.name.to_owned(),
        weight: score.get(),
        promoted_only,
    });
    bans.collect()
}

fn owned(pairs: BTreeMap<&str, &str>) -> BTreeMap<String, String> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    pairs.into_iter().map(own).collect()
}

/// What rules ask of a node.
struct Facts<'a> {
    name: &'a str,
    attributes: BTreeMap<String, String>,
}

fn facts<'a>(config: &Config<'a>, root: &'a Element) -> Vec<Facts<'a>> {
    let states: Vec<&Element> = root
        .first("status")
        .into_iter()
        .flat_map(|s| s.all("node_state"))
        .collect();
    let nodes = config.nodes().into_iter();
    let nodes = nodes.map(|node| {
        let mut attributes: BTreeMap<&str, &str> = node.attributes.into_iter().collect();
        attributes.insert("#uname", node.uname);
        attributes.insert("#id", node.id);
        attributes.insert("#kind", "cluster");
        let own = states
            .iter()
            .filter(|s| s.attr("uname") == Some(node.uname));
        attributes.extend(own.flat_map(|state| super::details::transient(state)));
        Facts {
            name: node.uname,
            attributes: owned(attributes),
        }
    });
    nodes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIB: &str = r##"<cib><configuration><crm_config/><nodes><node id="1" uname="node1"/><node id="2" uname="node2"/></nodes><resources><primitive id="web1" class="ocf" provider="heartbeat" type="Dummy"/><clone id="uc"><primitive id="u" class="ocf" provider="heartbeat" type="Dummy"/></clone><group id="ug"><primitive id="m" class="ocf" provider="heartbeat" type="Dummy"/></group><clone id="cl"><meta_attributes id="cl-m"><nvpair id="cl-mp" name="promotable" value="true"/></meta_attributes><primitive id="st" class="ocf" provider="pacemaker" type="Stateful"/></clone></resources><constraints>
<rsc_location id="l1" rsc="web1" node="node1" score="-INFINITY"/>
<rsc_location id="l2" rsc="cl" role="Promoted" node="node2" score="-50"/>
<rsc_location id="l3" rsc="cl"><rule id="l3r" role="Promoted" score="-INFINITY"><expression id="l3e" attribute="#uname" operation="eq" value="node1"/></rule></rsc_location>
<rsc_location id="l4" rsc="web1"><rule id="l4r" score="-100"><expression id="l4e" attribute="pingd" operation="lt" value="200"/></rule></rsc_location>
<rsc_location id="l6" rsc="st"><rule id="l6r" role="Unpromoted" score="-INFINITY"><expression id="l6e" attribute="#uname" operation="eq" value="node2"/></rule><rule id="l6s" role="Promoted" score="-7"><expression id="l6f" attribute="#uname" operation="eq" value="node2"/></rule></rsc_location>
<rsc_location id="l7" rsc-pattern="^u" node="node2" score="-9"/>
<rsc_location id="l8" node="node2" score="-19"><resource_set id="l8s" role="Promoted"><resource_ref id="cl"/><resource_ref id="m"/></resource_set></rsc_location>
<rsc_location id="l9" rsc="web1"><rule id="l9r" score="-INFINITY" boolean-op="and"><expression id="l9e" attribute="#uname" operation="ne" value="node3"/><date_expression id="l9d" operation="lt" end="2001-01-01"/></rule></rsc_location>
<rsc_location id="yes" rsc="web1" node="node1" score="5"/>
</constraints></configuration><status><node_state id="1" uname="node1"><transient_attributes id="1"><instance_attributes id="s1"><nvpair id="s1p" name="pingd" value="100"/></instance_attributes></transient_attributes></node_state><node_state id="2" uname="node2"><transient_attributes id="2"><instance_attributes id="s2"><nvpair id="s2p" name="pingd" value="1000"/></instance_attributes></transient_attributes></node_state></status></cib>"##;

    fn told(now: i64) -> Vec<String> {
        let cib = Cib::parse(CIB).unwrap();
        let bans = bans(&cib, now).into_iter().map(|b| {
            let promoted = if b.promoted_only { " promoted" } else { "" };
            format!("{} {} {} {}{promoted}", b.id, b.resource, b.node, b.weight)
        });
        bans.collect()
    }

    /// Pacemaker 2.1.5 lists these, in this order.
    #[test]
    fn rules_sets_and_patterns_keep_away_too() {
        assert_eq!(
            told(1_700_000_000),
            [
                "l8 m node2 -19 promoted",
                "l8 cl node2 -19 promoted",
                "l7 ug node2 -9",
                "l7 uc node2 -9",
                "l6s cl node2 -7 promoted",
                "l6r cl node2 -1000000",
                "l4r web1 node1 -100",
                "l3r cl node1 -1000000 promoted",
                "l2 cl node2 -50 promoted",
                "l1 web1 node1 -1000000",
            ]
        );
    }

    #[test]
    fn a_rule_with_a_date_keeps_away_until_then() {
        let then = told(900_000_000);
        assert_eq!(then[0], "l9r web1 node1 -1000000");
        assert_eq!(then[1], "l9r web1 node2 -1000000");
        assert_eq!(then.len(), 12);
    }

    /// A resource within one of its own id: the way outwards ends.
    #[test]
    fn what_contains_itself_is_looked_at_once() {
        let inner =
            r#"<group id="g"><primitive id="p" class="ocf" provider="x" type="y"/></group>"#;
        let text = format!(
            r#"<cib><configuration><crm_config/><nodes><node id="1" uname="node1"/></nodes><resources><group id="g">{inner}</group></resources><constraints><rsc_location id="l" rsc="p" node="node1" score="-5"/></constraints></configuration><status/></cib>"#
        );
        let found = bans(&Cib::parse(&text).unwrap(), 0);
        assert_eq!(found.len(), 1);
    }
}
