//! What stands in the kernel: tables, sets, chains and rules, family by family, and the messages
//! that make them. `GATES.md` draws it.

use super::expression::{self, DATA_VALUE, LIST_ELEMENT, Step, Version};
use super::message::{Attrs, Batch, Family, Kind};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use std::net::IpAddr;

/// The tables' name in every family.
pub(super) const TABLE: &str = "mainstay";
/// The regular chain of the netdev table that every device's egress chain jumps to.
pub(super) const ANNOUNCE: &str = "announce";

/// The table goes when its owner's socket does, unless it persists; nobody else may change it.
pub(super) const TABLE_OWNER: u32 = 2;
/// The table outlives its owner and can be taken over (Linux 6.9).
pub(super) const TABLE_PERSIST: u32 = 4;

/// A set of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) version: Version,
    /// Elements have a timeout.
    pub(super) timed: bool,
}

/// Where a base chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) number: u32,
    pub(super) priority: i32,
}

/// A chain; without a hook others jump to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) hook: Option<Hook>,
}

/// A rule and the comment that nft(8) shows with it, unique in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) chain: &'static str,
    pub(super) comment: &'static str,
    pub(super) steps: &'static [Step],
}

/// The set of the addresses that are gated.
pub(super) fn guard(version: Version) -> &'static str {
    match version {
        Version::V4 => GUARD4.name,
        Version::V6 => GUARD6.name,
    }
}

/// The set of the addresses that this node may answer for, each until its timeout.
pub(super) fn held(version: Version) -> &'static str {
    match version {
        Version::V4 => HELD4.name,
        Version::V6 => HELD6.name,
    }
}

/// The set of the addresses that this node serves without announcing them.
pub(super) fn shared(version: Version) -> &'static str {
    match version {
        Version::V4 => SHARED4.name,
        Version::V6 => SHARED6.name,
    }
}

/// Whether a family's table knows addresses of that version.
pub(super) fn knows(family: Family, version: Version) -> bool {
    sets(family).iter().any(|set| set.version == version)
}

/// Whether a family's table has sets for that address.
pub(super) fn knows_ip(family: Family, ip: IpAddr) -> bool {
    knows(family, Version::of(ip))
}

pub(super) fn sets(family: Family) -> &'static [Set] {
    match family {
        Family::Inet => &[GUARD4, GUARD6, HELD4, HELD6, SHARED4, SHARED6],
        Family::Netdev => &[GUARD4, GUARD6, HELD4, HELD6],
        Family::Arp => &[GUARD4, HELD4],
    }
}

pub(super) fn chains(family: Family) -> &'static [Chain] {
    match family {
        Family::Inet => &INET_CHAINS,
        Family::Arp => &ARP_CHAINS,
        Family::Netdev => &NETDEV_CHAINS,
    }
}

pub(super) fn rules(family: Family) -> &'static [Rule] {
    match family {
        Family::Inet => &INET_RULES,
        Family::Arp => &ARP_RULES,
        Family::Netdev => &NETDEV_RULES,
    }
}

/// The egress chain of a device.
pub(super) fn egress_chain(link: &str) -> String {
    format!("{EGRESS_PREFIX}{link}")
}

/// The device of an egress chain of ours.
pub(super) fn egress_link(chain: &str) -> Option<&str> {
    chain.strip_prefix(EGRESS_PREFIX)
}

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

const GUARD4: Set = Set {
    name: "guard4",
    version: Version::V4,
    timed: false,
};
const GUARD6: Set = Set {
    name: "guard6",
    version: Version::V6,
    timed: false,
};
const HELD4: Set = Set {
    name: "held4",
    version: Version::V4,
    timed: true,
};
const HELD6: Set = Set {
    name: "held6",
    version: Version::V6,
    timed: true,
};

const SHARED4: Set = Set {
    name: "shared4",
    version: Version::V4,
    timed: false,
};
const SHARED6: Set = Set {
    name: "shared6",
    version: Version::V6,
    timed: false,
};

