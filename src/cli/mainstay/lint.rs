//! `mainstay lint`: configurations that are allowed, and often do not mean what their authors
//! meant. Tutorials teach some of them.

use crate::cli::console::Console;
use crate::cli::crm_simulate::read_source;
use crate::cli::exit::{Exit, Failure};
use cib::config::{Config, Kind, Resource};
use cib::value::Score;
use cib::{Cib, Element, Section};
use std::collections::BTreeSet;
use std::path::Path;

/// Something to think about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Remark {
    /// It may end in damage; otherwise it is worth knowing.
    grave: bool,
    /// What it is about: an id, or an option.
    about: String,
    /// What it does, and what was perhaps meant.
    text: String,
    /// What does that.
    cure: String,
}

/// Looks at a CIB in a file, or the cluster's; exit code 1 when something is grave.
pub(super) fn run(file: Option<&Path>, console: &mut Console) -> Result<Exit, Failure> {
    let name = file.map(|f| f.display().to_string());
    let cib = Cib::from_element(read_source(name.as_deref())?)?;
    let remarks = remarks(&cib);
    for remark in &remarks {
        let mark = if remark.grave { "WARNING" } else { "note" };
        console.line(&format!("{mark}: {}: {}", remark.about, remark.text));
        console.line(&format!("        -> {}", remark.cure));
    }
    if remarks.is_empty() {
        console.line("nothing to remark");
    }
    match remarks.iter().any(|r| r.grave) {
        true => Ok(Exit::Error),
        false => Ok(Exit::Ok),
    }
}

/// The gravest first.
fn remarks(cib: &Cib) -> Vec<Remark> {
    let config = Config::new(cib);
    let mut found = split_brain(&config);
    found.extend(stickiness(cib, &config));
    found.extend(colocations(cib, &config));
    found.extend(orders(cib, &config));
    found.sort_by(|a, b| b.grave.cmp(&a.grave).then_with(|| a.cmp(b)));
    found.dedup();
    found
}

fn remark(grave: bool, about: &str, text: String, cure: String) -> Remark {
    Remark {
        grave,
        about: about.to_owned(),
        text,
        cure,
    }
}

/// `no-quorum-policy=ignore` with no fencing: both halves of a cut go on.
fn split_brain(config: &Config<'_>) -> Vec<Remark> {
    let off = |name: &str| {
        let value = config.property(name);
        value.is_some_and(|v| cib::value::parse_bool(v).is_ok_and(|on| !on))
    };
    let ignores = config
        .property("no-quorum-policy")
        .is_some_and(|v| v.eq_ignore_ascii_case("ignore"));
    let unfenced = off("stonith-enabled");
    let mut found = Vec::new();
    if ignores && unfenced {
        found.push(remark(
            true,
            "no-quorum-policy, stonith-enabled",
            "nodes that lose sight of each other both go on with everything, on the same disks and addresses".to_owned(),
            "with two nodes write `two_node: 1` into corosync.conf and unset no-quorum-policy; configure a fence device".to_owned(),
        ));
    } else if unfenced {
        found.push(remark(
            false,
            "stonith-enabled",
            "without fencing nobody can make sure that a lost node has stopped: what it runs is started elsewhere on trust".to_owned(),
            "configure a fence device (`pcs stonith list`, `crm ra list stonith`)".to_owned(),
        ));
    } else if ignores {
        found.push(remark(
            false,
            "no-quorum-policy",
            "a part without quorum goes on; fencing decides which part lives".to_owned(),
            "with two nodes, `two_node: 1` in corosync.conf does this with a tie-break".to_owned(),
        ));
    }
    found
}

