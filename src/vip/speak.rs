//! Telling the neighbours, and hearing who contradicts.

use super::burst::Voice;
use super::conflict::{Referee, Sentry};
use super::held::Held;
use super::params::Settings;
use super::{NativeVip, lock};
use crate::executor::OpRequest;
use netlink::Link;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

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
                self.bursts.repeat(&resource, voice, true);
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

    /// The next start of the resource asks the network for another holder first (RFC 5227 section
    /// 2.1, RFC 4862 section 5.4) and listens that long; somebody who answers fails the start. For
    /// when nobody knows whether the former holder is gone; otherwise nothing is asked, and
    /// nothing waits. Without the right to ask the start fails, too.
    pub fn ask_before_start(&self, resource: &str, listen: Duration) {
        lock(&self.asks).insert(resource.to_owned(), listen);
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

    /// The same, for an address that has just come here.
    pub(super) fn proclaim(
        &self,
        request: &OpRequest,
        settings: &Settings,
        link: &Link,
        held: &Held,
    ) {
        self.announce(request, settings, link, held);
        if let Some(voice) = self.voice(link, held) {
            self.bursts.repeat(&request.rsc, voice, false);
        }
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
        if let Some(voice) = self.voice(link, held) {
            let sentry = Sentry {
                link: link.clone(),
                ip: held.ip,
                prefix: held.prefix,
                voice,
                tally: Arc::clone(&held.tally),
            };
            self.lookout.add(&request.rsc, sentry);
        }
    }

    /// Nothing is announced or defended for the resource once this has returned.
    pub(super) fn fall_silent(&self, resource: &str) {
        self.lookout.remove(resource);
        self.bursts.cancel(resource);
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
