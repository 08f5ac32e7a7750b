//! The agents' parameters, read and checked as the agents do.

mod values;

use crate::executor::OpRequest;
use netlink::{AddressSpec, Broadcast, Lifetime, Place, Wanted};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use values::{
    base, broadcast, check_sender, count, is_true, label, netmask, preferred, prefix, reply_form,
    unusable,
};
pub(super) use values::{prefix as dotted_or_bits, text};

/// OCF exit codes the two agents use (OCF resource agent API 1.1, "exit status").
pub(super) mod rc {
    pub(in crate::vip) const OK: i32 = 0;
    pub(in crate::vip) const GENERIC: i32 = 1;
    pub(in crate::vip) const ARGS: i32 = 2;
    pub(in crate::vip) const UNIMPLEMENTED: i32 = 3;
    pub(in crate::vip) const PERM: i32 = 4;
    pub(in crate::vip) const INSTALLED: i32 = 5;
    pub(in crate::vip) const CONFIGURED: i32 = 6;
    pub(in crate::vip) const NOT_RUNNING: i32 = 7;
}

/// An operation that did not end well: exit code and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) rc: i32,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(rc: i32, reason: impl Into<String>) -> Self {
        Self {
            rc,
            reason: reason.into(),
        }
    }

    fn configured(reason: impl Into<String>) -> Self {
        Self::new(rc::CONFIGURED, reason)
    }
}

/// The address agents served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    IPaddr2,
    IPaddr,
    IPv6addr,
}

impl Agent {
    pub(super) fn of(request: &OpRequest) -> Option<Self> {
        let heartbeat = request.provider.as_deref() == Some("heartbeat");
        if request.class != "ocf" || !heartbeat {
            return None;
        }
        match request.kind.as_str() {
            "IPaddr2" => Some(Self::IPaddr2),
            "IPaddr" => Some(Self::IPaddr),
            "IPv6addr" => Some(Self::IPv6addr),
            _ => None,
        }
    }
}

/// Why this request needs the real agent, if it does.
pub(super) fn unserved(agent: Agent, request: &OpRequest) -> Option<String> {
    let params = &request.params;
    match agent {
        Agent::IPaddr2 => {
            if clones(request) > 1 && !is_true(params.get("unique_clone_address")) {
                return Some(
                    "clone instances share the address (clusterip_hash, mac): that is iptables' \
                     CLUSTERIP, which the agent sets up"
                        .into(),
                );
            }
            let options = text(params, "send_arp_opts")?;
            reply_form(options)
                .is_none()
                .then(|| format!("parameter send_arp_opts={options} is for the agent's program"))
        }
        Agent::IPaddr => {
            let mut scripts = ["local_start_script", "local_stop_script"].into_iter();
            let script = scripts.find(|name| text(params, name).is_some())?;
            Some(format!(
                "parameter {script} names a program, which the agent runs"
            ))
        }
        Agent::IPv6addr => None,
    }
}

/// The network namespace the address belongs to, where it is not the daemon's.
pub(super) fn namespace(request: &OpRequest) -> Option<&str> {
    let two = Agent::of(request) == Some(Agent::IPaddr2);
    two.then(|| text(&request.params, "network_namespace"))
        .flatten()
}

/// The request with the address that this clone instance has: the instance's number is added to
/// the last part (`unique_clone_address`).
pub(super) fn resolved(request: &OpRequest) -> Cow<'_, OpRequest> {
    let number: u32 = meta(request, "clone").parse().unwrap_or(0);
    if Agent::of(request) != Some(Agent::IPaddr2)
        || !is_true(request.params.get("unique_clone_address"))
    {
        return Cow::Borrowed(request);
    }
    let Some((head, last)) = request.params.get("ip").and_then(|ip| ip.rsplit_once('.')) else {
        return Cow::Borrowed(request);
    };
    let Ok(last) = last.trim().parse::<u32>() else {
        return Cow::Borrowed(request);
    };
    let mut own = request.clone();
    let ip = format!("{head}.{}", last.saturating_add(number));
    own.params.insert("ip".to_owned(), ip);
    Cow::Owned(own)
}

/// Announcements in reply form are wanted (`send_arp_opts=-A`).
pub(super) fn replies(request: &OpRequest) -> bool {
    text(&request.params, "send_arp_opts").and_then(reply_form) == Some(true)
}

/// More is to be done than to add or remove one address in this namespace.
pub(super) fn is_special(request: &OpRequest) -> bool {
    let switches = [
        "lvs_support",
        "lvs_ipv6_addrlabel",
        "unique_clone_address",
        "flush_routes",
    ];
    let switched = switches
        .iter()
        .any(|name| is_true(request.params.get(*name)));
    switched || namespace(request).is_some()
}

/// One holder at a time is not what is wanted, or nothing here could enforce it.
pub(super) fn is_out_of_reach(request: &OpRequest) -> bool {
    let shared = ["lvs_support", "lvs_ipv6_addrlabel"].iter();
    namespace(request).is_some()
        || shared
            .into_iter()
            .any(|name| is_true(request.params.get(*name)))
}

