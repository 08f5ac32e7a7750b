//! Single parameters: how each is written, what it may be.

use super::{Agent, COUNT_MAX, Refusal};
use netlink::{Broadcast, Lifetime};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A parameter that says something.
pub(in crate::vip) fn text<'a>(
    params: &'a BTreeMap<String, String>,
    name: &str,
) -> Option<&'a str> {
    params
        .get(name)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

/// As the agents' shell library reads a boolean (`ocf_is_true`).
pub(super) fn is_true(value: Option<&String>) -> bool {
    const WORDS: [&str; 5] = ["yes", "true", "1", "ja", "on"];
    value.is_some_and(|value| {
        WORDS
            .iter()
            .any(|word| value.trim().eq_ignore_ascii_case(word))
    })
}

/// `netmask` is the name old configurations use.
pub(super) fn netmask(params: &BTreeMap<String, String>) -> Option<&str> {
    text(params, "cidr_netmask").or_else(|| text(params, "netmask"))
}

pub(in crate::vip) fn prefix(ip: IpAddr, mask: &str) -> Result<u8, Refusal> {
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
pub(super) fn dotted(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones() as u8)
}

/// `eth0` of `eth0:label`.
pub(super) fn base(nic: &str) -> &str {
    nic.split_once(':').map_or(nic, |(nic, _)| nic)
}

/// A label in `nic` wins over `iflabel`, as in the agent.
pub(super) fn label(params: &BTreeMap<String, String>) -> Option<String> {
    let in_nic = text(params, "nic")
        .and_then(|nic| nic.split_once(':'))
        .map(|(_, label)| label);
    let label = in_nic.or_else(|| text(params, "iflabel"))?;
    (!label.is_empty()).then(|| label.to_owned())
}

pub(super) fn broadcast(
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

pub(super) fn count(
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

pub(super) fn check_sender(params: &BTreeMap<String, String>) -> Result<(), Refusal> {
    const SENDERS: [&str; 4] = ["send_arp", "ipoibarping", "iputils_arping", "libnet_arping"];
    match text(params, "arp_sender") {
        Some(given) if !SENDERS.contains(&given) => Err(Refusal::configured(format!(
            "parameter arp_sender={given} is none of {}",
            SENDERS.join(", ")
        ))),
        _ => Ok(()),
    }
}

pub(super) fn preferred(
    ip: IpAddr,
    params: &BTreeMap<String, String>,
) -> Result<Lifetime, Refusal> {
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

pub(super) fn unusable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(four) => four.is_unspecified() || four.is_multicast() || four.is_broadcast(),
        IpAddr::V6(six) => six == Ipv6Addr::UNSPECIFIED || six.is_multicast(),
    }
}

/// What options of iputils' arping mean to us: reply form (`-A`), request form (`-U`), or nothing
/// we do.
pub(super) fn reply_form(options: &str) -> Option<bool> {
    match options {
        "-A" => Some(true),
        "-U" => Some(false),
        _ => None,
    }
}
