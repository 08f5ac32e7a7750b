//! What happens to held addresses between two monitors, from the kernel's own events.
//!
//! An address that somebody removes is put back at once, before anybody has decided anything: it
//! is still this node's to hold, and what serves it may not wait for a round through the cluster.
//! That it was gone is told as a failure with its cause; what follows from it (fail counts,
//! `migration-threshold`, `on-fail`) is decided where it always is. Where the configuration says
//! that a failure is not to be cured by starting again, or that the cluster keeps its hands off,
//! nothing is put back ([`NativeVip::keep_hands_off`]).
//!
//! A link that loses its carrier, goes down or away makes the monitors of its addresses run now.
//! A link that has its carrier again, or another hardware address, is announced on anew.

use super::held::Held;
use super::params::{Agent, Settings};
use super::speak::Arrival;
use super::{NativeVip, lock};
use crate::executor::OpRequest;
use netlink::{Address, AddressSpec, Change, Kernel, Lifetime, Link};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something happened to an address that is held here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It was gone and was put back: a failure that is over.
    Restored {
        /// Resource.
        resource: String,
        /// What happened, in words.
        cause: String,
        /// From the kernel's word to the address answering again.
        took: Duration,
    },
    /// It is gone or cannot be reached: its monitor will say so.
    Trouble {
        /// Resource.
        resource: String,
        /// What happened, in words.
        cause: String,
    },
    /// What kept it from working is over; it was announced anew.
    Better {
        /// Resource.
        resource: String,
        /// What happened, in words.
        cause: String,
    },
    /// A link that did not work works now, whatever is on it.
    LinkWorks {
        /// Its name.
        link: String,
    },
}

impl NativeVip {
    /// From now on an address that disappears is put back, save those of these resources: a person
    /// has taken them over, or their failures are to be treated otherwise than by a new start.
    pub fn keep_hands_off(&self, resources: BTreeSet<String>) {
        *lock(&self.hands_off) = resources;
    }

    /// The operation that last found or made a held address so.
    pub fn request_of(&self, resource: &str) -> Option<OpRequest> {
        let held = self.held.get(resource)?;
        Some(OpRequest::clone(&held.request))
    }

    fn may_restore(&self, resource: &str) -> bool {
        let base = resource.split(':').next().unwrap_or(resource);
        let hands_off = lock(&self.hands_off);
        let held = !hands_off.contains(resource) && !hands_off.contains(base);
        held && self.may_speak(resource)
    }

    /// A whole new round of announcements, in the background, whatever the parameters say of the
    /// foreground. The caller sees to it that the address is not being given up.
    fn announce_anew(&self, held: &Held, link: &Link) {
        let settings =
            Agent::of(&held.request).and_then(|a| Settings::read(a, &held.request.params).ok());
        if let Some(settings) = settings {
            let settings = Settings {
                background: true,
                ..settings
            };
            self.proclaim(&[Arrival {
                request: &held.request,
                settings: &settings,
                link,
                held: held.clone(),
            }]);
            self.watch(&held.request, link, held);
        }
    }
}

/// Watches over the held addresses; one per process, on a thread of its own.
pub struct Guard {
    vip: Arc<NativeVip>,
    /// Not the one that operations use: this one must not wait for them.
    kernel: Kernel,
    links: BTreeMap<u32, Link>,
    /// Held addresses as last seen.
    seen: BTreeMap<(u32, IpAddr), Address>,
    restored: BTreeMap<String, VecDeque<Instant>>,
}

impl Guard {
    /// Over the addresses that `vip` holds.
    ///
    /// # Errors
    /// The system refuses a socket, or the kernel its tables.
    pub fn new(vip: Arc<NativeVip>) -> netlink::Result<Self> {
        let mut guard = Self {
            vip,
            kernel: Kernel::open()?,
            links: BTreeMap::new(),
            seen: BTreeMap::new(),
            restored: BTreeMap::new(),
        };
        let links = guard.kernel.links()?;
        guard.links = links.into_iter().map(|link| (link.index, link)).collect();
        Ok(guard)
    }

