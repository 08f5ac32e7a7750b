//! What is changed in the kernel: an address comes, an address goes.

use super::params::{Refusal, Settings, Target, rc};
use super::{NativeVip, Outcome, refused};
use crate::executor::OpRequest;
use netlink::{Address, AddressSpec, Asked, Broadcast, ClaimListener, Kernel, Link, Place, sysctl};
use std::collections::BTreeSet;
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

    /// Is the address in its place already? If not, finds out what is in the way, before anything
    /// is changed.
    pub(super) fn admit(&self, settings: &Settings, place: &Place) -> Result<bool, Refusal> {
        let (ip, nic) = (settings.target.ip, &place.link.name);
        let mut addresses = self.kernel().addresses().map_err(refused)?;
        addresses.retain(|a| a.ip == ip);
        let here = |a: &Address| (a.prefix, a.index) == (place.prefix, place.link.index);
        if addresses.iter().any(here) {
            return Ok(true);
        }
        if ip.is_ipv6() {
            let key = format!("net/ipv6/conf/{nic}/disable_ipv6");
            if sysctl::read(&key).is_ok_and(|value| value == "1") {
                let reason = format!("IPv6 is switched off on {nic}: set {key} to 0 (sysctl)");
                return Err(Refusal::new(rc::GENERIC, reason));
            }
        }
        addresses.retain(|a| a.index != place.link.index);
        for Address { index, prefix, .. } in addresses {
            let other = match self.kernel().link_by_index(index) {
                Ok(link) if !link.loopback => link.name,
                // Load balancers' targets have it there; or it went meanwhile.
                _ => continue,
            };
            let reason = format!(
                "{ip}/{prefix} is on {other} already and would have two places on this node: ip \
                 address delete {ip}/{prefix} dev {other}, or set nic={other}"
            );
            return Err(Refusal::new(rc::GENERIC, reason));
        }
        Ok(false)
    }

    /// Sets a link up and waits for its carrier; one that has none is left as it was.
    pub(super) fn bring_up(&self, link: &Link) -> Result<Link, Refusal> {
        if link.up {
            return Ok(link.clone());
        }
        let mut kernel = self.kernel();
        kernel.set_up(link.index, true).map_err(refused)?;
        let until = Instant::now() + NEGOTIATION_WAIT_MAX;
        loop {
            let link = kernel.link_by_index(link.index).map_err(refused)?;
            if link.carrier {
                return Ok(link);
            }
            if Instant::now() >= until {
                kernel.set_up(link.index, false).map_err(refused)?;
                return Ok(link);
            }
            drop(kernel);
            std::thread::sleep(DETECTION_LOOK);
            kernel = self.kernel();
        }
    }

    /// Asks the network whether somebody else has the address, where that is wanted: as the agent
    /// does (`arping -D -c 2`), or as long as it takes where nobody knows whether the former
    /// holder is gone.
    pub(super) fn ask_for_a_second_owner(
        &self,
        request: &OpRequest,
        settings: &Settings,
        link: &Link,
    ) -> Outcome {
        let ordered = asked_first(request);
        let listen = match ordered {
            Some(listen) => listen,
            None if settings.arping => ARPING_WAIT,
            None => return Ok(()),
        };
        if link.loopback || link.noarp {
            return Ok(());
        }
        let own = self.kernel().links().unwrap_or_default();
        let asked = Asked {
            tries: ASK_TRIES,
            listen,
            own: own.iter().filter_map(|link| link.mac).collect(),
        };
        let ip = settings.target.ip;
        let claims = ClaimListener::new(link).and_then(|mut ear| {
            ear.watch(&BTreeSet::from([ip]))?;
            ear.ask(&asked)
        });
        match claims.map(|claims| claims.into_iter().next()) {
            Ok(None) => Ok(()),
            Ok(Some(claim)) => Err(collision(ip, &link.name, &claim.mac.to_string())),
            // Nobody asked for it in so many words: as in the agent, a check that cannot be made
            // does not keep the address away.
            Err(error) if ordered.is_none() => {
                tracing::warn!(%ip, %error, "could not ask for a second owner");
                Ok(())
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// Adds the address and what belongs to it; all of it or nothing.
    pub(super) fn add(
        &self,
        request: &OpRequest,
        settings: &Settings,
        place: &Place,
        label: Option<String>,
    ) -> Outcome {
        if settings.lvs {
            self.clear_loopback(settings)?;
        }
        if let (IpAddr::V6(six), Some(value)) = (settings.target.ip, settings.address_label) {
            self.label_address(six, value);
        }
        let added = self.add_alone(request, settings, place, label);
        if added.is_err() {
            // What is told is why the address could not be added.
            let undone = self.after_stop(settings);
            undone.unwrap_or_else(|refusal| tracing::warn!(reason = refusal.reason, "not undone"));
        }
        added
    }

    /// What is to be done when the address is gone.
    pub(super) fn after_stop(&self, settings: &Settings) -> Outcome {
        let ip = settings.target.ip;
        if let (IpAddr::V6(six), Some(value)) = (ip, settings.address_label) {
            // As in the agent: an error means that there was none.
            let _ = self.kernel().delete_address_label(six, value);
        }
        if settings.flush_routes {
            let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
            if let Err(error) = sysctl::trigger(&format!("net/{family}/route/flush"), "-1") {
                tracing::warn!(%ip, %error, "the route cache was not flushed");
            }
        }
        if settings.lvs {
            self.restore_loopback(&settings.target)?;
        }
        Ok(())
    }

    /// As in the agent: an address without its label is better than none.
    fn label_address(&self, ip: std::net::Ipv6Addr, value: u32) {
        match self.kernel().add_address_label(ip, value) {
            Err(error) if !error.is_exists() => {
                tracing::warn!(%ip, %error, "the address may be chosen as a source");
            }
            _ => {}
        }
    }

    fn add_alone(
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

pub(super) fn collision(ip: IpAddr, nic: &str, owner: &str) -> Refusal {
    Refusal::new(
        rc::GENERIC,
        format!(
            "{ip} is in use already: {owner} answers for it on {nic}; remove it there, then clean \
             up this resource"
        ),
    )
}

/// How long this start is to ask for another holder first.
pub(super) fn asked_first(request: &OpRequest) -> Option<Duration> {
    let ms = request.meta.get(ASK_FIRST_MS)?.parse().ok()?;
    Some(Duration::from_millis(ms))
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
/// Meta attribute of a start: for so many milliseconds it asks the network for another holder first
/// (RFC 5227 section 2.1, RFC 4862 section 5.4); somebody who answers fails it. For when nobody knows
/// whether a former holder is gone; otherwise nothing is asked, and nothing waits. Without the right
/// to ask the start fails, too.
pub const ASK_FIRST_MS: &str = "mainstay_ask_first_ms";
const ARPING_WAIT: Duration = Duration::from_secs(2);
/// RFC 5227 section 1.1, PROBE_NUM.
const ASK_TRIES: u32 = 3;
