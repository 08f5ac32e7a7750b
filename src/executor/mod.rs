//! Resource agents: OCF and LSB processes and native agents, timeouts, recurring operations, history.

mod api;

pub use api::{OpFinished, OpOutcome, OpRequest};
