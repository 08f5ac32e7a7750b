//! Batches to nf_tables and what it says of each message; reading tables back.

use super::layout::TABLE;
use super::make::{self, TABLE_FLAGS, TABLE_NAME};
use super::message::{Attrs, BATCH_BYTES_MAX, Batch, Family, GENERIC_BYTES, Kind, request};
use crate::attribute::Attributes;
use crate::socket::{Socket, protocol};
use crate::{Error, Result};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use nix::errno::Errno;
use std::net::IpAddr;
use std::time::Duration;

/// A blocking nfnetlink socket; the tables made through it are its own.
pub(super) struct Channel {
    socket: Socket,
    buffer: Vec<u8>,
    bytes_max: usize,
}

/// A message that the kernel refused.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) number: u32,
    pub(super) error: Error,
}

/// One of our tables as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) flags: u32,
    /// The port of the socket that owns it.
    pub(super) owner: Option<u32>,
}

impl Channel {
    pub(super) fn open() -> Result<Self> {
        Self::open_for(BATCH_BYTES_MAX)
    }

    /// For batches of so many bytes.
    pub(super) fn open_for(bytes_max: usize) -> Result<Self> {
        Ok(Self {
            // Twice: what the kernel counts is larger than what we send.
            socket: Socket::open_netfilter(2 * bytes_max, ANSWERS_BYTES_MAX)?,
            buffer: Vec::new(),
            bytes_max,
        })
    }

    pub(super) fn port(&self) -> u32 {
        self.socket.port()
    }

    pub(super) fn begin(&mut self) -> Batch {
        Batch::begin(
            std::mem::take(&mut self.buffer),
            self.socket.next_sequence(),
        )
    }

    /// Has the kernel do the whole batch, or nothing of it: then the faults say why.
    pub(super) fn commit(&mut self, what: &str, batch: Batch) -> Result<Vec<Fault>> {
        self.send(what, batch, true)
    }

    /// As [`Self::commit`], where any fault is the end.
    pub(super) fn must(&mut self, what: &str, batch: Batch) -> Result<()> {
        match self.commit(what, batch)?.into_iter().next() {
            None => Ok(()),
            Some(fault) => Err(fault.error),
        }
    }

    /// Has the kernel look at the whole batch and then drop it.
    pub(super) fn check(&mut self, what: &str, batch: Batch) -> Result<Vec<Fault>> {
        self.send(what, batch, false)
    }

    fn send(&mut self, what: &str, batch: Batch, commit: bool) -> Result<Vec<Fault>> {
        let (bytes, most) = (batch.len(), self.bytes_max);
        if bytes > most {
            return Err(Error::Invalid(format!(
                "cannot {what}: a batch of {bytes} bytes is above {most}"
            )));
        }
        let first = batch.first();
        let (bytes, last) = batch.end(commit);
        let sent = self.socket.send_bytes(what, &bytes, last.wrapping_add(1));
        self.buffer = bytes;
        sent?;
        let mut faults = Vec::new();
        let mut answered = false;
        self.socket.verdicts(what, |number, verdict| {
            if number.wrapping_sub(first) > last.wrapping_sub(first) {
                return;
            }
            answered |= number == last;
            if let Err(error) = verdict {
                faults.push(Fault { number, error });
            }
        })?;
        if faults.is_empty() && !answered {
            return Err(protocol(what, "a batch was not acknowledged"));
        }
        Ok(faults)
    }

