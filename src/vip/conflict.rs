//! Somebody else says that one of our addresses is his: heard while we hold it, answered by rule.
//!
//! RFC 5227 section 2.4 leaves a holder the choice to give up or to defend, and in both cases
//! forbids to fight for ever. Here the cluster has decided who holds the address, so it is
//! defended, at most once per interval; whoever knows better (the daemon, when the grant behind
//! the address does not stand on a quorum) rules otherwise through [`Referee`].

use super::burst::{Tally, Voice};
use netlink::{Kernel, Link, Mac};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A claim by somebody else to an address that is held here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Resource that holds it here.
    pub resource: String,
    /// The address.
    pub ip: IpAddr,
    /// Device it is on.
    pub device: String,
    /// Hardware address of the other.
    pub mac: Mac,
    /// Name of the cluster member that has that hardware address, where it is known.
    pub member: Option<String>,
    /// Claims heard since the address came up here.
    pub claims: u64,
}

/// What is to be done about a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Keep the address and announce it again, at most once per interval.
    Defend,
    /// Take the address off this node at once; its next monitor fails with the reason.
    Yield,
}

/// Who knows the cluster: asked for every conflict that is not yet answered.
pub trait Referee: Send + Sync {
    /// Names of the other members and the addresses they are known by.
    fn members(&self) -> Vec<(String, Vec<IpAddr>)>;

    /// Keep or give up. Called on the watching thread: must not wait. Who returns
    /// [`Ruling::Yield`] has closed what else lets this node answer for the address.
    fn ruling(&self, conflict: &Conflict) -> Ruling;
}

/// The rule where nobody knows more: no member is known, addresses are defended.
#[derive(Debug)]
pub(super) struct Defender;

impl Referee for Defender {
    fn members(&self) -> Vec<(String, Vec<IpAddr>)> {
        Vec::new()
    }

    fn ruling(&self, _: &Conflict) -> Ruling {
        Ruling::Defend
    }
}

/// An address on watch.
#[derive(Clone, Debug)]
pub(super) struct Sentry {
    pub(super) link: Link,
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
    pub(super) voice: Arc<Voice>,
    pub(super) tally: Arc<Tally>,
}

/// When an address may be announced against a claim.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defence {
    last: Option<Instant>,
    /// A claim came inside the interval: the last word shall be ours when it is over.
    owed: Option<Duration>,
}

impl Defence {
    /// A claim came. True: defend now.
    pub(super) fn claim(&mut self, now: Instant, interval: Duration) -> bool {
        let free = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= interval);
        if free {
            self.last = Some(now);
            self.owed = None;
        } else {
            self.owed = Some(interval);
        }
        free
    }

    /// When the last word is due.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.last? + self.owed?)
    }

    /// True: it is due, and now said.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.last = Some(now);
            self.owed = None;
        }
        due
    }
}

/// How long to be silent between two defences against somebody.
pub(super) fn interval(member: bool) -> Duration {
    if member {
        DEFEND_MEMBER_INTERVAL
    } else {
        DEFEND_INTERVAL
    }
}

/// What the watching thread knows of this machine and its neighbours; read when a claim comes,
/// and not again for a while, however many come.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    kernel: Option<Kernel>,
    own: BTreeSet<Mac>,
    neighbours: Vec<(IpAddr, Mac)>,
    read: Option<Instant>,
}

impl Surroundings {
    /// Is that one of this machine's own interfaces? Two of them on one wire hear each other.
    pub(super) fn is_own(&mut self, mac: Mac, now: Instant) -> bool {
        self.refresh(now);
        self.own.contains(&mac)
    }

    /// The member that has that hardware address, by the kernel's neighbour table.
    pub(super) fn member(&mut self, mac: Mac, referee: &dyn Referee) -> Option<String> {
        let ips: Vec<IpAddr> = self
            .neighbours
            .iter()
            .filter(|(_, known)| *known == mac)
            .map(|(ip, _)| *ip)
            .collect();
        let mut members = referee.members().into_iter();
        let found = members.find(|(_, theirs)| theirs.iter().any(|ip| ips.contains(ip)));
        found.map(|(name, _)| name)
    }

    /// A link-local address of that interface, to ask neighbours from.
    pub(super) fn source_on(&mut self, index: u32) -> Option<Ipv6Addr> {
        let addresses = self.kernel()?.addresses().ok()?;
        addresses.iter().find_map(|a| match a.ip {
            IpAddr::V6(six)
                if a.index == index && six.is_unicast_link_local() && !a.is_tentative() =>
            {
                Some(six)
            }
            _ => None,
        })
    }

    /// Removes the address of a sentry; an error is told, there is nobody to hand it to.
    pub(super) fn remove(&mut self, sentry: &Sentry) {
        let Some(kernel) = self.kernel() else { return };
        match kernel.delete_address(sentry.link.index, sentry.ip, sentry.prefix) {
            Err(error) if !error.is_absent() => {
                tracing::error!(ip = %sentry.ip, %error, "an address that was to be given up stays");
            }
            _ => {}
        }
    }

    fn refresh(&mut self, now: Instant) {
        let fresh = |read: Instant| now.saturating_duration_since(read) < SURROUNDINGS_AGE_MAX;
        if self.read.is_some_and(fresh) {
            return;
        }
        self.read = Some(now);
        let Some(kernel) = self.kernel() else { return };
        let links = kernel.links().unwrap_or_default();
        let neighbours = kernel.neighbours().unwrap_or_default();
        self.own = links.iter().filter_map(|link| link.mac).collect();
        self.neighbours = neighbours.into_iter().map(|n| (n.ip, n.mac)).collect();
    }

    fn kernel(&mut self) -> Option<&mut Kernel> {
        if self.kernel.is_none() {
            self.kernel = Kernel::open()
                .inspect_err(|error| tracing::warn!(%error, "conflicts are judged without looking"))
                .ok();
        }
        self.kernel.as_mut()
    }
}

/// RFC 5227 section 1.1, DEFEND_INTERVAL.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Against a member: the cluster ends such a conflict within a second of healing, and what the
/// neighbours hear last must be the one that stays.
const DEFEND_MEMBER_INTERVAL: Duration = Duration::from_secs(1);
/// Claims that come faster are judged by what was read before.
const SURROUNDINGS_AGE_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defended_once_per_interval_and_once_more_after_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ten = Duration::from_secs(10);
        let mut defence = Defence::default();
        assert!(
            defence.claim(at(0), ten),
            "the first claim is answered at once"
        );
        assert_eq!(defence.due(), None);
        for ms in [1, 500, 9_999] {
            assert!(!defence.claim(at(ms), ten), "{ms}");
        }
        assert_eq!(defence.due(), Some(at(10_000)));
        assert!(!defence.settle(at(9_999)));
        assert!(defence.settle(at(10_001)), "the last word");
        assert!(!defence.settle(at(30_000)), "quiet: nothing is owed");
        assert!(!defence.claim(at(20_000), ten));
        assert!(defence.claim(at(20_001), ten));
    }

    proptest::proptest! {
        /// However claims come, two announcements are never closer than the interval.
        #[test]
        fn never_more_than_once_per_interval(steps in proptest::collection::vec(0u64..4_000, 1..200)) {
            let interval = Duration::from_secs(10);
            let mut now = Instant::now();
            let mut defence = Defence::default();
            let mut last: Option<Instant> = None;
            for step in steps {
                now += Duration::from_millis(step);
                if defence.settle(now) || defence.claim(now, interval) {
                    let enough = last.is_none_or(|last| now - last >= interval);
                    proptest::prop_assert!(enough);
                    last = Some(now);
                }
            }
        }
    }
}
