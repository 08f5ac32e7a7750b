//! The agents' parameters, read and checked as the agents do.

use crate::executor::OpRequest;
use netlink::{AddressSpec, Broadcast, Lifetime, Place, Wanted};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// OCF exit codes the two agents use (OCF resource agent API 1.1, "exit status").
pub(super) mod rc {
    pub(in crate::vip) const OK: i32 = 0;
    pub(in crate::vip) const GENERIC: i32 = 1;
    pub(in crate::vip) const ARGS: i32 = 2;
    pub(in crate::vip) const UNIMPLEMENTED: i32 = 3;
    pub(in crate::vip) const PERM: i32 = 4;
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

/// The agents served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    IPaddr2,
    IPaddr,
}

impl Agent {
    pub(super) fn of(request: &OpRequest) -> Option<Self> {
        let heartbeat = request.provider.as_deref() == Some("heartbeat");
        match request.kind.as_str() {
            "IPaddr2" if request.class == "ocf" && heartbeat => Some(Self::IPaddr2),
            "IPaddr" if request.class == "ocf" && heartbeat => Some(Self::IPaddr),
            _ => None,
        }
    }
}

/// Why this request needs the real agent, if it does.
pub(super) fn unserved(agent: Agent, request: &OpRequest) -> Option<String> {
    let params = &request.params;
    let (switches, texts): (&[&str], &[&str]) = match agent {
        Agent::IPaddr2 => (
            &[
                "lvs_support",
                "lvs_ipv6_addrlabel",
                "unique_clone_address",
                "flush_routes",
            ],
            &["mac", "network_namespace", "send_arp_opts"],
        ),
        Agent::IPaddr => (
            &["lvs_support"],
            &["local_start_script", "local_stop_script"],
        ),
    };
    let switched = switches.iter().find(|name| is_true(params.get(**name)));
    let written = || texts.iter().find(|name| text(params, name).is_some());
    if let Some(name) = switched.or_else(written) {
        return Some(format!("parameter {name} is not served natively"));
    }
    if agent == Agent::IPaddr2 && clones(request) > 1 {
        return Some("an address shared by several clone instances is not served natively".into());
    }
    let deep = text(params, "OCF_CHECK_LEVEL").is_some_and(|level| level != "0");
    if agent == Agent::IPaddr && deep && request.operation == "monitor" {
        return Some("a monitor with OCF_CHECK_LEVEL is not served natively".into());
    }
    None
}

fn clones(request: &OpRequest) -> u32 {
    let meta = request
        .meta
        .get("clone_max")
        .or_else(|| request.meta.get("clone-max"));
    meta.and_then(|value| value.trim().parse().ok())
        .unwrap_or(1)
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
}

impl Target {
    /// What of the address can be made out; a stop must not fail over the rest.
    pub(super) fn lenient(params: &BTreeMap<String, String>) -> Option<Self> {
        let ip = text(params, "ip")?.parse().ok()?;
        let prefix = netmask(params).and_then(|mask| prefix(ip, mask).ok());
        let nic = text(params, "nic").map(|nic| base(nic).to_owned());
        Some(Self { ip, prefix, nic })
    }

    fn read(agent: Agent, params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
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
            target,
        };
        match agent {
            Agent::IPaddr2 => common.for_ipaddr2(params),
            Agent::IPaddr => common.for_ipaddr(params),
        }
    }

    fn for_ipaddr2(self, params: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        check_sender(params)?;
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

/// A parameter that says something.
fn text<'a>(params: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    params
        .get(name)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

/// As the agents' shell library reads a boolean (`ocf_is_true`).
fn is_true(value: Option<&String>) -> bool {
    const WORDS: [&str; 5] = ["yes", "true", "1", "ja", "on"];
    value.is_some_and(|value| {
        WORDS
            .iter()
            .any(|word| value.trim().eq_ignore_ascii_case(word))
    })
}

/// `netmask` is the name old configurations use.
fn netmask(params: &BTreeMap<String, String>) -> Option<&str> {
    text(params, "cidr_netmask").or_else(|| text(params, "netmask"))
}

fn prefix(ip: IpAddr, mask: &str) -> Result<u8, Refusal> {
    let bits_max = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match mask.parse::<u8>() {
        Ok(bits) => Some(bits),
        Err(_) if ip.is_ipv4() => mask.parse().ok().and_then(dotted),
        Err(_) => None,
    };
    bits.filter(|bits| (1..=bits_max).contains(bits))
        .ok_or_else(|| {
            Refusal::configured(format!(
                "parameter cidr_netmask={mask} is not a prefix length from 1 to {bits_max}"
            ))
        })
}

/// 255.255.255.0 -> 24; nothing when ones and zeros are mixed.
fn dotted(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones() as u8)
}

