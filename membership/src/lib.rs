//! Who is here: failure detector, quorum rules, views, coordinator and replicated log. Sans-IO.
//!
//! [`Core`] is fed with [`Input`]s and drained of [`Output`]s; time, disk, network and randomness
//! are the driver's. MEMBERSHIP.md in this crate says which rule is kept where.

mod api;
mod arbiter;
mod beats;
mod channel;
mod config;
mod core;
mod detector;
mod election;
mod fetch;
mod follow;
mod lead;
mod lease;
mod links;
mod lms;
mod log;
mod marks;
pub mod message;
pub mod mutant;
pub mod paper;
mod peer;
mod peers;
mod persist;
mod probe;
mod propose;
mod quiet;
pub mod quorum;
mod receive;
mod relay;
mod roster;
mod salvage;
mod slow;
mod soft;
mod state;
mod status;
mod timing;
mod view;
mod witness;

pub use api::*;
pub use config::{Config, LINK_PRIORITY_DEFAULT, LINKS_MAX, NODES_MAX, PeerConfig, StartError};
pub use core::Core;
pub use detector::HOLD_US_MAX;
pub use lease::{Grant, Lease, VIP_NAME_BYTES_MAX};
pub use links::{LOSS_BEATS, LinkStatus};
pub use log::{Record, Snapshot};
pub use persist::{BARRIER_US_MAX, WRITES_IN_FLIGHT_MAX};
pub use probe::Probe;
pub use propose::{ENTRY_BYTES_MAX, LOG_BYTES_MAX, PROPOSALS_MAX, UNCOMMITTED_MAX};
pub use relay::{RELAY_DATAGRAM_BYTES_MAX, RELAY_LINK, wrap};
pub use salvage::{Salvage, salvage};
pub use soft::{SOFT_ITEM_BYTES_MAX, SOFT_ITEMS_MAX};
pub use state::{Certificate, LogState, OPS_MAX};
pub use status::{CoreStatus, PeerStatus};
pub use timing::{
    DRIFT_PPM, HEARTBEAT_US_MIN, JIFFY_US, LATE_WRITE_US, QUEUE_US, T_FAIL_US_DEFAULT,
    T_FAIL_US_MAX, T_FAIL_US_MIN, Timing, TimingError,
};
pub use witness::{WITNESS_NODES_MAX, Witness, WitnessRecord, WitnessStatus, WitnessView};
