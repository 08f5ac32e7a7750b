//! Many addresses at once: one look at the machine, one batch of requests to the kernel, one round
//! of announcements. A node that takes over a hundred addresses must not look around a hundred
//! times, and each look grows with the number of addresses that are there.
//!
//! Only what goes as it should goes this way. Everything that needs time (a link to be brought up, a
//! question to the network first) or that finds something amiss runs by itself, as ever, and says
//! itself what is wrong.

use super::NativeVip;
use super::change::{asked_first, keep_secondaries};
use super::held::Held;
use super::lease::as_found;
use super::params::{Agent, Refusal, Settings, Target, is_special, rc};
use super::see::{judge, wants_answer};
use super::speak::Arrival;
use crate::executor::OpRequest;
use netlink::{Address, AddressSpec, Broadcast, Link, Picture, Place};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Result of an operation; `None`: it has to run by itself.
type Result = Option<(i32, String)>;

/// A start whose address may come now.
struct Start<'a> {
    /// Its place among the requests.
    at: usize,
    request: &'a OpRequest,
    settings: Settings,
    place: Place,
    spec: AddressSpec,
    /// It is there already.
    there: bool,
}

/// A stop and the addresses that go with it.
struct Stop<'a> {
    at: usize,
    request: &'a OpRequest,
    addresses: Vec<Address>,
}

impl NativeVip {
    /// Runs operations of different resources together; a result for each, in their order.
    pub(super) fn run_batch(&self, requests: &[OpRequest]) -> Vec<Result> {
        let mut results = vec![None; requests.len()];
        // Before the look, so that whatever it shows is still there to be removed after it.
        let leaving = requests.iter().filter(|r| r.operation == "stop");
        let leaving: Vec<&str> = leaving.map(|r| r.rsc.as_str()).collect();
        if !leaving.is_empty() {
            for rsc in &leaving {
                self.held.leave(rsc);
            }
            self.fall_silent(&leaving);
        }
        let Ok(picture) = self.kernel().picture() else {
            return results;
        };
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        let mut looks = Looks::default();
        for (at, request) in requests.iter().enumerate() {
            let asks = asked_first(request).is_some();
            let agent = Agent::of(request).filter(|_| !asks && !is_special(request));
            let Some(agent) = agent else {
                continue;
            };
            match request.operation.as_str() {
                "start" => starts.extend(plan_start(&picture, agent, at, request)),
                "stop" => stops.extend(self.plan_stop(&picture, at, request)),
                "monitor" => self.monitor_on(&picture, agent, at, request, &mut looks),
                _ => {}
            }
        }
        if starts.len() + stops.len() > 1 {
            let (starts, stops) = (starts.len(), stops.len());
            tracing::info!(starts, stops, "addresses come or go together");
        }
        self.stop_all(stops, &mut results);
        self.start_all(&picture, starts, &mut results);
        self.end_looks(looks, &mut results);
        results
    }

