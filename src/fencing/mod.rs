//! Fence agents: topology, the stdin protocol, results as certificates.
//!
//! [`devices`] and [`levels`] read the CIB (pure); [`Fencer::fence`] decides which devices can
//! reach the target, runs their agents and says which of them did it, or why none could.

mod agent;
mod device;
mod fencer;
mod metadata;
mod monitor;
mod text;
mod topology;

pub use agent::FencerConfig;
pub use device::{Device, HostCheck, devices};
pub use fencer::{FenceOutcome, FenceRecord, FenceRequest, Fencer, HISTORY_MAX};
pub use metadata::AgentMetadata;
pub(crate) use monitor::ActiveDevices;
pub use topology::levels;

#[cfg(test)]
mod tests;
