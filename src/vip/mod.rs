//! The native floating IP: IPaddr2, IPaddr and IPv6addr served in-process through `netlink`, and
//! with them IPsrcaddr and Route.
//!
//! Exit codes and meaning are the agents'; what they do in some hundred milliseconds of shell
//! takes well under one here, and a stop takes the address away even where the agents' search
//! for an interface would give up. The differences are listed in mainstay-vip(7).

mod batch;
mod burst;
mod change;
mod conflict;
mod guard;
mod held;
pub mod lease;
pub mod listen;
mod lookout;
mod lvs;
mod metadata;
pub mod nonlocal;
mod params;
mod route;
mod see;
mod source;
mod space;
mod speak;

pub use change::ASK_FIRST_MS;
pub use conflict::{Conflict, Referee, Ruling};
pub(crate) use guard::NO_CARRIER;
pub use guard::{Guard, Mishap};
pub use held::HeldVip;

use crate::executor::{NativeAgent, OpRequest};
use burst::{Announcers, Bursts, Permit};
use held::{Held, HeldTable};
use lease::LeaseHandle;
use lookout::Lookout;
use netlink::{Error, Kernel, Place};
use params::{Agent, Refusal, Settings, Target, rc};
use see::{check_answer, judge, no_carrier};
use space::Spaces;
use speak::Arrival;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Serves `ocf:heartbeat:IPaddr2`, `IPaddr`, `IPv6addr`, `IPsrcaddr` and `Route` without a process.
///
/// It works on the network namespace of the thread that made it; operations must run on threads
/// of the same namespace (the daemon has only one).
#[derive(Debug)]
pub struct NativeVip {
    kernel: Mutex<Kernel>,
    held: Arc<HeldTable>,
    /// Resources whose addresses stay as they are found.
    hands_off: Mutex<BTreeSet<String>>,
    announcers: Announcers,
    bursts: Arc<Bursts>,
    permit: Arc<Permit>,
    lookout: Lookout,
    /// Without leases (tests, single tools) an address is held for ever.
    leases: Option<LeaseHandle>,
    spaces: Spaces,
    /// Where notes are kept that outlive this process.
    notes: PathBuf,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Address(Agent),
    /// IPsrcaddr.
    Source,
    Route,
}

impl Served {
    fn of(request: &OpRequest) -> Option<Self> {
        if let Some(agent) = Agent::of(request) {
            return Some(Self::Address(agent));
        }
        let heartbeat = request.class == "ocf" && request.provider.as_deref() == Some("heartbeat");
        match request.kind.as_str() {
            "IPsrcaddr" if heartbeat => Some(Self::Source),
            "Route" if heartbeat => Some(Self::Route),
            _ => None,
        }
    }
}

/// An operation's end as the agents tell it: nothing, or exit code and reason.
type Outcome = Result<(), Refusal>;

impl NativeVip {
    /// Opens the kernel socket and starts the threads that announce and watch.
    ///
    /// # Errors
    /// When the system refuses a socket or a thread.
    pub fn new() -> netlink::Result<Self> {
        let failed = |source| Error::Io {
            what: "start the threads that announce and watch addresses".to_owned(),
            source,
        };
        let held = Arc::new(HeldTable::default());
        let bursts = Arc::new(Bursts::start().map_err(failed)?);
        Ok(Self {
            kernel: Mutex::new(Kernel::open()?),
            held: Arc::clone(&held),
            hands_off: Mutex::default(),
            announcers: Announcers::default(),
            lookout: Lookout::start(Arc::clone(&bursts), held).map_err(failed)?,
            bursts,
            permit: Arc::default(),
            leases: None,
            spaces: Spaces::default(),
            notes: PathBuf::from(lvs::NOTES),
        })
    }

    /// `Ok(true)`: served here. `Ok(false)`: not an address agent.
    ///
    /// # Errors
    /// Why this request of an address agent must go to the real agent.
    pub fn handles(&self, request: &OpRequest) -> Result<bool, String> {
        let Some(served) = Served::of(request) else {
            return Ok(false);
        };
        if request.operation == "meta-data" {
            return Ok(true);
        }
        let unserved = match served {
            Served::Address(agent) => params::unserved(agent, request),
            Served::Source => source::unserved(request),
            Served::Route => route::unserved(request),
        };
        unserved.map_or(Ok(true), Err)
    }

    /// Runs one operation to its end: OCF exit code and reason (empty when all is well).
    /// `meta-data` returns its XML in place of the reason.
    pub fn run(&self, request: &OpRequest) -> (i32, String) {
        let Some(served) = Served::of(request) else {
            let reason = format!("{} is not a native agent", request.kind);
            return (rc::UNIMPLEMENTED, reason);
        };
        if request.operation == "meta-data" {
            return (rc::OK, metadata::xml(&request.kind).unwrap_or_default());
        }
        let outcome = match served {
            Served::Address(agent) => match params::namespace(request) {
                Some(name) => return self.spaces.run(name, request),
                None => self.run_address(agent, &params::resolved(request)),
            },
            Served::Source => self.run_source(request),
            Served::Route => self.run_route(request),
        };
        match outcome {
            Ok(()) => (rc::OK, String::new()),
            Err(refusal) => (refusal.rc, refusal.reason),
        }
    }