    /// Gates first, then addresses, then announcements (R15). A gate that does not open soon is
    /// waited for by its start alone.
    fn start_all(&self, picture: &Picture, starts: Vec<Start<'_>>, results: &mut [Result]) {
        let starts = self.with_open_gates(starts);
        let mut others: Vec<_> = picture.addresses().iter().map(place_of).collect();
        let new: Vec<&Start<'_>> = starts.iter().filter(|s| !s.there).collect();
        let mut specs = Vec::with_capacity(new.len());
        for start in &new {
            let spec = start.spec.clone();
            let spec = match self.leases_for(start.request) {
                Some(_) => self.mortal_among(&others, spec),
                None => spec,
            };
            others.push((spec.index, spec.ip, spec.prefix));
            specs.push(spec);
        }
        let added = self.kernel().add_addresses(&specs);
        let came = |result: &netlink::Result<()>| match result {
            Ok(()) => true,
            Err(error) => error.is_exists(),
        };
        let mut refused = BTreeSet::new();
        let mut kept = Vec::new();
        for ((start, spec), result) in new.iter().zip(specs).zip(&added) {
            if came(result) {
                kept.push((start.request, None, spec));
            } else {
                refused.insert(start.at);
                self.close_gate(start.request, Some(spec.ip));
            }
        }
        let there = starts.iter().filter(|s| s.there);
        kept.extend(there.filter_map(|s| adopted(picture, s.request, &s.settings, &s.place)));
        let here: Vec<_> = starts.iter().filter(|s| !refused.contains(&s.at)).collect();
        let held = |s: &&Start<'_>| self.hold(s.request, &s.settings.target, &s.place);
        let held: Vec<Held> = here.iter().map(held).collect();
        let mut new = Vec::new();
        for (start, held) in here.iter().zip(&held).filter(|(s, _)| !s.there) {
            new.push(Arrival {
                request: start.request,
                settings: &start.settings,
                link: &start.place.link,
                held: held.clone(),
            });
        }
        self.proclaim(&new);
        // The neighbours first: nothing has to be renewed yet, and it takes the kernel's time.
        self.keep_all(kept);
        let watched = here.iter().zip(&held);
        self.watch_all(watched.map(|(s, held)| (s.request, &s.place.link, held)));
        for start in here {
            results[start.at] = DONE;
        }
        let devices: BTreeSet<u32> = starts.iter().map(|s| s.place.link.index).collect();
        for index in devices {
            self.keep_others(index);
        }
    }

