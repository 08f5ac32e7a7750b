//! What the configuration implies but does not spell out: connections to guest nodes, and the
//! parts of bundles; and what old schemas say in other words. It is written into a copy of the CIB,
//! so that the other stages read one kind of resource only, in the words of today
//! (Pacemaker remote.c:pe_create_remote_xml, bundle.c).

pub(crate) mod bundle;
mod old;

use crate::limit::{REPLICA_PAIRS_MAX, REPLICAS_MAX};
use cib::Element;
use std::collections::BTreeSet;

/// Whether an element is a connection to a remote node.
pub(crate) fn is_remote_connection(element: &Element) -> bool {
    element.name == "primitive"
        && element.attr("class") == Some("ocf")
        && element.attr("provider") == Some("pacemaker")
        && element.attr("type") == Some("remote")
}

/// The CIB with all that is implied, without its status; `None` when nothing is.
///
/// # Errors
/// What is too much to be spelled out.
pub(crate) fn implied(cib: &Element) -> Result<Option<Element>, String> {
    let Some(configuration) = cib.first("configuration") else {
        return Ok(None);
    };
    let none = Element::default();
    let resources = configuration.first("resources").unwrap_or(&none);
    let guests = guests(resources);
    let pairs = replica_pairs(resources)?;
    let old = old::is_old(cib);
    if guests.is_empty() && pairs == 0 && !old {
        return Ok(None);
    }
    let mut configuration = configuration.clone();
    if old {
        old::upgrade(&mut configuration);
    }
    if let Some(resources) = configuration.first_mut("resources") {
        resources.children.extend(guests);
        let taken = ids(resources);
        for bundle in resources.children.iter_mut().filter(|c| c.name == "bundle") {
            bundle::expand(bundle, &taken);
        }
    }
    Ok(Some(Element {
        name: cib.name.clone(),
        attrs: cib.attrs.clone(),
        children: vec![configuration],
        text: String::new(),
    }))
}

/// Pairs of replicas that know each other's addresses.
fn replica_pairs(resources: &Element) -> Result<usize, String> {
    let mut pairs = 0_usize;
    for bundle in resources.all("bundle") {
        let id = bundle.id().unwrap_or_default();
        let count = bundle::replica_count(bundle);
        if count > REPLICAS_MAX {
            return Err(format!(
                "bundle {id}: {count} replicas are more than {REPLICAS_MAX}: lower its replicas"
            ));
        }
        pairs = pairs.saturating_add(count.saturating_mul(count));
        if pairs > REPLICA_PAIRS_MAX {
            return Err(format!(
                "bundle {id}: with it the bundles' replicas make more than {REPLICA_PAIRS_MAX} \
                 pairs: lower its replicas"
            ));
        }
    }
    Ok(pairs)
}

fn ids(resources: &Element) -> BTreeSet<String> {
    resources
        .children
        .iter()
        .filter_map(|child| child.id().map(str::to_owned))
        .collect()
}

/// Connections to the guests that resources contain.
fn guests(resources: &Element) -> Vec<Element> {
    let mut found: Vec<Element> = Vec::new();
    let mut taken = ids(resources);
    for child in &resources.children {
        let members: Vec<&Element> = match child.name.as_str() {
            "primitive" => vec![child],
            "group" => child.all("primitive").collect(),
            _ => continue,
        };
        for guest in members.into_iter().filter_map(guest_of) {
            if taken.insert(guest.id().unwrap_or_default().to_owned()) {
                found.push(guest);
            }
        }
    }
    found
}

fn guest_of(resource: &Element) -> Option<Element> {
    let value = |name: &str| {
        resource
            .all("meta_attributes")
            .flat_map(|set| set.all("nvpair"))
            .filter(|pair| pair.attr("name") == Some(name))
            .filter_map(|pair| pair.attr("value"))
            .last()
    };
    let name = value("remote-node")?;
    let mut more = Vec::new();
    if let Some(allowed) = value("remote-allow-migrate") {
        more.push(("allow-migrate", allowed));
    }
    if let Some(managed) = value("is-managed") {
        more.push(("is-managed", managed));
    }
    Some(connection(&Connection {
        name,
        container: resource.id()?,
        meta: &more,
        start_timeout: Some(value("remote-connect-timeout").unwrap_or(CONNECT_TIMEOUT)),
        address: value("remote-addr"),
        port: value("remote-port"),
    }))
}

/// How long a guest may take to be reached (Pacemaker remote.c:expand_remote_rsc_meta).
const CONNECT_TIMEOUT: &str = "60s";

/// What a connection to a guest is made from.
pub(crate) struct Connection<'a> {
    pub(crate) name: &'a str,
    pub(crate) container: &'a str,
    pub(crate) meta: &'a [(&'a str, &'a str)],
    pub(crate) start_timeout: Option<&'a str>,
    pub(crate) address: Option<&'a str>,
    pub(crate) port: Option<&'a str>,
}

/// Pacemaker remote.c:pe_create_remote_xml.
pub(crate) fn connection(new: &Connection) -> Element {
    let mut meta = vec![("internal_resource", "true"), ("container", new.container)];
    meta.extend(new.meta);
    let mut operations =
        Element::new("operations").child(operation(new.name, "monitor", "30s", Some("30s")));
    if let Some(timeout) = new.start_timeout {
        operations = operations.child(operation(new.name, "start", "0", Some(timeout)));
    }
    let mut made = primitive(new.name, "pacemaker", "remote")
        .child(set("meta_attributes", new.name, &meta))
        .child(operations);
    let params: Vec<(&str, &str)> = [("addr", new.address), ("port", new.port)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    if !params.is_empty() {
        made = made.child(set("instance_attributes", new.name, &params));
    }
    made
}

/// A primitive of class `ocf`.
pub(crate) fn primitive(id: &str, provider: &str, kind: &str) -> Element {
    Element::new("primitive")
        .with("id", id)
        .with("class", "ocf")
        .with("provider", provider)
        .with("type", kind)
}

/// A set of name/value pairs.
pub(crate) fn set(tag: &str, id: &str, pairs: &[(&str, &str)]) -> Element {
    let id = format!("{id}-{tag}");
    let mut made = Element::new(tag).with("id", &id);
    for (name, value) in pairs {
        made = made.child(
            Element::new("nvpair")
                .with("id", &format!("{id}-{name}"))
                .with("name", name)
                .with("value", value),
        );
    }
    made
}

/// An operation of an implied resource.
pub(crate) fn operation(id: &str, name: &str, interval: &str, timeout: Option<&str>) -> Element {
    let mut made = Element::new("op")
        .with("id", &format!("{id}-{name}-{interval}"))
        .with("name", name)
        .with("interval", interval);
    if let Some(timeout) = timeout {
        made.set("timeout", timeout);
    }
    made
}
