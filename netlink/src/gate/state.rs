//! Are the tables as we made them? Handles are never given twice in a table, so what was replaced
//! by something alike shows.

use super::Gates;
use super::channel::Channel;
use super::layout::{self, EGRESS_COMMENT, TABLE, chains, egress_link, rules, sets};
use super::make;
use super::message::{Family, Kind};
use super::tables::{guarded, open};
use crate::attribute::Attributes;
use crate::socket::protocol;
use crate::{Result, gate::LEASE_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What stood when the tables had been put up, table by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Made(BTreeMap<Family, Shape>);

/// One table but for the elements of its sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shape {
    flags: u32,
    /// Number, hook, priority and policy by name.
    chains: BTreeMap<String, Hung>,
    /// Number and comment of the rules, in order, by chain.
    rules: BTreeMap<String, Vec<(u64, String)>>,
    /// Number by name.
    sets: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hung {
    handle: u64,
    hook: Option<(u32, u32)>,
    policy: Option<u32>,
}

impl Gates {
    /// Looks whether tables, chains, rules, sets and guarded addresses are as this process made
    /// them, and whether no gate stands open that it did not open; else says what is changed.
    /// Meant for kernels where the tables have no owner, and as a periodic check.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn intact(&mut self) -> Result<std::result::Result<(), String>> {
        let Some(channel) = &mut self.channel else {
            return Ok(Ok(()));
        };
        for family in &self.families {
            let label = |what: String| Ok(Err(format!("table {} {TABLE}: {what}", family.name())));
            let Some(now) = shape(channel, *family)? else {
                return label("it is gone".to_owned());
            };
            let made = self.made.0.get(family).cloned().unwrap_or_default();
            if let Some(what) = made.differs(&now) {
                return label(what);
            }
            let of_family = |ip: &&IpAddr| layout::knows_ip(*family, **ip);
            let wanted: BTreeSet<IpAddr> = self.guarded.iter().filter(of_family).copied().collect();
            if let Some(what) = unlike(&wanted, &guarded(channel, *family)?) {
                return label(what);
            }
            for (ip, left) in open(channel, *family)? {
                if !self.open.contains(&ip) || left.is_none_or(|left| left > LEASE_MAX) {
                    return label(format!("somebody opened the gate of {ip}"));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Remembers the tables that were just put up.
    pub(super) fn remember(&mut self) -> Result<()> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        let mut made = Made::default();
        for family in &self.families {
            let what = format!("put up table {} {TABLE}", family.name());
            let shape = shape(channel, *family)?
                .filter(|shape| shape.is_ours(*family))
                .ok_or_else(|| protocol(&what, "somebody changed it at the same time"))?;
            made.0.insert(*family, shape);
        }
        self.made = made;
        Ok(())
    }
}

impl Shape {
    /// What another reading shows that this one did not, as far as it can open a gate. What
    /// others added beside our chains closes gates at most.
    fn differs(&self, now: &Self) -> Option<String> {
        if self.flags != now.flags {
            return Some(format!(
                "its flags are {:#x}, not {:#x}",
                now.flags, self.flags
            ));
        }
        for (name, chain) in &self.chains {
            match now.chains.get(name) {
                // A device that is gone takes its chain along (Linux before 6.16).
                None if egress_link(name).is_some() => continue,
                None => return Some(format!("chain {name} is gone")),
                Some(other) if other != chain => {
                    return Some(format!("chain {name} is another"));
                }
                Some(_) => {}
            }
            if self.rules.get(name) != now.rules.get(name) {
                return Some(format!("the rules of chain {name} are changed"));
            }
        }
        let set = self
            .sets
            .iter()
            .find(|(name, handle)| now.sets.get(*name) != Some(handle));
        set.map(|(name, _)| format!("set {name} is gone or another"))
    }

    /// All chains, rules and sets of the layout are there, and no rule beside them.
    fn is_ours(&self, family: Family) -> bool {
        let comments = |chain: &str| -> Vec<&str> {
            let rules = self.rules.get(chain).map(Vec::as_slice).unwrap_or_default();
            rules.iter().map(|(_, comment)| comment.as_str()).collect()
        };
        let chain_is_ours = |chain: &layout::Chain| {
            let wanted = rules(family).iter().filter(|rule| rule.chain == chain.name);
            let hook = chain
                .hook
                .map(|hook| (hook.number, hook.priority.cast_unsigned()));
            self.chains.get(chain.name).is_some_and(|hung| {
                hung.hook == hook && hung.policy.is_none_or(|p| p == make::POLICY_ACCEPT)
            }) && comments(chain.name) == wanted.map(|rule| rule.comment).collect::<Vec<_>>()
        };
        let egress_is_ours =
            |name: &String| egress_link(name).is_none() || comments(name) == [EGRESS_COMMENT];
        chains(family).iter().all(chain_is_ours)
            && self.chains.keys().all(egress_is_ours)
            && sets(family)
                .iter()
                .all(|set| self.sets.contains_key(set.name))
    }
}

fn shape(channel: &mut Channel, family: Family) -> Result<Option<Shape>> {
    let Some(standing) = channel.table(family)? else {
        return Ok(None);
    };
    let mut shape = Shape {
        flags: standing.flags,
        ..Shape::default()
    };
    shape.chains = channel
        .list(Kind::GetChain, family, chain)?
        .into_iter()
        .collect();
    for (chain, handle, comment) in channel.list(Kind::GetRule, family, rule)? {
        shape
            .rules
            .entry(chain)
            .or_default()
            .push((handle, comment));
    }
    shape.sets = channel
        .list(Kind::GetSet, family, set)?
        .into_iter()
        .collect();
    Ok(Some(shape))
}

fn chain(attributes: &Attributes<'_>) -> Option<(String, Hung)> {
    let hook = attributes.nested(make::CHAIN_HOOK);
    let hung = Hung {
        handle: attributes.be64(CHAIN_HANDLE)?,
        hook: hook
            .be32(make::HOOK_NUMBER)
            .zip(hook.be32(make::HOOK_PRIORITY)),
        policy: attributes.be32(make::CHAIN_POLICY),
    };
    Some((attributes.text(make::CHAIN_NAME)?, hung))
}

fn rule(attributes: &Attributes<'_>) -> Option<(String, u64, String)> {
    let userdata = attributes.bytes(make::RULE_USERDATA).unwrap_or_default();
    let comment = make::comment(userdata).unwrap_or_default().to_owned();
    let handle = attributes.be64(RULE_HANDLE)?;
    Some((attributes.text(make::RULE_CHAIN)?, handle, comment))
}

fn set(attributes: &Attributes<'_>) -> Option<(String, u64)> {
    Some((attributes.text(SET_NAME)?, attributes.be64(SET_HANDLE)?))
}

fn unlike(wanted: &BTreeSet<IpAddr>, found: &BTreeSet<IpAddr>) -> Option<String> {
    if let Some(ip) = wanted.difference(found).next() {
        return Some(format!("{ip} is not guarded any more"));
    }
    let ip = found.difference(wanted).next()?;
    Some(format!("somebody had {ip} guarded"))
}

const CHAIN_HANDLE: u16 = 2;
const RULE_HANDLE: u16 = 3;
const SET_NAME: u16 = 2;
const SET_HANDLE: u16 = 16;