    fn with_open_gates<'a>(&self, starts: Vec<Start<'a>>) -> Vec<Start<'a>> {
        let Some(leases) = starts.iter().find_map(|s| self.leases_for(s.request)) else {
            return starts;
        };
        let is_leased = |s: &&Start<'_>| self.leases_for(s.request).is_some();
        let gated: Vec<_> = starts
            .iter()
            .filter(is_leased)
            .map(|s| {
                let (ip, link) = (s.settings.target.ip, &s.place.link);
                (s.request.rsc.as_str(), ip, (link.name.as_str(), link.index))
            })
            .collect();
        let results = leases.open(&gated, GATES_WAIT);
        let shut: BTreeSet<String> = gated
            .into_iter()
            .zip(results)
            .filter(|(_, result)| result.is_err())
            .map(|((vip, ..), _)| vip.to_owned())
            .collect();
        let open = starts.into_iter();
        open.filter(|s| !shut.contains(&s.request.rsc)).collect()
    }

    /// Their lifetimes go with their leases from now on.
    fn keep_all(&self, kept: Vec<Kept<'_>>) {
        let leased = |(request, ..): &&Kept<'_>| self.leases_for(request).is_some();
        let leased: Vec<&Kept<'_>> = kept.iter().filter(leased).collect();
        let Some(leases) = leased.iter().find_map(|(r, ..)| self.leases_for(r)) else {
            return;
        };
        let order =
            |(request, link, spec): &&Kept<'_>| (request.rsc.clone(), link.clone(), spec.clone());
        leases.addresses(leased.iter().map(order).collect());
    }

    /// As [`NativeVip::to_remove`], on the picture.
    fn plan_stop<'a>(
        &self,
        picture: &Picture,
        at: usize,
        request: &'a OpRequest,
    ) -> Option<Stop<'a>> {
        let target = Target::lenient(&request.params)?;
        let held = self.held.get(&request.rsc);
        let place = picture.place(&target.wanted(Broadcast::Inherit)).ok();
        let mine = |address: &&Address| {
            let started = held.as_ref().is_some_and(|h| h.index == address.index);
            let found = place
                .as_ref()
                .is_some_and(|p| p.link.index == address.index);
            let link = picture.link(address.index);
            started || found || !link.is_some_and(|l| l.loopback)
        };
        let fitting = fitting(picture, &target)?.into_iter();
        let addresses = fitting.filter(mine).cloned().collect();
        Some(Stop {
            at,
            request,
            addresses,
        })
    }

    fn stop_all<'a>(&self, stops: Vec<Stop<'a>>, results: &mut [Result]) {
        let gate = |s: &Stop<'a>| {
            let target = Target::lenient(&s.request.params);
            (s.request, target.map(|t| t.ip))
        };
        self.close_gates(stops.iter().map(gate));
        let all: Vec<(usize, &Address)> = stops
            .iter()
            .flat_map(|s| s.addresses.iter().map(|a| (s.at, a)))
            .collect();
        let mut kernel = self.kernel();
        let mut kept = BTreeSet::new();
        for (_, address) in &all {
            if kept.insert(address.index) {
                keep_secondaries(&mut kernel, address);
            }
        }
        let places: Vec<_> = all.iter().map(|(_, a)| (a.index, a.ip, a.prefix)).collect();
        let removed = kernel.delete_addresses(&places);
        drop(kernel);
        let left: BTreeSet<usize> = all
            .iter()
            .zip(&removed)
            .filter(|(_, result)| result.as_ref().is_err_and(|e| !e.is_absent()))
            .map(|((at, _), _)| *at)
            .collect();
        for stop in stops.iter().filter(|s| !left.contains(&s.at)) {
            self.held.forget(&stop.request.rsc);
            results[stop.at] = DONE;
        }
    }

    /// Nothing is heard or said for these addresses when this has returned.
    fn close_gates<'a>(&self, all: impl Iterator<Item = (&'a OpRequest, Option<IpAddr>)>) {
        let leased: Vec<_> = all
            .filter_map(|(request, ip)| Some((self.leases_for(request)?, request, ip)))
            .collect();
        let Some((leases, ..)) = leased.first() else {
            return;
        };
        let gate = |(_, request, ip): &(_, &OpRequest, Option<IpAddr>)| (request.rsc.clone(), *ip);
        let gates: Vec<_> = leased.iter().map(gate).collect();
        for ((rsc, _), result) in gates.iter().zip(leases.close_all(&gates)) {
            if let Err(why) = result {
                // It closes by itself within the lease, and the address goes now.
                tracing::warn!(rsc, "the gate was not closed: {why}");
            }
        }
    }

    /// A monitor that finds everything in order, or a probe that finds nothing.
    fn monitor_on<'a>(
        &self,
        picture: &Picture,
        agent: Agent,
        at: usize,
        request: &'a OpRequest,
        looks: &mut Looks<'a>,
    ) {
        let Some((settings, place, fitting)) = self.seen_on(picture, agent, request) else {
            return;
        };
        let target = &settings.target;
        match judge(agent, request, &settings, &place, &fitting) {
            Ok(()) => {}
            Err(refusal) if refusal.rc == rc::NOT_RUNNING && request.interval_ms == 0 => {
                return looks.absent.push((at, request, target.ip, refusal));
            }
            Err(_) => return,
        }
        let refreshes = settings.refreshes > 0 && request.interval_ms > 0;
        if wants_answer(agent, request) || (refreshes && !settings.background) {
            return;
        }
        let kept = adopted(picture, request, &settings, &place);
        let held = self.hold(request, target, &place);
        self.refresh(request, settings, &place.link, &held);
        looks.kept.extend(kept);
        looks.found.push((at, request, place.link, held));
    }

    /// What a monitor has to judge.
    fn seen_on(
        &self,
        picture: &Picture,
        agent: Agent,
        request: &OpRequest,
    ) -> Option<(Settings, Place, Vec<Address>)> {
        let settings = Settings::read(agent, &request.params).ok()?;
        let target = &settings.target;
        let held = self.held.get(&request.rsc).filter(|h| h.ip == target.ip);
        let place = match held {
            Some(held) => Place {
                link: picture.link(held.index)?.clone(),
                prefix: held.prefix,
                broadcast: None,
            },
            None => picture.place(&target.wanted(settings.broadcast)).ok()?,
        };
        let fitting = fitting(picture, target)?.into_iter().cloned().collect();
        Some((settings, place, fitting))
    }

    fn end_looks(&self, looks: Looks<'_>, results: &mut [Result]) {
        self.keep_all(looks.kept);
        let found = &looks.found;
        self.watch_all(
            found
                .iter()
                .map(|(_, request, link, held)| (*request, link, held)),
        );
        for (at, ..) in found {
            results[*at] = DONE;
        }
        let absent = looks.absent.iter();
        self.close_gates(absent.map(|(_, request, ip, _)| (*request, Some(*ip))));
        for (at, request, _, refusal) in looks.absent {
            let Refusal { rc, reason } = self.lost(&request.rsc, refusal);
            results[at] = Some((rc, reason));
        }
    }
}

