//! The native floating IP: IPaddr2 and IPaddr served in-process through `netlink`.
//!
//! Exit codes and meaning are the agents'; what they do in some hundred milliseconds of shell
//! takes well under one here, and a stop takes the address away even where the agents' search
//! for an interface would give up. The differences are listed in mainstay-vip(7).

mod burst;
mod guard;
mod held;
mod metadata;
mod params;

pub use guard::{Guard, Mishap};
pub use held::HeldVip;

use crate::executor::{NativeAgent, OpRequest};
use burst::{Announcers, Bursts, Voice};
use held::{Held, HeldTable};
use netlink::{Address, AddressSpec, ArpListener, Broadcast, Error, Kernel, Link, Place, sysctl};
use params::{Agent, Refusal, Settings, Target, rc};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Serves `ocf:heartbeat:IPaddr2` and `ocf:heartbeat:IPaddr` without a process.
///
/// It works on the network namespace of the thread that made it; operations must run on threads
/// of the same namespace (the daemon has only one).
#[derive(Debug)]
pub struct NativeVip {
    kernel: Mutex<Kernel>,
    held: HeldTable,
    /// Resources whose addresses stay as they are found.
    hands_off: Mutex<BTreeSet<String>>,
    announcers: Announcers,
    bursts: Bursts,
}

/// An operation's end as the agents tell it: nothing, or exit code and reason.
type Outcome = Result<(), Refusal>;

impl NativeVip {
    /// Opens the kernel socket and starts the announcing thread.
    ///
    /// # Errors
    /// When the system refuses a socket or a thread.
    pub fn new() -> netlink::Result<Self> {
        let bursts = Bursts::start().map_err(|source| Error::Io {
            what: "start the announcing thread".to_owned(),
            source,
        })?;
        Ok(Self {
            kernel: Mutex::new(Kernel::open()?),
            held: HeldTable::default(),
            hands_off: Mutex::default(),
            announcers: Announcers::default(),
            bursts,
        })
    }

    /// `Ok(true)`: served here. `Ok(false)`: not an address agent.
    ///
    /// # Errors
    /// Why this request of an address agent must go to the real agent.
    pub fn handles(&self, request: &OpRequest) -> Result<bool, String> {
        let Some(agent) = Agent::of(request) else {
            return Ok(false);
        };
        if request.operation == "meta-data" {
            return Ok(true);
        }
        match params::unserved(agent, request) {
            Some(reason) => Err(reason),
            None => Ok(true),
        }
    }

    /// Runs one operation to its end: OCF exit code and reason (empty when all is well).
    /// `meta-data` returns its XML in place of the reason.
    pub fn run(&self, request: &OpRequest) -> (i32, String) {
        let Some(agent) = Agent::of(request) else {
            let reason = format!("{} is not a native address agent", request.kind);
            return (rc::UNIMPLEMENTED, reason);
        };
        let outcome = match request.operation.as_str() {
            "meta-data" => return (rc::OK, metadata::xml(&request.kind)),
            "start" => self.start(agent, request),
            "stop" => self.stop(request),
            "monitor" => self.monitor(agent, request),
            "status" => self.monitor(agent, request).map_err(stopped),
            "validate-all" => self.validate(agent, request).map(drop),
            "reload" | "reload-agent" => self.reload(agent, request),
            other => Err(Refusal::new(
                rc::UNIMPLEMENTED,
                format!("an address has no operation {other}"),
            )),
        };
        match outcome {
            Ok(()) => (rc::OK, String::new()),
            Err(refusal) => (refusal.rc, refusal.reason),
        }
    }

    /// The addresses this node holds for resources, by resource.
    pub fn list(&self) -> Vec<HeldVip> {
        self.held.list()
    }

    /// The agent's meta-data, for answering without a request; nothing for other agents.
    pub fn meta_data(kind: &str) -> Option<String> {
        matches!(kind, "IPaddr2" | "IPaddr").then(|| metadata::xml(kind))
    }

    fn start(&self, agent: Agent, request: &OpRequest) -> Outcome {
        let (settings, place) = self.validate(agent, request)?;
        let label = settings.label_on(&place.link.name)?;
        let there = self.is_on(settings.target.ip, place.prefix, place.link.index)?;
        let link = self.bring_up(&place.link)?;
        if !link.carrier {
            return Err(Refusal::new(rc::GENERIC, no_carrier(&link.name)));
        }
        if !there {
            if settings.arping {
                refuse_second_owner(&link, settings.target.ip)?;
            }
            self.add(&settings, &place, label)?;
        }
        let held = self.hold(request, &settings.target, &place);
        if !place.link.up {
            // Until the carrier comes the kernel drops what is sent, without a word.
            let interval = settings.interval.max(NEGOTIATION_STEP);
            let patient = Settings {
                interval,
                ..settings
            };
            self.announce(request, &patient, &link, &held);
        } else if !there {
            self.announce(request, &settings, &link, &held);
        }
        Ok(())
    }

