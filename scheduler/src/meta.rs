//! Meta attributes of operations. Hundreds of actions have the same ones, and share them until one
//! of them gets some of its own. Digests of parameters are worked out once, too.

use crate::cluster::{ActId, Cluster, RscId};
use crate::values::Values;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Values by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meta(Rc<Values>);

impl From<BTreeMap<String, String>> for Meta {
    fn from(values: BTreeMap<String, String>) -> Self {
        Self(Rc::new(values.into()))
    }
}

impl Deref for Meta {
    type Target = Values;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Meta {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Rc::make_mut(&mut self.0)
    }
}

impl Meta {
    fn address(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }
}

/// Operation, interval in milliseconds, and what they have.
type OfOperation = (String, u64, Meta);

/// What was worked out before. Addresses only serve to find it again.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By the address of the resource's element.
    operations: RefCell<BTreeMap<usize, Vec<OfOperation>>>,
    /// Of operations that have nothing but a timeout, by that in milliseconds.
    plain: RefCell<BTreeMap<u64, Meta>>,
    /// Of parameters.
    pub(crate) digests: RefCell<BTreeMap<BTreeMap<String, String>, String>>,
    /// By the address of others, with one value more; those others are kept, too.
    expecting: BTreeMap<(usize, &'static str), (Meta, Meta)>,
}

impl Cluster<'_> {
    /// Meta attributes of an operation of a resource; its instances and nodes do not matter.
    pub(crate) fn known_meta(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        make: impl FnOnce() -> Meta,
    ) -> Meta {
        let source = self.rscs[rsc].sources.first();
        let address = source.map_or(0, |source| std::ptr::from_ref(*source).addr());
        let same = |(name, every, _): &&OfOperation| name == op && *every == interval_ms;
        let operations = self.known.operations.borrow();
        let known = operations.get(&address).and_then(|o| o.iter().find(same));
        if let Some((.., meta)) = known {
            return meta.clone();
        }
        drop(operations);
        let meta = make();
        let mut operations = self.known.operations.borrow_mut();
        let list = operations.entry(address).or_default();
        list.push((op.to_owned(), interval_ms, meta.clone()));
        meta
    }

    /// Meta attributes of an operation that has nothing but a timeout.
    pub(crate) fn meta_of_timeout(&self, timeout_ms: u64) -> Meta {
        let mut plain = self.known.plain.borrow_mut();
        let meta = plain.entry(timeout_ms).or_insert_with(|| {
            let mut meta = Meta::default();
            meta.insert("timeout", timeout_ms.to_string());
            meta
        });
        meta.clone()
    }

    /// The exit code that an action shall end with.
    pub(crate) fn expect_exit_code(&mut self, id: ActId, code: &'static str) {
        let meta = &mut self.actions[id].meta;
        let expecting = &mut self.known.expecting;
        let (_, with) = expecting.entry((meta.address(), code)).or_insert_with(|| {
            let mut with = meta.clone();
            with.insert("op_target_rc", code);
            (meta.clone(), with)
        });
        *meta = with.clone();
    }
}
