//! nfnetlink as nf_tables speaks it: a batch of messages under one commit, attributes by number.
//!
//! Numbers and names are those of `include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h`. All
//! integers inside attributes are big-endian, but for what a rule compares with a kernel value.

use netlink_packet_core::{NLA_ALIGNTO, NLM_F_ACK, NLM_F_REQUEST};

/// Bytes of one batch at most: the send buffer is raised to hold it
/// (`af_netlink.c:netlink_sendmsg` refuses what is longer than `sk_sndbuf - 32` with EMSGSIZE).
pub(super) const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Families of tables (`NFPROTO_*`) that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// IPv4 and IPv6 packets of this machine.
    Inet,
    /// ARP packets of this machine.
    Arp,
    /// Frames of one device.
    Netdev,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::Inet, Self::Arp, Self::Netdev];

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Arp => 3,
            Self::Netdev => 5,
        }
    }

    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.number() == number)
    }

    /// As nft(8) writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
        }
    }
}

/// Messages between one BATCH_BEGIN and its BATCH_END: the kernel does all of them or none.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    first: u32,
    next: u32,
    last_at: usize,
}

impl Batch {
    /// An empty batch whose messages are numbered from `first` on, in a buffer to be reused.
    pub(super) fn begin(mut buffer: Vec<u8>, first: u32) -> Self {
        buffer.clear();
        let mut batch = Self {
            bytes: buffer,
            first,
            next: first,
            last_at: 0,
        };
        batch.frame(BATCH_BEGIN, UNSPEC, NLM_F_REQUEST, NFTABLES, |_| {});
        batch
    }

