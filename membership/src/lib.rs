//! Who is here: failure detector, quorum rules, views, coordinator and replicated log. Sans-IO.

mod api;

pub use api::*;