/// Stickiness keeps a resource where it is: it brings nothing back.
fn stickiness(cib: &Cib, config: &Config<'_>) -> Vec<Remark> {
    let number = |text: &str| Score::parse(text).map(|s| s.get()).unwrap_or(0);
    let defaults = config.rsc_defaults();
    let default = defaults.get("resource-stickiness").map_or(0, |v| number(v));
    let mut found = Vec::new();
    let preferences = constraints(cib, "rsc_location").filter_map(|c| {
        let score = number(c.attr("score")?);
        (score > 0).then_some((c.id()?, c.attr("rsc")?, c.attr("node")?, score))
    });
    let mut preferred = false;
    for (id, rsc, node, score) in preferences {
        let own = config
            .resource(rsc)
            .and_then(|r| config.meta(&r).get("resource-stickiness").copied());
        let sticky = own.map_or(default, number);
        preferred = true;
        if sticky >= score {
            found.push(remark(
                false,
                id,
                format!("{rsc} prefers {node} with {}, but its resource-stickiness of {} holds it wherever it is: it does not return to {node} by itself", shown(score), shown(sticky)),
                match shown(sticky).as_str() {
                    INFINITY => "for failback lower the stickiness, as no score is above INFINITY; to let it stay, remove the constraint".to_owned(),
                    sticky => format!("for failback raise the score above {sticky}; to let it stay, remove the constraint"),
                },
            ));
        }
    }
    if default > 0 && !preferred {
        found.push(remark(
            false,
            "resource-stickiness",
            format!("a stickiness of {} keeps resources where they are after a failover; it does not bring them back", shown(default)),
            match shown(default).as_str() {
                INFINITY => "for failback lower it, and prefer a node with a score above it".to_owned(),
                low => format!("for failback prefer a node with a score above {low}: `crm configure location ID RESOURCE {}: NODE`", default.saturating_add(100)),
            },
        ));
    }
    found
}

/// A score as it is written.
fn shown(score: i32) -> String {
    match score {
        SCORE_MAX.. => INFINITY.to_owned(),
        score => score.to_string(),
    }
}

fn constraints<'a>(cib: &'a Cib, tag: &'a str) -> impl Iterator<Item = &'a Element> {
    let section = cib.section(Section::Constraints).into_iter();
    section.flat_map(move |s| s.all(tag))
}

/// A resource and all that it lies in: what binds a group binds its members, and the other way round.
fn family<'a>(config: &Config<'a>, id: &'a str) -> Vec<&'a str> {
    let around = config.around(id).map(|r| r.id);
    std::iter::once(id).chain(around).collect()
}

/// Pairs of resources that an order binds, either way.
fn ordered(cib: &Cib, config: &Config<'_>) -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    let mut add = |a: &str, b: &str| {
        for a in family(config, a) {
            for b in family(config, b) {
                pairs.insert((a.to_owned(), b.to_owned()));
                pairs.insert((b.to_owned(), a.to_owned()));
            }
        }
    };
    for order in constraints(cib, "rsc_order") {
        if let (Some(first), Some(then)) = (order.attr("first"), order.attr("then")) {
            add(first, then);
        }
        let members: Vec<&str> = order
            .all("resource_set")
            .flat_map(|s| s.all("resource_ref"))
            .filter_map(Element::id)
            .collect();
        for (at, a) in members.iter().enumerate() {
            members[at + 1..].iter().for_each(|b| add(a, b));
        }
    }
    pairs
}

/// The primitive that a constraint is about: a group's first member stands for it.
fn primitive<'a>(config: &Config<'a>, id: &str) -> Option<Resource<'a>> {
    let mut found = config.resource(id)?;
    while found.kind != Kind::Primitive {
        let inner = found
            .element
            .children
            .iter()
            .find(|c| cib::config::kind_of(&c.name).is_some())?;
        found = config.resource(inner.id()?)?;
    }
    Some(found)
}

fn is_address(config: &Config<'_>, id: &str) -> bool {
    let agent = primitive(config, id).and_then(|r| config.agent(&r));
    agent.is_some_and(|a| ADDRESSES.contains(&a.kind))
}

