//! Where an address belongs: interface, prefix and broadcast address from what is configured.
//!
//! The rules are those of the resource agents' `findif.sh`: of the directly connected networks
//! of the main table that hold the address, the narrowest wins; what the configuration names is
//! taken as named.

use crate::{Address, Kernel, Link, Result, Route};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the configuration says about an address; what it leaves out is found.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length, bits.
    pub prefix: Option<u8>,
    /// Name of the interface.
    pub nic: Option<&'a str>,
    /// Broadcast address (IPv4).
    pub broadcast: Broadcast,
}

/// How the broadcast address is chosen; IPv6 has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Broadcast {
    /// That of the interface's own address in the same network, if it has one.
    #[default]
    Inherit,
    /// Host bits one (`+`).
    Ones,
    /// Host bits zero (`-`).
    Zeros,
    /// This one.
    Exact(Ipv4Addr),
}

/// Where the address goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Interface.
    pub link: Link,
    /// Prefix length, bits.
    pub prefix: u8,
    /// Broadcast address to set, if any.
    pub broadcast: Option<Ipv4Addr>,
}

/// Why no place was found; the text names what there is to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// The named interface does not exist.
    NoSuchNic {
        /// As configured.
        nic: String,
        /// Interfaces that exist.
        present: Vec<String>,
    },
    /// No connected network (on the named interface) holds the address.
    NoNetwork {
        /// The address, with its prefix where one is configured.
        wanted: String,
        /// The interface, where one is configured.
        nic: Option<String>,
        /// Connected networks as `10.0.0.0/24 on eth0`.
        candidates: Vec<String>,
    },
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNic { nic, present } => {
                write!(
                    f,
                    "no interface {nic} on this node; it has {}",
                    list(present)
                )
            }
            Self::NoNetwork {
                wanted,
                nic,
                candidates,
            } => {
                write!(f, "no connected network")?;
                if let Some(nic) = nic {
                    write!(f, " on {nic}")?;
                }
                write!(f, " holds {wanted}; this node has {}", list(candidates))
            }
        }
    }
}

impl std::error::Error for NoPlace {}

/// Links, addresses and connected networks of one moment, to find the places of many addresses.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// All interfaces, by index.
    pub links: Vec<Link>,
    addresses: Vec<Address>,
    by_ip: BTreeMap<IpAddr, Vec<usize>>,
    four: Vec<Route>,
    six: Vec<Route>,
}

impl Picture {
    /// As [`Kernel::find_place`], at that moment.
    ///
    /// # Errors
    /// [`NoPlace`]
    pub fn place(&self, wanted: &Wanted<'_>) -> std::result::Result<Place, NoPlace> {
        let routes = match wanted.ip {
            IpAddr::V4(_) => &self.four,
            IpAddr::V6(_) => &self.six,
        };
        choose(wanted, &self.links, routes, &self.addresses)
    }

    /// An interface.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// All addresses, in the kernel's order.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Where an address is, on whatever interfaces.
    pub fn with_ip(&self, ip: IpAddr) -> impl Iterator<Item = &Address> {
        let at = self.by_ip.get(&ip).into_iter().flatten();
        at.filter_map(|at| self.addresses.get(*at))
    }
}

impl Kernel {
    /// What there is now.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn picture(&mut self) -> Result<Picture> {
        let links = self.links()?;
        let four = self.connected_routes(IpAddr::V4(Ipv4Addr::UNSPECIFIED))?;
        let six = self.connected_routes(IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
        let addresses = self.addresses()?;
        let mut by_ip: BTreeMap<IpAddr, Vec<usize>> = BTreeMap::new();
        for (at, address) in addresses.iter().enumerate() {
            by_ip.entry(address.ip).or_default().push(at);
        }
        Ok(Picture {
            links,
            addresses,
            by_ip,
            four,
            six,
        })
    }

