//! Pieces of configuration.

use cib::{Cib, Element, Section, edit};
use mainstay::lab::VIP;
use std::net::SocketAddr;

/// Port of the web service.
const WEB_PORT: u16 = 80;

/// Where the client finds the web service.
pub(crate) fn web_address() -> SocketAddr {
    SocketAddr::new(VIP, WEB_PORT)
}

/// A primitive, with a recurring monitor.
#[derive(Clone, Debug)]
pub(crate) struct Primitive {
    id: String,
    element: Element,
}

impl Primitive {
    /// `agent` as `ocf:heartbeat:Dummy` or `stonith:fence_lab`.
    pub(crate) fn new(id: &str, agent: &str) -> Self {
        let mut element = Element::new("primitive").with("id", id);
        match agent.split(':').collect::<Vec<_>>().as_slice() {
            [class, provider, kind] => {
                element.set("class", class);
                element.set("provider", provider);
                element.set("type", kind);
            }
            [class, kind] => {
                element.set("class", class);
                element.set("type", kind);
            }
            _ => panic!("{agent}: neither class:type nor class:provider:type"),
        }
        Self {
            id: id.to_owned(),
            element,
        }
    }

    /// With an instance attribute.
    pub(crate) fn param(self, name: &str, value: &str) -> Self {
        self.pair("instance_attributes", name, value)
    }

    /// With an operation.
    pub(crate) fn op(mut self, name: &str, interval: &str, timeout: &str) -> Self {
        let op = Element::new("op")
            .with("id", &format!("{}-{name}-{interval}", self.id))
            .with("name", name)
            .with("interval", interval)
            .with("timeout", timeout);
        self.within("operations", None).children.push(op);
        self
    }

    /// The element itself.
    pub(crate) fn element(self) -> Element {
        self.element
    }

    fn pair(mut self, set: &str, name: &str, value: &str) -> Self {
        let set_id = format!("{}-{set}", self.id);
        let pair = Element::new("nvpair")
            .with("id", &format!("{set_id}-{name}"))
            .with("name", name)
            .with("value", value);
        self.within(set, Some(&set_id)).children.push(pair);
        self
    }

    fn within(&mut self, name: &str, id: Option<&str>) -> &mut Element {
        if self.element.first(name).is_none() {
            let mut new = Element::new(name);
            if let Some(id) = id {
                new.set("id", id);
            }
            self.element.children.push(new);
        }
        self.element.first_mut(name).unwrap()
    }
}

/// The floating IP.
pub(crate) fn ip() -> Primitive {
    Primitive::new("ip", "ocf:heartbeat:IPaddr2")
        .param("ip", &VIP.to_string())
        .param("cidr_netmask", "24")
        .op("monitor", "1s", "20s")
}

/// The web service that answers with the name of its node.
pub(crate) fn web() -> Primitive {
    Primitive::new("web", "ocf:mainstay:demo-web")
        .param("port", &WEB_PORT.to_string())
        .op("monitor", "1s", "20s")
}

/// Adds a resource.
pub(crate) fn add(cib: &mut Cib, primitive: Primitive) {
    edit::insert(cib, Section::Resources, primitive.element()).unwrap();
}

/// Adds a constraint, written as XML.
pub(crate) fn constrain(cib: &mut Cib, xml: &str) {
    edit::insert(cib, Section::Constraints, cib::xml::parse(xml).unwrap()).unwrap();
}

/// Sets properties of the cluster.
pub(crate) fn properties(cib: &mut Cib, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        edit::set_property(cib, name, Some(value));
    }
}

/// Sets or removes a resource's meta attribute.
pub(crate) fn set_meta(cib: &mut Cib, resource: &str, name: &str, value: Option<&str>) {
    edit::set_meta(cib, resource, name, value).unwrap();
}

/// No fencing, nothing moves without a reason: what most tests begin with.
pub(crate) fn plain(cib: &mut Cib) {
    properties(cib, &[("stonith-enabled", "false")]);
    edit::set_rsc_default(cib, "resource-stickiness", Some("100"));
}

/// The floating IP with the web service on it: same node, address first.
pub(crate) fn ip_and_web(cib: &mut Cib) {
    add(cib, ip());
    add(cib, web());
    constrain(
        cib,
        r#"<rsc_colocation id="web-with-ip" rsc="web" with-rsc="ip" score="INFINITY"/>"#,
    );
    constrain(
        cib,
        r#"<rsc_order id="ip-then-web" first="ip" then="web" kind="Mandatory"/>"#,
    );
}