/// A colocation says where, not when; and who follows whom is easily turned round.
fn colocations(cib: &Cib, config: &Config<'_>) -> Vec<Remark> {
    let ordered = ordered(cib, config);
    let mut found = Vec::new();
    for colocation in constraints(cib, "rsc_colocation") {
        let get = |name: &str| colocation.attr(name);
        let (Some(id), Some(rsc), Some(with)) = (colocation.id(), get("rsc"), get("with-rsc"))
        else {
            continue;
        };
        if get("score").is_some_and(|s| s.starts_with('-')) {
            continue;
        }
        let are_ordered = family(config, rsc).into_iter().any(|a| {
            let with = family(config, with);
            with.into_iter()
                .any(|b| ordered.contains(&(a.to_owned(), b.to_owned())))
        });
        // What runs in several places is started there long before an address moves in.
        let many = runs_in_many_places(config, with);
        if !are_ordered {
            let promoted = get("with-rsc-role").is_some_and(|r| PROMOTED.contains(&r));
            let action = if promoted { ":promote" } else { "" };
            let or_group = match many || runs_in_many_places(config, rsc) {
                true => "",
                false => ", or put both into a group",
            };
            let then = if promoted { ":start" } else { "" };
            found.push(remark(
                false,
                id,
                format!("{rsc} runs where {with} runs, but nothing says which starts first: both start at the same time"),
                format!("`crm configure order {rsc}-after-{with} Mandatory: {with}{action} {rsc}{then}`{or_group}"),
            ));
        }
        if is_address(config, rsc) && !is_address(config, with) && !many {
            found.push(remark(
                false,
                id,
                format!("the address {rsc} follows {with}: where {with} cannot run, there is no address either, and {with} chooses the node without it"),
                format!("usually the service follows its address: `crm configure colocation {with}-with-{rsc} inf: {with} {rsc}`"),
            ));
        }
    }
    found
}

/// An order says when, not where.
fn orders(cib: &Cib, config: &Config<'_>) -> Vec<Remark> {
    let together: BTreeSet<(&str, &str)> = constraints(cib, "rsc_colocation")
        .filter_map(|c| Some((c.attr("rsc")?, c.attr("with-rsc")?)))
        .flat_map(|(a, b)| [(a, b), (b, a)])
        .collect();
    let in_sets: BTreeSet<&str> = constraints(cib, "rsc_colocation")
        .flat_map(|c| c.all("resource_set"))
        .flat_map(|s| s.all("resource_ref"))
        .filter_map(Element::id)
        .collect();
    let mut found = Vec::new();
    for order in constraints(cib, "rsc_order") {
        let get = |name: &str| order.attr(name);
        let (Some(id), Some(first), Some(then)) = (order.id(), get("first"), get("then")) else {
            continue;
        };
        let bound = together.contains(&(first, then))
            || (in_sets.contains(first) && in_sets.contains(then));
        // Only addresses: services are often ordered across nodes on purpose.
        let address = is_address(config, first) != is_address(config, then);
        if !bound && address {
            found.push(remark(
                false,
                id,
                format!("{then} waits for {first}, but may run on another node; an order moves nothing"),
                format!("`crm configure colocation {then}-with-{first} inf: {then} {first}` keeps them together"),
            ));
        }
    }
    found
}

/// A clone or bundle, in which an address looks for an instance that can answer it.
fn runs_in_many_places(config: &Config<'_>, id: &str) -> bool {
    let kind = config.resource(id).map(|r| r.kind);
    matches!(kind, Some(Kind::Clone | Kind::Bundle))
}

/// The greatest score, and how it is written.
const SCORE_MAX: i32 = 1_000_000;
const INFINITY: &str = "INFINITY";
/// Names of the role.
const PROMOTED: [&str; 2] = ["Promoted", "Master"];
/// Agents that serve an address.
const ADDRESSES: [&str; 3] = ["IPaddr", "IPaddr2", "IPv6addr"];

#[cfg(test)]
mod tests {
    use super::*;

    fn about(options: &str, resources: &str, constraints: &str) -> Vec<(bool, String)> {
        let text = format!(
            "<cib epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\"><configuration><crm_config>\
             <cluster_property_set id=\"cib-bootstrap-options\">{options}</cluster_property_set></crm_config>\
             <nodes/><resources><primitive id=\"ip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"/>\
             <primitive id=\"web\" class=\"ocf\" provider=\"heartbeat\" type=\"apache\"/></resources>\
             <constraints>{constraints}</constraints>{resources}</configuration><status/></cib>"
        );
        let found = remarks(&Cib::parse(&text).unwrap());
        found.into_iter().map(|r| (r.grave, r.about)).collect()
    }

    fn pair(id: &str, name: &str, value: &str) -> String {
        format!("<nvpair id=\"{id}\" name=\"{name}\" value=\"{value}\"/>")
    }