    /// Finds interface, prefix and broadcast address for an address.
    ///
    /// # Errors
    /// [`crate::Error::NoPlace`] when this machine has none; others when a table cannot be read.
    pub fn find_place(&mut self, wanted: &Wanted<'_>) -> Result<Place> {
        let links = self.links()?;
        let routes = self.connected_routes(wanted.ip)?;
        let addresses = self.addresses()?;
        Ok(choose(wanted, &links, &routes, &addresses)?)
    }
}

fn choose(
    wanted: &Wanted<'_>,
    links: &[Link],
    routes: &[Route],
    addresses: &[Address],
) -> std::result::Result<Place, NoPlace> {
    let named = match wanted.nic {
        Some(nic) => Some(links.iter().find(|link| link.name == nic).ok_or_else(|| {
            let present = links.iter().map(|link| link.name.clone()).collect();
            NoPlace::NoSuchNic {
                nic: nic.to_owned(),
                present,
            }
        })?),
        None => None,
    };
    let networks = connected(wanted.ip, links, routes, addresses);
    let bits = wanted
        .prefix
        .unwrap_or(if wanted.ip.is_ipv4() { 32 } else { 128 });
    let best = networks
        .iter()
        .filter(|network| named.is_none_or(|link| link.index == network.link.index))
        .filter(|network| network.prefix <= bits)
        .filter(|network| masked(network.base, network.prefix) == masked(wanted.ip, network.prefix))
        // Of equal ones the last, as findif.sh; the table lists them by metric.
        .max_by_key(|network| network.prefix);
    let (link, prefix) = match (named, wanted.prefix, best) {
        (Some(link), Some(prefix), _) => (link, prefix),
        (_, prefix, Some(network)) => (network.link, prefix.unwrap_or(network.prefix)),
        (_, _, None) => return Err(no_network(wanted, &networks)),
    };
    let inherited = best.and_then(|network| network.broadcast);
    Ok(Place {
        link: link.clone(),
        prefix,
        broadcast: broadcast(wanted, prefix, inherited),
    })
}

/// A directly connected network.
struct Network<'a> {
    link: &'a Link,
    base: IpAddr,
    prefix: u8,
    /// Broadcast address of the node's own address in it.
    broadcast: Option<Ipv4Addr>,
}

/// From the main table, without host routes; for 127.0.0.0/8, which is in no main table, from
/// the loopback's addresses.
fn connected<'a>(
    ip: IpAddr,
    links: &'a [Link],
    routes: &[Route],
    addresses: &[Address],
) -> Vec<Network<'a>> {
    let link_of = |index| links.iter().find(|link| link.index == index);
    let host = if ip.is_ipv4() { 32 } else { 128 };
    let mut networks = Vec::new();
    for route in routes {
        if route.prefix == host {
            continue;
        }
        if route.destination.is_ipv4() && route.scope != SCOPE_LINK {
            continue;
        }
        let Some(link) = route.index.and_then(link_of) else {
            continue;
        };
        let own = addresses.iter().find(|own| route.source == Some(own.ip));
        networks.push(Network {
            link,
            base: route.destination,
            prefix: route.prefix,
            broadcast: own.and_then(|own| own.broadcast),
        });
    }
    if ip.is_loopback() {
        let own = addresses
            .iter()
            .filter(|own| own.ip.is_ipv4() && own.ip.is_loopback());
        networks.extend(
            own.filter(|own| ip.is_ipv4() && own.prefix < host)
                .filter_map(|own| {
                    let link = link_of(own.index)?;
                    Some(Network {
                        link,
                        base: own.ip,
                        prefix: own.prefix,
                        broadcast: None,
                    })
                }),
        );
    }
    networks
}

fn broadcast(wanted: &Wanted<'_>, prefix: u8, inherited: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let IpAddr::V4(ip) = wanted.ip else {
        return None;
    };
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    match wanted.broadcast {
        Broadcast::Inherit => inherited,
        Broadcast::Exact(exact) => Some(exact),
        // Networks of 31 and 32 bits have no broadcast address (RFC 3021).
        Broadcast::Ones | Broadcast::Zeros if prefix > 30 => None,
        Broadcast::Ones => Some(Ipv4Addr::from(u32::from(ip) | !mask)),
        Broadcast::Zeros => Some(Ipv4Addr::from(u32::from(ip) & mask)),
    }
}

