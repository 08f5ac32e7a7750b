//! Somebody else at our tables: what nf_tables tells everybody of every change.

use super::Gates;
use super::layout::TABLE;
use super::make::TABLE_NAME;
use super::message::{Family, GENERIC_BYTES, Kind};
use crate::attribute::Attributes;
use crate::socket::Message;
use crate::{Error, Result};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::RcvBuf, sockopt::RcvBufForce};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// What somebody else did to the tables. What stands now, [`Gates::intact`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateEvent {
    /// A change of a table of ours.
    Changed {
        /// What was done to what, in words.
        what: String,
        /// The netlink port of who did it, most often its process id; the kernel itself is 0.
        by: u32,
    },
    /// The queue ran over: there may have been anything.
    Missed,
}

/// Hears of foreign changes of the tables. Only worth its work where they have no owner
/// ([`super::Belts::owned`]), since every renewal of our own is heard and passed over, too.
pub struct GateWatch {
    socket: Socket,
    own: u32,
    buffer: Vec<u8>,
    waiting: std::collections::VecDeque<GateEvent>,
}

impl GateWatch {
    /// Listens from now on, in the calling thread's network namespace, passing over what `gates`
    /// does.
    ///
    /// # Errors
    /// The system gives no socket, or without CAP_NET_ADMIN.
    pub fn start(gates: &Gates) -> Result<Self> {
        let failed = |source| Error::io("listen to nf_tables", source);
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        socket.set_non_blocking(true).map_err(failed)?;
        setsockopt(&socket, RcvBufForce, &QUEUE_BYTES)
            .or_else(|_| setsockopt(&socket, RcvBuf, &QUEUE_BYTES))
            .map_err(|errno| failed(errno.into()))?;
        socket.add_membership(GROUP_NFTABLES).map_err(failed)?;
        Ok(Self {
            socket,
            own: gates.channel.as_ref().map_or(0, super::Channel::port),
            buffer: vec![0; EVENT_BYTES_MAX],
            waiting: std::collections::VecDeque::new(),
        })
    }

    /// The next event that is here, without waiting; wait for the descriptor to be readable.
    ///
    /// # Errors
    /// The socket is unusable.
    pub fn try_next(&mut self) -> Result<Option<GateEvent>> {
        while self.waiting.is_empty() {
            let mut space = &mut self.buffer[..];
            match self.socket.recv(&mut space, libc::MSG_TRUNC) {
                Ok(len) if len > EVENT_BYTES_MAX => self.waiting.push_back(GateEvent::Missed),
                Ok(len) => self.read(len),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    self.waiting.push_back(GateEvent::Missed);
                }
                Err(error) => return Err(Error::io("listen to nf_tables", error)),
            }
        }
        Ok(self.waiting.pop_front())
    }

    fn read(&mut self, len: usize) {
        let mut offset = 0;
        while let Some(message) = Message::at(&self.buffer[..len], offset) {
            offset = message.end;
            if message.port == self.own {
                continue;
            }
            if let Some(what) = described(&message) {
                let by = message.port;
                self.waiting.push_back(GateEvent::Changed { what, by });
            }
        }
    }
}

impl AsFd for GateWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for GateWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// What a message does to a table of ours; nothing when it is about other tables.
fn described(message: &Message<'_>) -> Option<String> {
    let kind = Kind::of_type(message.kind)?;
    let family = Family::of_number(*message.body.first()?)?;
    let attributes = Attributes::after(message.body, GENERIC_BYTES);
    // Attribute 1 names the table in every kind of message.
    if attributes.text(TABLE_NAME).as_deref() != Some(TABLE) {
        return None;
    }
    let what = match kind {
        Kind::NewTable => "changed or made",
        Kind::DelTable => "removed",
        Kind::NewChain => "a chain was added or changed",
        Kind::DelChain => "a chain was removed",
        Kind::NewRule => "a rule was added",
        Kind::DelRule => "a rule was removed",
        Kind::NewSet => "a set was added",
        Kind::DelSet => "a set was removed",
        Kind::NewElement => "elements were added",
        Kind::DelElement => "elements were removed",
        Kind::GetTable | Kind::GetChain | Kind::GetRule | Kind::GetSet | Kind::GetElement => {
            return None;
        }
    };
    Some(format!("table {} {TABLE}: {what}", family.name()))
}

/// `NFNLGRP_NFTABLES`.
const GROUP_NFTABLES: u32 = 7;
/// Events in one datagram: `nf_tables_api.c:nft_commit_notify` gathers up to NLMSG_GOODSIZE.
const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Events that wait for us: some seconds of 256 addresses renewed 20 times a second.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
