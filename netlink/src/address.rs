//! Addresses: reading them, adding one, removing exactly one.

use crate::attribute::{Attributes, u32_at};
use crate::socket::Reply;
use crate::{Error, Kernel, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::{IpAddr, Ipv4Addr};

pub use netlink_packet_route::address::AddressFlags as AddressFlag;

/// Seconds, or for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// No end.
    #[default]
    Forever,
    /// So many seconds from now.
    Seconds(u32),
}

impl Lifetime {
    fn raw(self) -> u32 {
        match self {
            Self::Forever => u32::MAX,
            Self::Seconds(seconds) => seconds.min(u32::MAX - 1),
        }
    }

    fn from_raw(raw: u32) -> Self {
        if raw == u32::MAX {
            Self::Forever
        } else {
            Self::Seconds(raw)
        }
    }
}

/// An address as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of its interface.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Prefix length, bits.
    pub prefix: u8,
    /// Peer of a point-to-point link; else as `ip`.
    pub peer: IpAddr,
    /// Broadcast address (IPv4).
    pub broadcast: Option<Ipv4Addr>,
    /// Label (IPv4): the interface's name unless another was given.
    pub label: String,
    /// `rt_scope`: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: AddressFlag,
    /// Time left as a usable address.
    pub valid: Lifetime,
    /// Time left as a preferred source address.
    pub preferred: Lifetime,
}

impl Address {
    /// Secondary of another address in the same network: goes when that one goes, unless the
    /// interface promotes secondaries.
    pub fn is_secondary(&self) -> bool {
        self.ip.is_ipv4() && self.flags.contains(AddressFlags::Secondary)
    }

    /// IPv6: duplicate address detection has not ended yet.
    pub fn is_tentative(&self) -> bool {
        self.flags.contains(AddressFlags::Tentative)
    }

    /// IPv6: somebody else has it.
    pub fn is_duplicate(&self) -> bool {
        self.flags.contains(AddressFlags::Dadfailed)
    }
}

/// An address to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSpec {
    /// Index of the interface.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Prefix length, bits.
    pub prefix: u8,
    /// Broadcast address (IPv4 only).
    pub broadcast: Option<Ipv4Addr>,
    /// Label (IPv4 only), 1–15 bytes.
    pub label: Option<String>,
    /// `rt_scope`; 0 = global.
    pub scope: u8,
    /// IPv6: skip duplicate address detection.
    pub nodad: bool,
    /// Do not make the route to the prefix.
    pub noprefixroute: bool,
    /// Mobile IPv6 home address.
    pub home: bool,
    /// How long it lives.
    pub valid: Lifetime,
    /// How long it is a preferred source address; 0 s makes it deprecated at once.
    pub preferred: Lifetime,
}

impl AddressSpec {
    /// A plain, permanent address; 127.0.0.0/8 has host scope (the kernel takes no other).
    pub fn new(index: u32, ip: IpAddr, prefix: u8) -> Self {
        Self {
            index,
            ip,
            prefix,
            broadcast: None,
            label: None,
            scope: if ip.is_ipv4() && ip.is_loopback() {
                SCOPE_HOST
            } else {
                0
            },
            nodad: false,
            noprefixroute: false,
            home: false,
            valid: Lifetime::Forever,
            preferred: Lifetime::Forever,
        }
    }

    fn what(&self, verb: &str) -> String {
        let Self {
            ip, prefix, index, ..
        } = self;
        format!("{verb} {ip}/{prefix} on link #{index}")
    }

    fn message(&self) -> Result<AddressMessage> {
        let mut message = base(self.index, self.ip, self.prefix)?;
        message.header.scope = self.scope.into();
        if let Some(broadcast) = self.broadcast {
            message
                .attributes
                .push(AddressAttribute::Broadcast(broadcast));
        }
        if let Some(label) = &self.label {
            check_label(label)?;
            message
                .attributes
                .push(AddressAttribute::Label(label.clone()));
        }
        let mut flags = AddressFlags::empty();
        flags.set(AddressFlags::Nodad, self.nodad);
        flags.set(AddressFlags::Noprefixroute, self.noprefixroute);
        flags.set(AddressFlags::Homeaddress, self.home);
        if !flags.is_empty() {
            // The header holds the low byte; IFA_FLAGS the whole (kernel >= 3.14).
            message.header.flags = AddressHeaderFlags::from_bits_retain(flags.bits() as u8);
            message.attributes.push(AddressAttribute::Flags(flags));
        }
        if self.valid != Lifetime::Forever || self.preferred != Lifetime::Forever {
            let mut cache = CacheInfo::default();
            cache.ifa_valid = self.valid.raw();
            cache.ifa_preferred = self.preferred.raw();
            message.attributes.push(AddressAttribute::CacheInfo(cache));
        }
        Ok(message)
    }
}

