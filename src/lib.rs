//! mainstay: a high-availability cluster stack in one daemon and one command.
//!
//! The pure crates decide (`membership`, `cib`, `scheduler`, `wire`); the modules here act.
//! ARCHITECTURE.md draws the way of the data.

pub mod alert;
pub mod cli;
pub mod conf;
mod conflicts;
pub mod controller;
pub mod daemon;
pub mod demo_web;
pub mod executor;
pub mod fencing;
pub mod inputs;
pub mod ipc;
pub mod join;
pub mod lab;
pub mod on_paper;
pub mod paths;
pub mod replica;
mod salvage;
pub mod transport;
pub mod view;
pub mod vip;

#[cfg(test)]
mod golden;
#[cfg(test)]
#[path = "../tests/skip/mod.rs"]
mod skip;

/// `dc-version` in the CIB, and what `crm_mon` prints after the DC: tools compare it with 2.1.
pub const DC_VERSION: &str = concat!("2.1.8-mainstay", env!("CARGO_PKG_VERSION"));