    fn run_address(&self, agent: Agent, request: &OpRequest) -> Outcome {
        match request.operation.as_str() {
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
        }
    }

    /// The addresses this node holds for resources, by resource.
    pub fn list(&self) -> Vec<HeldVip> {
        let mut held = self.held.list();
        held.extend(self.spaces.list());
        held
    }

    /// The agent's meta-data, for answering without a request; nothing for other agents.
    pub fn meta_data(kind: &str) -> Option<String> {
        metadata::xml(kind)
    }

    fn start(&self, agent: Agent, request: &OpRequest) -> Outcome {
        let (settings, place) = self.validate(agent, request)?;
        let label = settings.label_on(&place.link.name)?;
        let there = self.admit(&settings, &place)?;
        let link = self.bring_up(&place.link)?;
        if !link.carrier {
            return Err(Refusal::new(rc::GENERIC, no_carrier(&link.name)));
        }
        if !there {
            self.ask_for_a_second_owner(request, &settings, &link)?;
        }
        self.open_gate(request, settings.target.ip, &place)?;
        if there {
            self.adopt_gate(request, &settings, &place);
        } else if let Err(refusal) = self.add(request, &settings, &place, label) {
            self.close_gate(request, Some(settings.target.ip));
            return Err(refusal);
        }
        self.keep_others(place.link.index);
        let held = self.hold(request, &settings.target, &place);
        if !place.link.up {
            self.proclaim_on_new_link(request, settings, &link, &held);
        } else if !there {
            self.proclaim(&[Arrival {
                request,
                settings: &settings,
                link: &link,
                held: held.clone(),
            }]);
        }
        self.watch(request, &link, &held);
        Ok(())
    }

    fn stop(&self, request: &OpRequest) -> Outcome {
        // First of all: what is removed from here on must not be put back.
        self.held.leave(&request.rsc);
        self.fall_silent(&[&request.rsc]);
        let Some(target) = Target::lenient(&request.params) else {
            // What is no address is on no interface.
            return Ok(());
        };
        self.close_gate(request, Some(target.ip));
        let mut outcome = Ok(());
        for address in self.to_remove(&request.rsc, &target)? {
            // One that cannot be removed does not keep the others here.
            outcome = outcome.and(self.remove(&address));
        }
        outcome?;
        self.held.forget(&request.rsc);
        // Only what can be read asked for more than an address.
        let settings = Agent::of(request).map(|a| Settings::read(a, &request.params));
        settings
            .and_then(Result::ok)
            .map_or(Ok(()), |s| self.after_stop(&s))
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
                    self.close_gate(request, Some(target.ip));
                }
                return Err(self.lost(&request.rsc, refusal));
            }
        };
        self.adopt_gate(request, &settings, &place);
        check_answer(agent, request, target.ip)?;
        let held = self.hold(request, target, &place);
        self.watch(request, &place.link, &held);
        self.refresh(request, settings, &place.link, &held);
        Ok(())
    }

    /// A monitor did not find the address: it is no longer ours to announce.
    fn lost(&self, resource: &str, refusal: Refusal) -> Refusal {
        if refusal.rc != rc::NOT_RUNNING {
            return refusal;
        }
        self.fall_silent(&[resource]);
        let winner = self.held.get(resource).and_then(|h| h.tally.given_up_to());
        self.held.forget(resource);
        match winner {
            Some(winner) => Refusal {
                reason: format!("{}: it was left to {winner}, who claims it", refusal.reason),
                ..refusal
            },
            None => refusal,
        }
    }

    /// Parameters and place are right; nothing is changed.
    fn validate(&self, agent: Agent, request: &OpRequest) -> Result<(Settings, Place), Refusal> {
        if let Some(refusal) = params::contradiction(agent, request) {
            return Err(refusal);
        }
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

    /// Notes the address as held by the resource; keeps what is known when it is the same.
    fn hold(&self, request: &OpRequest, target: &Target, place: &Place) -> Held {
        self.held.note(
            &request.rsc,
            Held {
                ip: target.ip,
                prefix: place.prefix,
                index: place.link.index,
                device: place.link.name.clone(),
                reply: params::replies(request),
                tally: Arc::default(),
                request: Arc::new(request.clone()),
                leaving: false,
            },
        )
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

    fn run_together(&self, requests: &[OpRequest]) -> Vec<Option<(i32, String)>> {
        self.run_batch(requests)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests;