/// As it is, to be put back where it was.
impl From<&Address> for AddressSpec {
    fn from(address: &Address) -> Self {
        let label = Some(&address.label).filter(|label| !label.is_empty());
        Self {
            broadcast: address.broadcast,
            label: label.cloned(),
            scope: address.scope,
            nodad: address.flags.contains(AddressFlags::Nodad),
            noprefixroute: address.flags.contains(AddressFlags::Noprefixroute),
            home: address.flags.contains(AddressFlags::Homeaddress),
            valid: address.valid,
            preferred: address.preferred,
            ..Self::new(address.index, address.ip, address.prefix)
        }
    }
}

impl Kernel {
    /// All addresses of the namespace, IPv4 and IPv6, in the kernel's order.
    ///
    /// # Errors
    /// When the kernel refuses the dump.
    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.socket.dump("list the addresses", request, read)
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`Error::is_exists`] when this address with this prefix is on this interface already.
    pub fn add_address(&mut self, spec: &AddressSpec) -> Result<()> {
        self.put_address(spec, NLM_F_CREATE | NLM_F_EXCL, "add")
    }

    /// Adds an address or, when it is there, gives it the lifetimes of `spec`.
    ///
    /// # Errors
    /// As [`Kernel::add_address`], without the exists.
    pub fn replace_address(&mut self, spec: &AddressSpec) -> Result<()> {
        self.put_address(spec, NLM_F_CREATE | NLM_F_REPLACE, "set")
    }

    /// Removes exactly this address with this prefix from this interface.
    ///
    /// # Errors
    /// [`Error::is_absent`] when it is not there.
    pub fn delete_address(&mut self, index: u32, ip: IpAddr, prefix: u8) -> Result<()> {
        let what = format!("remove {ip}/{prefix} from link #{index}");
        let request = RouteNetlinkMessage::DelAddress(base(index, ip, prefix)?);
        self.socket.request(&what, request, 0)
    }

    /// Adds many addresses with as few system calls as possible and returns what became of each, in
    /// their order; [`Error::is_exists`] as with [`Kernel::add_address`]. One that is refused keeps
    /// no other away.
    pub fn add_addresses(&mut self, specs: &[AddressSpec]) -> Vec<Result<()>> {
        let request = |spec: &AddressSpec| {
            let message = RouteNetlinkMessage::NewAddress(spec.message()?);
            Ok((spec.what("add"), message))
        };
        let requests = specs.iter().map(request).collect();
        self.each(requests, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Removes many addresses; as [`Kernel::delete_address`] for each, in their order.
    pub fn delete_addresses(&mut self, places: &[(u32, IpAddr, u8)]) -> Vec<Result<()>> {
        let request = |&(index, ip, prefix): &(u32, IpAddr, u8)| {
            let what = format!("remove {ip}/{prefix} from link #{index}");
            let message = RouteNetlinkMessage::DelAddress(base(index, ip, prefix)?);
            Ok((what, message))
        };
        self.each(places.iter().map(request).collect(), 0)
    }

    /// Sends those requests that could be made, and puts their results between the others'.
    fn each(
        &mut self,
        requests: Vec<Result<(String, RouteNetlinkMessage)>>,
        flags: u16,
    ) -> Vec<Result<()>> {
        let mut wanted = Vec::with_capacity(requests.len());
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            match request {
                Ok(request) => {
                    wanted.push(request);
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error))),
            }
        }
        let mut sent = self.socket.requests(wanted, flags).into_iter();
        let missing = || {
            Err(Error::Invalid(
                "a request was left without result".to_owned(),
            ))
        };
        results
            .into_iter()
            .map(|result| result.or_else(|| sent.next()).unwrap_or_else(missing))
            .collect()
    }

    fn put_address(&mut self, spec: &AddressSpec, flags: u16, verb: &str) -> Result<()> {
        let request = RouteNetlinkMessage::NewAddress(spec.message()?);
        self.socket.request(&spec.what(verb), request, flags)
    }
}

