//! One status model, and its renderers: text as crm_mon prints it, JSON, the Nagios line.

mod bans;
mod brief;
mod details;
mod failures;
mod from_cib;
mod history;
pub mod html;
pub mod legacy;
pub(crate) mod list;
mod model;
pub mod nagios;
pub mod net;
mod only;
pub mod own;
pub(crate) mod parts;
pub(crate) mod printer;
pub(crate) mod summary;
mod tell;
#[cfg(test)]
mod tests;
pub mod text;
pub mod xml;

pub use details::details;
pub(crate) use failures::{all as failures, failure_line, parse_key};
pub use model::{
    Ban, FailCount, Fencing, NodeDetails, Notice, OperationResult, PeerStatus, ResourceHistory,
    Status, SwitchStatus, VipMove, VipStatus,
};
pub use only::{only_node, only_resource};
pub use tell::{
    Counts, asctime, count, exec_status, find_resource, interval, leaves, node_state, ocf_code,
    option, option_on, places, risks, score,
};
