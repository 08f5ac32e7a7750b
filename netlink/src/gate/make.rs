//! The messages that make what `layout.rs` describes.

use super::expression::{self, DATA_VALUE, LIST_ELEMENT, Step, Version};
use super::layout::{
    ANNOUNCE, Chain, EGRESS, EGRESS_COMMENT, Hook, Set, TABLE, chains, egress_chain, rules, sets,
};
use super::message::{Attrs, Batch, Family, Kind};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use std::net::IpAddr;

/// Puts a whole table into a batch: what stands already stays as it is, but for the rules, which
/// are replaced; sets keep their elements.
pub(super) fn push_table(batch: &mut Batch, family: Family, flags: u32) {
    batch.push(Kind::NewTable, family, NLM_F_CREATE, |table| {
        table.text(TABLE_NAME, TABLE);
        table.be32(TABLE_FLAGS, flags);
    });
    for (id, set) in (1..).zip(sets(family)) {
        push_set(batch, family, set, id);
    }
    for chain in chains(family) {
        push_chain(batch, family, chain);
        push_flush(batch, family, chain.name);
    }
    for rule in rules(family) {
        push_rule(batch, family, rule.chain, rule.comment, rule.steps);
    }
}

/// Removes a table with everything in it.
pub(super) fn push_no_table(batch: &mut Batch, family: Family) {
    batch.push(Kind::DelTable, family, 0, |table| {
        table.text(TABLE_NAME, TABLE);
    });
}

fn push_set(batch: &mut Batch, family: Family, set: &Set, id: u32) {
    batch.push(Kind::NewSet, family, NLM_F_CREATE, |attrs| {
        attrs.text(SET_TABLE, TABLE);
        attrs.text(SET_NAME, set.name);
        attrs.be32(SET_KEY_TYPE, key_type(set.version));
        attrs.be32(SET_KEY_LEN, set.version.bytes());
        attrs.be32(SET_ID, id);
        if set.timed {
            attrs.be32(SET_FLAGS, SET_TIMED);
            // Only what is forgotten to say its own end falls back on this one.
            attrs.be64(SET_TIMEOUT, DEFAULT_TIMEOUT_MS);
        }
    });
}

fn push_chain(batch: &mut Batch, family: Family, chain: &Chain) {
    batch.push(Kind::NewChain, family, NLM_F_CREATE, |attrs| {
        attrs.text(CHAIN_TABLE, TABLE);
        attrs.text(CHAIN_NAME, chain.name);
        if let Some(hook) = chain.hook {
            base(attrs, hook, None);
        }
    });
}

/// Adds the egress chain of a device, if it is not there, and makes it say what it should;
/// returns the number of the message that fails without the device.
pub(super) fn push_egress(batch: &mut Batch, link: &str, present: bool) -> Option<u32> {
    let name = egress_chain(link);
    let mut added = None;
    if !present {
        added = Some(
            batch.push(Kind::NewChain, Family::Netdev, NLM_F_CREATE, |attrs| {
                attrs.text(CHAIN_TABLE, TABLE);
                attrs.text(CHAIN_NAME, &name);
                base(attrs, EGRESS, Some(link));
            }),
        );
    }
    push_flush(batch, Family::Netdev, &name);
    push_rule(
        batch,
        Family::Netdev,
        &name,
        EGRESS_COMMENT,
        &[Step::Jump(ANNOUNCE)],
    );
    added
}

/// Removes an egress chain.
pub(super) fn push_no_chain(batch: &mut Batch, family: Family, name: &str) {
    push_flush(batch, family, name);
    batch.push(Kind::DelChain, family, 0, |attrs| {
        attrs.text(CHAIN_TABLE, TABLE);
        attrs.text(CHAIN_NAME, name);
    });
}

fn base(attrs: &mut Attrs<'_>, hook: Hook, link: Option<&str>) {
    attrs.nest(CHAIN_HOOK, |inside| {
        inside.be32(HOOK_NUMBER, hook.number);
        inside.be32(HOOK_PRIORITY, hook.priority.cast_unsigned());
        if let Some(link) = link {
            inside.text(HOOK_DEVICE, link);
        }
    });
    attrs.be32(CHAIN_POLICY, POLICY_ACCEPT);
    attrs.text(CHAIN_TYPE, "filter");
}

fn push_flush(batch: &mut Batch, family: Family, chain: &str) {
    batch.push(Kind::DelRule, family, 0, |attrs| {
        attrs.text(RULE_TABLE, TABLE);
        attrs.text(RULE_CHAIN, chain);
    });
}

