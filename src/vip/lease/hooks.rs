//! Where the agents' operations meet the lease: gate before address, address before announcement;
//! and the other way round at a stop (R15).

use super::LeaseHandle;
use crate::executor::OpRequest;
use crate::vip::NativeVip;
use crate::vip::change::keep_secondaries;
use crate::vip::params::{self, Agent, Refusal, Settings, Target, rc};
use netlink::{Address, AddressFlag, AddressSpec, Lifetime, Place};
use std::net::IpAddr;
use std::time::Duration;

/// Does the address of this resource need a grant and a lease? Those of the native agents do, one
/// holder at a time; a clone's instances share an address on purpose, targets of a load balancer
/// answer for it on their loopbacks, other namespaces have tables of their own, and what the real
/// agent serves is not gated.
#[must_use]
pub fn is_leased(request: &OpRequest) -> bool {
    let Some(agent) = Agent::of(request) else {
        return false;
    };
    let cloned = request.meta.contains_key("clone") || request.instance.contains(':');
    params::unserved(agent, request).is_none() && !cloned && !params::is_out_of_reach(request)
}

/// The address of such a resource, where its parameters name one.
#[must_use]
pub fn address_of(request: &OpRequest) -> Option<IpAddr> {
    Target::lenient(&request.params).map(|target| target.ip)
}

impl NativeVip {
    /// From now on addresses are held by leases.
    #[must_use]
    pub fn with_leases(mut self, leases: LeaseHandle) -> Self {
        // Where the kernel has no egress gates this is what stops a frame (R15).
        let permit = leases.clone();
        self.announce_only_if(Box::new(move |ip| permit.may_speak_for(ip)));
        self.leases = Some(leases);
        self
    }

    pub(in crate::vip) fn leases_for(&self, request: &OpRequest) -> Option<&LeaseHandle> {
        self.leases.as_ref().filter(|_| is_leased(request))
    }

    /// No lease forbids it: what ran out is not put back.
    pub(in crate::vip) fn may_speak(&self, resource: &str) -> bool {
        let Some(leases) = &self.leases else {
            return true;
        };
        !leases.is_wanted(resource) || leases.is_open(resource)
    }

    /// Which of these addresses are on this machine, wherever.
    pub fn present(&self, ips: &[IpAddr]) -> Vec<IpAddr> {
        let all = self.kernel().addresses().unwrap_or_default();
        let there = |ip: &IpAddr| all.iter().any(|a| a.ip == *ip);
        ips.iter().copied().filter(there).collect()
    }

    /// The device where the address of a resource is or would be.
    pub fn device_of(&self, request: &OpRequest) -> Option<String> {
        let agent = Agent::of(request)?;
        let settings = Settings::read(agent, &request.params).ok()?;
        let place = self.place_of(&request.rsc, &settings).ok()?;
        Some(place.link.name)
    }

    /// Takes the running address of a resource over, as a monitor would; false when it is not here.
    pub fn adopt(&self, request: &OpRequest) -> bool {
        let Some(settings) =
            Agent::of(request).and_then(|a| Settings::read(a, &request.params).ok())
        else {
            return false;
        };
        let ip = settings.target.ip;
        let mut all = self.kernel().addresses().unwrap_or_default();
        all.retain(|a| a.ip == ip);
        match (all.first(), self.place_of(&request.rsc, &settings)) {
            (None, _) => false,
            (Some(_), Ok(place)) => {
                self.adopt_gate(request, &settings, &place);
                true
            }
            (Some(_), Err(_)) => {
                // Where it belongs cannot be said, but it is here: its monitor will tell more.
                if let Some(leases) = self.leases_for(request) {
                    leases.adopt(&request.rsc, ip, None);
                }
                true
            }
        }
    }

    /// The address may be added when this has returned.
    pub(in crate::vip) fn open_gate(
        &self,
        request: &OpRequest,
        ip: IpAddr,
        place: &Place,
    ) -> Result<(), Refusal> {
        let Some(leases) = self.leases_for(request) else {
            return Ok(());
        };
        let link = (place.link.name.as_str(), place.link.index);
        let opened = leases.open(&[(&request.rsc, ip, link)], OPEN_WAIT).pop();
        let refused = |why| Refusal::new(rc::GENERIC, format!("{ip} got no lease: {why}"));
        opened.unwrap_or(Ok(())).map_err(refused)
    }

    /// The address with an end to its life, if a lease will renew it.
    pub(in crate::vip) fn mortal(&self, request: &OpRequest, spec: AddressSpec) -> AddressSpec {
        if self.leases_for(request).is_none() {
            return spec;
        }
        let all = match spec.ip {
            IpAddr::V6(_) => self.kernel().addresses().unwrap_or_default(),
            IpAddr::V4(_) => Vec::new(),
        };
        let others: Vec<_> = all.iter().map(|a| (a.index, a.ip, a.prefix)).collect();
        self.mortal_among(&others, spec)
    }

