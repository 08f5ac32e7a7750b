//! One blocking netlink socket: numbered requests, strict checking, the kernel's words kept.

use crate::attribute::{Attributes, u32_at};
use crate::{Error, Result};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{
    Socket as SysSocket, SocketAddr,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};
use nix::errno::Errno;
use nix::sys::socket::{
    setsockopt,
    sockopt::{RcvBuf, RcvBufForce, ReceiveTimeout, SndBuf, SndBufForce},
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::ErrorKind;

/// Largest answer datagram: the kernel fills at most 32 KiB for a dump (NLMSG_GOODSIZE caps).
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The kernel answers rtnetlink synchronously; longer silence means something is badly wrong.
const ANSWER_WAIT_S: i64 = 5;
/// A dump that another writer disturbed is read again this often.
const DUMP_TRIES_MAX: u32 = 8;
/// Datagrams read for one request before giving up (a dump of 100,000 addresses needs ~300).
const DATAGRAMS_MAX: u32 = 100_000;

/// Requests in one datagram. Every answer takes the better part of a KiB of the kernel's room
/// (`net.core.rmem_default` is 208 KiB), and one that finds no room is lost.
const REQUESTS_PER_DATAGRAM_MAX: usize = 128;
/// Room for answers, in bytes as the kernel counts them.
const ANSWERS_BYTES: usize = 1024 * 1024;

const NLMSGERR_ATTR_MSG: u16 = 1;

/// One message of an answer, without its netlink header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) kind: u16,
    pub(crate) body: &'a [u8],
}

/// A connected netlink socket. It stays in the network namespace it was opened in, whatever
/// thread uses it later.
pub(crate) struct Socket {
    inner: SysSocket,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// For rtnetlink.
    pub(crate) fn open() -> Result<Self> {
        let socket = Self::open_protocol(NETLINK_ROUTE)?;
        // Kernels before 4.20 lack strict checking; they only filter less.
        if let Err(error) = socket.inner.set_netlink_get_strict_chk(true) {
            tracing::debug!(%error, "no strict checking on this kernel");
        }
        // Without the right to force it, the kernel's limit must do: a batch then is smaller than it.
        if setsockopt(&socket.inner, RcvBufForce, &ANSWERS_BYTES).is_err() {
            tracing::debug!("answers get the room that net.core.rmem_max allows");
        }
        Ok(socket)
    }

    /// For nfnetlink, with room for batches of so many bytes and for the answers to them; in a
    /// user namespace of its own only as much as the system allows everybody.
    pub(crate) fn open_netfilter(send_bytes: usize, receive_bytes: usize) -> Result<Self> {
        let socket = Self::open_protocol(NETLINK_NETFILTER)?;
        let inner = &socket.inner;
        setsockopt(inner, SndBufForce, &send_bytes)
            .or_else(|_| setsockopt(inner, SndBuf, &send_bytes))
            .and_then(|()| setsockopt(inner, RcvBufForce, &receive_bytes))
            .or_else(|_| setsockopt(inner, RcvBuf, &receive_bytes))
            .map_err(|errno| Error::io("raise the buffers of a netlink socket", errno))?;
        Ok(socket)
    }

