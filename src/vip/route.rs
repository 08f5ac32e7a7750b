//! `ocf:heartbeat:Route`: a route that comes and goes with its resource.

use super::params::{Refusal, rc, text};
use super::source::{TABLE_MAIN, table_number, unnamed};
use super::{NativeVip, Outcome, refused};
use crate::executor::OpRequest;
use netlink::{Kernel, WholeRoute};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why the real agent must do it.
pub(super) fn unserved(request: &OpRequest) -> Option<String> {
    unnamed(&request.params, "table", table_number)
}

/// What the configuration says; what it leaves out, any route may have.
struct Way<'a> {
    destination: IpAddr,
    prefix: u8,
    device: Option<&'a str>,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
    table: u32,
}

impl NativeVip {
    pub(super) fn run_route(&self, request: &OpRequest) -> Outcome {
        let probe = request.operation == "monitor" && request.interval_ms == 0;
        let mut kernel = self.kernel();
        match request.operation.as_str() {
            "start" | "reload" => {
                let way = validate(request, &mut kernel, false)?;
                match find(&way, &mut kernel)? {
                    Some(_) => Ok(()),
                    None => add(&way, &mut kernel),
                }
            }
            "stop" => match Way::read(request) {
                Ok(way) => remove(&way, &mut kernel),
                // What cannot be is not there.
                Err(_) => Ok(()),
            },
            "monitor" | "status" => {
                let way = Way::read(request)?;
                match find(&way, &mut kernel)? {
                    Some(_) => Ok(()),
                    None => Err(Refusal::new(rc::NOT_RUNNING, way.missing())),
                }
            }
            "validate-all" => validate(request, &mut kernel, probe).map(drop),
            other => Err(Refusal::new(
                rc::UNIMPLEMENTED,
                format!("a route has no operation {other}"),
            )),
        }
    }
}

impl<'a> Way<'a> {
    fn read(request: &'a OpRequest) -> Result<Self, Refusal> {
        let params = &request.params;
        let wrong = |reason: String| Refusal::new(rc::CONFIGURED, reason);
        let given = text(params, "destination").ok_or_else(|| {
            wrong("parameter destination is missing: a network, a host, or default".into())
        })?;
        let number = |name: &str| {
            let Some(given) = text(params, name) else {
                return Ok(None);
            };
            let ip = given.parse();
            ip.map(Some)
                .map_err(|_| wrong(format!("parameter {name}={given} is not an IP address")))
        };
        let (gateway, source) = (number("gateway")?, number("source")?);
        let six = text(params, "family") == Some("ip6")
            || gateway.or(source).is_some_and(|ip: IpAddr| ip.is_ipv6());
        let (destination, prefix) = network(given, six).ok_or_else(|| {
            wrong(format!(
                "parameter destination={given} is not a network, a host, or default"
            ))
        })?;
        let device = text(params, "device");
        if device.is_none() && gateway.is_none() {
            return Err(wrong(
                "one of the parameters device and gateway is needed".into(),
            ));
        }
        Ok(Self {
            destination,
            prefix,
            device,
            gateway,
            source,
            table: text(params, "table")
                .and_then(table_number)
                .unwrap_or(TABLE_MAIN),
        })
    }

    fn missing(&self) -> String {
        format!("no such route to {}/{}", self.destination, self.prefix)
    }
}

/// What the agent checks before a start; each node may have what another lacks.
fn validate<'a>(
    request: &'a OpRequest,
    kernel: &mut Kernel,
    probe: bool,
) -> Result<Way<'a>, Refusal> {
    let node_max = request.meta.get("clone_node_max").map(|max| max.trim());
    if request.meta.contains_key("clone") && node_max.is_some_and(|max| max != "1") {
        let reason = "a cloned route needs meta clone-node-max=1";
        return Err(Refusal::new(rc::CONFIGURED, reason));
    }
    let way = Way::read(request)?;
    let here = |reason: String| Refusal::new(rc::INSTALLED, reason);
    if let Some(device) = way.device {
        kernel
            .link(device)
            .map_err(|error| here(error.to_string()))?;
    }
    if probe {
        return Ok(way);
    }
    if let Some(source) = way.source {
        let addresses = kernel.addresses().map_err(refused)?;
        if !addresses.iter().any(|a| a.ip == source) {
            return Err(here(format!(
                "source {source} is not an address of this node"
            )));
        }
    }
    Ok(way)
}

fn find(way: &Way<'_>, kernel: &mut Kernel) -> Result<Option<WholeRoute>, Refusal> {
    let device = match way.device.map(|name| kernel.link(name)) {
        None => None,
        Some(Ok(link)) => Some(link.index),
        Some(Err(error)) if error.is_absent() => return Ok(None),
        Some(Err(error)) => return Err(refused(error)),
    };
    let routes = kernel.whole_routes(way.destination, way.table);
    let fits = |w: &WholeRoute| {
        let route = &w.route;
        (route.destination, route.prefix) == (way.destination, way.prefix)
            && device.is_none_or(|index| route.index == Some(index))
            && way.gateway.is_none_or(|ip| route.gateway == Some(ip))
            && way.source.is_none_or(|ip| route.source == Some(ip))
    };
    Ok(routes.map_err(refused)?.into_iter().find(fits))
}

fn add(way: &Way<'_>, kernel: &mut Kernel) -> Outcome {
    let index = match way.device {
        Some(device) => kernel.link(device).map_err(refused)?.index,
        None => 0,
    };
    let route = WholeRoute::connected(way.destination, way.prefix, index, way.table);
    let route = match way.gateway {
        Some(gateway) => route.via(gateway),
        None => route,
    };
    let added = kernel.add_whole_route(&route.with_source(way.source));
    added.map_err(|error| {
        // The agent asks for the way to the gateway before, and calls it not installed.
        let unreachable = error.errno() == Some(nix::errno::Errno::ENETUNREACH);
        let code = if unreachable {
            rc::INSTALLED
        } else {
            refused_code(&error)
        };
        Refusal::new(code, error.to_string())
    })
}

fn refused_code(error: &netlink::Error) -> i32 {
    if error.is_denied() {
        rc::PERM
    } else {
        rc::GENERIC
    }
}

fn remove(way: &Way<'_>, kernel: &mut Kernel) -> Outcome {
    let Some(route) = find(way, kernel)? else {
        return Ok(());
    };
    match kernel.delete_whole_route(&route) {
        Err(error) if !error.is_absent() => Err(refused(error)),
        _ => Ok(()),
    }
}

/// `10.0.0.0/8`, `10.0.0.1`, `default`; host bits are no part of a network.
fn network(text: &str, six: bool) -> Option<(IpAddr, u8)> {
    if text == "default" {
        let zero: IpAddr = if six {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        return Some((zero, 0));
    }
    let (base, prefix) = text
        .split_once('/')
        .map_or((text, None), |(b, p)| (b, Some(p)));
    let base: IpAddr = base.parse().ok()?;
    let bits = if base.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits)?,
        None => bits,
    };
    Some((base, prefix))
}
