//! Scenarios: a cluster in a few words, then what the scheduler makes of it: the summary, the
//! actions with what they wait for, and what it has to say about the configuration.
//! `SNAPSHOTS=overwrite` writes the expectations; look at them.

mod clones;
#[path = "../common/mod.rs"]
mod common;
mod failures;
mod groups;
mod kinds;
mod life;
mod nodes;
mod order;
mod placement;
mod quorum;
