//! The way to the protocol thread from any other.

use super::Message;
use super::pulse::Pulse;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Hands messages over from any thread.
#[derive(Clone, Debug)]
pub struct ProtocolHandle {
    messages: SyncSender<Message>,
    wake: Arc<EventFd>,
    turns: Arc<AtomicU64>,
}

/// The other ends of a [`ProtocolHandle`]: made first, so that the store thread and the streams can
/// report to a protocol thread that is yet to start.
#[derive(Debug)]
pub struct Seed {
    pub(super) inbox: Receiver<Message>,
    pub(super) wake: Arc<EventFd>,
    pub(super) pulse: Pulse,
}

impl ProtocolHandle {
    /// A handle and what [`super::Protocol::start`] takes.
    ///
    /// # Errors
    /// The kernel gives no event descriptor.
    pub fn pair() -> std::io::Result<(Self, Seed)> {
        let (messages, inbox) = sync_channel(INBOX_MAX);
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let turns = Arc::new(AtomicU64::new(Pulse::RESTS));
        Ok((
            Self {
                messages,
                wake: Arc::clone(&wake),
                turns: Arc::clone(&turns),
            },
            Seed {
                inbox,
                wake,
                pulse: Pulse::of(turns),
            },
        ))
    }

    /// The main loop has turned, as it must at least once in [`super::MAIN_TURN_US_MAX`] from its
    /// first turn on: the node is of no use without it, and what was given to
    /// [`super::Protocol::start`] for that case ends the process.
    pub fn main_turned(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// The main loop ends, and need not turn any more.
    pub fn main_rests(&self) {
        self.turns.store(Pulse::RESTS, Ordering::Relaxed);
    }

    /// Queues a message without waiting.
    ///
    /// # Errors
    /// The queue of `INBOX_MAX` messages is full, or the thread has ended.
    pub fn send(&self, message: Message) -> Result<(), &'static str> {
        let sent = self.messages.try_send(message);
        self.wake();
        sent.map_err(|e| match e {
            TrySendError::Full(_) => "the protocol thread's queue is full",
            TrySendError::Disconnected(_) => "the protocol thread has ended",
        })
    }

    /// Queues a message and waits for room: for threads that the protocol thread never waits for.
    pub fn send_waiting(&self, message: Message) {
        // The thread's end is told by its own event; what it can no longer hear does not matter.
        let _ = self.messages.send(message);
        self.wake();
    }

    fn wake(&self) {
        // The counter is full only when the thread has not looked for 2^64 messages.
        let _ = self.wake.write(1);
    }
}

/// Messages that may wait for the thread.
const INBOX_MAX: usize = 8_192;
