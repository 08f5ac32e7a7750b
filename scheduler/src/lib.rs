//! What to do next: CIB and time to placement, actions, transition graph and reasons. Pure.

mod plan;

pub use plan::{
    Action, ActionKind, ActionResource, Because, Graph, NodeStatus, OpFailure, Plan, Reason,
    ResourceStatus, Synapse,
};

/// What the caller adds to the CIB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Now, in seconds since the epoch (`execution-date` in the CIB does not win over it).
    pub now: i64,
}

/// Decides. Never panics, whatever the CIB says; what it cannot use it names in
/// [`Plan::errors`] and ignores.
#[must_use]
pub fn schedule(cib: &cib::Element, options: &Options) -> Plan {
    let _ = (cib, options);
    Plan::default()
}
