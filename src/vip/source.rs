//! `ocf:heartbeat:IPsrcaddr`: an address of this node becomes the source of what it sends.
//!
//! Two routes carry it: the one the packets take (`destination`) and, for the default route, the
//! interface's own network, because the kernel looks at both.

use super::params::{Refusal, dotted_or_bits, rc, text};
use super::{NativeVip, Outcome, refused};
use crate::executor::OpRequest;
use netlink::{Broadcast, Kernel, Link, Wanted, WholeRoute};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// What the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    ip: Ipv4Addr,
    prefix: Option<u8>,
    /// Network and prefix length; /0: the default route.
    destination: (Ipv4Addr, u8),
    protocol: Option<u8>,
    metric: Option<u32>,
    table: u32,
}

/// What the routes say.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Ours,
    None,
    /// Another source address, on the default route.
    Other(IpAddr),
}

/// Why the real agent must do it.
pub(super) fn unserved(request: &OpRequest) -> Option<String> {
    let six = text(&request.params, "ipaddress").is_some_and(|ip| ip.contains(':'));
    if six {
        return Some("parameter ipaddress is an IPv6 address".to_owned());
    }
    unnamed(&request.params, "table", table_number)
        .or_else(|| unnamed(&request.params, "proto", protocol_number))
}

/// A name that only the system's tables under /etc/iproute2 explain.
pub(super) fn unnamed<T>(
    params: &BTreeMap<String, String>,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<String> {
    let given = text(params, name)?;
    let why = format!("parameter {name}={given} is a name of this system's own");
    read(given).is_none().then_some(why)
}

impl NativeVip {
    pub(super) fn run_source(&self, request: &OpRequest) -> Outcome {
        let operation = request.operation.as_str();
        let probe = operation == "monitor" && request.interval_ms == 0;
        let source = match Source::read(&request.params).and_then(|source| {
            let served = probe || operation == "validate-all" || self.serves(source.ip)?;
            served.then_some(source.clone()).ok_or_else(|| {
                let reason = format!(
                    "{} is not an address of this node: start it first (order constraint)",
                    source.ip
                );
                Refusal::new(rc::INSTALLED, reason)
            })
        }) {
            Ok(source) => source,
            // What cannot be is not there.
            Err(_) if operation == "stop" => return Ok(()),
            Err(refusal) => return Err(refusal),
        };
        let mut kernel = self.kernel();
        let place = kernel.find_place(&source.wanted()).map_err(refused)?;
        let at = Position {
            source: &source,
            link: &place.link,
            kernel: &mut kernel,
        };
        match operation {
            "start" => at.start(),
            "stop" => at.stop(),
            "monitor" | "status" => at.monitor(probe),
            "validate-all" => Ok(()),
            other => Err(Refusal::new(
                rc::UNIMPLEMENTED,
                format!("a source address has no operation {other}"),
            )),
        }
    }

    fn serves(&self, ip: Ipv4Addr) -> Result<bool, Refusal> {
        let mut kernel = self.kernel();
        let links = kernel.links().map_err(refused)?;
        let addresses = kernel.addresses().map_err(refused)?;
        let mut here = addresses.iter().filter(|a| a.ip == IpAddr::V4(ip));
        let loopback = |index: u32| links.iter().any(|l| l.index == index && l.loopback);
        if here.clone().any(|a| loopback(a.index)) {
            let reason = format!("{ip} is on the loopback and cannot be a source address");
            return Err(Refusal::new(rc::CONFIGURED, reason));
        }
        Ok(here.next().is_some())
    }
}

/// One resource on one interface.
struct Position<'a> {
    source: &'a Source,
    link: &'a Link,
    kernel: &'a mut Kernel,
}

