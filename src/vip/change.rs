//! What is changed in the kernel: an address comes, an address goes.

use super::params::{Refusal, Settings, Target, rc};
use super::{NativeVip, Outcome, refused};
use crate::executor::OpRequest;
use netlink::{Address, AddressSpec, ArpListener, Broadcast, Kernel, Link, Place, sysctl};
use std::net::IpAddr;
use std::time::{Duration, Instant};

impl NativeVip {
    /// Every address that fits what the configuration says, wherever it is: one left behind
    /// (its link down, its network changed since the start) would have two owners one day. Only
    /// loopbacks are spared, load balancers' targets keep a copy there, unless we put it there.
    pub(super) fn to_remove(
        &self,
        resource: &str,
        target: &Target,
    ) -> Result<Vec<Address>, Refusal> {
        let held = self.held.get(resource);
        let place = self.kernel().find_place(&target.wanted(Broadcast::Inherit));
        let links = self.kernel().links().map_err(refused)?;
        let mine = |address: &Address| {
            let started = held
                .as_ref()
                .is_some_and(|held| held.index == address.index);
            let found = place
                .as_ref()
                .is_ok_and(|place| place.link.index == address.index);
            let loopback = links.iter().any(|l| l.index == address.index && l.loopback);
            started || found || !loopback
        };
        let mut addresses = self.fitting(target)?;
        addresses.retain(mine);
        Ok(addresses)
    }

    pub(super) fn bring_up(&self, link: &Link) -> Result<Link, Refusal> {
        if link.up {
            return Ok(link.clone());
        }
        let mut kernel = self.kernel();
        kernel.set_up(link.index, true).map_err(refused)?;
        let until = Instant::now() + NEGOTIATION_WAIT_MAX;
        loop {
            let link = kernel.link_by_index(link.index).map_err(refused)?;
            if link.carrier || Instant::now() >= until {
                return Ok(link);
            }
            drop(kernel);
            std::thread::sleep(DETECTION_LOOK);
            kernel = self.kernel();
        }
    }

    pub(super) fn add(
        &self,
        request: &OpRequest,
        settings: &Settings,
        place: &Place,
        label: Option<String>,
    ) -> Outcome {
        let spec = self.mortal(request, settings.spec(place, label));
        match self.kernel().add_address(&spec) {
            Ok(()) => {}
            // Somebody added it since we looked: the wanted state holds.
            Err(error) if error.is_exists() => {}
            Err(error) => return Err(refused(error)),
        }
        self.keep_alive(request, spec.clone());
        if settings.target.ip.is_ipv6() && !settings.nodad {
            self.await_detection(&spec)?;
        }
        Ok(())
    }

    /// Waits until the kernel has asked around for an IPv6 address (nodad=false).
    pub(super) fn await_detection(&self, spec: &AddressSpec) -> Outcome {
        let deadline = Instant::now() + DETECTION_WAIT_MAX;
        loop {
            let addresses = self.kernel().addresses().map_err(refused)?;
            let ours = |a: &&Address| a.ip == spec.ip && a.index == spec.index;
            let Some(address) = addresses.iter().find(ours) else {
                let reason = format!(
                    "{} was removed while it was checked for duplicates",
                    spec.ip
                );
                return Err(Refusal::new(rc::GENERIC, reason));
            };
            if address.is_duplicate() {
                let removed = self
                    .kernel()
                    .delete_address(spec.index, spec.ip, spec.prefix);
                removed.map_err(refused)?;
                return Err(collision(
                    spec.ip,
                    &self.name_of(spec.index),
                    "another node",
                ));
            }
            if !address.is_tentative() || Instant::now() >= deadline {
                return Ok(());
            }
            std::thread::sleep(DETECTION_LOOK);
        }
    }

    pub(super) fn remove(&self, address: &Address) -> Outcome {
        let mut kernel = self.kernel();
        keep_secondaries(&mut kernel, address);
        match kernel.delete_address(address.index, address.ip, address.prefix) {
            Err(error) if !error.is_absent() => Err(refused(error)),
            _ => Ok(()),
        }
    }
}

/// RFC 5227 section 2.1 with the agent's numbers (`arping -D -c 2 -w 3`).
pub(super) fn refuse_second_owner(link: &Link, ip: IpAddr) -> Outcome {
    let IpAddr::V4(four) = ip else { return Ok(()) };
    if link.loopback || link.noarp {
        return Ok(());
    }
    let asked = ArpListener::open(link).and_then(|ear| ear.owner(four, ARPINGS, ARPING_WAIT));
    match asked {
        Ok(None) => Ok(()),
        Ok(Some(owner)) => Err(collision(ip, &link.name, &owner.to_string())),
        Err(error) => {
            // As in the agent: a check that cannot be made does not keep the address away.
            tracing::warn!(%ip, %error, "could not ask for a second owner");
            Ok(())
        }
    }
}

pub(super) fn collision(ip: IpAddr, nic: &str, owner: &str) -> Refusal {
    Refusal::new(
        rc::GENERIC,
        format!(
            "{ip} is in use already: {owner} answers for it on {nic}; remove it there, then clean \
             up this resource"
        ),
    )
}

/// When ours is the first address of its network on that link, the kernel would take the others
/// of that network away with it, the node's own among them. The agents leave this to the
/// administrator; we switch `promote_secondaries` on where it matters.
pub(super) fn keep_secondaries(kernel: &mut Kernel, address: &Address) {
    let addresses = kernel.addresses().unwrap_or_default();
    let endangered = !address.is_secondary()
        && addresses
            .iter()
            .any(|a| a.index == address.index && a.is_secondary());
    let Some(link) = endangered
        .then(|| kernel.link_by_index(address.index).ok())
        .flatten()
    else {
        return;
    };
    let key = format!("net/ipv4/conf/{}/promote_secondaries", link.name);
    match sysctl::set(&key, "1") {
        sysctl::Set::Already => {}
        sysctl::Set::Changed(_) => tracing::info!(
            %key, ip = %address.ip,
            "set to 1: other addresses of the network shall stay when the floating one goes"
        ),
        sysctl::Set::Failed(reason) => tracing::warn!(
            ip = %address.ip, %reason,
            "the kernel may remove other addresses of the network with the floating one"
        ),
    }
}

/// As the agent: it looks ten times, a second apart.
const DETECTION_WAIT_MAX: Duration = Duration::from_secs(10);
const DETECTION_LOOK: Duration = Duration::from_millis(20);
/// How long a link that was just brought up may take to find its carrier.
const NEGOTIATION_WAIT_MAX: Duration = Duration::from_secs(3);
const ARPINGS: u32 = 2;
const ARPING_WAIT: Duration = Duration::from_millis(1_000);
