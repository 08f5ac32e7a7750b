//! Sockets for `wire` and `membership`: the protocol thread and the TCP streams.
//!
//! The protocol thread never waits for disk, agents or clients: it reads datagrams, feeds the core,
//! and carries out what the core says. What depends on the disk goes to the store thread and comes
//! back as [`Message::Disk`].

mod address;
mod clock;
mod entropy;
mod join;
mod protocol;
mod sockets;
mod stream;

pub use address::{AddressError, LinkAddresses, Peers};
pub use clock::{boottime_ms, boottime_us};
pub use entropy::OsEntropy;
pub use join::{Desk, JoinCall};
pub use protocol::{
    EVENTS_MAX, Ended, MAIN_TURN_US_MAX, Message, NewPeers, OnHang, Protocol, ProtocolHandle,
    Report, Seed,
};
pub(crate) use protocol::{PEER_TROUBLE, STANDS_STILL};
pub(crate) use sockets::Sockets;
pub use stream::{StreamControl, StreamHandle, Streams};
