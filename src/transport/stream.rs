//! TCP between nodes, for what does not fit a datagram: one connection per direction and pair,
//! opened when first needed. A connection that breaks loses messages; the core sends again.

use super::join::Desk;
use super::protocol::{Message, ProtocolHandle};
use super::{OsEntropy, Peers};
use crate::join::PREFACE;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use wire::{
    Identity, KeyRing, NodeId, STREAM_HANDSHAKE_TIMEOUT_US, StreamHandshake, StreamSession,
};

/// Queues messages for peers.
#[derive(Clone, Debug, Default)]
pub struct StreamHandle {
    queues: Arc<Mutex<BTreeMap<NodeId, Outbox>>>,
}

/// Messages on their way to a peer, each with the link it is to go by.
type Outbox = mpsc::Sender<(u8, Vec<u8>)>;

impl StreamHandle {
    /// Queues a message that is to go by this link, if it can; a full queue drops it, as a broken
    /// connection would.
    pub fn send(&self, to: NodeId, link: u8, payload: Vec<u8>) {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&to) {
            let _ = queue.try_send((link, payload));
        }
    }
}

/// Changes whom the streams know while they run; from within a tokio runtime.
#[derive(Clone, Debug)]
pub struct StreamControl {
    local: Local,
    queues: StreamHandle,
}

impl StreamControl {
    /// Another node list: new peers get a queue, those gone lose theirs.
    pub fn set_peers(&self, peers: Arc<Peers>) {
        let others = peers.others();
        *self
            .local
            .peers
            .write()
            .unwrap_or_else(PoisonError::into_inner) = peers;
        let mut queues = self
            .queues
            .queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A queue without its sender ends the task that empties it.
        queues.retain(|node, _| others.contains(node));
        for peer in others {
            queues.entry(peer).or_insert_with(|| {
                let (queue, messages) = mpsc::channel(QUEUE_MESSAGES_MAX);
                tokio::spawn(deliver(peer, messages, self.local.clone()));
                queue
            });
        }
    }

    /// Another key ring: streams that are open stay open under the keys they have.
    pub fn set_ring(&self, ring: KeyRing) {
        *self
            .local
            .ring
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

/// The tasks behind a [`StreamHandle`]; dropping ends them.
#[derive(Debug)]
pub struct Streams {
    _tasks: JoinSet<()>,
}

/// Who we are on every stream.
#[derive(Clone, Debug)]
struct Local {
    me: Identity,
    ring: Arc<RwLock<Arc<KeyRing>>>,
    peers: Arc<RwLock<Arc<Peers>>>,
    desk: Desk,
}

impl Local {
    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn peers(&self) -> Arc<Peers> {
        Arc::clone(&self.peers.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Streams {
    /// Listens on every link and prepares a queue per peer. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub fn start(
        me: Identity,
        ring: Arc<KeyRing>,
        peers: Arc<Peers>,
        protocol: ProtocolHandle,
        desk: Desk,
    ) -> io::Result<(Self, StreamHandle, StreamControl)> {
        let local = Local {
            me,
            ring: Arc::new(RwLock::new(ring)),
            peers: Arc::new(RwLock::new(Arc::clone(&peers))),
            desk,
        };
        let mut tasks = JoinSet::new();
        for link in &peers.links {
            let listener = listen(link.own).map_err(|e| {
                io::Error::new(
                    e.kind(),
                    format!("link {} at {} (TCP): {e}", link.link, link.own),
                )
            })?;
            tasks.spawn(accept(listener, link.link, local.clone(), protocol.clone()));
        }
        let queues = StreamHandle::default();
        let control = StreamControl {
            local,
            queues: queues.clone(),
        };
        control.set_peers(peers);
        Ok((Self { _tasks: tasks }, queues, control))
    }
}

/// A listener on an address that need not be up yet.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, link: u8, local: Local, protocol: ProtocolHandle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut readers = JoinSet::new();
    loop {
        while readers.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(RETRY_WAIT).await;
            continue;
        };
        let peers = local.peers();
        let mut known = peers.links.iter().flat_map(|l| l.peers.values());
        let is_known = known.any(|p| p.ip() == from.ip());
        let guest = local.desk.guest().filter(|_| !is_known);
        if !is_known && guest.is_none() {
            continue;
        }
        let (local, protocol) = (local.clone(), protocol.clone());
        readers.spawn(async move {
            let mut stream = stream;
            let ended = match begins_with_preface(&stream).await {
                Ok(true) => local.desk.serve(&mut stream, from.ip()).await,
                Ok(false) if is_known => read(stream, link, &local, &protocol).await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::debug!(%from, %error, "stream ended");
            }
            drop((place, guest));
        });
    }
}

/// The accepting end: receives messages until the connection ends.
async fn read(
    mut stream: TcpStream,
    link: u8,
    local: &Local,
    protocol: &ProtocolHandle,
) -> io::Result<()> {
    let handshake = StreamHandshake::accept(local.me, &local.ring(), &local.peers().others());
    let mut session = shake(&mut stream, handshake).await?;
    let mut buf = vec![0; READ_BYTES];
    loop {
        while let Some(payload) = session.opener.next_message().map_err(io::Error::other)? {
            let message = Message::Stream {
                from: session.peer,
                link,
                payload,
            };
            // A full queue loses the message: the core at the other end sends again.
            let _ = protocol.send(message);
        }
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            n => session.opener.push(&buf[..n]).map_err(io::Error::other)?,
        }
    }
}

/// The calling end: sends what is queued for a peer, connecting when needed, and anew when another
/// link is the best: the one of before may be dead, which TCP takes long to notice.
async fn deliver(peer: NodeId, mut messages: mpsc::Receiver<(u8, Vec<u8>)>, local: Local) {
    let mut open: Option<(TcpStream, StreamSession)> = None;
    let mut opened_for = None;
    while let Some((link, message)) = messages.recv().await {
        if opened_for != Some(link) {
            open = None;
        }
        if open.is_none() {
            opened_for = Some(link);
            match connect(peer, link, &local).await {
                Ok(connection) => open = Some(connection),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no stream");
                    continue;
                }
            }
        }
        let Some((stream, session)) = &mut open else {
            continue;
        };
        let Ok(records) = session.sealer.seal_message(&message) else {
            open = None;
            continue;
        };
        let written = tokio::time::timeout(WRITE_WAIT_MAX, stream.write_all(&records)).await;
        if !matches!(written, Ok(Ok(()))) {
            open = None;
        }
    }
}

