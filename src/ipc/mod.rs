//! The unix socket between commands and daemon: protocol, server side and client side.

mod proto;

pub use proto::{
    CIB_BYTES_MAX, Change, Check, CheckLevel, Edit, ErrorKind, FRAME_BYTES_MAX, IPC_VERSION,
    Request, Response,
};
