//! The daemon: wiring, start, stop, reload, signals.

pub mod disk;
mod log;
mod notify;

pub use log::Log;
