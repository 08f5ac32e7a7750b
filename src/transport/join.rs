//! Where joining machines are heard: the cluster's side of [`crate::join`].

use super::stream::shake;
use crate::join::{
    CLUSTER_END, DECISION_US_MAX, JOINER, JoinRequest, PREFACE, TALK_US_MAX, Welcome, ring_of,
    stand_in,
};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use wire::{KeyRing, STREAM_HANDSHAKE_TIMEOUT_US, StreamHandshake, StreamSession};
use zeroize::Zeroizing;

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
    /// Connections of strangers.
    guests: Arc<Semaphore>,
    /// Machines in a conversation.
    places: Arc<Semaphore>,
}

impl Desk {
    /// A desk that is closed: no token is open. Calls come out of `calls`' other end.
    #[must_use]
    pub fn new(calls: mpsc::Sender<JoinCall>) -> Self {
        Self {
            open: Arc::default(),
            calls,
            guests: Arc::new(Semaphore::new(GUESTS_MAX)),
            places: Arc::new(Semaphore::new(JOINERS_MAX)),
        }
    }

    /// The tokens that let machines in from now on: name and key.
    pub fn set_open(&self, tokens: impl Iterator<Item = ([u8; 8], [u8; 32])>) {
        let rings = tokens.filter_map(|(id, key)| Some((id, ring_of(&key).ok()?)));
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = rings.collect();
    }

    /// A place for a stranger's connection: none while no token is open, or too many wait.
    pub(super) fn guest(&self) -> Option<OwnedSemaphorePermit> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = !open.is_empty();
        drop(open);
        let guests = Arc::clone(&self.guests);
        wanted.then(|| guests.try_acquire_owned().ok()).flatten()
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

/// Connections of strangers at once: they are to take no place from the nodes' own.
const GUESTS_MAX: usize = 16;
/// Machines that join at once.
const JOINERS_MAX: usize = 4;
/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::{JoinError, JoinToken, ask_to_join};
    use std::net::SocketAddr;

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
        let guessed = token.guessed();
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
