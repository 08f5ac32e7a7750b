//! What the kernel shows: is the address there, and where.

use super::change::collision;
use super::held::Held;
use super::params::{Agent, Refusal, Settings, Target, rc};
use super::{NativeVip, Outcome, guard, refused};
use crate::executor::OpRequest;
use netlink::probe::EchoProbe;
use netlink::{Address, Error, Place};
use std::net::IpAddr;
use std::time::{Duration, Instant};

impl NativeVip {
    /// Where a running address is: where it was put, even if the routes say otherwise since.
    pub(super) fn place_of(&self, resource: &str, settings: &Settings) -> netlink::Result<Place> {
        let target = &settings.target;
        let mut kernel = self.kernel();
        match self.held.get(resource).filter(|held| held.ip == target.ip) {
            Some(Held { index, prefix, .. }) => Ok(Place {
                link: kernel.link_by_index(index)?,
                prefix,
                broadcast: None,
            }),
            None => kernel.find_place(&target.wanted(settings.broadcast)),
        }
    }

    /// No place for the address: what a monitor says depends on whether it is there all the same.
    pub(super) fn homeless(
        &self,
        request: &OpRequest,
        fitting: &[Address],
        error: Error,
    ) -> Refusal {
        if let Error::NoSuchLink { .. } = &error {
            let reason = format!("the interface went away with the address: {error}");
            return Refusal::new(rc::NOT_RUNNING, reason);
        }
        let Error::NoPlace(_) = &error else {
            return refused(error);
        };
        if let Some(address) = fitting.first() {
            let name = self.name_of(address.index);
            return Refusal::new(
                rc::GENERIC,
                format!(
                    "{}/{} is on {name}, but {name} is down or has lost its network: {error}",
                    address.ip, address.prefix
                ),
            );
        }
        let probe = request.interval_ms == 0;
        let no_nic = matches!(&error, Error::NoPlace(netlink::NoPlace::NoSuchNic { .. }));
        let code = if probe || no_nic {
            rc::NOT_RUNNING
        } else {
            rc::GENERIC
        };
        Refusal::new(code, error.to_string())
    }

    /// Addresses on this machine that fit what the configuration says, in whatever place.
    pub(super) fn fitting(&self, target: &Target) -> Result<Vec<Address>, Refusal> {
        let mut kernel = self.kernel();
        let nic = match &target.nic {
            Some(nic) => match kernel.link(nic) {
                Ok(link) => Some(link.index),
                Err(error) if error.is_absent() => return Ok(Vec::new()),
                Err(error) => return Err(refused(error)),
            },
            None => None,
        };
        let mut addresses = kernel.addresses().map_err(refused)?;
        addresses.retain(|address| {
            address.ip == target.ip
                && target.prefix.is_none_or(|prefix| prefix == address.prefix)
                && nic.is_none_or(|index| index == address.index)
        });
        Ok(addresses)
    }

    pub(super) fn name_of(&self, index: u32) -> String {
        let link = self.kernel().link_by_index(index);
        link.map_or_else(|_| format!("link #{index}"), |link| link.name)
    }
}

/// Does this monitor also want an answer from the address? `OCF_CHECK_LEVEL` above 0 asks the older
/// agents for that.
pub(super) fn wants_answer(agent: Agent, request: &OpRequest) -> bool {
    let level = request
        .params
        .get("OCF_CHECK_LEVEL")
        .map(|level| level.trim());
    agent != Agent::IPaddr2 && !matches!(level, None | Some("" | "0"))
}

/// The answer that [`wants_answer`] speaks of: waited for, so not in a batch.
pub(super) fn check_answer(agent: Agent, request: &OpRequest, ip: IpAddr) -> Outcome {
    if !wants_answer(agent, request) {
        return Ok(());
    }
    let start = Instant::now();
    let probe = EchoProbe::start(None, ip, ECHO_STEP).map_err(refused)?;
    if probe.wait_for_answer(start, ECHO_WAIT_MAX).is_some() {
        return Ok(());
    }
    let reason = format!("{ip} is in place but does not answer an echo request");
    Err(Refusal::new(rc::GENERIC, reason))
}

/// Is the address where it belongs, on a link that is up?
pub(super) fn judge(
    agent: Agent,
    request: &OpRequest,
    settings: &Settings,
    place: &Place,
    fitting: &[Address],
) -> Outcome {
    let (ip, prefix, nic) = (settings.target.ip, place.prefix, &place.link.name);
    let there = |a: &&Address| a.prefix == prefix && a.index == place.link.index;
    let Some(address) = fitting.iter().find(there) else {
        // IPaddr takes an address on another interface for an error, IPaddr2 for its absence.
        if agent == Agent::IPaddr && !fitting.is_empty() && request.interval_ms > 0 {
            let reason = format!("{ip} is on another interface than {nic}: remove it there");
            return Err(Refusal::new(rc::GENERIC, reason));
        }
        let reason = format!("{ip}/{prefix} is not on {nic}");
        return Err(Refusal::new(rc::NOT_RUNNING, reason));
    };
    if !place.link.up {
        let reason = format!("{ip}/{prefix} is on {nic}, but {nic} is down: ip link set {nic} up");
        return Err(Refusal::new(rc::GENERIC, reason));
    }
    if !place.link.carrier {
        let reason = format!("{ip}/{prefix} is on {nic}, but {}", no_carrier(nic));
        return Err(Refusal::new(rc::GENERIC, reason));
    }
    if address.is_duplicate() {
        return Err(collision(ip, nic, "another node"));
    }
    Ok(())
}

pub(super) fn no_carrier(nic: &str) -> String {
    format!("{nic} {}: see to cable, port and switch", guard::NO_CARRIER)
}

const ECHO_STEP: Duration = Duration::from_millis(100);
const ECHO_WAIT_MAX: Duration = Duration::from_secs(5);
