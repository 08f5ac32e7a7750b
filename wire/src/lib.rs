//! Who may speak: authkey, handshake, sealed datagrams and stream records. Sans-IO.

mod ident;

pub use ident::{Identity, MachineBoot, NodeId, ProcessBoot};
