//! Routes: reading them, adding and removing one.

use crate::address::check_prefix;
use crate::attribute::{Attributes, u32_at};
use crate::socket::Reply;
use crate::{Kernel, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A unicast route as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Network; the family's zero address with prefix 0 is the default route.
    pub destination: IpAddr,
    /// Prefix length of the network, bits.
    pub prefix: u8,
    /// Next router; none = directly connected.
    pub gateway: Option<IpAddr>,
    /// Index of the interface, where the route names one.
    pub index: Option<u32>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Priority: the smaller wins.
    pub metric: u32,
    /// Table: 254 main, 255 local.
    pub table: u32,
    /// `rt_scope`: 0 global, 253 link.
    pub scope: u8,
}

/// A route to be added to or removed from the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// Network; the family's zero address with prefix 0 is the default route.
    pub destination: IpAddr,
    /// Prefix length of the network, bits.
    pub prefix: u8,
    /// Next router; none = directly connected.
    pub gateway: Option<IpAddr>,
    /// Index of the interface; may be left out when the gateway tells it.
    pub index: Option<u32>,
    /// Priority; 0 = the kernel's default.
    pub metric: u32,
}

impl RouteSpec {
    /// The default route through a router.
    pub fn default_via(gateway: IpAddr) -> Self {
        let destination = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self {
            destination,
            prefix: 0,
            gateway: Some(gateway),
            index: None,
            metric: 0,
        }
    }

    fn message(&self) -> Result<RouteMessage> {
        check_prefix(self.destination, self.prefix)?;
        let mut message = RouteMessage::default();
        message.header.address_family = family(self.destination);
        message.header.destination_prefix_length = self.prefix;
        message.header.table = RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        message.header.scope = match self.gateway {
            None if self.destination.is_ipv4() => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        let attributes = &mut message.attributes;
        if self.prefix > 0 {
            attributes.push(RouteAttribute::Destination(address(self.destination)));
        }
        attributes.extend(self.gateway.map(|ip| RouteAttribute::Gateway(address(ip))));
        attributes.extend(self.index.map(RouteAttribute::Oif));
        if self.metric > 0 {
            attributes.push(RouteAttribute::Priority(self.metric));
        }
        Ok(message)
    }
}

impl Kernel {
    /// The unicast routes of all tables, IPv4 then IPv6, in the kernel's order.
    ///
    /// # Errors
    /// When the kernel refuses the dump.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut routes = self.dump_routes(AddressFamily::Inet, 0, read)?;
        routes.extend(self.dump_routes(AddressFamily::Inet6, 0, read)?);
        Ok(routes)
    }

    /// The directly connected networks of the main table in the family of `ip`, in the kernel's
    /// order; of a router's hundred thousand routes only these are kept.
    ///
    /// # Errors
    /// When the kernel refuses the dump.
    pub fn connected_routes(&mut self, ip: IpAddr) -> Result<Vec<Route>> {
        // Kernels without strict checking answer with all tables.
        let main = |route: &Route| route.table == u32::from(RT_TABLE_MAIN);
        let connected = |route: &Route| main(route) && route.gateway.is_none() && route.prefix > 0;
        let keep = |reply: Reply<'_>| read(reply).filter(connected);
        match self.dump_routes(family(ip), RT_TABLE_MAIN, keep) {
            // A table without any route may not exist.
            Err(error) if error.is_absent() => Ok(Vec::new()),
            answer => answer,
        }
    }

    fn dump_routes(
        &mut self,
        family: AddressFamily,
        table: u8,
        keep: impl Fn(Reply<'_>) -> Option<Route>,
    ) -> Result<Vec<Route>> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = table;
        self.socket.dump(
            "list the routes",
            RouteNetlinkMessage::GetRoute(message),
            keep,
        )
    }

