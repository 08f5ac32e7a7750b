//! Joining a cluster: one conversation over TCP between a machine that holds a token and a node.
//!
//! The token's secret is all that both know beforehand. It takes the place of the authkey in the
//! handshake of [`wire::StreamHandshake`], so that each end proves to the other that it knows the
//! secret, and what follows is sealed under keys that nobody else can derive, later either. The
//! authkey itself goes over that stream only after the log has the token as used.

use super::OsEntropy;
use super::stream::shake;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use wire::{
    Identity, KeyRing, MachineBoot, NodeId, ProcessBoot, STREAM_HANDSHAKE_TIMEOUT_US,
    StreamHandshake, StreamSession,
};
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

/// A machine that has proved to hold a token asks to be let in.
#[derive(Debug)]
pub struct JoinCall {
    /// The token's name.
    pub token: [u8; 8],
    /// What it said.
    pub request: JoinRequest,
    /// Where the answer goes: `Err` says why not, and what to do.
    pub reply: oneshot::Sender<Result<Welcome, String>>,
}

/// Where joining machines are heard. Clones are the same desk.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Rings of open tokens.
    open: Arc<RwLock<BTreeMap<[u8; 8], KeyRing>>>,
    calls: mpsc::Sender<JoinCall>,
    places: Arc<Semaphore>,
}

impl Desk {
    /// A desk that is closed: no token is open. Calls come out of `calls`' other end.
    #[must_use]
    pub fn new(calls: mpsc::Sender<JoinCall>) -> Self {
        Self {
            open: Arc::default(),
            calls,
            places: Arc::new(Semaphore::new(JOINERS_MAX)),
        }
    }

    /// The tokens that let machines in from now on: name and key.
    pub fn set_open(&self, tokens: impl Iterator<Item = ([u8; 8], [u8; 32])>) {
        let rings = tokens.filter_map(|(id, key)| Some((id, ring_of(&key).ok()?)));
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = rings.collect();
    }

    /// Some token is open: strangers are listened to.
    pub(super) fn is_open(&self) -> bool {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        !open.is_empty()
    }

    /// One joining machine, from its preface to its answer.
    pub(super) async fn serve(&self, stream: &mut TcpStream, from: IpAddr) -> io::Result<()> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(io::Error::other("too many machines want to join at once"));
        };
        let mut preface = [0; PREFACE.len() + 8];
        within(STREAM_HANDSHAKE_TIMEOUT_US, stream.read_exact(&mut preface)).await?;
        let (word, id) = preface.split_at(PREFACE.len());
        let mut token = [0; 8];
        token.copy_from_slice(id);
        let ring = {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            open.get(&token).cloned()
        };
        let Some(ring) = ring.filter(|_| word == PREFACE) else {
            // Whoever holds no token is told nothing.
            return Err(io::Error::other(format!(
                "{from} wants to join by an unknown token"
            )));
        };
        let handshake = StreamHandshake::accept(stand_in(CLUSTER_END), &ring, &[JOINER]);
        let mut session = shake(stream, handshake).await?;
        let asked = within(TALK_US_MAX, read_message(stream, &mut session)).await?;
        let answer = match postcard::from_bytes::<JoinRequest>(&asked) {
            Ok(request) => self.ask(token, request).await,
            Err(_) => Err("the request to join is written in a form that this node does not know: is mainstay of the same version there?".to_owned()),
        };
        let bytes = Zeroizing::new(postcard::to_stdvec(&answer).map_err(io::Error::other)?);
        let sealed = session
            .sealer
            .seal_message(&bytes)
            .map_err(io::Error::other)?;
        within(TALK_US_MAX, stream.write_all(&sealed)).await
    }

    async fn ask(&self, token: [u8; 8], request: JoinRequest) -> Result<Welcome, String> {
        let (reply, answer) = oneshot::channel();
        let call = JoinCall {
            token,
            request,
            reply,
        };
        let gone = || "the node that was asked is stopping: ask another one".to_owned();
        self.calls.send(call).await.map_err(|_| gone())?;
        let limit = Duration::from_micros(DECISION_US_MAX);
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err("the cluster has not decided in time: is there a quorum (`mainstay status` there)? The same token may be used again".to_owned()),
        }
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

