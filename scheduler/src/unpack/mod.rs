//! From CIB to working set: nodes, resources, status.

pub(crate) mod failcount;
mod failures;
pub(crate) mod history;
mod migration;
mod nodes;
mod resources;
mod status;
