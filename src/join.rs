//! Joining a cluster: one conversation over TCP between a machine that holds a token and a node.
//!
//! The token's secret is all that both know beforehand. It takes the place of the authkey in the
//! handshake of [`wire::StreamHandshake`], so that each end proves to the other that it knows the
//! secret, and what follows is sealed under keys that nobody else can derive, later either. The
//! authkey itself goes over that stream only after the log has the token as used.

use crate::transport::OsEntropy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wire::{Identity, KeyRing, MachineBoot, NodeId, ProcessBoot, StreamHandshake, StreamSession};
use zeroize::{Zeroize, Zeroizing};

/// A join token: good for one node. Its text is `NAME-SECRET`, in hexadecimal digits.
#[derive(Clone)]
pub struct JoinToken {
    /// Its name, which is no secret.
    pub id: [u8; 8],
    secret: Zeroizing<[u8; 32]>,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no join token: it has 16 hexadecimal digits, a hyphen and 64 more; copy all of it"
)]
pub struct TokenError;

impl JoinToken {
    /// A new one of 256 random bits.
    #[must_use]
    pub fn draw() -> Self {
        Self {
            id: OsEntropy::array(),
            secret: Zeroizing::new(OsEntropy::array()),
        }
    }

    /// Reads a token's text.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let (id, secret) = text.trim().split_once('-').ok_or(TokenError)?;
        Ok(Self {
            id: from_hex(id).ok_or(TokenError)?,
            secret: Zeroizing::new(from_hex(secret).ok_or(TokenError)?),
        })
    }

    /// A token of the same name with another secret.
    #[cfg(test)]
    pub(crate) fn guessed(&self) -> Self {
        Self {
            id: self.id,
            ..Self::draw()
        }
    }

    /// The text for the machine that shall join.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}-{}", hex(&self.id), hex(self.secret.as_slice())))
    }

    /// What the cluster keeps of the secret, and both ends prove to know.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"mainstay v1 join token");
        hash.update(self.id);
        hash.update(self.secret.as_slice());
        hash.finalize().into()
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinToken({})", hex(&self.id))
    }
}

/// What a machine says of itself that wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Its name.
    pub name: String,
    /// Its addresses by link number.
    pub addrs: Vec<String>,
    /// Lowest and highest version of the protocol that it speaks.
    pub versions: (u8, u8),
}

/// What a machine gets that is let in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Its `nodeid`.
    pub node_id: u32,
    /// The cluster's name.
    pub cluster_name: String,
    /// Its corosync.conf.
    pub conf: String,
    /// The authkey.
    pub authkey: Vec<u8>,
}

impl Drop for Welcome {
    fn drop(&mut self) {
        self.authkey.zeroize();
    }
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Welcome")
            .field("node_id", &self.node_id)
            .field("cluster_name", &self.cluster_name)
            .finish_non_exhaustive()
    }
}

/// Why a machine was not let in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The node could not be reached.
    #[error("{address}: {error}: does mainstayd run there, and is TCP port {} open?", address.port())]
    Unreachable {
        /// Where it was looked for.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The other end does not know the token's secret, or ended the conversation.
    #[error(
        "{address} does not prove that it knows the token's secret ({why}): was the token used already, has it expired, or does it belong to another cluster? Make another with `mainstay token create`"
    )]
    NotProved {
        /// Who was asked.
        address: SocketAddr,
        /// What happened.
        why: String,
    },
    /// The cluster said no.
    #[error("the cluster refuses: {0}")]
    Refused(String),
}