fn base(index: u32, ip: IpAddr, prefix: u8) -> Result<AddressMessage> {
    check_prefix(ip, prefix)?;
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.family = if ip.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    Ok(message)
}

pub(crate) fn check_prefix(ip: IpAddr, prefix: u8) -> Result<()> {
    let bits_max = if ip.is_ipv4() { 32 } else { 128 };
    if prefix > bits_max {
        return Err(Error::Invalid(format!(
            "prefix length {prefix} of {ip} is out of range: 0 to {bits_max}"
        )));
    }
    Ok(())
}

fn check_label(label: &str) -> Result<()> {
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "address label {label:?} must have 1 to {LABEL_BYTES_MAX} characters"
        )));
    }
    Ok(())
}

pub(crate) fn read(reply: Reply<'_>) -> Option<Address> {
    if reply.kind != RTM_NEWADDR {
        return None;
    }
    let body = reply.body;
    let [_family, prefix, header_flags, scope] = *body.first_chunk::<4>()?;
    let attributes = Attributes::after(body, ADDRESS_HEADER_BYTES);
    let peer = attributes.ip(IFA_ADDRESS)?;
    let cache = attributes.bytes(IFA_CACHEINFO).unwrap_or_default();
    let lifetime = |offset| Lifetime::from_raw(u32_at(cache, offset).unwrap_or(u32::MAX));
    let broadcast = match attributes.ip(IFA_BROADCAST) {
        Some(IpAddr::V4(broadcast)) => Some(broadcast),
        _ => None,
    };
    let flags = attributes
        .u32(IFA_FLAGS)
        .unwrap_or_else(|| u32::from(header_flags));
    Some(Address {
        index: u32_at(body, 4)?,
        ip: attributes.ip(IFA_LOCAL).unwrap_or(peer),
        prefix,
        peer,
        broadcast,
        label: attributes.text(IFA_LABEL).unwrap_or_default(),
        scope,
        flags: AddressFlags::from_bits_retain(flags),
        valid: lifetime(4),
        preferred: lifetime(0),
    })
}

