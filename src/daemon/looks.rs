//! What was put together for those who look (`crm_mon`, agents, monitors), kept while nothing
//! changes: to compose the CIB and to run the scheduler over it costs as much as all the rest.

use super::app::{App, now_s};
use crate::transport::boottime_ms;
use crate::view::Status;
use cib::Element;
use scheduler::{Options, Plan};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use wire::NodeId;

/// The newest look, if nobody has to be asked anew.
#[derive(Debug, Default)]
pub(super) struct Looks {
    kept: Option<(Made, Arc<Look>)>,
    used_ms: u64,
}

/// All that a look depends on.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    seq: u64,
    reports: u64,
    quorate: bool,
    dc: Option<NodeId>,
    absent: BTreeSet<u32>,
}

/// The CIB at a time, and what follows from it.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) cib: Element,
    xml: OnceLock<String>,
    plan: Mutex<Option<Arc<Planned>>>,
}

/// A plan, and what a status shows of it.
#[derive(Debug)]
pub(super) struct Planned {
    made_at: i64,
    pub(super) plan: Plan,
    pub(super) shown: Status,
}

impl Looks {
    /// Something changed that no number tells of: the replica as a whole, who the peers are.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// Memory is not held for somebody who looked once.
    pub(super) fn tidy(&mut self, now_ms: u64) {
        if self.kept.is_some() && now_ms.saturating_sub(self.used_ms) > KEPT_MS {
            self.kept = None;
        }
    }
}

impl Look {
    /// As text.
    pub(super) fn xml(&self) -> &str {
        self.xml.get_or_init(|| cib::xml::format(&self.cib))
    }

    /// The plan as of now: the one that there is, until time itself changes it.
    pub(super) fn planned(&self) -> Arc<Planned> {
        let now = now_s();
        let place = || self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |p: &Arc<Planned>| {
            p.made_at <= now && p.plan.recheck_at.is_none_or(|recheck_at| now < recheck_at)
        };
        if let Some(known) = place().as_ref().filter(|p| holds(p)) {
            return Arc::clone(known);
        }
        // Two who find none make one each: no thread waits for another's scheduler.
        let plan = scheduler::schedule(&self.cib, &Options { now });
        let shown = Status::of_cib(&self.cib, &plan, now);
        let made = Arc::new(Planned {
            made_at: now,
            plan,
            shown,
        });
        *place() = Some(Arc::clone(&made));
        made
    }
}

impl App {
    /// The whole CIB as of now.
    pub(super) fn look(&mut self) -> Arc<Look> {
        let made = Made {
            seq: self.replica.seq(),
            reports: self.reports.revision(),
            quorate: self.standing.quorate,
            dc: self.dc(),
            absent: self.absent(),
        };
        self.looks.used_ms = boottime_ms();
        if let Some((of, look)) = &self.looks.kept
            && *of == made
        {
            return Arc::clone(look);
        }
        let look = Arc::new(Look {
            cib: self.cib_now(),
            xml: OnceLock::new(),
            plan: Mutex::default(),
        });
        self.looks.kept = Some((made, Arc::clone(&look)));
        look
    }
}

/// How long a look is kept that nobody asks for, in milliseconds.
const KEPT_MS: u64 = 10_000;
