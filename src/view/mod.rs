//! One status model, and its renderers: text as crm_mon prints it, JSON, the Nagios line.

mod brief;
mod details;
mod from_cib;
mod history;
pub mod html;
pub mod legacy;
mod model;
pub mod nagios;
pub mod net;
mod only;
pub mod own;
mod tell;
#[cfg(test)]
mod tests;
pub mod text;
pub mod xml;

pub use details::details;
pub use model::{
    Ban, FailCount, Fencing, NodeDetails, Notice, OperationResult, PeerStatus, ResourceHistory,
    Status, SwitchStatus, VipMove, VipStatus,
};
pub use only::{only_node, only_resource};
pub use tell::{
    Counts, asctime, count, exec_status, find_resource, interval, leaves, node_state, ocf_code,
    option, option_on, places, risks, score,
};
pub(crate) use text::{parse_key, told_state};