/// Before everything that rewrites or accepts: raw is at -300, defragmentation at -400.
const EARLY: i32 = -500;
/// After source NAT (100), so that what it made is seen; the last hooks of conntrack come later.
const LATE: i32 = 500;

const INET_CHAINS: [Chain; 4] = [
    base_chain("prerouting", 0, EARLY),
    base_chain("input", 1, EARLY),
    base_chain("output", 3, EARLY),
    base_chain("postrouting", 4, LATE),
];
const ARP_CHAINS: [Chain; 1] = [base_chain("output", 1, EARLY)];
const NETDEV_CHAINS: [Chain; 1] = [Chain {
    name: ANNOUNCE,
    hook: None,
}];

/// `NF_NETDEV_EGRESS` (Linux 5.16).
const EGRESS: Hook = Hook {
    number: 1,
    priority: EARLY,
};

const fn base_chain(name: &'static str, number: u32, priority: i32) -> Chain {
    let hook = Some(Hook { number, priority });
    Chain { name, hook }
}

const fn rule(chain: &'static str, comment: &'static str, steps: &'static [Step]) -> Rule {
    Rule {
        chain,
        comment,
        steps,
    }
}

const TO4: &[Step] = &[
    Step::Family(NFPROTO_IPV4),
    address4(IP4_DESTINATION),
    Step::In(GUARD4.name),
    Step::NotIn(HELD4.name),
    Step::NotIn(SHARED4.name),
    Step::DestinationIsLocal,
    Step::Count,
    Step::Drop,
];
const TO6: &[Step] = &[
    Step::Family(NFPROTO_IPV6),
    address6(IP6_DESTINATION),
    Step::In(GUARD6.name),
    Step::NotIn(HELD6.name),
    Step::NotIn(SHARED6.name),
    Step::DestinationIsLocal,
    Step::Count,
    Step::Drop,
];
const FROM4: &[Step] = &[
    Step::Family(NFPROTO_IPV4),
    address4(IP4_SOURCE),
    Step::In(GUARD4.name),
    Step::NotIn(HELD4.name),
    Step::NotIn(SHARED4.name),
    Step::SourceIsLocal,
    Step::Count,
    Step::Drop,
];
const FROM6: &[Step] = &[
    Step::Family(NFPROTO_IPV6),
    address6(IP6_SOURCE),
    Step::In(GUARD6.name),
    Step::NotIn(HELD6.name),
    Step::NotIn(SHARED6.name),
    Step::SourceIsLocal,
    Step::Count,
    Step::Drop,
];
/// The source may be link-local, so the target decides. The kernel writes no extension headers
/// before it (`net/ipv6/ndisc.c:ndisc_send_skb`).
const ADVERTISED: &[Step] = &[
    Step::Family(NFPROTO_IPV6),
    Step::Byte {
        offset: IP6_NEXT_HEADER,
        is: ICMPV6,
    },
    Step::Byte {
        offset: IP6_PAYLOAD,
        is: NEIGHBOUR_ADVERTISEMENT,
    },
    address6(NA_TARGET),
    Step::In(GUARD6.name),
    Step::NotIn(HELD6.name),
    Step::Count,
    Step::Drop,
];

const INET_RULES: [Rule; 9] = [
    rule("prerouting", "to an IPv4 address not held here", TO4),
    rule("prerouting", "to an IPv6 address not held here", TO6),
    rule("input", "to an IPv4 address not held here", TO4),
    rule("input", "to an IPv6 address not held here", TO6),
    rule("output", "from an IPv4 address not held here", FROM4),
    rule("output", "from an IPv6 address not held here", FROM6),
    rule("output", "advertises an address not held here", ADVERTISED),
    rule("postrouting", "from an IPv4 address not held here", FROM4),
    rule("postrouting", "from an IPv6 address not held here", FROM6),
];