impl Position<'_> {
    fn start(mut self) -> Outcome {
        let (state, route) = self.look(true)?;
        if state == State::Ours {
            return Ok(());
        }
        let network = self.network()?.ok_or_else(|| {
            let reason = format!(
                "no route to the network of {} leads out of {}",
                self.source.ip, self.link.name
            );
            Refusal::new(rc::ARGS, reason)
        })?;
        let ours = Some(IpAddr::V4(self.source.ip));
        self.put(network.with_source(ours))?;
        match route {
            Some(route) => self.put(route.with_source(ours)),
            None => Ok(()),
        }
    }

    fn stop(mut self) -> Outcome {
        let (state, route) = self.look(false)?;
        match state {
            State::None => return Ok(()),
            State::Other(other) => {
                let reason = format!(
                    "the default route has the source address {other}, not {}: it is left alone",
                    self.source.ip
                );
                return Err(Refusal::new(rc::GENERIC, reason));
            }
            State::Ours => {}
        }
        let own = self.primary()?;
        if let Some(network) = self.network()? {
            self.put(network.with_source(own).with_protocol(PROTOCOL_KERNEL))?;
        }
        match route {
            Some(route) => self.put(route.with_source(own)),
            None => Ok(()),
        }
    }

    fn monitor(mut self, probe: bool) -> Outcome {
        let (state, _) = self.look(!probe)?;
        let source = self.source;
        match state {
            State::Ours => Ok(()),
            // The agent counts a default route with another source as one without.
            State::None | State::Other(_) => Err(Refusal::new(
                rc::NOT_RUNNING,
                format!(
                    "no route to {}/{} out of {} has the source address {}",
                    source.destination.0, source.destination.1, self.link.name, source.ip
                ),
            )),
        }
    }

    /// What stands, and the default route where that is the one.
    fn look(&mut self, must_be: bool) -> Result<(State, Option<WholeRoute>), Refusal> {
        let ours = IpAddr::V4(self.source.ip);
        let (destination, prefix) = self.source.destination;
        let mut routes = self.routes()?;
        routes.retain(|w| (w.route.destination, w.route.prefix) == (destination.into(), prefix));
        if prefix > 0 {
            let there = routes.iter().any(|w| w.route.source == Some(ours));
            let state = if there { State::Ours } else { State::None };
            return Ok((state, None));
        }
        let trouble = |text: &str| {
            let name = &self.link.name;
            Refusal::new(
                rc::GENERIC,
                format!("{text} default route leads out of {name}"),
            )
        };
        if routes.len() > 1 {
            return Err(trouble("more than one"));
        }
        let route = routes.pop();
        let state = match route.as_ref().map(|w| w.route.source) {
            None if must_be => return Err(trouble("no")),
            None | Some(None) => State::None,
            Some(Some(source)) if source == ours => State::Ours,
            Some(Some(other)) => State::Other(other),
        };
        Ok((state, route))
    }

    /// The interface's route to the network: the one the address lies in, or the one that was
    /// asked for.
    fn network(&mut self) -> Result<Option<WholeRoute>, Refusal> {
        let ip = self.source.ip;
        let main = self
            .kernel
            .whole_routes(ip.into(), TABLE_MAIN)
            .map_err(refused)?;
        let fits = |w: &&WholeRoute| {
            let route = &w.route;
            route.index == Some(self.link.index)
                && route.gateway.is_none()
                && route.scope == SCOPE_LINK
                && self.source.protocol.is_none_or(|p| p == w.protocol())
                && matches!(route.destination, IpAddr::V4(base) if contains(base, route.prefix, ip))
        };
        let found = main.iter().find(fits);
        let (destination, prefix) = match (self.source.destination, found) {
            ((_, 0), Some(found)) => (found.route.destination, found.route.prefix),
            ((_, 0), None) => return Ok(None),
            ((destination, prefix), _) => (destination.into(), prefix),
        };
        let in_main = self.source.table == TABLE_MAIN;
        let metric = found.map(|w| w.route.metric).filter(|_| in_main);
        let protocol = self.source.protocol.or(found.map(WholeRoute::protocol));
        let route = WholeRoute::connected(destination, prefix, self.link.index, self.source.table)
            .with_metric(self.source.metric.or(metric).unwrap_or(0));
        Ok(Some(match protocol {
            Some(protocol) => route.with_protocol(protocol),
            None => route,
        }))
    }

    fn routes(&mut self) -> Result<Vec<WholeRoute>, Refusal> {
        let ip = self.source.ip.into();
        let mut routes = self
            .kernel
            .whole_routes(ip, self.source.table)
            .map_err(refused)?;
        routes.retain(|w| w.route.index == Some(self.link.index));
        Ok(routes)
    }

    /// The interface's first own address.
    fn primary(&mut self) -> Result<Option<IpAddr>, Refusal> {
        let addresses = self.kernel.addresses().map_err(refused)?;
        let mut own = addresses.iter().filter(|a| a.index == self.link.index);
        Ok(own
            .find(|a| a.ip.is_ipv4() && !a.is_secondary())
            .map(|a| a.ip))
    }

    fn put(&mut self, route: WholeRoute) -> Outcome {
        self.kernel.put_route(&route).map_err(refused)
    }
}

