//! One status model, and its renderers: text as crm_mon prints it, JSON, the Nagios line.

mod model;

pub use model::{FailCount, Notice, PeerStatus, Status, VipStatus};