/// What the agent refuses before it looks at the address (exit code 6).
pub(super) fn contradiction(agent: Agent, request: &OpRequest) -> Option<Refusal> {
    let params = &request.params;
    let on = |name: &str| is_true(params.get(name));
    if agent != Agent::IPaddr2 {
        return None;
    }
    let reason = if on("unique_clone_address") && !is_true(Some(&meta(request, "globally_unique")))
    {
        "parameter unique_clone_address needs meta globally-unique=true"
    } else if on("lvs_support") && clones(request) > 1 {
        "parameter lvs_support does not go with clone instances"
    } else {
        return None;
    };
    Some(Refusal::configured(reason))
}

fn clones(request: &OpRequest) -> u32 {
    meta(request, "clone_max").parse().unwrap_or(1)
}

/// A meta attribute, by the agents' spelling or the configuration's; empty when it is not set.
fn meta(request: &OpRequest, name: &str) -> String {
    let found = request.meta.get(name);
    let found = found.or_else(|| request.meta.get(&name.replace('_', "-")));
    found
        .map(|value| value.trim().to_owned())
        .unwrap_or_default()
}

/// Which address it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) ip: IpAddr,
    /// Bits.
    pub(super) prefix: Option<u8>,
    pub(super) nic: Option<String>,
}

/// All of a resource's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) agent: Agent,
    pub(super) target: Target,
    /// What comes after the interface's name in the address label.
    pub(super) label: Option<String>,
    pub(super) broadcast: Broadcast,
    /// Announcements on start.
    pub(super) announces: u32,
    /// Between two of them.
    pub(super) interval: Duration,
    /// Start returns after the first announcement.
    pub(super) background: bool,
    /// Announcements on every monitor.
    pub(super) refreshes: u32,
    /// Ask on the network whether somebody else has the address before taking it.
    pub(super) arping: bool,
    pub(super) nodad: bool,
    pub(super) noprefixroute: bool,
    pub(super) preferred: Lifetime,
    /// The loopback's copy of the address makes room for it and comes back after it.
    pub(super) lvs: bool,
    /// Label of the address in the table that chooses source addresses (RFC 6724).
    pub(super) address_label: Option<u32>,
    pub(super) flush_routes: bool,
}

impl Target {
    /// What of the address can be made out; a stop must not fail over the rest.
    pub(super) fn lenient(params: &BTreeMap<String, String>) -> Option<Self> {
        let (given, bits) = match (text(params, "ip"), text(params, "ipv6addr")) {
            (None, Some(six)) => six
                .split_once('/')
                .map_or((six, None), |(a, b)| (a, Some(b))),
            (ip, _) => (ip?, None),
        };
        let ip = given.parse().ok()?;
        let mask = netmask(params).or(bits);
        let prefix = mask.and_then(|mask| prefix(ip, mask).ok());
        let nic = text(params, "nic").map(|nic| base(nic).to_owned());
        Some(Self { ip, prefix, nic })
    }

    fn read(agent: Agent, params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        if agent == Agent::IPv6addr {
            return Self::of_ipv6addr(params);
        }
        let Some(given) = text(params, "ip") else {
            return Err(Refusal::configured(
                "parameter ip is missing: set it to the floating address, as in ip=192.0.2.10",
            ));
        };
        let ip: IpAddr = given.parse().map_err(|_| {
            let mut reason = format!("parameter ip={given} is not an IP address");
            if let Some((address, mask)) = given.split_once('/') {
                reason.push_str(&format!(": write ip={address} cidr_netmask={mask}"));
            }
            Refusal::configured(reason)
        })?;
        if agent == Agent::IPaddr && ip.is_ipv6() {
            return Err(Refusal::configured(format!(
                "parameter ip={ip}: ocf:heartbeat:IPaddr serves IPv4 only, use \
                 ocf:heartbeat:IPaddr2"
            )));
        }
        if unusable(ip) {
            return Err(Refusal::configured(format!(
                "parameter ip={ip} cannot be an interface's address"
            )));
        }
        let prefix = netmask(params).map(|mask| prefix(ip, mask)).transpose()?;
        let nic = text(params, "nic").map(|nic| base(nic).to_owned());
        let link_local = matches!(ip, IpAddr::V6(six) if six.is_unicast_link_local());
        if link_local && nic.is_none() {
            return Err(Refusal::configured(format!(
                "parameter ip={ip} is link-local, every interface has that network: name one with \
                 nic"
            )));
        }
        Ok(Self { ip, prefix, nic })
    }