impl Source {
    fn read(params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        let configured = |reason: String| Refusal::new(rc::CONFIGURED, reason);
        let given = text(params, "ipaddress").ok_or_else(|| {
            configured("parameter ipaddress is missing: set it to an address of the node".into())
        })?;
        let ip: Ipv4Addr = given
            .parse()
            .map_err(|_| configured(format!("parameter ipaddress={given} is no IPv4 address")))?;
        if ip.is_loopback() {
            let reason = format!("parameter ipaddress={ip} is a loopback address");
            return Err(configured(reason));
        }
        let destination = text(params, "destination").unwrap_or("0.0.0.0/0");
        let network = network_of(destination).ok_or_else(|| {
            configured(format!(
                "parameter destination={destination} is not a network with prefix length"
            ))
        })?;
        let prefix = match text(params, "cidr_netmask") {
            Some(mask) => Some(dotted_or_bits(ip.into(), mask)?),
            None => None,
        };
        Ok(Self {
            ip,
            prefix,
            destination: network,
            protocol: text(params, "proto").and_then(protocol_number),
            metric: text(params, "metric")
                .map(|metric| metric.parse())
                .transpose()
                .map_err(|_| configured("parameter metric is not a number".into()))?,
            table: text(params, "table")
                .and_then(table_number)
                .unwrap_or(TABLE_MAIN),
        })
    }

    fn wanted(&self) -> Wanted<'static> {
        Wanted {
            ip: self.ip.into(),
            prefix: self.prefix,
            nic: None,
            broadcast: Broadcast::Inherit,
        }
    }
}

/// `10.0.0.0/8`.
fn network_of(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (base, prefix) = text.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    Some((base.parse().ok()?, prefix))
}

fn contains(base: Ipv4Addr, prefix: u8, ip: Ipv4Addr) -> bool {
    let mask = u32::MAX
        .checked_shl(32u32.saturating_sub(prefix.into()))
        .unwrap_or(0);
    u32::from(base) & mask == u32::from(ip) & mask
}

/// The tables every system has, or a number.
pub(super) fn table_number(name: &str) -> Option<u32> {
    match name {
        "main" => Some(TABLE_MAIN),
        "local" => Some(255),
        "default" => Some(253),
        number => number.parse().ok().filter(|number| *number > 0),
    }
}

/// `rtm_protocol`, by the names of rtnetlink(7) or a number.
fn protocol_number(name: &str) -> Option<u8> {
    match name {
        "redirect" => Some(1),
        "kernel" => Some(PROTOCOL_KERNEL),
        "boot" => Some(3),
        "static" => Some(4),
        number => number.parse().ok(),
    }
}

pub(super) const TABLE_MAIN: u32 = 254;
const SCOPE_LINK: u8 = 253;
const PROTOCOL_KERNEL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn parameters_are_read_or_named() {
        let read = |pairs: &[(&str, &str)]| Source::read(&params(pairs));
        let plain = read(&[("ipaddress", "10.7.0.100")]).unwrap();
        assert_eq!((plain.destination.1, plain.table), (0, TABLE_MAIN));
        let full = read(&[
            ("ipaddress", "10.7.0.100"),
            ("destination", "10.0.0.0/8"),
            ("proto", "static"),
            ("metric", "7"),
            ("table", "local"),
        ]);
        let full = full.unwrap();
        assert_eq!(
            (full.protocol, full.metric, full.table),
            (Some(4), Some(7), 255)
        );
        for (pairs, expect) in [
            (&[][..], "ipaddress is missing"),
            (&[("ipaddress", "10.7.0.300")], "ipaddress=10.7.0.300"),
            (&[("ipaddress", "127.0.0.1")], "loopback"),
            (
                &[("ipaddress", "10.7.0.1"), ("destination", "10.0.0.0")],
                "destination=10.0.0.0",
            ),
            (&[("ipaddress", "10.7.0.1"), ("metric", "x")], "metric"),
        ] {
            let refusal = read(pairs).unwrap_err();
            assert_eq!(refusal.rc, rc::CONFIGURED);
            assert!(refusal.reason.contains(expect), "{}", refusal.reason);
        }
    }
}