/// `eth0` of `eth0:label`.
fn base(nic: &str) -> &str {
    nic.split_once(':').map_or(nic, |(nic, _)| nic)
}

/// A label in `nic` wins over `iflabel`, as in the agent.
fn label(params: &BTreeMap<String, String>) -> Option<String> {
    let in_nic = text(params, "nic")
        .and_then(|nic| nic.split_once(':'))
        .map(|(_, label)| label);
    let label = in_nic.or_else(|| text(params, "iflabel"))?;
    (!label.is_empty()).then(|| label.to_owned())
}

fn broadcast(
    agent: Agent,
    ip: IpAddr,
    params: &BTreeMap<String, String>,
) -> Result<Broadcast, Refusal> {
    match text(params, "broadcast") {
        _ if ip.is_ipv6() => Ok(Broadcast::Inherit),
        None if agent == Agent::IPaddr => Ok(Broadcast::Ones),
        None => Ok(Broadcast::Inherit),
        Some("+") => Ok(Broadcast::Ones),
        Some("-") => Ok(Broadcast::Zeros),
        Some(given) => given.parse().map(Broadcast::Exact).map_err(|_| {
            Refusal::configured(format!(
                "parameter broadcast={given} is not an IPv4 address, + or -"
            ))
        }),
    }
}

fn count(
    params: &BTreeMap<String, String>,
    name: &str,
    default: u32,
    least: u32,
    code: i32,
) -> Result<u32, Refusal> {
    let Some(given) = text(params, name) else {
        return Ok(default);
    };
    let number = given
        .parse()
        .ok()
        .filter(|number| (least..=COUNT_MAX).contains(number));
    number.ok_or_else(|| {
        let reason =
            format!("parameter {name}={given} is not a number from {least} to {COUNT_MAX}");
        Refusal::new(code, reason)
    })
}

fn check_sender(params: &BTreeMap<String, String>) -> Result<(), Refusal> {
    const SENDERS: [&str; 4] = ["send_arp", "ipoibarping", "iputils_arping", "libnet_arping"];
    match text(params, "arp_sender") {
        Some(given) if !SENDERS.contains(&given) => Err(Refusal::configured(format!(
            "parameter arp_sender={given} is none of {}",
            SENDERS.join(", ")
        ))),
        _ => Ok(()),
    }
}

fn preferred(ip: IpAddr, params: &BTreeMap<String, String>) -> Result<Lifetime, Refusal> {
    let Some(given) = params.get("preferred_lft").map(|value| value.trim()) else {
        return Ok(Lifetime::Forever);
    };
    let seconds = given.strip_suffix("sec").unwrap_or(given).parse().ok();
    match seconds {
        _ if given == "forever" => Ok(Lifetime::Forever),
        // The agent hands it over for IPv6 only.
        Some(seconds) if ip.is_ipv6() => Ok(Lifetime::Seconds(seconds)),
        Some(_) => Ok(Lifetime::Forever),
        None => Err(Refusal::configured(format!(
            "parameter preferred_lft={given} is neither a number of seconds nor forever"
        ))),
    }
}

fn unusable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(four) => four.is_unspecified() || four.is_multicast() || four.is_broadcast(),
        IpAddr::V6(six) => six == Ipv6Addr::UNSPECIFIED || six.is_multicast(),
    }
}

