//! The gates of floating addresses: what the kernel lets through only while a lease lives.
//!
//! A guarded address is answered for by this machine only while an element with a timeout stands
//! in an nf_tables set. When nobody renews it - the daemon is dead, stopped, cut off - the kernel
//! itself falls silent: packets to and from the address, ARP, neighbour advertisements and raw
//! announcements are dropped (rules R13 to R17). `GATES.md` beside this crate's manifest shows the
//! tables and says which kernel does what.

mod channel;
mod expression;
mod layout;
mod leases;
mod make;
mod message;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod watch;

pub use watch::{GateEvent, GateWatch};

use crate::Result;
use channel::Channel;
use message::Family;
use state::Made;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Addresses that can be guarded at once.
pub const GUARDED_MAX: usize = 4_096;
/// The longest that an element may stand; a lease is far shorter (R14).
pub const LEASE_MAX: Duration = Duration::from_secs(60);

/// Which of the kernel's means are used: all, but where a test walks the paths of older kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateOptions {
    /// The tables are owned by this process and outlive it (Linux 6.9, R16).
    pub owner: bool,
    /// Devices have egress gates against raw announcements (Linux 5.16, R15).
    pub egress: bool,
    /// There are gates at all.
    pub nf_tables: bool,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            owner: true,
            egress: true,
            nf_tables: true,
        }
    }
}

/// What keeps a lapsed address silent on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belts {
    /// The gates stand. Without them only the address's own lifetime ends a lapsed lease.
    pub gates: bool,
    /// Nobody else can change or flush the tables, and they outlive this process.
    pub owned: bool,
    /// Raw frames (`AF_PACKET`) are gated, too. Without that only a thread that looks at the lease
    /// before each frame may announce, and a new owner repeats its announcement (R15).
    pub egress: bool,
    /// What is missing and why, in words.
    pub weaker: Vec<String>,
}

/// The gates of one network namespace, closed for every guarded address that is not held.
///
/// All calls are blocking and short. Dropping the value leaves the tables where they are: closed,
/// or open until the timeout at most. [`Gates::raise`] of a later process takes them over.
pub struct Gates {
    options: GateOptions,
    /// Nothing where there is no nf_tables: then nothing is gated.
    channel: Option<Channel>,
    families: Vec<Family>,
    belts: Belts,
    guarded: BTreeSet<IpAddr>,
    shared: BTreeSet<IpAddr>,
    links: BTreeSet<String>,
    /// Addresses whose gate this process opened or took over open; some may have lapsed since.
    open: BTreeSet<IpAddr>,
    made: Made,
}

impl Gates {
    /// Puts up the tables in the calling thread's network namespace, or takes over those of a
    /// predecessor with its live elements, its guarded addresses and its devices.
    ///
    /// A kernel that cannot do all of it is no error: the belts say what is weaker.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when another living process owns the tables.
    pub fn raise(options: &GateOptions) -> Result<(Self, Belts)> {
        let mut gates = Self {
            options: *options,
            channel: None,
            families: Vec::new(),
            belts: Belts::default(),
            guarded: BTreeSet::new(),
            shared: BTreeSet::new(),
            links: BTreeSet::new(),
            open: BTreeSet::new(),
            made: Made::default(),
        };
        gates.build()?;
        gates.adopt(tables::Predecessor::Another)?;
        gates.remember()?;
        let belts = gates.belts.clone();
        Ok((gates, belts))
    }

    /// What is in force.
    pub fn belts(&self) -> &Belts {
        &self.belts
    }

    /// The addresses that are gated.
    pub fn guarded(&self) -> &BTreeSet<IpAddr> {
        &self.guarded
    }

    /// How long the kernel still lets an address answer; nothing when its gate is closed (or when
    /// there are no gates).
    ///
    /// # Errors
    /// When the kernel does not answer as expected.
    pub fn left(&mut self, ip: IpAddr) -> Result<Option<Duration>> {
        match &mut self.channel {
            None => Ok(None),
            Some(channel) => {
                let set = layout::held(expression::Version::of(ip));
                channel.element(Family::Inet, set, ip)
            }
        }
    }
}

impl std::fmt::Debug for Gates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gates")
            .field("belts", &self.belts)
            .field("guarded", &self.guarded)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}
