//! Elements of the held sets: armed, renewed, closed. The kernel's rules are R13's.

use super::channel::{Channel, Fault};
use super::expression::Version;
use super::layout::{held, knows};
use super::make::{push_elements, push_no_element};
use super::message::{Batch, Family, Kind};
use super::{Gates, LEASE_MAX, tables};
use crate::{Error, Result};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

impl Gates {
    /// Opens the gate of each address for so long from now, whatever stood there before: for an
    /// address that a grant gives to this process anew. One with less than a millisecond is
    /// closed. All are opened, or none.
    ///
    /// # Errors
    /// A duration above [`LEASE_MAX`], or what the kernel says; then nothing changed, but for
    /// whole earlier batches of 1,024.
    pub fn arm(&mut self, leases: &[(IpAddr, Duration)]) -> Result<()> {
        let start = Instant::now();
        bounded(leases)?;
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        for some in leases.chunks(LEASES_PER_BATCH_MAX) {
            let timed = remaining(some, start.elapsed());
            let mut batch = channel.begin();
            push_closed(&mut batch, &self.families, some.iter().map(|(ip, _)| *ip));
            push_new(&mut batch, &self.families, &timed);
            channel.must("open the gate of an address", batch)?;
            self.open.extend(timed.iter().map(|(ip, _)| *ip));
        }
        Ok(())
    }

    /// Lets each address answer for so long from now, if its gate is still open; returns those
    /// whose gate had closed. They stay closed: a lapsed lease is granted again, never renewed
    /// (R13). One with less than a millisecond left is closed and returned. The others are
    /// renewed.
    ///
    /// Without gates nothing lapses here.
    ///
    /// # Errors
    /// A duration above [`LEASE_MAX`], or what the kernel says, as when somebody removed the
    /// tables ([`Gates::repair`]).
    pub fn renew(&mut self, leases: &[(IpAddr, Duration)]) -> Result<Vec<IpAddr>> {
        let start = Instant::now();
        bounded(leases)?;
        let Some(channel) = &mut self.channel else {
            return Ok(Vec::new());
        };
        let mut lapsed = Vec::new();
        for some in leases.chunks(LEASES_PER_BATCH_MAX) {
            renew_some(channel, &self.families, some, start, &mut lapsed)?;
        }
        Ok(lapsed)
    }

    /// Closes the gates of these addresses now; those that are closed stay so.
    ///
    /// # Errors
    /// What the kernel says; then nothing is known to be closed before its timeout.
    pub fn close(&mut self, ips: &[IpAddr]) -> Result<()> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        for some in ips.chunks(LEASES_PER_BATCH_MAX) {
            let mut batch = channel.begin();
            push_closed(&mut batch, &self.families, some.iter().copied());
            if !batch.is_empty() {
                channel.must("close the gate of an address", batch)?;
            }
            for ip in some {
                self.open.remove(ip);
            }
        }
        Ok(())
    }

    /// Closes every gate that is open, known to this process or not.
    ///
    /// # Errors
    /// As [`Gates::close`].
    pub fn close_all(&mut self) -> Result<()> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        let mut open = BTreeSet::new();
        for family in &self.families {
            let elements = tables::open(channel, *family)?;
            open.extend(elements.into_iter().map(|(ip, _)| ip));
        }
        let open: Vec<IpAddr> = open.into_iter().collect();
        self.close(&open)
    }
}

/// Renews what lives. Whoever lapsed is left out and the rest tried again: each round but the
/// last drops at least one address, and a batch is all or nothing.
fn renew_some(
    channel: &mut Channel,
    families: &[Family],
    leases: &[(IpAddr, Duration)],
    start: Instant,
    lapsed: &mut Vec<IpAddr>,
) -> Result<()> {
    let mut rest = leases.to_vec();
    while !rest.is_empty() {
        let timed = remaining(&rest, start.elapsed());
        let ended = rest.len() - timed.len();
        if ended > 0 {
            let over: Vec<IpAddr> = rest
                .iter()
                .map(|(ip, _)| *ip)
                .filter(|ip| !timed.iter().any(|(live, _)| live == ip))
                .collect();
            let mut batch = channel.begin();
            push_closed(&mut batch, families, over.iter().copied());
            channel.must("close the gate of an address", batch)?;
            rest.retain(|(ip, _)| !over.contains(ip));
            lapsed.extend(over);
            continue;
        }
        let mut batch = channel.begin();
        let owners = push_renewed(&mut batch, families, &timed);
        let faults = channel.commit("renew the lease of an address", batch)?;
        if faults.is_empty() {
            return Ok(());
        }
        let gone = gone(faults, &owners)?;
        rest.retain(|(ip, _)| !gone.contains(ip));
        lapsed.extend(gone);
    }
    Ok(())
}