    /// The table of a family, if it stands.
    pub(super) fn table(&mut self, family: Family) -> Result<Option<Standing>> {
        let what = format!("look at table {} {TABLE}", family.name());
        let mut found = None;
        let asked = self.ask(
            &what,
            Kind::GetTable,
            family,
            NLM_F_ACK,
            |attrs| attrs.text(TABLE_NAME, TABLE),
            |attributes| {
                found = Some(Standing {
                    flags: attributes.be32(TABLE_FLAGS).unwrap_or(0),
                    owner: attributes.be32(TABLE_OWNER_PORT),
                });
            },
        );
        match asked {
            Ok(_) => Ok(found),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How long an element of a set has still to live; nothing when there is none.
    pub(super) fn element(
        &mut self,
        family: Family,
        set: &str,
        ip: IpAddr,
    ) -> Result<Option<Duration>> {
        let mut left = None;
        let asked = self.ask(
            "look at a lease",
            Kind::GetElement,
            family,
            NLM_F_ACK,
            |attrs| make::write_elements(attrs, set, &[(ip, None)]),
            |attributes| left = elements(attributes).next().and_then(|(_, left)| left),
        );
        match asked {
            Ok(_) => Ok(left),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All elements of a set, with the time that they have still to live.
    pub(super) fn elements(
        &mut self,
        family: Family,
        set: &str,
    ) -> Result<Vec<(IpAddr, Option<Duration>)>> {
        self.dump(
            Kind::GetElement,
            family,
            |attrs| make::write_set_name(attrs, set),
            |attributes, found| found.extend(elements(attributes)),
        )
    }

    /// Reads what there is of a kind in our table of that family.
    pub(super) fn list<T>(
        &mut self,
        kind: Kind,
        family: Family,
        read: impl Fn(&Attributes<'_>) -> Option<T>,
    ) -> Result<Vec<T>> {
        let table = |attrs: &mut Attrs<'_>| attrs.text(TABLE_NAME, TABLE);
        self.dump(kind, family, table, |attributes, found| {
            found.extend(read(attributes));
        })
    }

    /// The messages about a kind of object in any table.
    #[cfg(test)]
    pub(super) fn list_raw(
        &mut self,
        kind: Kind,
        family: Family,
        table: &str,
    ) -> Result<Vec<Vec<u8>>> {
        let number = self.socket.next_sequence();
        let bytes = request(kind, family, NLM_F_DUMP, number, |attrs| {
            attrs.text(TABLE_NAME, table);
        });
        self.socket.send_bytes("read a table", &bytes, number)?;
        let mut found = Vec::new();
        self.socket.collect("read a table", number, |reply| {
            let attributes = Attributes::after(reply.body, GENERIC_BYTES);
            if attributes.text(TABLE_NAME).as_deref() == Some(table) {
                found.push(reply.body[GENERIC_BYTES..].to_vec());
            }
        })?;
        Ok(found)
    }

    /// Reads a list; repeats when it changed underneath. A table that is not there is empty.
    fn dump<T>(
        &mut self,
        kind: Kind,
        family: Family,
        body: impl Fn(&mut Attrs<'_>),
        read: impl Fn(&Attributes<'_>, &mut Vec<T>),
    ) -> Result<Vec<T>> {
        let what = format!("read table {} {TABLE}", family.name());
        for _ in 0..DUMP_TRIES_MAX {
            let mut found = Vec::new();
            let each = |attributes: &Attributes<'_>| read(attributes, &mut found);
            match self.ask(&what, kind, family, NLM_F_DUMP, &body, each) {
                Ok(false) => return Ok(found),
                Ok(true) => {}
                Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(Vec::new()),
                Err(error) if error.errno() == Some(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        let detail = format!("it changed during each of {DUMP_TRIES_MAX} readings");
        Err(protocol(&what, &detail))
    }

    /// Asks, and hands over what concerns our table; says whether it changed underneath.
    fn ask(
        &mut self,
        what: &str,
        kind: Kind,
        family: Family,
        flags: u16,
        body: impl Fn(&mut Attrs<'_>),
        mut each: impl FnMut(&Attributes<'_>),
    ) -> Result<bool> {
        let number = self.socket.next_sequence();
        let bytes = request(kind, family, flags, number, body);
        self.socket.send_bytes(what, &bytes, number)?;
        self.socket.collect(what, number, |reply| {
            let ours = reply.body.first() == Some(&family.number());
            let attributes = Attributes::after(reply.body, GENERIC_BYTES);
            // Every kind of object names its table in attribute 1; older kernels list them all.
            if ours && attributes.text(TABLE_NAME).as_deref() == Some(TABLE) {
                each(&attributes);
            }
        })
    }
}

/// The elements that a message lists.
fn elements(message: &Attributes<'_>) -> impl Iterator<Item = (IpAddr, Option<Duration>)> {
    let list = message.nested(make::ELEMENTS);
    let read: Vec<_> = list
        .all(super::expression::LIST_ELEMENT)
        .filter_map(|element| {
            let element = Attributes::after(element, 0);
            let ip = element
                .nested(make::ELEMENT_KEY)
                .ip(super::expression::DATA_VALUE)?;
            let left = element
                .be64(make::ELEMENT_EXPIRATION)
                .map(Duration::from_millis);
            Some((ip, left))
        })
        .collect();
    read.into_iter()
}

/// Answers to one batch: an acknowledgement is counted as about 900 bytes, and every message may
/// have one.
const ANSWERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A dump that another writer disturbed is read again this often.
const DUMP_TRIES_MAX: u32 = 8;
const TABLE_OWNER_PORT: u16 = 7;
