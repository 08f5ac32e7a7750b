//! Changing one thing about a route that is there: everything else is given back as the kernel
//! told it, also what this program does not know.

use crate::route::{RT_TABLE_MAIN, family, read};
use crate::socket::Reply;
use crate::{Kernel, Result, Route};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE, Parseable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use std::net::IpAddr;

/// A route with all its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeRoute {
    /// What is commonly looked at.
    pub route: Route,
    message: RouteMessage,
}

impl WholeRoute {
    /// A unicast route (type local in the local table) that leads out of an interface; index 0:
    /// the one its gateway is behind.
    pub fn connected(destination: IpAddr, prefix: u8, index: u32, table: u32) -> Self {
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination);
        message.header.destination_prefix_length = prefix;
        message.header.protocol = RouteProtocol::Boot;
        (message.header.kind, message.header.scope) = if table == TABLE_LOCAL {
            (RouteType::Local, RouteScope::Host)
        } else {
            (RouteType::Unicast, RouteScope::Link)
        };
        let mut whole = Self {
            route: Route {
                destination,
                prefix,
                gateway: None,
                index: (index > 0).then_some(index),
                source: None,
                metric: 0,
                table,
                scope: u8::from(message.header.scope),
            },
            message,
        };
        if prefix > 0 {
            let to = RouteAttribute::Destination(address(destination));
            whole.message.attributes.push(to);
        }
        if index > 0 {
            whole.message.attributes.push(RouteAttribute::Oif(index));
        }
        whole.in_table(table)
    }

    /// The same through a router; scope and type follow.
    #[must_use]
    pub fn via(mut self, gateway: IpAddr) -> Self {
        self.route.gateway = Some(gateway);
        self.message.header.scope = RouteScope::Universe;
        self.route.scope = 0;
        let to = RouteAttribute::Gateway(address(gateway));
        self.message.attributes.push(to);
        self
    }

    /// With another source address, or without one.
    #[must_use]
    pub fn with_source(mut self, source: Option<IpAddr>) -> Self {
        self.route.source = source;
        let attributes = &mut self.message.attributes;
        attributes.retain(|a| !matches!(a, RouteAttribute::PrefSource(_)));
        attributes.extend(source.map(|ip| RouteAttribute::PrefSource(address(ip))));
        self
    }

    /// With another priority; 0 = the kernel's default.
    #[must_use]
    pub fn with_metric(mut self, metric: u32) -> Self {
        self.route.metric = metric;
        let attributes = &mut self.message.attributes;
        attributes.retain(|a| !matches!(a, RouteAttribute::Priority(_)));
        if metric > 0 {
            attributes.push(RouteAttribute::Priority(metric));
        }
        self
    }

    /// With another origin (`rtm_protocol`: 2 kernel, 3 boot, 4 static).
    #[must_use]
    pub fn with_protocol(mut self, protocol: u8) -> Self {
        self.message.header.protocol = RouteProtocol::from(protocol);
        self
    }

    /// Its origin (`rtm_protocol`).
    pub fn protocol(&self) -> u8 {
        u8::from(self.message.header.protocol)
    }

    fn in_table(mut self, table: u32) -> Self {
        self.message.header.table = u8::try_from(table).unwrap_or(0);
        self.message.attributes.push(RouteAttribute::Table(table));
        self
    }

    /// As it may be sent: what the kernel only reports is left out.
    fn request(&self) -> RouteMessage {
        let mut message = self.message.clone();
        message.header.flags &= RouteFlags::Onlink;
        let told = |a: &RouteAttribute| {
            matches!(a, RouteAttribute::CacheInfo(_) | RouteAttribute::Expires(_))
        };
        message.attributes.retain(|a| !told(a));
        message
    }
}

