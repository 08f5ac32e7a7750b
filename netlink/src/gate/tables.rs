//! Putting up tables, taking them over, and what is gated: addresses and devices.

use super::channel::{Channel, Fault, Standing};
use super::expression::Version;
use super::layout::{
    TABLE, TABLE_OWNER, TABLE_PERSIST, egress_chain, egress_link, guard, held, knows, shared,
};
use super::leases::{LEASES_PER_BATCH_MAX, by_set, push_closed};
use super::make::{
    CHAIN_NAME, push_egress, push_elements, push_no_chain, push_no_table, push_table,
};
use super::message::{Batch, Family, Kind};
use super::{Belts, GUARDED_MAX, Gates, LEASE_MAX};
use crate::{Error, Result};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

impl Gates {
    /// Gates exactly these addresses from now on: what comes is closed unless it is held, what
    /// goes is no longer looked at and no longer held. What stays is gated all the time.
    ///
    /// # Errors
    /// More than [`GUARDED_MAX`] addresses, or what the kernel says; then nothing changed, or as
    /// with very many addresses, some of those that come are gated and none of those that go is
    /// let go.
    pub fn guard(&mut self, ips: &BTreeSet<IpAddr>) -> Result<()> {
        if ips.len() > GUARDED_MAX {
            return Err(Error::Invalid(format!(
                "{} floating addresses are more than the {GUARDED_MAX} that can be guarded",
                ips.len()
            )));
        }
        let come: Vec<_> = ips.difference(&self.guarded).copied().collect();
        let gone: Vec<_> = self.guarded.difference(ips).copied().collect();
        for some in come.chunks(LEASES_PER_BATCH_MAX) {
            self.change_guard(some, &[])?;
            self.guarded.extend(some);
        }
        for some in gone.chunks(LEASES_PER_BATCH_MAX) {
            self.change_guard(&[], some)?;
            self.guarded.retain(|ip| !some.contains(ip));
        }
        Ok(())
    }