    /// Takes one word of the kernel.
    pub fn on_change(&mut self, change: Change) -> Vec<Mishap> {
        match change {
            Change::Address(address) => {
                self.note(address);
                Vec::new()
            }
            Change::AddressGone(address) => self.address_gone(&address),
            Change::Link(link) => self.link_changed(link),
            Change::LinkGone(link) => self.link_gone(link.index, &link.name),
            // Where an address belongs is found at its start; a running one stays.
            Change::Route(_) | Change::RouteGone(_) => Vec::new(),
            Change::Lost => self.look(),
        }
    }

    /// Looks at everything that is held, whatever the kernel told: the net below the events.
    pub fn look(&mut self) -> Vec<Mishap> {
        let held = self.vip.held.all();
        let known = |id: &String| held.iter().any(|(held, _)| held == id);
        self.restored.retain(|id, _| known(id));
        let (links, addresses) = match self.picture() {
            Ok(picture) => picture,
            Err(error) => {
                tracing::warn!(%error, "the addresses that are held could not be looked at");
                return Vec::new();
            }
        };
        let mut mishaps = Vec::new();
        let gone: Vec<Link> = self
            .links
            .values()
            .filter(|old| !links.iter().any(|new| new.index == old.index))
            .cloned()
            .collect();
        for link in gone {
            mishaps.extend(self.link_gone(link.index, &link.name));
        }
        for link in links {
            mishaps.extend(self.link_changed(link));
        }
        let places: BTreeMap<(u32, IpAddr), &String> = held
            .iter()
            .map(|(id, held)| ((held.index, held.ip), id))
            .collect();
        let mut there = BTreeSet::new();
        for address in addresses {
            let place = (address.index, address.ip);
            if places.contains_key(&place) {
                there.insert(place);
                self.seen.insert(place, address);
            }
        }
        self.seen.retain(|place, _| places.contains_key(place));
        for (place, id) in places {
            let missing = !there.contains(&place);
            if let Some(address) = self.seen.get(&place).filter(|_| missing).cloned() {
                mishaps.extend(self.missed(id, &address, "was found missing"));
            }
        }
        mishaps
    }

    fn picture(&mut self) -> netlink::Result<(Vec<Link>, Vec<Address>)> {
        Ok((self.kernel.links()?, self.kernel.addresses()?))
    }

    fn note(&mut self, address: Address) {
        let place = (address.index, address.ip);
        if self.seen.contains_key(&place) || self.holder_of(&address).is_some() {
            self.seen.insert(place, address);
        }
    }

    fn holder_of(&self, address: &Address) -> Option<String> {
        self.vip
            .held
            .holder_of(address.ip, address.prefix, address.index)
    }

    fn address_gone(&mut self, address: &Address) -> Vec<Mishap> {
        let Some(resource) = self.holder_of(address) else {
            self.seen.remove(&(address.index, address.ip));
            return Vec::new();
        };
        let what = match address.valid {
            // Its time was over: whoever gives it its time has stopped doing so.
            Lifetime::Seconds(0) => "went at the end of its lifetime",
            _ => "was removed by somebody else",
        };
        self.missed(&resource, address, what).into_iter().collect()
    }

    /// An address that is held is not there.
    fn missed(&mut self, resource: &str, address: &Address, what: &str) -> Option<Mishap> {
        let noticed = Instant::now();
        let link = self.kernel.link_by_index(address.index).ok();
        let name = link.as_ref().map_or("its interface", |l| &l.name);
        let cause = format!("{}/{} {what} on {name}", address.ip, address.prefix);
        let trouble = |why: &str| Mishap::Trouble {
            resource: resource.to_owned(),
            cause: format!("{cause}{why}"),
        };
        let expired = matches!(address.valid, Lifetime::Seconds(0));
        let Some(link) = link.filter(|l| l.up && l.carrier && !expired) else {
            return Some(trouble(" with its link or its lifetime"));
        };
        let given_up = self.vip.held.get(resource);
        let given_up = given_up.and_then(|held| held.tally.given_up_to());
        if given_up.is_some() || !self.vip.may_restore(resource) {
            return Some(trouble(""));
        }
        if self.removed_too_often(resource, noticed) {
            return Some(trouble(
                " again and again: something on this node removes it",
            ));
        }
        match self.put_back(resource, address, &link) {
            // It is being given up: as it should be.
            None => None,
            Some(Ok(())) => Some(Mishap::Restored {
                resource: resource.to_owned(),
                cause: format!("{cause} and put back"),
                took: noticed.elapsed(),
            }),
            Some(Err(error)) => Some(trouble(&format!(" and could not be put back: {error}"))),
        }
    }

