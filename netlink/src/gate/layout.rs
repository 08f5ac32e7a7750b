//! What stands in the kernel: tables, sets, chains and rules, family by family. `GATES.md` draws
//! it, `make.rs` makes it.

use super::expression::{Step, Version};
use super::message::Family;
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
pub(super) const EGRESS: Hook = Hook {
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
/// What this node sends itself: not only while it has the address. IPv6 lets a connection go on, and
/// `ip_nonlocal_bind` lets one begin, when the address is gone (`net/ipv6/ip6_output.c`).
const OWN4: &[Step] = &[
    Step::Family(NFPROTO_IPV4),
    address4(IP4_SOURCE),
    Step::In(GUARD4.name),
    Step::NotIn(HELD4.name),
    Step::NotIn(SHARED4.name),
    Step::Count,
    Step::Drop,
];
const OWN6: &[Step] = &[
    Step::Family(NFPROTO_IPV6),
    address6(IP6_SOURCE),
    Step::In(GUARD6.name),
    Step::NotIn(HELD6.name),
    Step::NotIn(SHARED6.name),
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
    rule("output", "from an IPv4 address not held here", OWN4),
    rule("output", "from an IPv6 address not held here", OWN6),
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

const EGRESS_PREFIX: &str = "egress-";
/// The comment of an egress chain's one rule.
pub(super) const EGRESS_COMMENT: &str = "announcements are looked at";