    /// Adds a message and returns its number.
    pub(super) fn push(
        &mut self,
        kind: Kind,
        family: Family,
        flags: u16,
        body: impl FnOnce(&mut Attrs<'_>),
    ) -> u32 {
        self.frame(
            message_type(kind),
            family.number(),
            NLM_F_REQUEST | flags,
            0,
            body,
        )
    }

    /// The number of BATCH_BEGIN: an error in it means the whole batch.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// Nothing but its begin.
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.first.wrapping_add(1)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Ends the batch, with an acknowledgement asked for in its last message (its number comes
    /// back with the bytes). Without `commit` the kernel checks everything and then drops it
    /// (`nfnetlink.c:nfnetlink_rcv_batch`: no BATCH_END, no commit).
    pub(super) fn end(mut self, commit: bool) -> (Vec<u8>, u32) {
        let last = self.next.wrapping_sub(1);
        let at = self.last_at + FLAGS_AT;
        let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | NLM_F_ACK;
        self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        if commit {
            self.frame(BATCH_END, UNSPEC, NLM_F_REQUEST, NFTABLES, |_| {});
        }
        (self.bytes, last)
    }

    fn frame(
        &mut self,
        kind: u16,
        family: u8,
        flags: u16,
        resource: u16,
        body: impl FnOnce(&mut Attrs<'_>),
    ) -> u32 {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        self.last_at = self.bytes.len();
        frame(
            &mut self.bytes,
            kind,
            family,
            flags,
            sequence,
            resource,
            body,
        );
        sequence
    }
}

/// One request that reads: never part of a batch.
pub(super) fn request(
    kind: Kind,
    family: Family,
    flags: u16,
    sequence: u32,
    body: impl FnOnce(&mut Attrs<'_>),
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    let flags = NLM_F_REQUEST | flags;
    frame(
        &mut bytes,
        message_type(kind),
        family.number(),
        flags,
        sequence,
        0,
        body,
    );
    bytes
}

/// `struct nlmsghdr`, `struct nfgenmsg`, attributes.
fn frame(
    bytes: &mut Vec<u8>,
    kind: u16,
    family: u8,
    flags: u16,
    sequence: u32,
    resource: u16,
    body: impl FnOnce(&mut Attrs<'_>),
) {
    let start = bytes.len();
    bytes.extend([0; 4]);
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    body(&mut Attrs(bytes));
    let len = (bytes.len() - start) as u32;
    bytes[start..start + 4].copy_from_slice(&len.to_ne_bytes());
}

/// What a message does (`enum nf_tables_msg_types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    DelChain = 5,
    NewRule = 6,
    GetRule = 7,
    DelRule = 8,
    NewSet = 9,
    GetSet = 10,
    DelSet = 11,
    NewElement = 12,
    GetElement = 13,
    DelElement = 14,
}

impl Kind {
    /// The kind of a message the kernel sent, if it is one of nf_tables that we know.
    pub(super) fn of_type(kind: u16) -> Option<Self> {
        const KINDS: [Kind; 15] = [
            Kind::NewTable,
            Kind::GetTable,
            Kind::DelTable,
            Kind::NewChain,
            Kind::GetChain,
            Kind::DelChain,
            Kind::NewRule,
            Kind::GetRule,
            Kind::DelRule,
            Kind::NewSet,
            Kind::GetSet,
            Kind::DelSet,
            Kind::NewElement,
            Kind::GetElement,
            Kind::DelElement,
        ];
        let [subsystem, number] = kind.to_be_bytes();
        (u16::from(subsystem) == NFTABLES)
            .then(|| KINDS.get(usize::from(number)).copied())
            .flatten()
    }
}

fn message_type(kind: Kind) -> u16 {
    NFTABLES << 8 | kind as u16
}

/// Writes attributes (`struct nlattr`) at the end of a buffer.
pub(super) struct Attrs<'a>(&'a mut Vec<u8>);

impl Attrs<'_> {
    pub(super) fn bytes(&mut self, number: u16, value: &[u8]) {
        self.write(number, |bytes| bytes.extend(value));
    }

    pub(super) fn text(&mut self, number: u16, value: &str) {
        self.write(number, |bytes| {
            bytes.extend(value.as_bytes());
            bytes.push(0);
        });
    }

    pub(super) fn be32(&mut self, number: u16, value: u32) {
        self.bytes(number, &value.to_be_bytes());
    }

    pub(super) fn be64(&mut self, number: u16, value: u64) {
        self.bytes(number, &value.to_be_bytes());
    }

    pub(super) fn nest(&mut self, number: u16, inside: impl FnOnce(&mut Attrs<'_>)) {
        self.write(number | NESTED, |bytes| inside(&mut Attrs(bytes)));
    }

    fn write(&mut self, number: u16, value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend([0; 4]);
        value(self.0);
        let len = self.0.len() - start;
        debug_assert!(len <= usize::from(u16::MAX), "an attribute of {len} bytes");
        self.0[start..start + 2].copy_from_slice(&(len as u16).to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&number.to_ne_bytes());
        self.0.resize(start + len.next_multiple_of(NLA_ALIGNTO), 0);
    }
}

/// `struct nfgenmsg`: family, version, resource.
pub(super) const GENERIC_BYTES: usize = 4;

const NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const UNSPEC: u8 = 0;
const NESTED: u16 = 0x8000;
const FLAGS_AT: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_framed_as_nfnetlink_h_says() {
        let mut batch = Batch::begin(Vec::new(), 7);
        assert!(batch.is_empty());
        let number = batch.push(Kind::NewTable, Family::Arp, 0x400, |table| {
            table.text(1, "ab");
            table.be32(2, 6);
        });
        assert_eq!((number, batch.is_empty(), batch.first()), (8, false, 7));
        let (bytes, last) = batch.end(true);
        assert_eq!((last, bytes.len()), (8, 20 + 36 + 20));
        let mut begin = vec![
            20, 0, 0, 0, 0x10, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10,
        ];
        begin.extend([36, 0, 0, 0, 0, 10, 5, 4, 8, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        begin.extend([7, 0, 1, 0, b'a', b'b', 0, 0, 8, 0, 2, 0, 0, 0, 0, 6]);
        #[cfg(target_endian = "little")]
        assert_eq!(bytes[..56], begin);
        assert_eq!(bytes[60..62], 0x11u16.to_ne_bytes());
    }

    #[test]
    fn kinds_come_back() {
        for number in 0..15 {
            let kind = Kind::of_type(NFTABLES << 8 | number).unwrap();
            assert_eq!(kind as u16, number);
        }
        assert_eq!(Kind::of_type(NFTABLES << 8 | 15), None);
        assert_eq!(Kind::of_type(3), None);
    }
}
