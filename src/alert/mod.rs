//! Alert agents: programs that are told of node, resource, fencing and attribute events.
//!
//! [`alerts`] reads the CIB's `alerts` section (pure), [`AlertEvent`] is one happening,
//! [`Alerter`] runs the programs with the environment that Pacemaker documents
//! (Pacemaker Administration, "Alerts"; lib/cluster/alerts in crmd and lrmd).

mod config;
mod event;
mod runner;

pub use config::{Alert, Recipient, Select, alerts};
pub use event::AlertEvent;
pub use runner::{ALERTS_RUNNING_MAX, ALERTS_WAITING_MAX, Alerter};

#[cfg(test)]
mod tests;
