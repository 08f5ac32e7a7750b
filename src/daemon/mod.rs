//! The daemon: wiring, start, stop, reload, signals.

mod log;
mod notify;

pub use log::Log;