    /// The same for an address that needs a lease, beside these: index, address, prefix length.
    pub(in crate::vip) fn mortal_among(
        &self,
        others: &[(u32, IpAddr, u8)],
        spec: AddressSpec,
    ) -> AddressSpec {
        let noprefixroute = spec.noprefixroute || shares_network(others, &spec);
        let spec = AddressSpec {
            noprefixroute,
            ..spec
        };
        super::mortal(spec, super::BELT_SECONDS)
    }

    /// The address is up: its lifetime goes with the lease from now on.
    pub(in crate::vip) fn keep_alive(&self, request: &OpRequest, spec: AddressSpec) {
        let Some(leases) = self.leases_for(request) else {
            return;
        };
        leases.address(&request.rsc, spec);
    }

    /// The kernel may remove an address with an end by itself one day, and must not take others of
    /// its network along.
    pub(in crate::vip) fn keep_others(&self, index: u32) {
        if self.leases.is_none() {
            return;
        }
        let mut kernel = self.kernel();
        let all = kernel.addresses().unwrap_or_default();
        let ends = |a: &&Address| a.index == index && a.valid != Lifetime::Forever;
        if let Some(first) = all.iter().find(|a| ends(a) && !a.is_secondary()) {
            keep_secondaries(&mut kernel, first);
        }
    }

    /// A monitor found it running: a process that has just started did not put it there.
    pub(in crate::vip) fn adopt_gate(
        &self,
        request: &OpRequest,
        settings: &Settings,
        place: &Place,
    ) {
        let Some(leases) = self.leases_for(request) else {
            return;
        };
        let ip = settings.target.ip;
        let all = self.kernel().addresses().unwrap_or_default();
        let mine = |a: &&Address| (a.ip, a.prefix, a.index) == (ip, place.prefix, place.link.index);
        let Some(address) = all.iter().find(mine) else {
            return;
        };
        let link = (place.link.name.clone(), place.link.index);
        let spec = as_found(address, settings);
        leases.addresses(vec![(request.rsc.clone(), Some(link), spec)]);
    }

    /// Nothing is heard or said for the address when this has returned.
    pub(in crate::vip) fn close_gate(&self, request: &OpRequest, ip: Option<IpAddr>) {
        let Some(leases) = self.leases_for(request) else {
            return;
        };
        if let Err(why) = leases.close(&request.rsc, ip) {
            // It closes by itself within the lease, and the address goes now.
            tracing::warn!(rsc = request.rsc, "the gate was not closed: {why}");
        }
    }
}

/// How an address that is up is kept alive: as it is, with the lifetimes that its resource wants.
pub(in crate::vip) fn as_found(address: &Address, settings: &Settings) -> AddressSpec {
    AddressSpec {
        noprefixroute: address.flags.contains(AddressFlag::Noprefixroute),
        preferred: settings.preferred,
        ..AddressSpec::new(address.index, address.ip, address.prefix)
    }
}

/// IPv6: the route to the network belongs to all addresses in it. One with an end would give the route
/// that end, too (addrconf.c, `modify_prefix_route`).
fn shares_network(others: &[(u32, IpAddr, u8)], spec: &AddressSpec) -> bool {
    let IpAddr::V6(six) = spec.ip else {
        return false;
    };
    let network = |ip: u128| {
        let shift = 128 - u32::from(spec.prefix);
        ip.checked_shr(shift).unwrap_or(0)
    };
    others.iter().any(|(index, ip, prefix)| match ip {
        IpAddr::V6(other) => {
            *other != six
                && (*index, *prefix) == (spec.index, spec.prefix)
                && network(other.to_bits()) == network(six.to_bits())
        }
        IpAddr::V4(_) => false,
    })
}

/// How long a start waits for its grant to arrive and for a fresh quorum.
const OPEN_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str) -> OpRequest {
        OpRequest {
            rsc: "ip".to_owned(),
            instance: "ip".to_owned(),
            class: "ocf".to_owned(),
            provider: Some("heartbeat".to_owned()),
            kind: kind.to_owned(),
            operation: "monitor".to_owned(),
            ..OpRequest::default()
        }
    }

    #[test]
    fn one_address_with_one_holder_is_leased() {
        assert!(is_leased(&request("IPaddr2")));
        assert!(!is_leased(&request("Dummy")));
        let mut clone = request("IPaddr2");
        clone.instance = "ip:1".to_owned();
        assert!(!is_leased(&clone));
        for (name, value, leased) in [
            ("lvs_support", "true", false),
            ("lvs_ipv6_addrlabel", "1", false),
            ("network_namespace", "blue", false),
            ("send_arp_opts", "-b", false),
            ("send_arp_opts", "-A", true),
            ("flush_routes", "true", true),
            ("mac", "auto", true),
        ] {
            let mut special = request("IPaddr2");
            special.params.insert(name.to_owned(), value.to_owned());
            assert_eq!(is_leased(&special), leased, "{name}={value}");
        }
    }
}
