//! `--constraints` and `--stack`: what binds a resource to nodes and to others.

use super::{configured, named};
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::Failure;
use crate::cli::getopt::Found;
use cib::config::Config;
use cib::{Cib, Element, Section};

/// Location and colocation constraints of a resource, and of what it is colocated with.
pub(super) fn show(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    recursive: bool,
) -> Result<(), Failure> {
    let cib = backend::cib(backend, false)?;
    let config = Config::new(&cib);
    let resource = configured(&config, named(found)?)?;
    // A member's constraints are those of its collective.
    let collective = config.around(resource.id).last();
    let collective = collective.filter(|_| !found.has("force"));
    let id = collective.unwrap_or(resource).id.to_owned();
    let mut xml = Element::new("constraints");
    let mut seen = vec![id.clone()];
    locations(&cib, &id, console, &mut xml, 0);
    for (heading, own, other) in [
        ("is colocated with", "rsc", "with-rsc"),
        ("colocated with", "with-rsc", "rsc"),
    ] {
        colocations(
            &cib,
            &id,
            console,
            &mut xml,
            (heading, own, other),
            recursive,
            &mut seen,
        );
    }
    console.element(xml);
    Ok(())
}

fn all<'a>(cib: &'a Cib, tag: &'a str) -> impl Iterator<Item = &'a Element> {
    let section = cib.section(Section::Constraints).into_iter();
    section.flat_map(move |s| s.all(tag))
}

/// The resource and everything in it, by id.
fn with_members(cib: &Cib, id: &str) -> Vec<String> {
    fn collect(resource: &Element, ids: &mut Vec<String>) {
        ids.extend(resource.id().map(str::to_owned));
        let members = resource.children.iter();
        let members = members.filter(|c| cib::config::kind_of(&c.name).is_some());
        members.for_each(|member| collect(member, ids));
    }
    let mut ids = Vec::new();
    match Config::new(cib).resource(id) {
        Some(resource) => collect(resource.element, &mut ids),
        None => ids.push(id.to_owned()),
    }
    ids
}

fn locations(cib: &Cib, id: &str, console: &mut Console, xml: &mut Element, depth: usize) {
    let pad = "  ".repeat(depth);
    let ids = with_members(cib, id);
    let bound = all(cib, "rsc_location").filter(|c| {
        c.attr("rsc")
            .is_some_and(|rsc| ids.iter().any(|i| i == rsc))
    });
    let mut headed = false;
    for constraint in bound {
        let rule = constraint.first("rule");
        let node = constraint.attr("node").or_else(|| {
            let named = rule.and_then(|r| r.first("expression"));
            named?.attr("value")
        });
        let score = constraint
            .attr("score")
            .or_else(|| rule.and_then(|r| r.attr("score")));
        let (Some(node), Some(score), Some(own)) = (node, score, constraint.id()) else {
            continue;
        };
        if !std::mem::replace(&mut headed, true) {
            let bullet = if depth == 0 { "" } else { "* " };
            console.line(&format!("{pad}{bullet}Locations:"));
        }
        console.line(&format!(
            "{pad}  * Node {node} (score={score}, id={own}, rsc={id})"
        ));
        let element = Element::new("rsc_location")
            .with("node", node)
            .with("rsc", id)
            .with("id", own);
        xml.children.push(element.with("score", score));
    }
}

/// One direction: `own` is the attribute that names the resource, `other` that of the other one.
fn colocations(
    cib: &Cib,
    id: &str,
    console: &mut Console,
    xml: &mut Element,
    (heading, own, other): (&str, &str, &str),
    recursive: bool,
    seen: &mut Vec<String>,
) {
    let bound: Vec<&Element> = all(cib, "rsc_colocation")
        .filter(|c| c.attr(own) == Some(id) && c.attr(other).is_some())
        .collect();
    if bound.is_empty() {
        return;
    }
    console.line(&match own {
        "rsc" => format!("Resources {id} {heading}:"),
        _ => format!("Resources {heading} {id}:"),
    });
    for constraint in bound {
        let text = |name: &str| constraint.attr(name).unwrap_or_default();
        let peer = text(other);
        console.line(&format!(
            "  * {peer} (score={}, id={})",
            text("score"),
            text("id")
        ));
        let mut element = Element::new("rsc_colocation")
            .with("id", text("id"))
            .with("rsc", text("rsc"))
            .with("with-rsc", text("with-rsc"))
            .with("score", text("score"));
        for name in ["node-attribute", "rsc-role", "with-rsc-role"] {
            if let Some(value) = constraint.attr(name) {
                element.set(name, value);
            }
        }
        xml.children.push(element);
        if recursive && !seen.iter().any(|s| s == peer) {
            seen.push(peer.to_owned());
            locations(cib, peer, console, xml, 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_end_even_where_a_group_is_in_one_of_its_own_id() {
        let text = r#"<cib><configuration><resources><group id="g"><group id="g"><primitive id="p"/></group></group></resources></configuration></cib>"#;
        let root = cib::xml::parse(text).unwrap();
        let mut cib = Cib::empty();
        let resources = root.first("configuration").unwrap().children[0].clone();
        *cib.section_mut(Section::Resources) = resources;
        assert_eq!(with_members(&cib, "g"), ["g", "g", "p"]);
    }
}