async fn read_message(stream: &mut TcpStream, session: &mut StreamSession) -> io::Result<Vec<u8>> {
    let mut buf = [0; 4096];
    let mut taken = 0;
    loop {
        if let Some(message) = session.opener.next_message().map_err(io::Error::other)? {
            return Ok(message);
        }
        let n = stream.read(&mut buf).await?;
        taken += n;
        if n == 0 || taken > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        session.opener.push(&buf[..n]).map_err(io::Error::other)?;
    }
}

async fn within<T>(us: u64, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(Duration::from_micros(us), what).await?
}

fn ring_of(key: &[u8; 32]) -> Result<KeyRing, wire::KeyError> {
    KeyRing::derive(key, "mainstay join")
}

/// Who an end of a join is: no node yet.
fn stand_in(node: NodeId) -> Identity {
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
pub(super) const PREFACE: [u8; 8] = *b"MSTJOIN1";
/// Stands for the machine that joins.
pub const JOINER: NodeId = NodeId(u32::MAX);
/// Stands for the cluster.
const CLUSTER_END: NodeId = NodeId(u32::MAX - 1);
/// Machines that join at once.
const JOINERS_MAX: usize = 4;
/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Longest wait for one message of the conversation, in microseconds.
const TALK_US_MAX: u64 = 10_000_000;
/// Longest wait for the cluster's decision, in microseconds.
const DECISION_US_MAX: u64 = 30_000_000;
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

    /// A desk at a loopback port, with one open token, that lets everybody in.
    async fn desk(token: &JoinToken) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let (sink, mut calls) = mpsc::channel::<JoinCall>(1);
        let desk = Desk::new(sink);
        desk.set_open([(token.id, token.key())].into_iter());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                let welcome = Welcome {
                    node_id: 3,
                    cluster_name: call.request.name.clone(),
                    conf: call.request.addrs.join(" "),
                    authkey: vec![7; 256],
                };
                let _ = call.reply.send(Ok(welcome));
            }
        });
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, from) = listener.accept().await.unwrap();
                let desk = desk.clone();
                tokio::spawn(async move { drop(desk.serve(&mut stream, from.ip()).await) });
            }
        });
        (address, serving)
    }

    async fn ask(address: SocketAddr, token: JoinToken) -> Result<Welcome, JoinError> {
        let ask = move || {
            ask_to_join(address, &token, |own| JoinRequest {
                name: "new".to_owned(),
                addrs: vec![own.to_string()],
                versions: (1, 1),
            })
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    #[tokio::test]
    async fn who_knows_the_secret_is_heard_and_nobody_else() {
        let token = JoinToken::draw();
        let (address, serving) = desk(&token).await;
        let welcome = ask(address, token.clone()).await.unwrap();
        assert_eq!((welcome.node_id, welcome.authkey.len()), (3, 256));
        assert_eq!(welcome.conf, "127.0.0.1");
        // The name of the token alone opens nothing.
        let guessed = JoinToken {
            id: token.id,
            ..JoinToken::draw()
        };
        for stranger in [guessed, JoinToken::draw()] {
            let refused = ask(address, stranger).await.unwrap_err();
            assert!(matches!(refused, JoinError::NotProved { .. }), "{refused}");
        }
        serving.abort();
    }

    #[tokio::test]
    async fn a_false_cluster_gets_no_request() {
        let (address, serving) = desk(&JoinToken::draw()).await;
        let refused = ask(address, JoinToken::draw()).await.unwrap_err();
        assert!(matches!(refused, JoinError::NotProved { .. }), "{refused}");
        serving.abort();
    }
}
