//! The daemon's side: accepts, checks who asks, hands requests over, writes answers.

use super::frame::{self, FrameError, LENGTH_BYTES};
use super::{ErrorKind, Request, Response};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// A request with the place for its answer.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Who asks (SO_PEERCRED).
    pub uid: u32,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Response>,
}

/// Binds the socket: mode 0660, root:haclient where that group exists.
///
/// # Errors
/// What the kernel says. A stale socket of an ended daemon is replaced; the store's lock, taken
/// before, proves that no other daemon lives.
pub fn bind(socket: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))?;
    if let Ok(Some(group)) = nix::unistd::Group::from_name(ADMIN_GROUP) {
        // In a user namespace the group may have no number: then the socket is root's alone.
        if let Err(error) = std::os::unix::fs::chown(socket, None, Some(group.gid.as_raw())) {
            tracing::warn!(%error, "members of group {ADMIN_GROUP} cannot use the command socket");
        }
    }
    Ok(listener)
}

/// Accepts for ever; every connection is served by a task of its own.
pub async fn serve(listener: UnixListener, calls: mpsc::Sender<Call>) {
    serve_looking(listener, calls, IDLE_LOOK).await;
}

/// As [`serve`], with another pause between two looks at idle connections.
async fn serve_looking(listener: UnixListener, calls: mpsc::Sender<Call>, look: Duration) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let calls = calls.clone();
                let all = Arc::clone(&places);
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, calls, &all, look).await {
                        tracing::debug!(%error, "command connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors: wait for some to come back instead of spinning.
                tracing::warn!(%error, "cannot accept a command connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn converse(
    mut stream: UnixStream,
    calls: mpsc::Sender<Call>,
    places: &Semaphore,
    look: Duration,
) -> Result<(), FrameError> {
    let uid = stream.peer_cred()?.uid();
    while wait_for_request(&stream, places, look).await?
        && let Some(body) = read_frame(&mut stream).await?
    {
        let response = match frame::decode(&body) {
            Ok(request) => tokio::select! {
                response = ask(&calls, request, uid) => response,
                // Nobody is left to answer: the place is another's.
                () = hung_up(&stream) => return Err(FrameError::Closed),
            },
            Err(error) => Response::Error {
                kind: ErrorKind::Invalid,
                text: format!("request: {error}"),
            },
        };
        let answer = frame::encode(&response)?;
        tokio::time::timeout(WRITE_WAIT_MAX, stream.write_all(&answer))
            .await
            .map_err(|_| FrameError::Closed)??;
    }
    Ok(())
}

async fn ask(calls: &mpsc::Sender<Call>, request: Request, uid: u32) -> Response {
    let (reply, answer) = oneshot::channel();
    let gone = || Response::Error {
        kind: ErrorKind::NotReady,
        text: "the daemon is stopping and takes no more requests".to_owned(),
    };
    if calls
        .send(Call {
            request,
            uid,
            reply,
        })
        .await
        .is_err()
    {
        return gone();
    }
    answer.await.unwrap_or_else(|_| gone())
}

/// Ends when the client is gone; one that speaks before its answer breaks the protocol and is as
/// good as gone.
async fn hung_up(stream: &UnixStream) {
    let mut byte = [0];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut byte) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

/// Waits until the client has something to say, or is gone; false when it was silent for too long.
/// A shell may sit there while its user thinks, as long as others find a place.
async fn wait_for_request(
    stream: &UnixStream,
    places: &Semaphore,
    look: Duration,
) -> Result<bool, FrameError> {
    let since = Instant::now();
    loop {
        match tokio::time::timeout(look, stream.readable()).await {
            Ok(ready) => return Ok(ready.map(|()| true)?),
            Err(_) if places.available_permits() == 0 => return Ok(false),
            Err(_) if since.elapsed() >= IDLE_WAIT_MAX => return Ok(false),
            Err(_) => {}
        }
    }
}

/// Next frame's body; `None` when the client is done.
async fn read_frame(stream: &mut UnixStream) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = [0; LENGTH_BYTES];
    let header = tokio::time::timeout(READ_WAIT_MAX, stream.read_exact(&mut length));
    match header.await.map_err(|_| FrameError::Closed)? {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut body = vec![0; frame::body_bytes(length)?];
    tokio::time::timeout(READ_WAIT_MAX, stream.read_exact(&mut body))
        .await
        .map_err(|_| FrameError::Closed)??;
    Ok(Some(body))
}

/// Group whose members may use the socket, as Pacemaker's.
const ADMIN_GROUP: &str = "haclient";
/// Command connections at once.
const CLIENTS_MAX: usize = 128;
/// How often an idle connection is asked whether it may stay: not while nobody else finds a place.
const IDLE_LOOK: Duration = Duration::from_secs(5);
/// Longest silence of a client between two requests.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(3600);
/// A request must be whole within this time from its first byte, and once more from its length.
const READ_WAIT_MAX: Duration = Duration::from_secs(10);
/// A client must take its answer within this time.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::Client;
    use crate::paths::Paths;

    /// A place for a socket, and a runtime.
    fn bench() -> (tempfile::TempDir, Paths, tokio::runtime::Runtime) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        std::fs::create_dir_all(paths.run_dir()).unwrap();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        (dir, paths, builder.enable_all().build().unwrap())
    }

    #[test]
    fn a_request_is_answered_and_the_daemon_knows_who_asked() {
        let (_dir, paths, runtime) = bench();
        let (calls, mut inbox) = mpsc::channel(1);
        let socket = paths.socket();
        runtime.block_on(async move {
            tokio::spawn(serve(bind(&socket).unwrap(), calls));
            let client = tokio::task::spawn_blocking(move || {
                let mut client = Client::connect(&paths).unwrap();
                client.call(&Request::Reload).unwrap()
            });
            let call = inbox.recv().await.unwrap();
            assert_eq!(call.request, Request::Reload);
            assert_eq!(call.uid, nix::unistd::getuid().as_raw());
            call.reply
                .send(Response::Done {
                    text: "read".to_owned(),
                })
                .unwrap();
            assert_eq!(
                client.await.unwrap(),
                Response::Done {
                    text: "read".to_owned()
                }
            );
        });
    }

    #[test]
    fn a_client_that_hangs_up_gives_its_place_back() {
        let (_dir, paths, runtime) = bench();
        let (calls, mut inbox) = mpsc::channel(1);
        let socket = paths.socket();
        runtime.block_on(async move {
            tokio::spawn(serve(bind(&socket).unwrap(), calls));
            let mut client = UnixStream::connect(&socket).await.unwrap();
            let request = Request::WaitIdle { timeout_ms: 1 };
            client
                .write_all(&frame::encode(&request).unwrap())
                .await
                .unwrap();
            let mut call = inbox.recv().await.unwrap();
            drop(client);
            call.reply.closed().await;
        });
    }

    #[test]
    fn silent_clients_make_room_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        std::fs::create_dir_all(paths.run_dir()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (calls, mut inbox) = mpsc::channel(1);
        let socket = paths.socket();
        runtime.block_on(async move {
            let listener = bind(&socket).unwrap();
            tokio::spawn(serve_looking(listener, calls, Duration::from_millis(20)));
            let mut silent = Vec::new();
            for _ in 0..CLIENTS_MAX {
                silent.push(UnixStream::connect(&socket).await.unwrap());
            }
            let mut client = UnixStream::connect(&socket).await.unwrap();
            let request = frame::encode(&Request::Reload).unwrap();
            client.write_all(&request).await.unwrap();
            let call = inbox.recv().await.unwrap();
            assert_eq!(call.request, Request::Reload);
        });
    }

    #[test]
    fn nobody_listening_says_so_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let error = Client::connect(&Paths::below(dir.path())).unwrap_err();
        assert_eq!(error.to_string(), "Connection refused");
        assert!(
            error.cure().contains("mainstayd does not run"),
            "{}",
            error.cure()
        );
    }
}
