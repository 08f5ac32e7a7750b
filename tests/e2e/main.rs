//! End to end: real daemons, the real kernel and real agents, in labs of namespaces.
//!
//! One program for all of it: every test program links the whole of mainstay. A test brings up a
//! lab of its own, waits with bounds, and says when one is reached what was expected, what was seen
//! instead, and where the logs are.

mod agents;
mod answers;
mod attributes;
mod bad_input;
mod bad_peers;
mod by_hand;
mod clients;
mod cluster;
mod commands;
mod config;
mod conflict;
mod events;
mod failover;
mod fencing;
mod flood;
mod growth;
mod handover;
mod hang;
mod hung_disk;
mod join;
mod lease;
mod levels;
mod links;
mod lost_stores;
mod many;
mod nemesis;
mod pcs;
mod quorum;
mod real_agents;
mod replay;
mod restart;
mod scale;
mod self_fence;
mod service;
mod simulate;
#[path = "../skip/mod.rs"]
mod skip;
mod stale;
mod still;
mod stop;
mod terminal;
mod tools;
mod tutorial;
mod vip_bad_input;
mod vip_faults;
mod waiting;
mod walks;