fn push_rule(batch: &mut Batch, family: Family, chain: &str, comment: &str, steps: &[Step]) {
    let flags = NLM_F_CREATE | NLM_F_APPEND;
    batch.push(Kind::NewRule, family, flags, |attrs| {
        attrs.text(RULE_TABLE, TABLE);
        attrs.text(RULE_CHAIN, chain);
        attrs.nest(RULE_EXPRESSIONS, |list| expression::write(steps, list));
        attrs.bytes(RULE_USERDATA, &userdata(comment));
    });
}

/// libnftnl's form of a comment: type 0, length, text with its end.
fn userdata(comment: &str) -> Vec<u8> {
    let mut data = vec![0, (comment.len() + 1) as u8];
    data.extend(comment.as_bytes());
    data.push(0);
    data
}

/// The comment in a rule's user data.
pub(super) fn comment(userdata: &[u8]) -> Option<&str> {
    let [0, len, text @ ..] = userdata else {
        return None;
    };
    let text = text.get(..usize::from(*len).checked_sub(1)?)?;
    std::str::from_utf8(text).ok()
}

/// Adds or removes elements, in as few messages as their number allows.
pub(super) fn push_elements(
    batch: &mut Batch,
    kind: Kind,
    family: Family,
    set: &str,
    elements: &[(IpAddr, Option<u64>)],
) {
    for some in elements.chunks(ELEMENTS_PER_MESSAGE_MAX) {
        push_element_message(batch, kind, family, set, some);
    }
}

fn push_element_message(
    batch: &mut Batch,
    kind: Kind,
    family: Family,
    set: &str,
    elements: &[(IpAddr, Option<u64>)],
) -> u32 {
    let flags = if kind == Kind::NewElement {
        NLM_F_CREATE
    } else {
        0
    };
    batch.push(kind, family, flags, |attrs| {
        write_elements(attrs, set, elements);
    })
}

/// Removes one element in a message of its own, so that an error names it.
pub(super) fn push_no_element(batch: &mut Batch, family: Family, set: &str, ip: IpAddr) -> u32 {
    push_element_message(batch, Kind::DelElement, family, set, &[(ip, None)])
}

/// The attributes of a message about elements; the number is a timeout in milliseconds.
pub(super) fn write_elements(attrs: &mut Attrs<'_>, set: &str, list: &[(IpAddr, Option<u64>)]) {
    write_set_name(attrs, set);
    attrs.nest(ELEMENTS, |inside| {
        for (ip, timeout_ms) in list {
            inside.nest(LIST_ELEMENT, |element| {
                element.nest(ELEMENT_KEY, |key| match ip {
                    IpAddr::V4(ip) => key.bytes(DATA_VALUE, &ip.octets()),
                    IpAddr::V6(ip) => key.bytes(DATA_VALUE, &ip.octets()),
                });
                if let Some(timeout_ms) = timeout_ms {
                    element.be64(ELEMENT_TIMEOUT, *timeout_ms);
                }
            });
        }
    });
}

/// Names one of our sets, for messages about its elements.
pub(super) fn write_set_name(attrs: &mut Attrs<'_>, set: &str) {
    attrs.text(ELEMENT_TABLE, TABLE);
    attrs.text(ELEMENT_SET, set);
}

/// nft(8)'s numbers of its data types, for its listing alone.
fn key_type(version: Version) -> u32 {
    match version {
        Version::V4 => 7,
        Version::V6 => 8,
    }
}

/// An element written without a timeout of its own ends this soon.
const DEFAULT_TIMEOUT_MS: u64 = 1_000;
/// Elements in one message: an attribute holds 64 KiB, an element takes at most 52 bytes.
const ELEMENTS_PER_MESSAGE_MAX: usize = 1_000;

pub(super) const TABLE_NAME: u16 = 1;
pub(super) const TABLE_FLAGS: u16 = 2;

const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LEN: u16 = 5;
const SET_ID: u16 = 10;
const SET_TIMEOUT: u16 = 11;
const SET_TIMED: u32 = 0x10;

pub(super) const CHAIN_TABLE: u16 = 1;
pub(super) const CHAIN_NAME: u16 = 3;
pub(super) const CHAIN_HOOK: u16 = 4;
pub(super) const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
pub(super) const HOOK_NUMBER: u16 = 1;
pub(super) const HOOK_PRIORITY: u16 = 2;
const HOOK_DEVICE: u16 = 3;
pub(super) const POLICY_ACCEPT: u32 = 1;

pub(super) const RULE_TABLE: u16 = 1;
pub(super) const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
pub(super) const RULE_USERDATA: u16 = 7;

const ELEMENT_TABLE: u16 = 1;
const ELEMENT_SET: u16 = 2;
pub(super) const ELEMENTS: u16 = 3;
pub(super) const ELEMENT_KEY: u16 = 1;
const ELEMENT_TIMEOUT: u16 = 4;
pub(super) const ELEMENT_EXPIRATION: u16 = 5;