    fn change_guard(&mut self, come: &[IpAddr], gone: &[IpAddr]) -> Result<()> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        let mut batch = channel.begin();
        push_difference(&mut batch, &self.families, guard, come, gone);
        push_closed(&mut batch, &self.families, gone.iter().copied());
        channel.must("change the guarded addresses", batch)
    }

    /// Of the guarded addresses, lets exactly these be served here without being held: a director
    /// forwards their packets to every node (`lvs_support`, LVS direct routing). Announcements of
    /// them - ARP, advertisements, raw frames - stay gated.
    ///
    /// # Errors
    /// What the kernel says; then nothing changed.
    pub fn share(&mut self, ips: &BTreeSet<IpAddr>) -> Result<()> {
        self.shared.clone_from(ips);
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        let now = elements_of(channel, Family::Inet, shared)?;
        let come: Vec<_> = ips.difference(&now).copied().collect();
        let gone: Vec<_> = now.difference(ips).copied().collect();
        let mut batch = channel.begin();
        push_difference(&mut batch, &[Family::Inet], shared, &come, &gone);
        if batch.is_empty() {
            return Ok(());
        }
        channel.must("change the shared addresses", batch)
    }

    /// Gives exactly these devices an egress gate, so that raw announcements pass it. Does
    /// nothing where there are none ([`Belts::egress`]).
    ///
    /// # Errors
    /// A device that is not there (the others have their gates), or what the kernel says.
    pub fn attach(&mut self, links: &BTreeSet<String>) -> Result<()> {
        if self.belts.egress {
            self.hang(links)?;
            self.links.clone_from(links);
            self.remember()?;
        }
        Ok(())
    }

    fn hang(&mut self, links: &BTreeSet<String>) -> Result<()> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        let mut missing = BTreeSet::new();
        loop {
            let present = egress_links(channel)?;
            let mut batch = channel.begin();
            let mut added = Vec::new();
            for link in links.iter().filter(|link| !missing.contains(*link)) {
                let number = push_egress(&mut batch, link, present.contains(link));
                added.extend(number.map(|number| (number, link)));
            }
            for link in present.difference(links) {
                push_no_chain(&mut batch, Family::Netdev, &egress_chain(link));
            }
            let faults = if batch.is_empty() {
                Vec::new()
            } else {
                channel.commit("put an egress gate on a device", batch)?
            };
            let known = missing.len();
            let absent = |number: u32| {
                let of = |fault: &Fault| fault.number == number && fault.error.is_absent();
                faults.iter().any(of)
            };
            let gone = added.iter().filter(|(number, _)| absent(*number));
            let gone: Vec<String> = gone.map(|(_, link)| (*link).clone()).collect();
            missing.extend(gone);
            match faults.into_iter().next() {
                None => return missing.pop_first().map_or(Ok(()), no_link),
                Some(fault) if missing.len() == known => return Err(fault.error),
                Some(fault) if channel.table(Family::Netdev)?.is_none() => return Err(fault.error),
                Some(_) => {}
            }
        }
    }

    /// Removes all tables: nothing is gated any more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn lower(mut self) -> Result<()> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        for family in Family::ALL {
            if channel.table(family)?.is_none() {
                continue;
            }
            let mut batch = channel.begin();
            push_no_table(&mut batch, family);
            channel.must(&format!("remove table {} {TABLE}", family.name()), batch)?;
        }
        Ok(())
    }

    /// Puts up again what somebody removed or changed. Elements of held addresses that are gone
    /// stay gone: their leases lapsed.
    ///
    /// # Errors
    /// As [`Gates::raise`], [`Gates::guard`] and [`Gates::attach`].
    pub fn repair(&mut self) -> Result<()> {
        let (guarded, links) = (self.guarded.clone(), self.links.clone());
        let done = self.put_back(&guarded, &links);
        if done.is_err() {
            // Still wanted, for the next try.
            self.guarded = guarded;
            self.links = links;
        }
        done
    }

    fn put_back(&mut self, guarded: &BTreeSet<IpAddr>, links: &BTreeSet<String>) -> Result<()> {
        let shared = self.shared.clone();
        self.build()?;
        self.adopt(Predecessor::Ourselves)?;
        self.guard(guarded)?;
        self.share(&shared)?;
        self.attach(links)?;
        self.remember()
    }

    /// Tables, sets, chains and rules; what lacks is noted in the belts.
    pub(super) fn build(&mut self) -> Result<()> {
        self.belts = Belts::default();
        self.families.clear();
        if !self.options.nf_tables {
            return self.without("gates are switched off".to_owned());
        }
        // The socket that owns the tables is kept.
        let mut channel = match self.channel.take().map_or_else(Channel::open, Ok) {
            Ok(channel) => channel,
            Err(error) if lacking(&error) => return self.without(error.to_string()),
            Err(error) => return Err(error),
        };
        let mut owned = self.options.owner;
        match put_up(&mut channel, Family::Inet, &mut owned) {
            Ok(()) => self.families.push(Family::Inet),
            Err(error) if lacking(&error) => return self.without(error.to_string()),
            Err(error) => return Err(error),
        }
        self.put_up_arp(&mut channel, &mut owned)?;
        self.put_up_egress(&mut channel, &mut owned)?;
        self.belts.gates = true;
        self.belts.owned = owned;
        if !owned {
            let why = if self.options.owner {
                "Linux 6.9 is needed"
            } else {
                "switched off"
            };
            self.belts.weaker.push(format!(
                "the tables have no owner ({why}): whoever flushes the ruleset opens the gates \
                 until they are put up again"
            ));
        }
        self.channel = Some(channel);
        if self.families == [Family::Inet] {
            let why = "neither ARP nor egress gates: a lapsed address would still be announced";
            return self.without(why.to_owned());
        }
        Ok(())
    }

    fn put_up_arp(&mut self, channel: &mut Channel, owned: &mut bool) -> Result<()> {
        match put_up(channel, Family::Arp, owned) {
            Ok(()) => self.families.push(Family::Arp),
            Err(error) if lacking(&error) => self.belts.weaker.push(format!(
                "no gate for ARP but the devices' egress gates: {error}"
            )),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn put_up_egress(&mut self, channel: &mut Channel, owned: &mut bool) -> Result<()> {
        let consequence = "announcements by raw sockets are not gated";
        if !self.options.egress {
            let why = format!("{consequence}: egress gates are switched off");
            self.belts.weaker.push(why);
            return Ok(());
        }
        let tried = put_up(channel, Family::Netdev, owned).and_then(|()| {
            let mut batch = channel.begin();
            push_egress(&mut batch, PROBED_LINK, false);
            match channel.check("try an egress gate", batch)?.pop() {
                None => Ok(()),
                Some(fault) => Err(fault.error),
            }
        });
        match tried {
            Ok(()) => {
                self.families.push(Family::Netdev);
                self.belts.egress = true;
            }
            Err(error) if lacking(&error) => self
                .belts
                .weaker
                .push(format!("{consequence} (Linux 5.16 is needed): {error}")),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn without(&mut self, why: String) -> Result<()> {
        self.channel = None;
        self.families.clear();
        self.belts = Belts::default();
        self.belts.weaker.push(format!(
            "no gates: a lapsed address answers until its lifetime ends: {why}"
        ));
        Ok(())
    }

    /// Learns what stands: what is guarded, which devices have gates, which gates are open. An
    /// open one stays so if it can be a lease: of a predecessor's, or of our own.
    pub(super) fn adopt(&mut self, of: Predecessor) -> Result<()> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        let mut all = BTreeSet::new();
        let mut strange = Vec::new();
        for family in &self.families {
            all.extend(guarded(channel, *family)?);
            for (ip, left) in open(channel, *family)? {
                let known = of == Predecessor::Another || self.open.contains(&ip);
                if !known || left.is_none_or(|left| left > LEASE_MAX) {
                    strange.push(ip);
                } else {
                    self.open.insert(ip);
                }
            }
        }
        // A table that was not there before knows none of them yet.
        if self.belts.egress {
            self.links = egress_links(channel)?;
        }
        self.guarded.clear();
        self.guard(&all)?;
        self.close(&strange)
    }
}

/// Who put up the tables that stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predecessor {
    /// An earlier process.
    Another,
    /// This one, before somebody changed them.
    Ourselves,
}

/// A device without its gate.
fn no_link(name: String) -> Result<()> {
    let links = crate::Kernel::open()?.links()?;
    let present: Vec<String> = links.into_iter().map(|link| link.name).collect();
    let present = present.join(" ");
    Err(Error::NoSuchLink { name, present })
}

/// Adds and removes elements of sets without timeouts.
fn push_difference(
    batch: &mut Batch,
    families: &[Family],
    set: fn(Version) -> &'static str,
    come: &[IpAddr],
    gone: &[IpAddr],
) {
    let bare = |ips: &[IpAddr]| ips.iter().map(|ip| (*ip, None)).collect::<Vec<_>>();
    for (family, version, some) in by_set(families, &bare(come)) {
        push_elements(batch, Kind::NewElement, family, set(version), &some);
    }
    for (family, version, some) in by_set(families, &bare(gone)) {
        // Added first, so that its absence is no fault.
        push_elements(batch, Kind::NewElement, family, set(version), &some);
        push_elements(batch, Kind::DelElement, family, set(version), &some);
    }
}

/// The devices that have egress chains.
fn egress_links(channel: &mut Channel) -> Result<BTreeSet<String>> {
    let names = channel.list(Kind::GetChain, Family::Netdev, |chain| {
        chain.text(CHAIN_NAME)
    })?;
    let links = names.iter().filter_map(|name| egress_link(name));
    Ok(links.map(str::to_owned).collect())
}

/// Puts up one table or takes it over; `owned` says whether it is to be owned, and then whether
/// it is.
fn put_up(channel: &mut Channel, family: Family, owned: &mut bool) -> Result<()> {
    let what = format!("put up table {} {TABLE}", family.name());
    let deadline = Instant::now() + OWNER_WAIT;
    loop {
        let standing = channel.table(family)?;
        let flags = match standing {
            _ if *owned => TABLE_OWNER | TABLE_PERSIST,
            // Persistence can neither be given nor taken later
            // (`nf_tables_api.c:nf_tables_updtable`).
            Some(standing) => standing.flags & TABLE_PERSIST,
            None => 0,
        };
        // What was made without an owner cannot get one: it is made anew, still guarding.
        let anew = *owned && standing.is_some_and(|standing| standing.flags & TABLE_PERSIST == 0);
        let guarded = if anew {
            guarded(channel, family)?
        } else {
            BTreeSet::new()
        };
        let mut batch = channel.begin();
        if anew {
            push_no_table(&mut batch, family);
        }
        push_table(&mut batch, family, flags);
        let guarded: Vec<IpAddr> = guarded.into_iter().collect();
        push_difference(&mut batch, &[family], guard, &guarded, &[]);
        let Some(fault) = channel.commit(&what, batch)?.into_iter().next() else {
            return Ok(());
        };
        let foreign = standing.and_then(|standing| standing.owner);
        match fault.error.errno() {
            Some(Errno::EPERM) if foreign.is_some_and(|port| port != channel.port()) => {
                if Instant::now() >= deadline {
                    return Err(owned_by(family, standing));
                }
                std::thread::sleep(OWNER_PAUSE);
            }
            Some(Errno::EOPNOTSUPP | Errno::EINVAL) if *owned => *owned = false,
            _ => return Err(fault.error),
        }
    }
}

/// The guarded addresses of a table.
pub(super) fn guarded(channel: &mut Channel, family: Family) -> Result<BTreeSet<IpAddr>> {
    elements_of(channel, family, guard)
}

fn elements_of(
    channel: &mut Channel,
    family: Family,
    set: fn(Version) -> &'static str,
) -> Result<BTreeSet<IpAddr>> {
    let mut found = BTreeSet::new();
    for version in [Version::V4, Version::V6] {
        if knows(family, version) {
            let elements = channel.elements(family, set(version))?;
            found.extend(elements.into_iter().map(|(ip, _)| ip));
        }
    }
    Ok(found)
}

/// The live elements of a table's held sets.
pub(super) fn open(
    channel: &mut Channel,
    family: Family,
) -> Result<Vec<(IpAddr, Option<Duration>)>> {
    let mut found = Vec::new();
    for version in [Version::V4, Version::V6] {
        if knows(family, version) {
            found.extend(channel.elements(family, held(version))?);
        }
    }
    Ok(found)
}

fn owned_by(family: Family, standing: Option<Standing>) -> Error {
    let port = standing.and_then(|standing| standing.owner).unwrap_or(0);
    Error::Invalid(format!(
        "table {} {TABLE} belongs to another living process (netlink port {port}, most often its \
         process id): does another mainstayd run in this network namespace?",
        family.name()
    ))
}

/// Errors that say "this kernel cannot do that": no nfnetlink, no nf_tables, no such family,
/// chain type, hook or expression.
fn lacking(error: &Error) -> bool {
    matches!(
        error.errno(),
        Some(
            Errno::EOPNOTSUPP
                | Errno::EPROTONOSUPPORT
                | Errno::EAFNOSUPPORT
                | Errno::EINVAL
                | Errno::ENOENT
        )
    )
}

/// A predecessor that was just killed, or a child of it between fork and exec, lets go within
/// this time.
const OWNER_WAIT: Duration = Duration::from_secs(1);
const OWNER_PAUSE: Duration = Duration::from_millis(1);
/// A device that is always there.
const PROBED_LINK: &str = "lo";