    /// Adds a route to the main table.
    ///
    /// # Errors
    /// [`crate::Error::is_exists`] when there is one; "network is unreachable" when the gateway
    /// is not in a connected network.
    pub fn add_route(&mut self, spec: &RouteSpec) -> Result<()> {
        let request = RouteNetlinkMessage::NewRoute(spec.message()?);
        let what = format!("add {}", describe(spec));
        self.socket
            .request(&what, request, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Removes a route from the main table.
    ///
    /// # Errors
    /// [`crate::Error::is_absent`] when it is not there.
    pub fn delete_route(&mut self, spec: &RouteSpec) -> Result<()> {
        let request = RouteNetlinkMessage::DelRoute(spec.message()?);
        self.socket
            .request(&format!("remove {}", describe(spec)), request, 0)
    }
}

fn describe(spec: &RouteSpec) -> String {
    let mut text = format!("the route to {}/{}", spec.destination, spec.prefix);
    if let Some(gateway) = spec.gateway {
        text.push_str(&format!(" via {gateway}"));
    }
    if let Some(index) = spec.index {
        text.push_str(&format!(" on link #{index}"));
    }
    text
}

pub(crate) fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(four) => RouteAddress::Inet(four),
        IpAddr::V6(six) => RouteAddress::Inet6(six),
    }
}

pub(crate) fn read(reply: Reply<'_>) -> Option<Route> {
    if reply.kind != RTM_NEWROUTE {
        return None;
    }
    let header = reply.body.first_chunk::<ROUTE_HEADER_BYTES>()?;
    let [
        family,
        prefix,
        _source_prefix,
        _tos,
        table,
        _protocol,
        scope,
        kind,
        ..,
    ] = *header;
    // Clones are the cache of IPv6 path information, not configuration.
    if kind != RTN_UNICAST || u32_at(header, 8)? & RTM_F_CLONED != 0 {
        return None;
    }
    let attributes = Attributes::after(reply.body, ROUTE_HEADER_BYTES);
    let zero = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    Some(Route {
        destination: attributes.ip(RTA_DST).unwrap_or(zero),
        prefix,
        gateway: attributes.ip(RTA_GATEWAY),
        index: attributes.u32(RTA_OIF),
        source: attributes.ip(RTA_PREFSRC),
        metric: attributes.u32(RTA_PRIORITY).unwrap_or(0),
        table: attributes
            .u32(RTA_TABLE)
            .unwrap_or_else(|| u32::from(table)),
        scope,
    })
}

const ROUTE_HEADER_BYTES: usize = 12;
pub(crate) const RTM_NEWROUTE: u16 = 24;
const RTM_F_CLONED: u32 = 0x200;
const RTN_UNICAST: u8 = 1;
pub(crate) const RT_TABLE_MAIN: u8 = 254;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;
    use crate::{AddressSpec, VethEnd};

    #[test]
    fn routes_are_added_read_and_removed() {
        let Some((_ns, mut kernel)) = machine("routes_are_added_read_and_removed") else {
            return;
        };
        kernel
            .add_veth(VethEnd::here("eth0"), VethEnd::here("far"))
            .unwrap();
        let eth0 = kernel.link("eth0").unwrap().index;
        let far = kernel.link("far").unwrap().index;
        kernel.set_up(eth0, true).unwrap();
        kernel.set_up(far, true).unwrap();
        let four: IpAddr = "10.9.0.5".parse().unwrap();
        kernel
            .add_address(&AddressSpec::new(eth0, four, 24))
            .unwrap();

        let connected = kernel.routes().unwrap();
        let connected = connected
            .iter()
            .find(|route| route.source == Some(four))
            .unwrap();
        assert_eq!((connected.prefix, connected.index), (24, Some(eth0)));
        assert_eq!((connected.table, connected.scope), (254, 253));
        assert_eq!(connected.gateway, None);

        let default = RouteSpec::default_via("10.9.0.1".parse().unwrap());
        kernel.add_route(&default).unwrap();
        assert!(kernel.add_route(&default).unwrap_err().is_exists());
        let read = kernel.routes().unwrap();
        let read = read.iter().find(|route| route.gateway.is_some()).unwrap();
        assert_eq!((read.destination, read.prefix), (default.destination, 0));
        kernel.delete_route(&default).unwrap();
        assert!(kernel.delete_route(&default).unwrap_err().is_absent());

        let nowhere = RouteSpec::default_via("192.0.2.1".parse().unwrap());
        let error = kernel.add_route(&nowhere).unwrap_err().to_string();
        assert!(error.contains("via 192.0.2.1"), "{error}");
    }
}
