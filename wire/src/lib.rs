//! Who may speak: authkey, handshake, sealed datagrams and stream records.
//!
//! Sans-IO: bytes, time (`now_us`, microseconds on a monotonic clock) and randomness ([`Entropy`])
//! are arguments; sockets, clocks and threads belong to the caller. `WIRE.md` beside this crate
//! draws every byte.
//!
//! - [`KeyRing`] turns the authkey and the cluster name into keys.
//! - [`Endpoint`] holds one session per peer: it opens them, seals and opens datagrams, and keeps
//!   for every peer a [`Diagnosis`] that an administrator can read.
//! - [`StreamHandshake`], [`StreamSealer`] and [`StreamOpener`] do the same over a byte stream.
//!
//! There is no plaintext mode, and nothing is ever sent in answer to a packet that was not sealed
//! under a key of the ring.

mod cookie;
mod diagnosis;
mod endpoint;
mod error;
mod handshake;
mod ident;
mod keys;
mod packet;
mod peer;
mod session;
mod stream;
mod stream_handshake;
#[cfg(test)]
mod tests;

pub use diagnosis::{Diagnosis, PeerState, RejectCounts, Trouble};
pub use endpoint::{Endpoint, Received, Transmit};
pub use error::{KeyError, Reject, RejectKind, SealError, StreamError};
pub use handshake::{Refusal, SUITE, VERSION_MAX, VERSION_MIN, VersionRange};
pub use ident::{Identity, MachineBoot, NodeId, ProcessBoot};
pub use keys::{AUTHKEY_LEN_MAX, AUTHKEY_LEN_MIN, Entropy, KEYS_MAX, KeyId, KeyRing};
pub use packet::{
    DATAGRAM_LEN_MAX, HEADER_LEN, LINKS_MAX, OVERHEAD_LEN, PAYLOAD_LEN_MAX, RELAY_LINK,
    RELAYED_LEN_MAX, TAG_LEN, claimed_sender,
};
pub use peer::Renewal;
pub use session::REPLAY_WINDOW_PACKETS;
pub use stream::{
    MESSAGE_LEN_MAX, RECORD_HEADER_LEN, RECORD_PLAINTEXT_MAX, STREAM_BACKLOG_MAX, StreamOpener,
    StreamSealer,
};
pub use stream_handshake::{
    STREAM_HANDSHAKE_LEN_MAX, STREAM_HANDSHAKE_TIMEOUT_US, StreamHandshake, StreamSession,
};
