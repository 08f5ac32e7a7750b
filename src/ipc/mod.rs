//! The unix socket between commands and daemon: protocol, server side and client side.

mod client;
mod frame;
mod proto;
mod server;

pub use client::{Client, ConnectError};
pub use frame::FrameError;
pub use proto::{
    AttributeChange, AttributeUpdate, CIB_BYTES_MAX, Change, Check, CheckLevel, CibVersionInfo,
    CibVersionText, Edit, ErrorKind, FENCE_WAIT_MS_MAX, FRAME_BYTES_MAX, IPC_VERSION, KeyState,
    NodeAttribute, Request, Response,
};
pub use server::{Call, bind, serve};