    #[test]
    fn what_the_tutorials_get_wrong() {
        let off = pair("a", "stonith-enabled", "false");
        let fenced = pair("a", "stonith-enabled", "true");
        let ignore = pair("b", "no-quorum-policy", "ignore");
        let grave = about(&format!("{off}{ignore}"), "", "");
        assert_eq!(
            grave,
            [(true, "no-quorum-policy, stonith-enabled".to_owned())]
        );
        assert_eq!(about(&off, "", ""), [(false, "stonith-enabled".to_owned())]);

        let sticky = format!(
            "<rsc_defaults><meta_attributes id=\"r\">{}</meta_attributes></rsc_defaults>",
            pair("c", "resource-stickiness", "100")
        );
        let stays = about(&fenced, &sticky, "");
        assert_eq!(stays, [(false, "resource-stickiness".to_owned())]);
        let weak = "<rsc_location id=\"l\" rsc=\"web\" node=\"n\" score=\"50\"/>";
        assert_eq!(about(&fenced, &sticky, weak), [(false, "l".to_owned())]);
        let strong = weak.replace("50", "200");
        assert_eq!(about(&fenced, &sticky, &strong), []);

        let turned = "<rsc_colocation id=\"c\" rsc=\"ip\" with-rsc=\"web\" score=\"INFINITY\"/>";
        let order = "<rsc_order id=\"o\" first=\"ip\" then=\"web\"/>";
        // Not ordered, and the address follows the service.
        assert_eq!(about(&fenced, "", turned).len(), 2);
        let right = "<rsc_colocation id=\"c\" rsc=\"web\" with-rsc=\"ip\" score=\"INFINITY\"/>";
        assert_eq!(about(&fenced, "", right), [(false, "c".to_owned())]);
        assert_eq!(about(&fenced, "", &format!("{right}{order}")), []);
        assert_eq!(about(&fenced, "", order), [(false, "o".to_owned())]);
        let apart = "<rsc_colocation id=\"c\" rsc=\"ip\" with-rsc=\"web\" score=\"-INFINITY\"/>";
        assert_eq!(about(&fenced, "", apart), []);
    }

    #[test]
    fn what_is_right_is_let_pass() {
        let fenced = pair("a", "stonith-enabled", "true");
        let kinds = "<resources><clone id=\"ms\"><primitive id=\"db\" class=\"ocf\" provider=\"heartbeat\" type=\"pgsql\"/></clone>\
                     <primitive id=\"vip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"/>\
                     <group id=\"g\"><primitive id=\"fs\" class=\"ocf\" provider=\"heartbeat\" type=\"Filesystem\"/></group>\
                     <primitive id=\"app\" class=\"ocf\" provider=\"heartbeat\" type=\"apache\"/></resources>";
        let remarks_on = |constraints: &str| {
            let text = format!(
                "<cib epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\"><configuration><crm_config>\
                 <cluster_property_set id=\"o\">{fenced}</cluster_property_set></crm_config><nodes/>{kinds}\
                 <constraints>{constraints}</constraints></configuration><status/></cib>"
            );
            remarks(&Cib::parse(&text).unwrap())
        };
        let follows = "<rsc_colocation id=\"c\" rsc=\"vip\" with-rsc=\"ms\" with-rsc-role=\"Promoted\" score=\"INFINITY\"/>";
        let order = "<rsc_order id=\"o1\" first=\"ms\" first-action=\"promote\" then=\"vip\" then-action=\"start\"/>";
        assert_eq!(remarks_on(&format!("{follows}{order}")), []);
        let unordered = remarks_on(follows);
        assert_eq!(unordered.len(), 1);
        assert!(
            unordered[0].cure.contains("ms:promote vip:start`"),
            "{unordered:?}"
        );
        // An order with a member of the group binds what runs with the group.
        let with_group = "<rsc_colocation id=\"c\" rsc=\"app\" with-rsc=\"g\" score=\"INFINITY\"/>\
                          <rsc_order id=\"o2\" first=\"fs\" then=\"app\"/>";
        assert_eq!(remarks_on(with_group), []);
    }
}
