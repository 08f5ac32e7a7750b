//! Telling the neighbours, and hearing who contradicts.

use super::NativeVip;
use super::burst::{Sequel, Voice};
use super::conflict::{Referee, Sentry};
use super::held::Held;
use super::params::Settings;
use crate::executor::OpRequest;
use netlink::Link;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// An address that has just come here.
pub(super) struct Arrival<'a> {
    pub(super) request: &'a OpRequest,
    pub(super) settings: &'a Settings,
    pub(super) link: &'a Link,
    pub(super) held: Held,
}

impl NativeVip {
    /// Announces every address held here once more: at once and at 0.1, 0.5 and 2 s. For when the
    /// neighbours may have missed or forgotten it: the carrier came back, a network split healed.
    /// Returns at once; the number of addresses that will be announced.
    pub fn announce_again(&self, reason: &str) -> usize {
        self.announce_again_where(reason, |_| true) + self.spaces.announce_again(reason)
    }

    /// The same for the addresses on one device.
    pub fn announce_again_on(&self, device: &str, reason: &str) -> usize {
        self.announce_again_where(reason, |held| held.device == device)
    }

    fn announce_again_where(&self, reason: &str, wanted: impl Fn(&Held) -> bool) -> usize {
        let held = self.held.all();
        let held: Vec<_> = held.into_iter().filter(|(_, h)| wanted(h)).collect();
        if held.is_empty() {
            return 0;
        }
        let (links, addresses) = {
            let mut kernel = self.kernel();
            match kernel
                .links()
                .and_then(|links| Ok((links, kernel.addresses()?)))
            {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::warn!(%error, reason, "addresses not announced again");
                    return 0;
                }
            }
        };
        let mut count = 0;
        for (resource, held) in held {
            let there = addresses
                .iter()
                .any(|a| (a.ip, a.index) == (held.ip, held.index));
            let link = links.iter().find(|link| link.index == held.index);
            if let Some(link) = link.filter(|link| there && link.up)
                && let Some(voice) = self.voice(link, &held)
            {
                self.bursts.repeat(&resource, voice);
                count += 1;
            }
        }
        tracing::info!(count, reason, "addresses are announced again");
        count
    }

    /// Nothing is announced for an address unless this says so at that moment; asked before every
    /// frame, so it must be quick. Set once.
    pub fn announce_only_if(&self, allowed: Box<dyn Fn(IpAddr) -> bool + Send + Sync>) {
        self.permit.set(allowed);
    }

    /// Who rules about conflicts from now on; until then every address is defended.
    pub fn set_referee(&self, referee: Arc<dyn Referee>) {
        self.lookout.set_referee(referee);
    }

    /// A recurring monitor found the address: neighbours are reminded, where that is wanted.
    pub(super) fn refresh(
        &self,
        request: &OpRequest,
        settings: Settings,
        link: &Link,
        held: &Held,
    ) {
        if settings.refreshes > 0 && request.interval_ms > 0 {
            let refresh = Settings {
                announces: settings.refreshes,
                ..settings
            };
            self.announce(request, &refresh, link, held);
        }
    }

    /// Sends the first announcement at once and leaves the rest to the thread. An announcement
    /// that cannot be sent does not undo the address: peers learn it when their entry expires.
    pub(super) fn announce(
        &self,
        request: &OpRequest,
        settings: &Settings,
        link: &Link,
        held: &Held,
    ) {
        if settings.announces == 0 {
            return;
        }
        let Some(voice) = self.voice(link, held) else {
            return;
        };
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

    /// The same, for addresses that have just come here: the first word for each goes out before
    /// the second for any, and before anything else is done for one of them.
    pub(super) fn proclaim(&self, all: &[Arrival<'_>]) {
        let mut sequels = Vec::with_capacity(all.len());
        for arrival in all {
            let (settings, held) = (arrival.settings, &arrival.held);
            let Some(voice) = self.voice(arrival.link, held) else {
                continue;
            };
            if settings.announces > 0 {
                voice.speak();
            }
            let mut count = settings.announces.saturating_sub(1);
            if !settings.background {
                for _ in 0..std::mem::take(&mut count) {
                    std::thread::sleep(settings.interval);
                    voice.speak();
                }
            }
            sequels.push(Sequel {
                resource: arrival.request.rsc.clone(),
                voice,
                count,
                interval: settings.interval,
            });
        }
        self.bursts.follow_up(sequels);
    }

    /// On a link that was just brought up the kernel drops what is sent until the carrier comes,
    /// without a word: the announcements come slowly enough to outlast that.
    pub(super) fn proclaim_on_new_link(
        &self,
        request: &OpRequest,
        settings: Settings,
        link: &Link,
        held: &Held,
    ) {
        let interval = settings.interval.max(NEGOTIATION_STEP);
        let patient = Settings {
            interval,
            ..settings
        };
        self.announce(request, &patient, link, held);
    }

    /// Listens for claims to the address from now on.
    pub(super) fn watch(&self, request: &OpRequest, link: &Link, held: &Held) {
        self.watch_all([(request, link, held)]);
    }

    /// The same for many.
    pub(super) fn watch_all<'a>(
        &self,
        all: impl IntoIterator<Item = (&'a OpRequest, &'a Link, &'a Held)>,
    ) {
        let sentry = |(request, link, held): (&'a OpRequest, &Link, &Held)| {
            let voice = self.voice(link, held)?;
            let sentry = Sentry {
                link: link.clone(),
                ip: held.ip,
                prefix: held.prefix,
                voice,
                tally: Arc::clone(&held.tally),
            };
            Some((request.rsc.as_str(), sentry))
        };
        self.lookout
            .add(all.into_iter().filter_map(sentry).collect());
    }

    /// Nothing is announced or defended for the resources once this has returned.
    pub(super) fn fall_silent(&self, resources: &[&str]) {
        self.lookout.remove(resources);
        self.bursts.cancel(resources);
    }

    /// Nothing where there are no neighbours, or no rights to speak to them (noted as trouble).
    fn voice(&self, link: &Link, held: &Held) -> Option<Arc<Voice>> {
        if link.loopback || link.noarp {
            return None;
        }
        let announcer = held.tally.note(held.ip, self.announcers.on(link))?;
        Some(Arc::new(Voice {
            announcer,
            ip: held.ip,
            tally: Arc::clone(&held.tally),
            permit: Arc::clone(&self.permit),
            reply: held.reply,
        }))
    }
}

/// Between announcements on a link just brought up: Ethernet ports agree on a speed within some
/// three seconds, so that the default five announcements outlast it.
const NEGOTIATION_STEP: Duration = Duration::from_secs(1);