/// The joining machine's side; blocks. Returns also the own address that was spoken from, which
/// `request` gets to know before it is asked for.
///
/// # Errors
/// [`JoinError`], with the cure.
pub fn ask_to_join(
    address: SocketAddr,
    token: &JoinToken,
    request: impl FnOnce(IpAddr) -> JoinRequest,
) -> Result<Welcome, JoinError> {
    let unreachable = |error| JoinError::Unreachable { address, error };
    let not_proved = |why: io::Error| JoinError::NotProved {
        address,
        why: why.to_string(),
    };
    let mut stream =
        std::net::TcpStream::connect_timeout(&address, CONNECT_WAIT_MAX).map_err(unreachable)?;
    let own = stream.local_addr().map_err(unreachable)?.ip();
    let wait = Some(Duration::from_micros(DECISION_US_MAX + TALK_US_MAX));
    stream
        .set_read_timeout(wait)
        .and_then(|()| stream.set_write_timeout(wait))
        .map_err(unreachable)?;
    let mut session = prove(&mut stream, token).map_err(not_proved)?;
    let asked = postcard::to_stdvec(&request(own)).unwrap_or_default();
    let answer = session
        .sealer
        .seal_message(&asked)
        .map_err(io::Error::other)
        .and_then(|sealed| stream.write_all(&sealed))
        .and_then(|()| read_answer(&mut stream, &mut session))
        .map_err(not_proved)?;
    match postcard::from_bytes::<Result<Welcome, String>>(&answer) {
        Ok(Ok(welcome)) => Ok(welcome),
        Ok(Err(why)) => Err(JoinError::Refused(why)),
        Err(_) => Err(JoinError::Refused(
            "its answer is written in a form that is not known here: is mainstay of the same version on both machines?".to_owned(),
        )),
    }
}

fn prove(stream: &mut std::net::TcpStream, token: &JoinToken) -> io::Result<StreamSession> {
    let ring = ring_of(&token.key()).map_err(io::Error::other)?;
    stream.write_all(&[PREFACE.as_slice(), &token.id].concat())?;
    let me = stand_in(JOINER);
    let mut handshake = StreamHandshake::connect(me, &ring, CLUSTER_END, &mut OsEntropy);
    let mut buf = [0; 4096];
    loop {
        while let Some(bytes) = handshake.poll_transmit() {
            stream.write_all(&bytes)?;
        }
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let up = handshake.push(&buf[..n], &mut OsEntropy);
        if let Some(session) = up.map_err(io::Error::other)? {
            return Ok(session);
        }
    }
}

fn read_answer(
    stream: &mut std::net::TcpStream,
    session: &mut StreamSession,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buf = Zeroizing::new([0; 4096]);
    loop {
        if let Some(answer) = session.opener.next_message().map_err(io::Error::other)? {
            return Ok(Zeroizing::new(answer));
        }
        match stream.read(buf.as_mut_slice())? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => session.opener.push(&buf[..n]).map_err(io::Error::other)?,
        }
    }
}

pub(crate) fn ring_of(key: &[u8; 32]) -> Result<KeyRing, wire::KeyError> {
    KeyRing::derive(key, "mainstay join")
}

/// Who an end of a join is: no node yet.
pub(crate) fn stand_in(node: NodeId) -> Identity {
    Identity {
        node,
        machine_boot: MachineBoot([0; 16]),
        process_boot: ProcessBoot(OsEntropy::array()),
        incarnation: 1,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(out)
}

/// First bytes of a join: no version of the wire protocol is that high.
pub(crate) const PREFACE: [u8; 8] = *b"MSTJOIN1";
/// Stands for the machine that joins.
pub(crate) const JOINER: NodeId = NodeId(u32::MAX);
/// Stands for the cluster.
pub(crate) const CLUSTER_END: NodeId = NodeId(u32::MAX - 1);
/// Longest wait for one message of the conversation, in microseconds.
pub(crate) const TALK_US_MAX: u64 = 10_000_000;
/// Longest wait for the cluster's decision, in microseconds.
pub(crate) const DECISION_US_MAX: u64 = 30_000_000;
/// Longest wait for a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = JoinToken::draw();
        let read = JoinToken::parse(&format!(" {}\n", *token.text())).unwrap();
        assert_eq!((read.id, read.key()), (token.id, token.key()));
        assert!(!format!("{token:?}").contains(&token.text()[17..]));
        for wrong in ["", "ab-cd", &token.text()[1..], &token.text()[..80]] {
            assert!(JoinToken::parse(wrong).is_err(), "{wrong}");
        }
    }
}