    fn open_protocol(protocol: isize) -> Result<Self> {
        let failed = |source| Error::io("open a netlink socket", source);
        let mut inner = SysSocket::new(protocol).map_err(failed)?;
        let port = inner.bind_auto().map_err(failed)?.port_number();
        inner.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
        inner.set_ext_ack(true).map_err(failed)?;
        inner.set_cap_ack(true).map_err(failed)?;
        setsockopt(&inner, ReceiveTimeout, &TimeVal::seconds(ANSWER_WAIT_S))
            .map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            inner,
            port,
            sequence: 0,
            buffer: vec![0; ANSWER_BYTES_MAX],
        })
    }

    /// The number by which the kernel knows this socket.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// The number that the next message must carry.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.sequence.wrapping_add(1).max(1)
    }

    /// Sends messages that the caller numbered, `last` being the last one's number.
    pub(crate) fn send_bytes(&mut self, what: &str, bytes: &[u8], last: u32) -> Result<()> {
        self.sequence = last;
        self.inner
            .send(bytes, 0)
            .map(drop)
            .map_err(|source| Error::io(what, source))
    }

    /// Hands over every acknowledgement that waits here, by its message's number, without
    /// waiting for more: nfnetlink has queued all of them when sending returns.
    pub(crate) fn verdicts(
        &mut self,
        what: &str,
        mut each: impl FnMut(u32, Result<()>),
    ) -> Result<()> {
        loop {
            let mut space = &mut self.buffer[..];
            let len = match self.inner.recv(&mut space, libc::MSG_DONTWAIT) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Error::io(what, error)),
            };
            let mut offset = 0;
            while let Some(message) = Message::at(&self.buffer[..len], offset) {
                offset = message.end;
                if message.kind == NLMSG_ERROR {
                    each(message.sequence, message.verdict(what));
                }
            }
        }
    }

    /// Sends a request and waits for its acknowledgement.
    pub(crate) fn request(
        &mut self,
        what: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<()> {
        let sequence = self.send(what, message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.collect(what, sequence, |_| {}).map(drop)
    }

    /// Sends many requests, as many as fit into one datagram at a time, and returns what became of
    /// each, in their order. The kernel carries out the ones after a refused one all the same.
    pub(crate) fn requests(
        &mut self,
        wanted: Vec<(String, RouteNetlinkMessage)>,
        flags: u16,
    ) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(wanted.len());
        let mut rest = wanted.into_iter().peekable();
        while rest.peek().is_some() {
            let part: Vec<_> = rest.by_ref().take(REQUESTS_PER_DATAGRAM_MAX).collect();
            results.extend(self.one_datagram(part, flags));
        }
        results
    }

    fn one_datagram(
        &mut self,
        part: Vec<(String, RouteNetlinkMessage)>,
        flags: u16,
    ) -> Vec<Result<()>> {
        let first = self.sequence.wrapping_add(1).max(1);
        let mut bytes = Vec::new();
        let mut names = Vec::with_capacity(part.len());
        for (what, message) in part {
            bytes.extend(self.packet(message, NLM_F_REQUEST | NLM_F_ACK | flags));
            names.push(what);
        }
        if let Err(source) = self.inner.send(&bytes, 0) {
            let errno = Errno::from_raw(source.raw_os_error().unwrap_or(0));
            return names
                .into_iter()
                .map(|w| Err(Error::io(w, errno)))
                .collect();
        }
        // The answers come in the order of the requests; each ends with its own verdict.
        let mut sequence = first;
        let mut results = Vec::with_capacity(names.len());
        let mut answers = Answers::default();
        for what in names {
            results.push(self.verdict_of(&what, sequence, &mut answers));
            sequence = sequence.wrapping_add(1).max(1);
        }
        results
    }

    /// The verdict on one of several requests.
    fn verdict_of(&mut self, what: &str, sequence: u32, answers: &mut Answers) -> Result<()> {
        for _ in 0..DATAGRAMS_MAX {
            while let Some(message) = Message::at(&self.buffer[..answers.len], answers.offset) {
                if message.sequence == sequence && message.kind == NLMSG_ERROR {
                    let verdict = message.verdict(what);
                    answers.offset = message.end;
                    return verdict;
                }
                answers.offset = message.end;
            }
            answers.offset = 0;
            answers.len = 0;
            answers.len = self.receive(what)?;
        }
        Err(protocol(what, "the answer does not end"))
    }

    /// Asks for one thing; `read` takes it out of the answer.
    pub(crate) fn get<T>(
        &mut self,
        what: &str,
        message: RouteNetlinkMessage,
        read: impl Fn(Reply<'_>) -> Option<T>,
    ) -> Result<Option<T>> {
        let sequence = self.send(what, message, NLM_F_REQUEST | NLM_F_ACK)?;
        let mut found = None;
        self.collect(what, sequence, |reply| {
            found = found.take().or_else(|| read(reply))
        })?;
        Ok(found)
    }

    /// Reads a whole table, keeping what `read` takes; repeats when it changed underneath. What
    /// is not taken needs no memory, however large the table.
    pub(crate) fn dump<T>(
        &mut self,
        what: &str,
        message: RouteNetlinkMessage,
        read: impl Fn(Reply<'_>) -> Option<T>,
    ) -> Result<Vec<T>> {
        for _ in 0..DUMP_TRIES_MAX {
            let sequence = self.send(what, message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            let mut found = Vec::new();
            if !self.collect(what, sequence, |reply| found.extend(read(reply)))? {
                return Ok(found);
            }
        }
        let detail = format!("the table changed during each of {DUMP_TRIES_MAX} readings");
        Err(protocol(what, &detail))
    }

    /// The bytes of a request, under the next number.
    fn packet(&mut self, message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        bytes
    }

    fn send(&mut self, what: &str, message: RouteNetlinkMessage, flags: u16) -> Result<u32> {
        let bytes = self.packet(message, flags);
        tracing::trace!(
            what,
            sequence = self.sequence,
            bytes = bytes.len(),
            "netlink request"
        );
        self.inner
            .send(&bytes, 0)
            .map_err(|source| Error::io(what, source))?;
        Ok(self.sequence)
    }

    /// Hands over the answer's messages; returns whether the table changed underneath.
    pub(crate) fn collect(
        &mut self,
        what: &str,
        sequence: u32,
        mut each: impl FnMut(Reply<'_>),
    ) -> Result<bool> {
        let mut disturbed = false;
        for _ in 0..DATAGRAMS_MAX {
            let len = self.receive(what)?;
            let mut offset = 0;
            while let Some(message) = Message::at(&self.buffer[..len], offset) {
                offset = message.end;
                // Answers to an earlier request that timed out are not ours.
                if message.sequence != sequence {
                    continue;
                }
                disturbed |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(protocol(what, "the answer was cut")),
                    NLMSG_ERROR | NLMSG_DONE => {
                        message.verdict(what)?;
                        return Ok(disturbed);
                    }
                    kind => each(Reply {
                        kind,
                        body: message.body,
                    }),
                }
            }
        }
        Err(protocol(what, "the answer does not end"))
    }

    fn receive(&mut self, what: &str) -> Result<usize> {
        loop {
            let mut space = &mut self.buffer[..];
            match self.inner.recv(&mut space, libc::MSG_TRUNC) {
                Ok(len) if len > ANSWER_BYTES_MAX => {
                    return Err(protocol(what, "an answer larger than 64 KiB"));
                }
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(protocol(what, &format!("none within {ANSWER_WAIT_S} s")));
                }
                Err(error) => return Err(Error::io(what, error)),
            }
        }
    }
}

/// The answer that is being read: so many bytes of the buffer, read up to here.
#[derive(Default)]
struct Answers {
    len: usize,
    offset: usize,
}

/// One message inside a datagram.
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    flags: u16,
    sequence: u32,
    pub(crate) port: u32,
    pub(crate) body: &'a [u8],
    /// Where the next one begins.
    pub(crate) end: usize,
}

impl<'a> Message<'a> {
    pub(crate) fn at(datagram: &'a [u8], offset: usize) -> Option<Self> {
        let rest = datagram.get(offset..).filter(|rest| !rest.is_empty())?;
        let packet = NetlinkBuffer::new_checked(rest).ok()?;
        let len = packet.length() as usize;
        Some(Self {
            kind: packet.message_type(),
            flags: packet.flags(),
            sequence: packet.sequence_number(),
            port: packet.port_number(),
            body: rest.get(HEADER_BYTES..len)?,
            end: offset + len.next_multiple_of(4),
        })
    }

    /// The error number of an acknowledgement or of a dump's end.
    fn verdict(&self, what: &str) -> Result<()> {
        let code = u32_at(self.body, 0).unwrap_or(0).cast_signed();
        if code == 0 {
            return Ok(());
        }
        let detail = if self.flags & NLM_F_ACK_TLVS == 0 {
            None
        } else {
            Attributes::after(self.body, self.words_offset()).text(NLMSGERR_ATTR_MSG)
        };
        Err(Error::Kernel {
            what: what.to_owned(),
            errno: Errno::from_raw(code.saturating_neg()),
            detail: detail.unwrap_or_default(),
        })
    }

    /// Where the extended acknowledgement begins: after the error number for DONE, after the
    /// echoed request (its header alone when capped) for ERROR.
    fn words_offset(&self) -> usize {
        if self.kind == NLMSG_DONE {
            return ERRNO_BYTES;
        }
        let echoed = if self.flags & NLM_F_CAPPED != 0 {
            HEADER_BYTES
        } else {
            u32_at(self.body, ERRNO_BYTES).unwrap_or(0) as usize
        };
        ERRNO_BYTES + echoed.next_multiple_of(4)
    }
}

pub(crate) fn protocol(what: &str, detail: &str) -> Error {
    Error::Protocol {
        what: what.to_owned(),
        detail: detail.to_owned(),
    }
}

const HEADER_BYTES: usize = 16;
const ERRNO_BYTES: usize = 4;