/// `IFNAMSIZ` less the closing zero.
const LABEL_BYTES_MAX: usize = 15;
/// Largest count or interval (milliseconds) taken for meant.
const COUNT_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Refusal> {
        Settings::read(Agent::IPaddr2, &params(pairs))
    }

    #[test]
    fn the_agents_defaults() {
        let two = read(&[("ip", "10.0.2.10")]).unwrap();
        assert_eq!(
            (two.announces, two.interval.as_millis(), two.refreshes),
            (5, 200, 0)
        );
        assert!(two.background && !two.noprefixroute && !two.arping);
        assert_eq!(two.broadcast, Broadcast::Inherit);
        let one = Settings::read(Agent::IPaddr, &params(&[("ip", "10.0.2.10")])).unwrap();
        assert_eq!((one.announces, one.interval.as_millis()), (10, 500));
        assert_eq!(one.broadcast, Broadcast::Ones);
    }

    #[test]
    fn netmasks_come_as_numbers_and_dotted() {
        let table = [
            ("24", Some(24)),
            ("255.255.255.0", Some(24)),
            ("255.255.255.255", Some(32)),
            ("128.0.0.0", Some(1)),
            ("0", None),
            ("33", None),
            ("255.0.255.0", None),
            ("0.0.0.0", None),
            ("banana", None),
        ];
        for (mask, expect) in table {
            let read = read(&[("ip", "10.0.2.10"), ("cidr_netmask", mask)]);
            assert_eq!(read.ok().and_then(|s| s.target.prefix), expect, "{mask}");
        }
        let old = read(&[("ip", "10.0.2.10"), ("netmask", "16")]).unwrap();
        assert_eq!(old.target.prefix, Some(16));
    }

    #[test]
    fn a_label_may_sit_in_the_nic() {
        let both = read(&[("ip", "10.0.2.10"), ("nic", "eth0:web"), ("iflabel", "x")]).unwrap();
        assert_eq!(both.target.nic.as_deref(), Some("eth0"));
        assert_eq!(both.label_on("eth0"), Ok(Some("eth0:web".to_owned())));
        let long = read(&[("ip", "10.0.2.10"), ("iflabel", "a-long-label")]).unwrap();
        assert_eq!(long.label_on("eth0").unwrap_err().rc, rc::CONFIGURED);
        assert!(long.label_on("e0").is_ok());
    }

    #[test]
    fn wrong_values_name_the_parameter_and_the_cure() {
        let ip = ("ip", "10.0.2.10");
        let table: &[(&[(&str, &str)], &str)] = &[
            (&[], "parameter ip is missing"),
            (&[("ip", " ")], "parameter ip is missing"),
            (
                &[("ip", "10.0.2.10/24")],
                "write ip=10.0.2.10 cidr_netmask=24",
            ),
            (
                &[("ip", "10.0.2.300")],
                "ip=10.0.2.300 is not an IP address",
            ),
            (&[("ip", "0.0.0.0")], "cannot be an interface's address"),
            (&[("ip", "fe80::1")], "name one with nic"),
            (
                &[ip, ("arp_count", "0")],
                "arp_count=0 is not a number from 1",
            ),
            (&[ip, ("arp_interval", "fast")], "arp_interval=fast"),
            (
                &[ip, ("arp_sender", "pigeon")],
                "arp_sender=pigeon is none of send_arp",
            ),
            (&[ip, ("broadcast", "x")], "broadcast=x"),
            (&[ip, ("preferred_lft", "")], "preferred_lft= is neither"),
        ];
        for (pairs, expect) in table {
            let refusal = read(pairs).unwrap_err();
            assert_eq!(refusal.rc, rc::CONFIGURED, "{expect}");
            assert!(
                refusal.reason.contains(expect),
                "{} lacks {expect}",
                refusal.reason
            );
        }
        let old = params(&[ip, ("ARP_REPEAT", "0")]);
        assert_eq!(
            Settings::read(Agent::IPaddr, &old).unwrap_err().rc,
            rc::ARGS
        );
        let six = params(&[("ip", "fd00::1")]);
        assert!(
            Settings::read(Agent::IPaddr, &six)
                .unwrap_err()
                .reason
                .contains("IPaddr2")
        );
    }

    #[test]
    fn booleans_are_the_shell_librarys() {
        for (word, expect) in [
            ("true", true),
            ("YES", true),
            ("1", true),
            ("ja", true),
            ("no", false),
            ("2", false),
        ] {
            assert_eq!(is_true(Some(&word.to_owned())), expect, "{word}");
        }
    }

    #[test]
    fn what_needs_the_real_agent_is_said() {
        let request = |pairs: &[(&str, &str)], meta: &[(&str, &str)]| OpRequest {
            class: "ocf".into(),
            provider: Some("heartbeat".into()),
            kind: "IPaddr2".into(),
            operation: "start".into(),
            params: params(pairs),
            meta: params(meta),
            ..OpRequest::default()
        };
        let check = |pairs: &[(&str, &str)], meta: &[(&str, &str)]| {
            unserved(Agent::IPaddr2, &request(pairs, meta))
        };
        assert_eq!(check(&[("lvs_support", "false"), ("mac", "")], &[]), None);
        for (name, value) in [
            ("lvs_support", "yes"),
            ("unique_clone_address", "true"),
            ("flush_routes", "1"),
            ("mac", "01:02:03:04:05:06"),
            ("network_namespace", "blue"),
        ] {
            let why = check(&[(name, value)], &[]).unwrap_or_default();
            assert!(why.contains(name), "{name}: {why}");
        }
        assert!(check(&[], &[("clone_max", "2")]).is_some());
        assert_eq!(check(&[], &[("clone_max", "1")]), None);
    }
}
