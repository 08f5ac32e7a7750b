//! What others do with nf_tables: tables of their own, address translation, many rules, and
//! hands on our tables.

use crate::gate::channel::Channel;
use crate::gate::expression::{self, DATA_VALUE, REGISTER, Step, expression};
use crate::gate::layout::TABLE;
use crate::gate::message::{Attrs, Batch, Family, Kind};
use crate::{NetNs, Result};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use nix::errno::Errno;
use std::net::IpAddr;

/// Another program with a socket of its own.
pub(super) struct Foreign(Channel);

/// `nf_tables_api.c` reads a chain's hook, policy and type; the numbers are of the header file.
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const RULES_PER_SMALL_BATCH: u32 = 1_000;

impl Foreign {
    pub(super) fn open(netns: &NetNs) -> Self {
        Self(netns.run(|| Channel::open_for(16 << 20)).unwrap().unwrap())
    }

    /// Adds to or removes from any table by one batch.
    pub(super) fn change(&mut self, work: impl FnOnce(&mut Batch)) -> Result<()> {
        let mut batch = self.0.begin();
        work(&mut batch);
        self.0.must("change a foreign table", batch)
    }

    /// `nft flush ruleset`, one family at a time as the families' numbers need it.
    pub(super) fn flush_ruleset(&mut self) -> Result<()> {
        self.change(|batch| {
            for family in Family::ALL {
                batch.push(Kind::DelTable, family, 0, |_| {});
            }
        })
    }

    /// `nft delete table inet mainstay`.
    pub(super) fn delete_table(&mut self) -> Result<()> {
        self.change(|batch| {
            batch.push(Kind::DelTable, Family::Inet, 0, |a| a.text(1, TABLE));
        })
    }

    /// Flags of a table of ours: 1 puts it to sleep.
    pub(super) fn set_flags(&mut self, flags: u32) -> Result<()> {
        self.change(|batch| {
            batch.push(Kind::NewTable, Family::Inet, 0, |a| {
                a.text(1, TABLE);
                a.be32(2, flags);
            });
        })
    }

    /// `nft flush chain inet mainstay CHAIN`.
    pub(super) fn flush_chain(&mut self, chain: &str) -> Result<()> {
        self.change(|batch| {
            batch.push(Kind::DelRule, Family::Inet, 0, |a| {
                a.text(1, TABLE);
                a.text(2, chain);
            });
        })
    }

    /// A table with one base chain of a type at a hook.
    pub(super) fn add_chain(&mut self, table: &str, kind: &str, hook: u32, priority: i32) {
        self.change(|batch| {
            batch.push(Kind::NewTable, Family::Inet, NLM_F_CREATE, |a| {
                a.text(1, table);
            });
            batch.push(Kind::NewChain, Family::Inet, NLM_F_CREATE, |a| {
                a.text(1, table);
                a.text(3, &format!("hook{hook}"));
                a.nest(CHAIN_HOOK, |h| {
                    h.be32(1, hook);
                    h.be32(2, priority.cast_unsigned());
                });
                a.text(CHAIN_TYPE, kind);
            });
        })
        .unwrap();
    }

    /// Adds a rule to a chain made by [`Self::add_chain`].
    pub(super) fn add_rule(&mut self, table: &str, hook: u32, list: impl Fn(&mut Attrs<'_>)) {
        self.change(|batch| push_rule(batch, table, hook, list))
            .unwrap();
    }

    /// Loads so many rules, in one batch where the socket may be that large, and then removes
    /// the table.
    pub(super) fn load_and_remove(&mut self, table: &str, rules: u32) {
        self.add_chain(table, "filter", 1, 10);
        if let Err(error) = self.load(table, rules) {
            assert_eq!(error.errno(), Some(Errno::EMSGSIZE), "{error}");
            for _ in 0..rules / RULES_PER_SMALL_BATCH {
                self.load(table, RULES_PER_SMALL_BATCH).unwrap();
            }
        }
        self.change(|batch| {
            batch.push(Kind::DelTable, Family::Inet, 0, |a| a.text(1, table));
        })
        .unwrap();
    }

    fn load(&mut self, table: &str, rules: u32) -> Result<()> {
        self.change(|batch| {
            for _ in 0..rules {
                push_rule(batch, table, 1, |list| {
                    expression(list, "counter", |_| {});
                });
            }
        })
    }

    /// Everything in a table, as bytes.
    pub(super) fn seen(&mut self, table: &str) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for kind in [Kind::GetTable, Kind::GetChain, Kind::GetRule, Kind::GetSet] {
            match self.0.list_raw(kind, Family::Inet, table) {
                Ok(some) => all.extend(some),
                Err(error) => assert!(error.is_absent(), "{error}"),
            }
        }
        all
    }
}

fn push_rule(batch: &mut Batch, table: &str, hook: u32, list: impl Fn(&mut Attrs<'_>)) {
    let flags = NLM_F_CREATE | NLM_F_APPEND;
    batch.push(Kind::NewRule, Family::Inet, flags, |a| {
        a.text(1, table);
        a.text(2, &format!("hook{hook}"));
        a.nest(4, &list);
    });
}

/// What a NAT rule looks for.
pub(super) enum Seek {
    Destination(IpAddr),
    Source(IpAddr),
}

/// UDP from or to an address gets another one: source (0) or destination (1).
pub(super) fn translate(list: &mut Attrs<'_>, seek: &Seek, kind: u32, other: IpAddr) {
    // Source and destination in the header, the protocol's place, and the family's number.
    let (places, protocol_at, family) = match other {
        IpAddr::V4(_) => ([12, 16], 9, 2),
        IpAddr::V6(_) => ([8, 24], 6, 10),
    };
    let (offset, ip) = match seek {
        Seek::Source(ip) => (places[0], ip),
        Seek::Destination(ip) => (places[1], ip),
    };
    let udp = Step::Byte {
        offset: protocol_at,
        is: 17,
    };
    expression::write(&[Step::Family(family), udp], list);
    expression::payload(list, offset, octets(*ip).len() as u32);
    expression::compare(list, &octets(*ip));
    expression(list, "immediate", |data| {
        data.be32(1, REGISTER);
        data.nest(2, |value| value.bytes(DATA_VALUE, &octets(other)));
    });
    expression(list, "nat", |data| {
        data.be32(1, kind);
        data.be32(2, family.into());
        data.be32(3, REGISTER);
    });
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
