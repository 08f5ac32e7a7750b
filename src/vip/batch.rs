//! Many addresses at once: one look at the machine, one batch of requests to the kernel, one round
//! of announcements. A node that takes over a hundred addresses must not look around a hundred
//! times, and each look grows with the number of addresses that are there.
//!
//! Only what goes as it should goes this way. Everything that needs time (a link to be brought up, a
//! question to the network first) or that finds something amiss runs by itself, as ever, and says
//! itself what is wrong.

use super::NativeVip;
use super::change::keep_secondaries;
use super::params::{Agent, Settings, Target};
use super::see::judge;
use crate::executor::OpRequest;
use netlink::{Address, AddressSpec, Broadcast, Picture, Place};
use std::collections::BTreeSet;

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
        for request in requests.iter().filter(|r| r.operation == "stop") {
            self.held.leave(&request.rsc);
            self.fall_silent(&request.rsc);
            let target = Target::lenient(&request.params);
            self.close_gate(request, target.map(|t| t.ip));
        }
        let Ok(picture) = self.kernel().picture() else {
            return results;
        };
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        for (at, request) in requests.iter().enumerate() {
            let Some(agent) = Agent::of(request) else {
                continue;
            };
            match request.operation.as_str() {
                "start" => starts.extend(plan_start(&picture, agent, at, request)),
                "stop" => stops.extend(self.plan_stop(&picture, at, request)),
                "monitor" => results[at] = self.monitor_on(&picture, agent, request),
                _ => {}
            }
        }
        self.stop_all(stops, &mut results);
        self.start_all(starts, &mut results);
        results
    }

    fn start_all(&self, mut starts: Vec<Start<'_>>, results: &mut [Result]) {
        // First the gates, then the addresses (R15).
        starts.retain_mut(|start| {
            let ip = start.settings.target.ip;
            if let Err(refusal) = self.open_gate(start.request, ip, &start.place) {
                results[start.at] = Some((refusal.rc, refusal.reason));
                return false;
            }
            if start.there {
                self.adopt_gate(start.request, &start.settings, &start.place);
            } else {
                start.spec = self.mortal(start.request, start.spec.clone());
            }
            true
        });
        let new: Vec<&Start<'_>> = starts.iter().filter(|s| !s.there).collect();
        let specs: Vec<AddressSpec> = new.iter().map(|s| s.spec.clone()).collect();
        let added = self.kernel().add_addresses(&specs);
        let came = |result: &netlink::Result<()>| match result {
            Ok(()) => true,
            Err(error) => error.is_exists(),
        };
        let refused: BTreeSet<usize> = new
            .iter()
            .zip(&added)
            .filter(|(_, result)| !came(result))
            .map(|(start, _)| start.at)
            .collect();
        // The first word for each goes out before the second for any.
        for start in starts.iter().filter(|s| !refused.contains(&s.at)) {
            if !start.there {
                self.keep_alive(start.request, start.spec.clone());
            }
            let held = self.hold(start.request, &start.settings.target, &start.place);
            if !start.there {
                self.proclaim(start.request, &start.settings, &start.place.link, &held);
            }
            self.watch(start.request, &start.place.link, &held);
            results[start.at] = DONE;
        }
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

    fn stop_all(&self, stops: Vec<Stop<'_>>, results: &mut [Result]) {
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

    /// A monitor that finds everything in order.
    fn monitor_on(&self, picture: &Picture, agent: Agent, request: &OpRequest) -> Result {
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
        let fitting: Vec<Address> = fitting(picture, target)?.into_iter().cloned().collect();
        judge(agent, request, &settings, &place, &fitting).ok()?;
        if settings.refreshes > 0 && request.interval_ms > 0 && !settings.background {
            return None;
        }
        self.adopt_gate(request, &settings, &place);
        let held = self.hold(request, target, &place);
        self.watch(request, &place.link, &held);
        if settings.refreshes > 0 && request.interval_ms > 0 {
            let refresh = Settings {
                announces: settings.refreshes,
                ..settings
            };
            self.announce(request, &refresh, &place.link, &held);
        }
        DONE
    }
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

const DONE: Result = Some((super::params::rc::OK, String::new()));
