//! Expressions of rules: what nft(8) compiles its language to, as few as the gates need.

use super::message::Attrs;
use std::net::IpAddr;

/// One step of a rule; a step that does not match ends the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The packet's family is IPv4 (2) or IPv6 (10) (`meta nfproto`).
    Family(u8),
    /// The frame's Ethernet type (`meta protocol`).
    Ethernet(u16),
    /// One byte of the network header.
    Byte { offset: u32, is: u8 },
    /// The address at this offset of the network header is loaded; the next steps look at it.
    Address { offset: u32, version: Version },
    /// The loaded address is in the set.
    In(&'static str),
    /// The loaded address is not in the set.
    NotIn(&'static str),
    /// The packet's source address is one of this machine (`fib saddr type local`).
    SourceIsLocal,
    /// The packet's destination address is one of this machine (`fib daddr type local`).
    DestinationIsLocal,
    /// Packets and bytes are counted.
    Count,
    /// The packet is gone.
    Drop,
    /// Another chain goes on.
    Jump(&'static str),
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V4,
    V6,
}

impl Version {
    pub(super) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn bytes(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

/// Writes the list of a rule's expressions.
pub(super) fn write(steps: &[Step], list: &mut Attrs<'_>) {
    for step in steps {
        step.write(list);
    }
}

impl Step {
    fn write(self, list: &mut Attrs<'_>) {
        match self {
            Self::Family(family) => {
                meta(list, META_NFPROTO);
                compare(list, &[family]);
            }
            Self::Ethernet(kind) => {
                meta(list, META_PROTOCOL);
                compare(list, &kind.to_be_bytes());
            }
            Self::Byte { offset, is } => {
                payload(list, offset, 1);
                compare(list, &[is]);
            }
            Self::Address { offset, version } => payload(list, offset, version.bytes()),
            Self::In(set) => lookup(list, set, 0),
            Self::NotIn(set) => lookup(list, set, LOOKUP_INVERTED),
            Self::SourceIsLocal => local(list, FIB_SOURCE),
            Self::DestinationIsLocal => local(list, FIB_DESTINATION),
            Self::Count => expression(list, "counter", |_| {}),
            Self::Drop => verdict(list, VERDICT_DROP, None),
            Self::Jump(chain) => verdict(list, VERDICT_JUMP, Some(chain)),
        }
    }
}

pub(super) fn expression(list: &mut Attrs<'_>, name: &str, data: impl FnOnce(&mut Attrs<'_>)) {
    list.nest(LIST_ELEMENT, |one| {
        one.text(EXPR_NAME, name);
        one.nest(EXPR_DATA, data);
    });
}

fn meta(list: &mut Attrs<'_>, key: u32) {
    expression(list, "meta", |data| {
        data.be32(META_DREG, REGISTER);
        data.be32(META_KEY, key);
    });
}

pub(super) fn compare(list: &mut Attrs<'_>, with: &[u8]) {
    expression(list, "cmp", |data| {
        data.be32(CMP_SREG, REGISTER);
        data.be32(CMP_OP, CMP_EQUAL);
        data.nest(CMP_DATA, |value| value.bytes(DATA_VALUE, with));
    });
}

pub(super) fn payload(list: &mut Attrs<'_>, offset: u32, len: u32) {
    expression(list, "payload", |data| {
        data.be32(PAYLOAD_DREG, REGISTER);
        data.be32(PAYLOAD_BASE, PAYLOAD_NETWORK);
        data.be32(PAYLOAD_OFFSET, offset);
        data.be32(PAYLOAD_LEN, len);
    });
}

fn lookup(list: &mut Attrs<'_>, set: &str, flags: u32) {
    expression(list, "lookup", |data| {
        data.text(LOOKUP_SET, set);
        data.be32(LOOKUP_SREG, REGISTER);
        data.be32(LOOKUP_FLAGS, flags);
    });
}

/// The address type is a number in the machine's own byte order.
fn local(list: &mut Attrs<'_>, address: u32) {
    expression(list, "fib", |data| {
        data.be32(FIB_DREG, REGISTER);
        data.be32(FIB_RESULT, FIB_ADDRESS_TYPE);
        data.be32(FIB_FLAGS, address);
    });
    compare(list, &u32::from(libc::RTN_LOCAL).to_ne_bytes());
}

fn verdict(list: &mut Attrs<'_>, code: i32, chain: Option<&str>) {
    expression(list, "immediate", |data| {
        data.be32(IMMEDIATE_DREG, VERDICT_REGISTER);
        data.nest(IMMEDIATE_DATA, |value| {
            value.nest(DATA_VERDICT, |verdict| {
                verdict.be32(VERDICT_CODE, code.cast_unsigned());
                if let Some(chain) = chain {
                    verdict.text(VERDICT_CHAIN, chain);
                }
            });
        });
    });
}

/// Every list's element.
pub(super) const LIST_ELEMENT: u16 = 1;
/// A value inside `NFTA_DATA_*`.
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;

/// 16 bytes, enough for any address (`NFT_REG_1`).
pub(super) const REGISTER: u32 = 1;
const VERDICT_REGISTER: u32 = 0;

const META_DREG: u16 = 1;
const META_KEY: u16 = 2;
const META_PROTOCOL: u32 = 1;
const META_NFPROTO: u32 = 15;

const CMP_SREG: u16 = 1;
const CMP_OP: u16 = 2;
const CMP_DATA: u16 = 3;
const CMP_EQUAL: u32 = 0;

const PAYLOAD_DREG: u16 = 1;
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const PAYLOAD_LEN: u16 = 4;
const PAYLOAD_NETWORK: u32 = 1;

const LOOKUP_SET: u16 = 1;
const LOOKUP_SREG: u16 = 2;
const LOOKUP_FLAGS: u16 = 5;
const LOOKUP_INVERTED: u32 = 1;

const FIB_DREG: u16 = 1;
const FIB_RESULT: u16 = 2;
const FIB_FLAGS: u16 = 3;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_SOURCE: u32 = 1;
const FIB_DESTINATION: u32 = 2;

const IMMEDIATE_DREG: u16 = 1;
const IMMEDIATE_DATA: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const VERDICT_DROP: i32 = 0;
const VERDICT_JUMP: i32 = -3;