/// What the monitors of a round saw.
#[derive(Default)]
struct Looks<'a> {
    kept: Vec<Kept<'a>>,
    /// Running, with where they are.
    found: Vec<(usize, &'a OpRequest, Link, Held)>,
    /// Not running, with the address and the reason.
    absent: Vec<(usize, &'a OpRequest, IpAddr, Refusal)>,
}

/// An address that is up, to be kept alive: its resource, its device when a process that has just
/// started did not put it there, and how it is to be renewed.
type Kept<'a> = (&'a OpRequest, Option<(String, u32)>, AddressSpec);

/// As the address of a running resource is kept alive.
fn adopted<'a>(
    picture: &Picture,
    request: &'a OpRequest,
    settings: &Settings,
    place: &Place,
) -> Option<Kept<'a>> {
    let here = |a: &&Address| (a.prefix, a.index) == (place.prefix, place.link.index);
    let address = picture.with_ip(settings.target.ip).find(here)?;
    let link = (place.link.name.clone(), place.link.index);
    Some((request, Some(link), as_found(address, settings)))
}

fn place_of(address: &Address) -> (u32, IpAddr, u8) {
    (address.index, address.ip, address.prefix)
}

/// A start that needs nothing but the address and its announcement.
fn plan_start<'a>(
    picture: &Picture,
    agent: Agent,
    at: usize,
    request: &'a OpRequest,
) -> Option<Start<'a>> {
    let settings = Settings::read(agent, &request.params).ok()?;
    let target = &settings.target;
    let place = picture.place(&target.wanted(settings.broadcast)).ok()?;
    let label = settings.label_on(&place.link.name).ok()?;
    let is_here = |a: &Address| (a.prefix, a.index) == (place.prefix, place.link.index);
    let there = picture.with_ip(target.ip).any(is_here);
    let elsewhere = |a: &Address| {
        let loopback = picture.link(a.index).is_some_and(|l| l.loopback);
        a.index != place.link.index && !loopback
    };
    if !there && picture.with_ip(target.ip).any(elsewhere) {
        return None;
    }
    let asks_first = settings.arping || (target.ip.is_ipv6() && !settings.nodad);
    let patient = settings.announces > 1 && !settings.background;
    let quick = there || !(asks_first || patient);
    if !(quick && place.link.up && place.link.carrier) {
        return None;
    }
    let spec = settings.spec(&place, label);
    Some(Start {
        at,
        request,
        settings,
        place,
        spec,
        there,
    })
}

/// Addresses on this machine that fit what the configuration says.
fn fitting<'a>(picture: &'a Picture, target: &Target) -> Option<Vec<&'a Address>> {
    let nic = match &target.nic {
        Some(nic) => Some(picture.links.iter().find(|l| l.name == *nic)?.index),
        None => None,
    };
    let fits = |a: &&Address| {
        target.prefix.is_none_or(|prefix| prefix == a.prefix)
            && nic.is_none_or(|index| index == a.index)
    };
    Some(picture.with_ip(target.ip).filter(fits).collect())
}

/// How long a round of starts waits for gates: where the grant is here and the quorum fresh, they open
/// at once. The others wait by themselves.
const GATES_WAIT: Duration = Duration::from_millis(20);
const DONE: Result = Some((rc::OK, String::new()));
