//! From CIB to working set: nodes, resources, status.

pub(crate) mod failcount;
mod failures;
pub(crate) mod history;
mod instances;
mod migration;
mod nodes;
mod remote;
mod resources;
mod status;
