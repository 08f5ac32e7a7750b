//! The lease of a floating address: the kernel lets it speak only while a quorum confirms it.
//!
//! ```text
//! protocol thread ── Fresh, at every new stamp ──► keeper thread ──► nf_tables element, some 100 ms
//! agents ── open, address, close ───────────────►      │       └──► lifetime of the address, 2 s
//! daemon ── guard set, end ─────────────────────►      └── LeaseEvent ──► daemon
//! ```
//!
//! The keeper is a thread of its own with real-time priority and its own kernel sockets (ruling 5):
//! no agent, disk or packet makes it wait. Killed, frozen or cut off, it simply does not renew, and
//! the kernel falls silent for the address by itself, before another node may have it (R14).

mod door;
mod handle;
mod hooks;
mod keeper;
mod machine;

pub use door::{Door, RealDoor};
pub use handle::{End, LeaseHandle, LeaseView};
pub(super) use hooks::as_found;
pub use hooks::{address_of, is_leased};
pub use keeper::Keeper;
pub use machine::{Fresh, Lack, LeaseEvent, LeaseTimes, Standing};

use netlink::{AddressSpec, Lifetime};
pub use netlink::{Belts, GateOptions};

/// The address with the lifetime that is its second belt, in seconds: the kernel removes it by
/// itself when nobody renews it.
#[must_use]
pub fn mortal(spec: AddressSpec, seconds: u32) -> AddressSpec {
    let preferred = match spec.preferred {
        Lifetime::Seconds(wanted) => Lifetime::Seconds(wanted.min(seconds)),
        Lifetime::Forever => Lifetime::Seconds(seconds),
    };
    AddressSpec {
        valid: Lifetime::Seconds(seconds),
        preferred,
        ..spec
    }
}

/// `valid_lft` of an address when it is added, in seconds, and the least that it is renewed with:
/// with a long detection timeout a lease lasts longer, and a daemon that starts again finds its
/// address there for as long (`LeaseTimes::belt_seconds`). The kernel counts whole ones: an address
/// of 1 s was gone after 1.02 s, one of 2 s after 2.02 to 2.23 s.
pub const BELT_SECONDS: u32 = 2;
/// How long a survivor has to wait for a node whose only belt is the lifetime, in microseconds:
/// [`BELT_SECONDS`] and 0.3 s (R16), which covers the 0.23 s measured, the age of the stamp that
/// a refresh relies on (`BELT_STAMP_AGE_US_MAX`) and a late write.
pub const BELT_HOLD_US: u64 = 2_300_000;
