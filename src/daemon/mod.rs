//! The daemon: wiring, start, stop, reload, signals.
//!
//! Threads: the protocol thread (heartbeats; waits for nobody), the store thread (the one writer),
//! and the loop in `app`, which owns everything else. Schedulers and native agents run on blocking
//! threads beside the loop.

mod alerts;
mod app;
mod attributes;
mod by_hand;
mod changes;
mod cluster;
mod describe;
pub mod disk;
mod duty;
mod fences;
mod fencings;
mod grants;
mod handover;
mod inputs;
mod joining;
mod keys;
mod last_words;
mod leases;
mod local;
mod log;
mod looks;
mod net;
mod notices;
mod notify;
mod peer;
mod prepare;
mod refusal;
mod reload;
mod reports;
mod requests;
mod roster;
mod self_fence;
mod serve;
mod silence;
mod start;
mod status;
mod stop;
mod supervise;
mod turn;
mod watch;
mod witness;

/// Real-time priority of what an address waits for when it moves (1 to 99): the parent and the loop.
/// Below protocol and leases, above everything ordinary.
const REALTIME_PRIORITY: i32 = 5;
/// Longest wait at the end for the log's destinations.
const LOG_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(1);

pub use log::Log;
pub use start::{Args, main_from_args};
pub use witness::witness_from_args;
/// Nice value of the threads that write the store, where the right to it is given.
const STORE_NICE: i32 = -20;