    fn stop(&self, request: &OpRequest) -> Outcome {
        // First of all: what is removed from here on must not be put back.
        self.held.leave(&request.rsc);
        self.bursts.cancel(&request.rsc);
        let Some(target) = Target::lenient(&request.params) else {
            // What is no address is on no interface.
            return Ok(());
        };
        let mut outcome = Ok(());
        for address in self.to_remove(&request.rsc, &target)? {
            // One that cannot be removed does not keep the others here.
            outcome = outcome.and(self.remove(&address));
        }
        outcome?;
        self.held.forget(&request.rsc);
        Ok(())
    }

    /// Every address that fits what the configuration says, wherever it is: one left behind
    /// (its link down, its network changed since the start) would have two owners one day. Only
    /// loopbacks are spared, load balancers' targets keep a copy there, unless we put it there.
    fn to_remove(&self, resource: &str, target: &Target) -> Result<Vec<Address>, Refusal> {
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

    fn monitor(&self, agent: Agent, request: &OpRequest) -> Outcome {
        let settings = Settings::read(agent, &request.params)?;
        let target = &settings.target;
        let place = self.place_of(&request.rsc, &settings);
        let fitting = self.fitting(target)?;
        let result = match place {
            Ok(place) => judge(agent, request, &settings, &place, &fitting).map(|()| place),
            Err(error) => Err(self.homeless(request, &fitting, error)),
        };
        let place = match result {
            Ok(place) => place,
            Err(refusal) => {
                if refusal.rc == rc::NOT_RUNNING {
                    self.bursts.cancel(&request.rsc);
                    self.held.forget(&request.rsc);
                }
                return Err(refusal);
            }
        };
        let held = self.hold(request, target, &place);
        if settings.refreshes > 0 && request.interval_ms > 0 {
            let refresh = Settings {
                announces: settings.refreshes,
                ..settings
            };
            self.announce(request, &refresh, &place.link, &held);
        }
        Ok(())
    }

    /// Where a running address is: where it was put, even if the routes say otherwise since.
    fn place_of(&self, resource: &str, settings: &Settings) -> netlink::Result<Place> {
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
    fn homeless(&self, request: &OpRequest, fitting: &[Address], error: Error) -> Refusal {
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

    /// Parameters and place are right; nothing is changed.
    fn validate(&self, agent: Agent, request: &OpRequest) -> Result<(Settings, Place), Refusal> {
        let settings = Settings::read(agent, &request.params)?;
        let wanted = settings.target.wanted(settings.broadcast);
        let place = self.kernel().find_place(&wanted).map_err(refused)?;
        settings.label_on(&place.link.name)?;
        Ok((settings, place))
    }

    /// New announcement settings need nothing done; a new address is a restart, not a reload.
    fn reload(&self, agent: Agent, request: &OpRequest) -> Outcome {
        let (settings, place) = self.validate(agent, request)?;
        let fitting = self.fitting(&settings.target)?;
        judge(agent, request, &settings, &place, &fitting)
    }

    fn bring_up(&self, link: &Link) -> Result<Link, Refusal> {
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

    fn add(&self, settings: &Settings, place: &Place, label: Option<String>) -> Outcome {
        let spec = AddressSpec {
            broadcast: place.broadcast,
            label,
            nodad: settings.target.ip.is_ipv6() && settings.nodad,
            noprefixroute: settings.noprefixroute,
            preferred: settings.preferred,
            ..AddressSpec::new(place.link.index, settings.target.ip, place.prefix)
        };
        match self.kernel().add_address(&spec) {
            Ok(()) => {}
            // Somebody added it since we looked: the wanted state holds.
            Err(error) if error.is_exists() => {}
            Err(error) => return Err(refused(error)),
        }
        if settings.target.ip.is_ipv6() && !settings.nodad {
            self.await_detection(&spec)?;
        }
        Ok(())
    }

    /// Waits until the kernel has asked around for an IPv6 address (nodad=false).
    fn await_detection(&self, spec: &AddressSpec) -> Outcome {
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

    fn remove(&self, address: &Address) -> Outcome {
        let mut kernel = self.kernel();
        keep_secondaries(&mut kernel, address);
        match kernel.delete_address(address.index, address.ip, address.prefix) {
            Err(error) if !error.is_absent() => Err(refused(error)),
            _ => Ok(()),
        }
    }

    /// Notes the address as held by the resource; keeps what is known when it is the same.
    fn hold(&self, request: &OpRequest, target: &Target, place: &Place) -> Held {
        self.held.note(
            &request.rsc,
            Held {
                ip: target.ip,
                prefix: place.prefix,
                index: place.link.index,
                device: place.link.name.clone(),
                tally: Arc::default(),
                request: Arc::new(request.clone()),
                leaving: false,
            },
        )
    }

    /// Sends the first announcement at once and leaves the rest to the thread. An announcement
    /// that cannot be sent does not undo the address: peers learn it when their entry expires.
    fn announce(&self, request: &OpRequest, settings: &Settings, link: &Link, held: &Held) {
        if link.loopback || link.noarp || settings.announces == 0 {
            return;
        }
        let Some(announcer) = held.tally.note(held.ip, self.announcers.on(link)) else {
            return;
        };
        let tally = Arc::clone(&held.tally);
        let voice = Arc::new(Voice {
            announcer,
            ip: settings.target.ip,
            tally,
        });
        voice.speak();
        let more = settings.announces - 1;
        if settings.background {
            self.bursts
                .add(&request.rsc, voice, more, settings.interval);
            return;
        }
        for _ in 0..more {
            std::thread::sleep(settings.interval);
            voice.speak();
        }
    }

    fn is_on(&self, ip: IpAddr, prefix: u8, index: u32) -> Result<bool, Refusal> {
        let addresses = self.kernel().addresses().map_err(refused)?;
        Ok(addresses
            .iter()
            .any(|a| (a.ip, a.prefix, a.index) == (ip, prefix, index)))
    }

    /// Addresses on this machine that fit what the configuration says, in whatever place.
    fn fitting(&self, target: &Target) -> Result<Vec<Address>, Refusal> {
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

    fn name_of(&self, index: u32) -> String {
        let link = self.kernel().link_by_index(index);
        link.map_or_else(|_| format!("link #{index}"), |link| link.name)
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        // A half-read answer is skipped by its number: the socket stays usable after a panic.
        lock(&self.kernel)
    }
}

impl NativeAgent for NativeVip {
    fn handles(&self, request: &OpRequest) -> Result<bool, String> {
        Self::handles(self, request)
    }

    fn run(&self, request: &OpRequest) -> (i32, String) {
        Self::run(self, request)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is the address where it belongs, on a link that is up?
fn judge(
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

fn no_carrier(nic: &str) -> String {
    format!("{nic} {}: see to cable, port and switch", guard::NO_CARRIER)
}

/// `status` knows running and stopped only.
fn stopped(refusal: Refusal) -> Refusal {
    match refusal.rc {
        rc::GENERIC => Refusal {
            rc: rc::NOT_RUNNING,
            ..refusal
        },
        _ => refusal,
    }
}

/// RFC 5227 section 2.1 with the agent's numbers (`arping -D -c 2 -w 3`).
fn refuse_second_owner(link: &Link, ip: IpAddr) -> Outcome {
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

fn collision(ip: IpAddr, nic: &str, owner: &str) -> Refusal {
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
fn keep_secondaries(kernel: &mut Kernel, address: &Address) {
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

fn refused(error: Error) -> Refusal {
    let code = match &error {
        Error::NoPlace(netlink::NoPlace::NoSuchNic { .. }) => rc::CONFIGURED,
        error if error.is_denied() => rc::PERM,
        _ => rc::GENERIC,
    };
    let cure = match &error {
        Error::NoPlace(netlink::NoPlace::NoSuchNic { .. }) => ": correct parameter nic",
        Error::NoPlace(netlink::NoPlace::NoNetwork { .. }) => {
            ": correct ip or cidr_netmask, or name both nic and cidr_netmask"
        }
        _ => "",
    };
    Refusal::new(code, format!("{error}{cure}"))
}

/// As the agent: it looks ten times, a second apart.
const DETECTION_WAIT_MAX: Duration = Duration::from_secs(10);
const DETECTION_LOOK: Duration = Duration::from_millis(20);
/// Between announcements on a link just brought up: Ethernet ports agree on a speed within some
/// three seconds, so that the default five announcements outlast it.
const NEGOTIATION_STEP: Duration = Duration::from_secs(1);
/// How long a link that was just brought up may take to find its carrier.
const NEGOTIATION_WAIT_MAX: Duration = Duration::from_secs(3);
const ARPINGS: u32 = 2;
const ARPING_WAIT: Duration = Duration::from_millis(1_000);

#[cfg(test)]
mod tests;