    /// As it was, while it is held; nothing when it no longer is.
    fn put_back(
        &mut self,
        resource: &str,
        address: &Address,
        link: &Link,
    ) -> Option<netlink::Result<()>> {
        let spec = AddressSpec {
            // That nobody else has it was found out when it was taken.
            nodad: address.ip.is_ipv6(),
            ..AddressSpec::from(address)
        };
        let (vip, kernel) = (Arc::clone(&self.vip), &mut self.kernel);
        vip.held.while_held(resource, |held| {
            match kernel.add_address(&spec) {
                Err(error) if !error.is_exists() => return Err(error),
                _ => {}
            }
            vip.announce_anew(held, link);
            Ok(())
        })
    }

    /// Fighting for ever helps nobody: beyond this rate it is a failure like any other.
    fn removed_too_often(&mut self, resource: &str, now: Instant) -> bool {
        let times = self.restored.entry(resource.to_owned()).or_default();
        times.retain(|at| now.duration_since(*at) < RESTORES_WITHIN);
        if times.len() >= RESTORES_MAX {
            return true;
        }
        times.push_back(now);
        false
    }

    fn link_changed(&mut self, link: Link) -> Vec<Mishap> {
        let works = |l: &Link| l.up && l.carrier;
        let old = self.links.insert(link.index, link.clone());
        let cause = match &old {
            Some(old) if works(old) && !link.up => format!("{} was set down", link.name),
            Some(old) if works(old) && !works(&link) => format!("{} {NO_CARRIER}", link.name),
            Some(old) if !works(old) && works(&link) => {
                format!("{} has its carrier again", link.name)
            }
            Some(old) if works(&link) && old.mac != link.mac => {
                format!("{} has another hardware address", link.name)
            }
            _ => return Vec::new(),
        };
        let better = works(&link);
        let was_dead = old.as_ref().is_some_and(|old| !works(old));
        let news = (better && was_dead).then(|| Mishap::LinkWorks {
            link: link.name.clone(),
        });
        let on_it = |(_, held): &(String, Held)| held.index == link.index;
        let held = self.vip.held.all().into_iter().filter(on_it);
        held.map(|(resource, _)| {
            if !better {
                let cause = cause.clone();
                return Mishap::Trouble { resource, cause };
            }
            self.vip
                .held
                .while_held(&resource, |held| self.vip.announce_anew(held, &link));
            let cause = cause.clone();
            Mishap::Better { resource, cause }
        })
        .chain(news)
        .collect()
    }

    fn link_gone(&mut self, index: u32, name: &str) -> Vec<Mishap> {
        self.links.remove(&index);
        self.seen.retain(|(on, _), _| *on != index);
        let held = self.vip.held.all().into_iter();
        held.filter(|(_, held)| held.index == index)
            .map(|(resource, _)| Mishap::Trouble {
                resource,
                cause: format!("{name} was deleted"),
            })
            .collect()
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guard({} links)", self.links.len())
    }
}

/// How a link without carrier is called in reasons.
pub(crate) const NO_CARRIER: &str = "has no carrier";
/// An address is put back so often …
const RESTORES_MAX: usize = 5;
/// … within this time; the next removal is left to monitor and scheduler.
const RESTORES_WITHIN: Duration = Duration::from_secs(10);