/// `IFNAMSIZ` less the closing zero.
const LABEL_BYTES_MAX: usize = 15;
const SCOPE_HOST: u8 = 254;
const ADDRESS_HEADER_BYTES: usize = 8;
pub(crate) const RTM_NEWADDR: u16 = 20;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_added_read_and_removed() {
        let Some((_ns, mut kernel)) = machine("an_address_is_added_read_and_removed") else {
            return;
        };
        let lo = kernel.link("lo").unwrap().index;
        let spec = AddressSpec {
            broadcast: Some(Ipv4Addr::new(10, 1, 2, 255)),
            label: Some("lo:vip".to_owned()),
            noprefixroute: true,
            ..AddressSpec::new(lo, ip("10.1.2.3"), 24)
        };
        kernel.add_address(&spec).unwrap();
        let held = kernel.addresses().unwrap();
        let held = held.iter().find(|address| address.ip == spec.ip).unwrap();
        assert_eq!((held.prefix, held.label.as_str()), (24, "lo:vip"));
        assert_eq!(held.broadcast, spec.broadcast);
        assert!(held.flags.contains(AddressFlag::Noprefixroute));
        assert_eq!(held.valid, Lifetime::Forever);

        let twice = kernel.add_address(&spec).unwrap_err();
        assert!(twice.is_exists(), "{twice}");
        kernel.delete_address(lo, spec.ip, 24).unwrap();
        let gone = kernel.delete_address(lo, spec.ip, 24).unwrap_err();
        assert!(gone.is_absent(), "{gone}");
        assert!(gone.to_string().contains("remove 10.1.2.3/24"), "{gone}");
    }

    #[test]
    fn only_the_exact_prefix_is_removed() {
        let Some((_ns, mut kernel)) = machine("only_the_exact_prefix_is_removed") else {
            return;
        };
        let lo = kernel.link("lo").unwrap().index;
        kernel
            .add_address(&AddressSpec::new(lo, ip("10.1.2.3"), 24))
            .unwrap();
        kernel.delete_address(lo, ip("10.1.2.3"), 32).unwrap_err();
        assert!(
            kernel
                .addresses()
                .unwrap()
                .iter()
                .any(|a| a.ip == ip("10.1.2.3"))
        );
    }

    #[test]
    fn lifetimes_and_ipv6_flags_arrive() {
        let Some((_ns, mut kernel)) = machine("lifetimes_and_ipv6_flags_arrive") else {
            return;
        };
        let lo = kernel.link("lo").unwrap().index;
        let spec = AddressSpec {
            nodad: true,
            valid: Lifetime::Seconds(100),
            preferred: Lifetime::Seconds(0),
            ..AddressSpec::new(lo, ip("fd77::100"), 64)
        };
        kernel.add_address(&spec).unwrap();
        let held = kernel.addresses().unwrap();
        let held = held.iter().find(|address| address.ip == spec.ip).unwrap();
        assert!(!held.is_tentative());
        assert!(matches!(held.valid, Lifetime::Seconds(1..=100)), "{held:?}");
        assert_eq!(held.preferred, Lifetime::Seconds(0));
        kernel
            .replace_address(&AddressSpec {
                valid: Lifetime::Forever,
                ..spec
            })
            .unwrap();
        let held = kernel.addresses().unwrap();
        let held = held
            .iter()
            .find(|address| address.ip == ip("fd77::100"))
            .unwrap();
        assert_eq!(held.valid, Lifetime::Forever);
    }

    #[test]
    fn many_addresses_come_and_go_with_a_result_for_each() {
        let Some((_ns, mut kernel)) = machine("many_addresses_come_and_go") else {
            return;
        };
        let lo = kernel.link("lo").unwrap().index;
        let spec = |n: u32| {
            let four = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 0)) + n);
            match n % 2 {
                0 => AddressSpec::new(lo, IpAddr::V4(four), 32),
                _ => AddressSpec::new(lo, IpAddr::V6(four.to_ipv6_mapped()), 128),
            }
        };
        let mut specs: Vec<AddressSpec> = (1..=600).map(spec).collect();
        kernel.add_address(&specs[7]).unwrap();
        specs[300].prefix = 200;
        let results = kernel.add_addresses(&specs);
        assert_eq!(results.len(), specs.len());
        for (at, result) in results.iter().enumerate() {
            match at {
                7 => assert!(result.as_ref().unwrap_err().is_exists()),
                300 => assert!(matches!(result, Err(Error::Invalid(_)))),
                _ => assert!(result.is_ok(), "{at}: {result:?}"),
            }
        }
        let there = kernel.addresses().unwrap();
        let on = |s: &AddressSpec| there.iter().any(|a| a.ip == s.ip);
        assert_eq!(specs.iter().filter(|s| on(s)).count(), 599);

        let places: Vec<_> = specs.iter().map(|s| (s.index, s.ip, s.prefix)).collect();
        let results = kernel.delete_addresses(&places);
        let failed: Vec<_> = results
            .iter()
            .enumerate()
            .filter(|(_, r)| r.is_err())
            .collect();
        assert!(
            matches!(failed[..], [(300, Err(Error::Invalid(_)))]),
            "{failed:?}"
        );
        let results = kernel.delete_addresses(&places[..3]);
        assert!(results.iter().all(|r| r.as_ref().unwrap_err().is_absent()));
        // The socket is in step: the next answer is the next request's.
        kernel.add_address(&specs[0]).unwrap();
        assert_eq!(kernel.link("lo").unwrap().index, lo);
    }

    #[test]
    fn impossible_addresses_are_refused_before_the_kernel() {
        let Some((_ns, mut kernel)) = machine("impossible_addresses_are_refused") else {
            return;
        };
        let error = kernel
            .add_address(&AddressSpec::new(1, ip("10.0.0.1"), 33))
            .unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        let label = Some("much-too-long-label".to_owned());
        let spec = AddressSpec {
            label,
            ..AddressSpec::new(1, ip("10.0.0.1"), 32)
        };
        assert!(matches!(
            kernel.add_address(&spec).unwrap_err(),
            Error::Invalid(_)
        ));
    }
}