/// Tries the peer's addresses, the one on the link asked for first, then in link order, each from the
/// own address of its link.
async fn connect(peer: NodeId, first: u8, local: &Local) -> io::Result<(TcpStream, StreamSession)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the peer has no address");
    let peers = local.peers();
    let first_links = peers.links.iter().filter(|l| l.link == first);
    let rest = peers.links.iter().filter(|l| l.link != first);
    for link in first_links.chain(rest) {
        let Some(to) = link.peers.get(&peer) else {
            continue;
        };
        match connect_to(link.own, *to, peer, local).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(
    own: SocketAddr,
    to: SocketAddr,
    peer: NodeId,
    local: &Local,
) -> io::Result<(TcpStream, StreamSession)> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.bind(SocketAddr::new(own.ip(), 0))?;
    let mut stream = tokio::time::timeout(CONNECT_WAIT_MAX, socket.connect(to)).await??;
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(SILENCE_MAX))?;
    let handshake = StreamHandshake::connect(local.me, &local.ring(), peer, &mut OsEntropy);
    let session = shake(&mut stream, handshake).await?;
    Ok((stream, session))
}

/// Does the other end want to join, instead of speaking as a node? A node's first byte is another.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let peeked = tokio::time::timeout(
        Duration::from_micros(STREAM_HANDSHAKE_TIMEOUT_US),
        stream.peek(&mut first),
    );
    Ok(peeked.await?? == 1 && first[0] == PREFACE[0])
}

/// Runs the handshake on either end, within its time.
pub(super) async fn shake(
    stream: &mut TcpStream,
    mut handshake: StreamHandshake,
) -> io::Result<StreamSession> {
    let run = async {
        let mut buf = [0; 4096];
        loop {
            while let Some(bytes) = handshake.poll_transmit() {
                stream.write_all(&bytes).await?;
            }
            let n = stream.read(&mut buf).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let up = handshake
                .push(&buf[..n], &mut OsEntropy)
                .map_err(io::Error::other)?;
            if let Some(session) = up {
                while let Some(bytes) = handshake.poll_transmit() {
                    stream.write_all(&bytes).await?;
                }
                return Ok(session);
            }
        }
    };
    tokio::time::timeout(Duration::from_micros(STREAM_HANDSHAKE_TIMEOUT_US), run).await?
}

/// Messages queued for one peer; more are dropped.
const QUEUE_MESSAGES_MAX: usize = 256;
/// Connections accepted at once per link.
const CONNECTIONS_MAX: usize = 256;
/// Connections that may wait to be accepted.
const LISTEN_BACKLOG: i32 = 64;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Longest wait for a connection on one link.
const CONNECT_WAIT_MAX: Duration = Duration::from_millis(500);
/// What was sent is given up, and the connection with it, when nobody takes note of it for so long.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Longest wait for a peer to take a message.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed accept.
const RETRY_WAIT: Duration = Duration::from_millis(200);