/// ARP over hardware addresses of 6 bytes; the second rule is for InfiniBand's 20.
const ARP_RULES: [Rule; 2] = [
    rule(
        "output",
        "ARP from an address not held here",
        &[
            Step::Byte {
                offset: ARP_HARDWARE_LEN,
                is: 6,
            },
            address4(ARP_SENDER_6),
            Step::In(GUARD4.name),
            Step::NotIn(HELD4.name),
            Step::Count,
            Step::Drop,
        ],
    ),
    rule(
        "output",
        "ARP over InfiniBand from an address not held here",
        &[
            Step::Byte {
                offset: ARP_HARDWARE_LEN,
                is: 20,
            },
            address4(ARP_SENDER_20),
            Step::In(GUARD4.name),
            Step::NotIn(HELD4.name),
            Step::Count,
            Step::Drop,
        ],
    ),
];

const NETDEV_RULES: [Rule; 3] = [
    rule(
        ANNOUNCE,
        "ARP from an address not held here",
        &[
            Step::Ethernet(libc::ETH_P_ARP as u16),
            Step::Byte {
                offset: ARP_HARDWARE_LEN,
                is: 6,
            },
            address4(ARP_SENDER_6),
            Step::In(GUARD4.name),
            Step::NotIn(HELD4.name),
            Step::Count,
            Step::Drop,
        ],
    ),
    rule(
        ANNOUNCE,
        "ARP over InfiniBand from an address not held here",
        &[
            Step::Ethernet(libc::ETH_P_ARP as u16),
            Step::Byte {
                offset: ARP_HARDWARE_LEN,
                is: 20,
            },
            address4(ARP_SENDER_20),
            Step::In(GUARD4.name),
            Step::NotIn(HELD4.name),
            Step::Count,
            Step::Drop,
        ],
    ),
    rule(
        ANNOUNCE,
        "advertises an address not held here",
        &[
            Step::Ethernet(libc::ETH_P_IPV6 as u16),
            Step::Byte {
                offset: IP6_NEXT_HEADER,
                is: ICMPV6,
            },
            Step::Byte {
                offset: IP6_PAYLOAD,
                is: NEIGHBOUR_ADVERTISEMENT,
            },
            address6(NA_TARGET),
            Step::In(GUARD6.name),
            Step::NotIn(HELD6.name),
            Step::Count,
            Step::Drop,
        ],
    ),
];

const fn address4(offset: u32) -> Step {
    let version = Version::V4;
    Step::Address { offset, version }
}

const fn address6(offset: u32) -> Step {
    let version = Version::V6;
    Step::Address { offset, version }
}

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
/// RFC 791 section 3.1.
const IP4_SOURCE: u32 = 12;
const IP4_DESTINATION: u32 = 16;
/// RFC 8200 section 3.
const IP6_NEXT_HEADER: u32 = 6;
const IP6_SOURCE: u32 = 8;
const IP6_DESTINATION: u32 = 24;
const IP6_PAYLOAD: u32 = 40;
/// RFC 4861 section 4.4: the target is behind type, code, checksum and flags.
const NA_TARGET: u32 = IP6_PAYLOAD + 8;
const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// RFC 826: the sender's protocol address is behind its hardware address.
const ARP_HARDWARE_LEN: u32 = 4;
const ARP_SENDER_6: u32 = 8 + 6;
const ARP_SENDER_20: u32 = 8 + 20;

/// An element written without a timeout of its own ends this soon.
const DEFAULT_TIMEOUT_MS: u64 = 1_000;
/// Elements in one message: an attribute holds 64 KiB, an element takes at most 52 bytes.
const ELEMENTS_PER_MESSAGE_MAX: usize = 1_000;

const EGRESS_PREFIX: &str = "egress-";
/// The comment of an egress chain's one rule.
pub(super) const EGRESS_COMMENT: &str = "announcements are looked at";

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