fn no_network(wanted: &Wanted<'_>, networks: &[Network<'_>]) -> NoPlace {
    let mut candidates: Vec<String> = networks
        .iter()
        .map(|network| {
            let base = masked(network.base, network.prefix);
            format!("{base}/{} on {}", network.prefix, network.link.name)
        })
        .collect();
    candidates.sort();
    candidates.dedup();
    let prefix = wanted
        .prefix
        .map(|prefix| format!("/{prefix}"))
        .unwrap_or_default();
    NoPlace::NoNetwork {
        wanted: format!("{}{prefix}", wanted.ip),
        nic: wanted.nic.map(str::to_owned),
        candidates,
    }
}

/// The address with its host bits cleared.
fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(four) => {
            let mask = u32::MAX
                .checked_shl(32u32.saturating_sub(prefix.into()))
                .unwrap_or(0);
            IpAddr::V4((u32::from(four) & mask).into())
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(prefix.into()))
                .unwrap_or(0);
            IpAddr::V6((u128::from(six) & mask).into())
        }
    }
}

fn list(items: &[String]) -> String {
    match items {
        [] => "none".to_owned(),
        [head @ .., _] if head.len() >= LISTED_MAX => {
            let more = items.len() - LISTED_MAX;
            format!("{} and {more} more", items[..LISTED_MAX].join(", "))
        }
        _ => items.join(", "),
    }
}