    /// IPv6addr takes the prefix length behind the address, too; `cidr_netmask` wins.
    fn of_ipv6addr(params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        let Some(given) = text(params, "ipv6addr") else {
            return Err(Refusal::configured(
                "parameter ipv6addr is missing: set it to the floating address, as in \
                 ipv6addr=2001:db8::10",
            ));
        };
        let (address, bits) = match given.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (given, None),
        };
        let wrong = |what: &str| {
            Refusal::new(
                rc::ARGS,
                format!("parameter ipv6addr={given} is not {what}"),
            )
        };
        let six: Ipv6Addr = address
            .parse()
            .map_err(|_| wrong("an IPv6 address, with or without prefix length"))?;
        if unusable(six.into()) {
            return Err(wrong("an address an interface can have"));
        }
        let mask = text(params, "cidr_netmask").or(bits);
        let prefix = mask.map(|mask| prefix(six.into(), mask)).transpose();
        Ok(Self {
            ip: six.into(),
            prefix: prefix.map_err(|refusal| Refusal {
                rc: rc::ARGS,
                ..refusal
            })?,
            nic: text(params, "nic").map(str::to_owned),
        })
    }

    pub(super) fn wanted(&self, broadcast: Broadcast) -> Wanted<'_> {
        Wanted {
            ip: self.ip,
            prefix: self.prefix,
            nic: self.nic.as_deref(),
            broadcast,
        }
    }
}

impl Settings {
    /// The address as it is to be added.
    pub(super) fn spec(&self, place: &Place, label: Option<String>) -> AddressSpec {
        AddressSpec {
            broadcast: place.broadcast,
            label,
            nodad: self.target.ip.is_ipv6() && self.nodad,
            noprefixroute: self.noprefixroute,
            preferred: self.preferred,
            ..AddressSpec::new(place.link.index, self.target.ip, place.prefix)
        }
    }

    pub(super) fn read(agent: Agent, params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        let target = Target::read(agent, params)?;
        let common = Self {
            agent,
            label: label(params),
            broadcast: broadcast(agent, target.ip, params)?,
            announces: 0,
            interval: Duration::ZERO,
            background: true,
            refreshes: 0,
            arping: false,
            nodad: true,
            noprefixroute: false,
            preferred: Lifetime::Forever,
            lvs: agent != Agent::IPv6addr && is_true(params.get("lvs_support")),
            address_label: None,
            flush_routes: false,
            target,
        };
        match agent {
            Agent::IPaddr2 => common.for_ipaddr2(params),
            Agent::IPaddr => common.for_ipaddr(params),
            Agent::IPv6addr => Ok(Self {
                announces: 5,
                interval: Duration::from_millis(200),
                ..common
            }),
        }
    }

    fn for_ipaddr2(self, params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        check_sender(params)?;
        let six = self.target.ip.is_ipv6();
        if self.lvs && six {
            return Err(Refusal::configured(
                "parameter lvs_support is for IPv4: use lvs_ipv6_addrlabel",
            ));
        }
        let labelled = is_true(params.get("lvs_ipv6_addrlabel"));
        if labelled && !six {
            return Err(Refusal::configured(
                "parameter lvs_ipv6_addrlabel is for IPv6: use lvs_support",
            ));
        }
        let label = || count(params, "lvs_ipv6_addrlabel_value", 99, 0, rc::CONFIGURED);
        let interval_ms = count(params, "arp_interval", 200, 1, rc::CONFIGURED)?;
        Ok(Self {
            announces: count(params, "arp_count", 5, 1, rc::CONFIGURED)?,
            interval: Duration::from_millis(interval_ms.into()),
            background: params
                .get("arp_bg")
                .is_none_or(|v| v.is_empty() || is_true(Some(v))),
            refreshes: count(params, "arp_count_refresh", 0, 0, rc::CONFIGURED)?,
            arping: self.target.ip.is_ipv4() && is_true(params.get("run_arping")),
            // The cluster sees to it that there is one holder; waiting for the kernel to ask
            // around would cost one to two seconds of outage.
            nodad: params
                .get("nodad")
                .is_none_or(|v| v.is_empty() || is_true(Some(v))),
            noprefixroute: is_true(params.get("noprefixroute")),
            preferred: preferred(self.target.ip, params)?,
            address_label: labelled.then(label).transpose()?,
            flush_routes: is_true(params.get("flush_routes")),
            ..self
        })
    }

    fn for_ipaddr(self, params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        let interval_ms = count(params, "ARP_INTERVAL_MS", 500, 1, rc::ARGS)?;
        Ok(Self {
            announces: count(params, "ARP_REPEAT", 10, 1, rc::ARGS)?,
            interval: Duration::from_millis(interval_ms.into()),
            background: params
                .get("ARP_BACKGROUND")
                .is_none_or(|v| v.is_empty() || is_true(Some(v))),
            ..self
        })
    }

    /// The address label on that interface.
    pub(super) fn label_on(&self, nic: &str) -> Result<Option<String>, Refusal> {
        let Some(suffix) = &self.label else {
            return Ok(None);
        };
        let label = format!("{nic}:{suffix}");
        if label.len() > LABEL_BYTES_MAX {
            return Err(Refusal::configured(format!(
                "the address label {label} has {} characters, the kernel takes \
                 {LABEL_BYTES_MAX}: shorten iflabel",
                label.len()
            )));
        }
        Ok(Some(label))
    }
}

/// `IFNAMSIZ` less the closing zero.
const LABEL_BYTES_MAX: usize = 15;
/// Largest count or interval (milliseconds) taken for meant.
const COUNT_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests;
