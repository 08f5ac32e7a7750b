//! The kernel's network as mainstay needs it: links, addresses, routes, announcements,
//! namespaces.
//!
//! Everything here is blocking and short: one request on a dedicated socket takes some tens of
//! microseconds. Nothing in this crate knows about clusters, resources or configuration.
//! `unsafe` lives in `sys.rs` alone.

mod address;
mod announce;
mod arp;
mod attribute;
mod background;
mod claim;
mod error;
mod filter;
pub mod gate;
mod kernel;
mod label;
mod link;
mod ndp;
mod neighbour;
mod netns;
pub mod owners;
mod packet;
mod place;
pub mod probe;
pub mod provoke;
#[cfg(test)]
mod rights;
mod route;
mod route_edit;
mod socket;
pub mod speakers;
pub mod sweep;
mod sys;
pub mod sysctl;
#[cfg(test)]
mod testing;
mod watch;

pub use address::{Address, AddressFlag, AddressSpec, Lifetime};
pub use announce::Announcer;
pub use arp::{ArpListener, ArpPacket};
pub use claim::{Asked, Claim, ClaimListener};
pub use error::{Error, Result};
pub use gate::{Belts, GateEvent, GateOptions, GateWatch, Gates};
pub use kernel::Kernel;
pub use link::{Link, Mac, VethEnd};
pub use ndp::NdPacket;
pub use neighbour::Neighbour;
pub use netns::NetNs;
pub use place::{Broadcast, NoPlace, Picture, Place, Wanted};
pub use route::{Route, RouteSpec};
pub use route_edit::WholeRoute;
pub use sys::{
    close_inherited_on_exec, lock_memory, make_offspring_realtime, make_thread_nice,
    make_thread_ordinary, make_thread_realtime,
};
pub use watch::{Change, Watch};
