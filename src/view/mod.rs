//! One status model, and its renderers: text as crm_mon prints it, JSON, the Nagios line.

pub mod legacy;
mod model;
pub mod nagios;
pub mod own;
mod tell;
#[cfg(test)]
mod tests;
pub mod text;
pub mod xml;

pub use model::{FailCount, Notice, PeerStatus, Status, SwitchStatus, VipMove, VipStatus};
pub use tell::{
    Counts, asctime, count, exec_status, find_resource, interval, leaves, node_state, ocf_code,
    option, option_on, risks, score,
};