/// Candidates named in one message.
const LISTED_MAX: usize = 8;
const SCOPE_LINK: u8 = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;
    use crate::{AddressSpec, RouteSpec, VethEnd};

    /// eth0 10.1.0.5/16 (brd set), eth1 10.1.2.7/24 and 192.0.2.1/32, eth2 without address,
    /// eth1 fd01::1/64, default route through eth0.
    fn node(test: &str) -> Option<(crate::NetNs, Kernel)> {
        let (netns, mut kernel) = machine(test)?;
        for (near, far) in [("eth0", "far0"), ("eth1", "far1"), ("eth2", "far2")] {
            kernel
                .add_veth(VethEnd::here(near), VethEnd::here(far))
                .unwrap();
            for name in [near, far] {
                let index = kernel.link(name).unwrap().index;
                kernel.set_up(index, true).unwrap();
            }
        }
        let broadcast = Some(Ipv4Addr::new(10, 1, 255, 255));
        for (nic, ip, prefix, broadcast) in [
            ("eth0", "10.1.0.5", 16, broadcast),
            ("eth1", "10.1.2.7", 24, None),
            ("eth1", "192.0.2.1", 32, None),
            ("eth1", "fd01::1", 64, None),
        ] {
            let index = kernel.link(nic).unwrap().index;
            let spec = AddressSpec::new(index, ip.parse().unwrap(), prefix);
            kernel
                .add_address(&AddressSpec {
                    broadcast,
                    nodad: true,
                    ..spec
                })
                .unwrap();
        }
        kernel
            .add_route(&RouteSpec::default_via("10.1.0.1".parse().unwrap()))
            .unwrap();
        Some((netns, kernel))
    }

    fn check(kernel: &mut Kernel, ip: &str, prefix: Option<u8>, nic: Option<&str>, expect: &str) {
        let ip = ip.parse().unwrap();
        let wanted = Wanted {
            ip,
            prefix,
            nic,
            broadcast: Broadcast::Inherit,
        };
        let found = match kernel.find_place(&wanted) {
            Ok(place) => {
                let broadcast = place.broadcast.map(|ip| format!(" brd {ip}"));
                let broadcast = broadcast.unwrap_or_default();
                format!("{} /{}{broadcast}", place.link.name, place.prefix)
            }
            Err(reason) => reason.to_string(),
        };
        assert_eq!(found, expect, "{ip} {prefix:?} {nic:?}");
    }

    #[test]
    fn places_are_found_as_findif_finds_them() {
        let Some((_ns, mut kernel)) = node("places_are_found_as_findif_finds_them") else {
            return;
        };
        let k = &mut kernel;
        check(k, "10.1.9.9", None, None, "eth0 /16 brd 10.1.255.255");
        check(k, "10.1.2.9", None, None, "eth1 /24");
        check(k, "10.1.2.9", Some(32), None, "eth1 /32");
        // A prefix wider than a network cannot lie in it.
        check(k, "10.1.2.9", Some(16), None, "eth0 /16 brd 10.1.255.255");
        check(
            k,
            "10.1.2.9",
            None,
            Some("eth0"),
            "eth0 /16 brd 10.1.255.255",
        );
        check(k, "172.16.0.1", Some(24), Some("eth2"), "eth2 /24");
        check(k, "127.0.0.9", None, None, "lo /8");
        check(k, "fd01::99", None, None, "eth1 /64");
        check(k, "fd01::99", Some(128), Some("eth2"), "eth2 /128");
    }

    #[test]
    fn what_has_no_place_is_told_what_there_is() {
        let Some((_ns, mut kernel)) = node("what_has_no_place_is_told_what_there_is") else {
            return;
        };
        let k = &mut kernel;
        let networks = "10.1.0.0/16 on eth0, 10.1.2.0/24 on eth1";
        let reason = format!("no connected network holds 172.16.0.1; this node has {networks}");
        check(k, "172.16.0.1", None, None, &reason);
        // The host route to 192.0.2.1 is no network.
        let reason = format!("no connected network holds 192.0.2.9/24; this node has {networks}");
        check(k, "192.0.2.9", Some(24), None, &reason);
        let reason =
            format!("no connected network on eth2 holds 10.1.2.9; this node has {networks}");
        check(k, "10.1.2.9", None, Some("eth2"), &reason);
        let reason =
            "no interface eth7 on this node; it has lo, far0, eth0, far1, eth1, far2, eth2";
        check(k, "10.1.2.9", None, Some("eth7"), reason);
    }

    #[test]
    fn an_empty_machine_has_no_place() {
        let Some(netns) = crate::testing::netns("an_empty_machine_has_no_place") else {
            return;
        };
        let mut kernel = Kernel::open_in(&netns).unwrap();
        for ip in ["10.1.2.3", "fd01::3"] {
            let reason = format!("no connected network holds {ip}; this node has none");
            check(&mut kernel, ip, None, None, &reason);
        }
    }

    #[test]
    fn broadcast_addresses_follow_the_prefix() {
        let table = [
            (Broadcast::Ones, 24, Some("10.1.2.255")),
            (Broadcast::Zeros, 24, Some("10.1.2.0")),
            (Broadcast::Ones, 20, Some("10.1.15.255")),
            (Broadcast::Ones, 0, Some("255.255.255.255")),
            (Broadcast::Ones, 31, None),
            (Broadcast::Inherit, 24, None),
            (
                Broadcast::Exact(Ipv4Addr::new(9, 9, 9, 9)),
                32,
                Some("9.9.9.9"),
            ),
        ];
        for (choice, prefix, expect) in table {
            let ip = "10.1.2.3".parse().unwrap();
            let wanted = Wanted {
                ip,
                prefix: Some(prefix),
                nic: None,
                broadcast: choice,
            };
            let expect = expect.map(|text| text.parse().unwrap());
            assert_eq!(
                broadcast(&wanted, prefix, None),
                expect,
                "{choice:?}/{prefix}"
            );
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let items: Vec<String> = (0..11).map(|n| format!("net{n}")).collect();
        assert!(
            list(&items).ends_with("net7 and 3 more"),
            "{}",
            list(&items)
        );
        assert_eq!(
            list(&items[..9]),
            "net0, net1, net2, net3, net4, net5, net6, net7 and 1 more"
        );
        assert_eq!(
            list(&items[..8]),
            "net0, net1, net2, net3, net4, net5, net6, net7"
        );
        assert_eq!(list(&[]), "none");
    }
}