impl Kernel {
    /// The routes of one table in the family of `ip`, whole, in the kernel's order; one that
    /// cannot be read is left out.
    ///
    /// # Errors
    /// When the kernel refuses the dump.
    pub fn whole_routes(&mut self, ip: IpAddr, table: u32) -> Result<Vec<WholeRoute>> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(ip);
        message.header.table = u8::try_from(table).unwrap_or(0);
        message.attributes.push(RouteAttribute::Table(table));
        let keep = |reply: Reply<'_>| {
            let message = RouteMessage::parse(reply.body).ok()?;
            let route = read_any(reply)?;
            (route.table == table).then_some(WholeRoute { route, message })
        };
        let request = RouteNetlinkMessage::GetRoute(message);
        match self.socket.dump("list the routes", request, keep) {
            // A table without any route may not exist.
            Err(error) if error.is_absent() => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// Puts the route in place of the one with the same destination and metric, or adds it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn put_route(&mut self, route: &WholeRoute) -> Result<()> {
        let request = RouteNetlinkMessage::NewRoute(route.request());
        let what = format!("set {}", describe(&route.route));
        self.socket
            .request(&what, request, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Adds the route.
    ///
    /// # Errors
    /// [`crate::Error::is_exists`] when there is one.
    pub fn add_whole_route(&mut self, route: &WholeRoute) -> Result<()> {
        let request = RouteNetlinkMessage::NewRoute(route.request());
        let what = format!("add {}", describe(&route.route));
        let flags = NLM_F_CREATE | netlink_packet_core::NLM_F_EXCL;
        self.socket.request(&what, request, flags)
    }

    /// Removes exactly that route.
    ///
    /// # Errors
    /// [`crate::Error::is_absent`] when it is not there.
    pub fn delete_whole_route(&mut self, route: &WholeRoute) -> Result<()> {
        let request = RouteNetlinkMessage::DelRoute(route.request());
        let what = format!("remove {}", describe(&route.route));
        self.socket.request(&what, request, 0)
    }
}

/// Local routes, too, which are no way anywhere for others.
fn read_any(reply: Reply<'_>) -> Option<Route> {
    let mut body = reply.body.to_vec();
    let kind = body.get_mut(KIND_AT)?;
    if *kind == RTN_LOCAL {
        *kind = RTN_UNICAST;
    }
    read(Reply {
        kind: reply.kind,
        body: &body,
    })
}

fn describe(route: &Route) -> String {
    let mut text = format!("the route to {}/{}", route.destination, route.prefix);
    if let Some(gateway) = route.gateway {
        text.push_str(&format!(" via {gateway}"));
    }
    if let Some(source) = route.source {
        text.push_str(&format!(" with source {source}"));
    }
    if route.table != u32::from(RT_TABLE_MAIN) {
        text.push_str(&format!(" in table {}", route.table));
    }
    text
}

fn address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(four) => RouteAddress::Inet(four),
        IpAddr::V6(six) => RouteAddress::Inet6(six),
    }
}

/// `RT_TABLE_LOCAL`.
const TABLE_LOCAL: u32 = 255;
const KIND_AT: usize = 7;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;
    use crate::{AddressSpec, RouteSpec, VethEnd};

    #[test]
    fn a_route_keeps_all_but_what_is_changed() {
        let Some((_ns, mut kernel)) = machine("a_route_keeps_all_but_what_is_changed") else {
            return;
        };
        kernel
            .add_veth(VethEnd::here("eth0"), VethEnd::here("far"))
            .unwrap();
        let index = kernel.link("eth0").unwrap().index;
        for (name, ip) in [
            ("far", None),
            ("eth0", Some("10.9.0.5")),
            ("eth0", Some("10.9.0.9")),
        ] {
            let index = kernel.link(name).unwrap().index;
            kernel.set_up(index, true).unwrap();
            if let Some(ip) = ip {
                let spec = AddressSpec::new(index, ip.parse().unwrap(), 24);
                kernel.add_address(&spec).unwrap();
            }
        }
        let gateway: IpAddr = "10.9.0.1".parse().unwrap();
        let default = RouteSpec {
            metric: 50,
            ..RouteSpec::default_via(gateway)
        };
        kernel.add_route(&default).unwrap();
        let find = |kernel: &mut Kernel| {
            let routes = kernel.whole_routes(gateway, 254).unwrap();
            let mut found = routes.into_iter().filter(|w| w.route.prefix == 0);
            (found.next().unwrap(), found.count())
        };
        let (before, _) = find(&mut kernel);
        let source: IpAddr = "10.9.0.9".parse().unwrap();
        kernel
            .put_route(&before.clone().with_source(Some(source)))
            .unwrap();
        let (after, more) = find(&mut kernel);
        assert_eq!((after.route.source, more), (Some(source), 0));
        assert_eq!(
            (after.route.metric, after.protocol()),
            (50, before.protocol())
        );
        kernel.put_route(&after.with_source(None)).unwrap();
        assert_eq!(find(&mut kernel).0, before);

        let blue = WholeRoute::connected("172.16.0.0".parse().unwrap(), 16, index, 77);
        kernel.add_whole_route(&blue).unwrap();
        assert!(kernel.add_whole_route(&blue).unwrap_err().is_exists());
        let there = kernel.whole_routes(gateway, 77).unwrap();
        assert_eq!((there.len(), &there[0].route), (1, &blue.route));
        kernel.delete_whole_route(&blue).unwrap();
        assert_eq!(kernel.whole_routes(gateway, 77).unwrap(), []);
    }
}