/// The addresses whose element was not there; any other fault is an error.
fn gone(faults: Vec<Fault>, owners: &[(u32, IpAddr)]) -> Result<Vec<IpAddr>> {
    let mut gone = Vec::new();
    for fault in faults {
        let owner = owners.binary_search_by_key(&fault.number, |(number, _)| *number);
        match owner {
            Ok(at) if fault.error.errno() == Some(Errno::ENOENT) => gone.push(owners[at].1),
            // A set that takes nothing in is not there, and then nothing lapsed.
            _ => return Err(fault.error),
        }
    }
    gone.sort_unstable();
    gone.dedup();
    Ok(gone)
}

/// Deletes and adds: after its expiry an element cannot be deleted (ENOENT), so nothing that
/// lapsed comes back. Returns which message deletes whose element.
fn push_renewed(
    batch: &mut Batch,
    families: &[Family],
    timed: &[(IpAddr, Option<u64>)],
) -> Vec<(u32, IpAddr)> {
    let mut owners = Vec::with_capacity(timed.len() * families.len());
    for (family, version, some) in by_set(families, timed) {
        for (ip, _) in &some {
            let number = push_no_element(batch, family, held(version), *ip);
            owners.push((number, *ip));
        }
    }
    push_new(batch, families, timed);
    owners
}

fn push_new(batch: &mut Batch, families: &[Family], timed: &[(IpAddr, Option<u64>)]) {
    for (family, version, some) in by_set(families, timed) {
        push_elements(batch, Kind::NewElement, family, held(version), &some);
    }
}

/// Adds and deletes: what is there or not is gone afterwards, in one step.
pub(super) fn push_closed(
    batch: &mut Batch,
    families: &[Family],
    ips: impl Iterator<Item = IpAddr>,
) {
    let all: Vec<_> = ips.map(|ip| (ip, Some(PASSING_MS))).collect();
    for (family, version, some) in by_set(families, &all) {
        push_elements(batch, Kind::NewElement, family, held(version), &some);
        let bare: Vec<_> = some.iter().map(|(ip, _)| (*ip, None)).collect();
        push_elements(batch, Kind::DelElement, family, held(version), &bare);
    }
}

/// Elements of one set of one table.
type PerSet<T> = (Family, Version, Vec<(IpAddr, T)>);

/// Which set of which table takes which of the elements.
pub(super) fn by_set<T: Copy>(families: &[Family], elements: &[(IpAddr, T)]) -> Vec<PerSet<T>> {
    let mut found = Vec::new();
    for family in families {
        for version in [Version::V4, Version::V6] {
            let of_version = |(ip, _): &&(IpAddr, T)| Version::of(*ip) == version;
            let some: Vec<_> = elements.iter().filter(of_version).copied().collect();
            if knows(*family, version) && !some.is_empty() {
                found.push((*family, version, some));
            }
        }
    }
    found
}

/// Timeouts in whole milliseconds, never longer than what is left; none for what has ended. A
/// timeout of zero would mean "for ever" to the kernel, so it is never written.
fn remaining(leases: &[(IpAddr, Duration)], passed: Duration) -> Vec<(IpAddr, Option<u64>)> {
    leases
        .iter()
        .filter_map(|(ip, span)| {
            let ms = span.saturating_sub(passed).as_millis() as u64;
            (ms > 0).then_some((*ip, Some(ms)))
        })
        .collect()
}

fn bounded(leases: &[(IpAddr, Duration)]) -> Result<()> {
    match leases.iter().find(|(_, span)| *span > LEASE_MAX) {
        None => Ok(()),
        Some((ip, span)) => Err(Error::Invalid(format!(
            "a lease of {} s for {ip} is above {} s",
            span.as_secs(),
            LEASE_MAX.as_secs()
        ))),
    }
}

/// Leases in one batch: 1,024 of them are 460 KB in three tables, below the bound of a batch.
pub(super) const LEASES_PER_BATCH_MAX: usize = 1_024;
/// The timeout of an element that the same batch removes again.
const PASSING_MS: u64 = 1;
