//! One lane per resource: operations one at a time, in order; recurring ones wait for the others.

use super::api::OpRequest;
use super::recurring::Recurring;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// All lanes of the executor.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<String, Lane>,
    call_id: i32,
    /// Fallback reasons already told, by resource.
    told: BTreeSet<(String, String)>,
}

/// The operations of one resource.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Job>,
    recurring: Vec<Recurring>,
    running: Option<Running>,
    /// Taken back by [`Lanes::forget`]; whoever asked for them must hear of it.
    dropped: Vec<Job>,
    wake: Arc<Notify>,
}

/// An operation that waits.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) request: OpRequest,
    pub(super) call_id: i32,
    pub(super) queued_at: Instant,
    pub(super) not_before: Instant,
    /// What made a recurring operation due before its time, in words.
    pub(super) cause: Option<String>,
}

/// An operation under way.
struct Running {
    operation: String,
    interval_ms: u64,
    call_id: i32,
    stop: Arc<Notify>,
}

/// What a lane's worker does next.
pub(super) enum Step {
    /// Run this; `stop` asks for its early end.
    Run(Box<Job>, Arc<Notify>),
    /// Sleep until then or until woken.
    Wait(Instant, Arc<Notify>),
    /// Tell that this was cancelled before it ran.
    TellCancelled(Box<Job>),
    /// Nothing left; the lane is gone.
    End,
}

/// An operation that is queued or under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// Resource.
    pub rsc: String,
    /// `start`, `monitor` …
    pub operation: String,
    /// Milliseconds; 0 = once.
    pub interval_ms: u64,
    /// Number given by [`super::Executor::run`].
    pub call_id: i32,
    /// It runs; otherwise it waits for its turn.
    pub running: bool,
}

/// A lane's queue is full; the bound is [`LANE_QUEUE_MAX`].
pub(super) struct LaneFull;

impl Lanes {
    /// The next call's number.
    pub(super) fn number(&mut self) -> i32 {
        self.call_id = self.call_id.checked_add(1).unwrap_or(1);
        self.call_id
    }

    /// Takes an operation. `Ok((call_id, true))` asks the caller to start the lane's worker.
    pub(super) fn add(
        &mut self,
        request: OpRequest,
        now: Instant,
    ) -> Result<(i32, bool), LaneFull> {
        let fresh = !self.lanes.contains_key(&request.rsc);
        let lane = self.lanes.entry(request.rsc.clone()).or_default();
        if lane.queue.len() >= LANE_QUEUE_MAX || lane.recurring.len() >= LANE_RECURRING_MAX {
            return Err(LaneFull);
        }
        let call_id = self.number();
        let lane = self.lanes.entry(request.rsc.clone()).or_default();
        let job = Job {
            call_id,
            queued_at: now,
            not_before: now + Duration::from_millis(request.start_delay_ms),
            cause: None,
            request,
        };
        if job.request.interval_ms > 0 {
            lane.cancel(&job.request.operation, job.request.interval_ms);
            lane.recurring.push(Recurring::new(job));
        } else {
            if changes_state(&job.request.operation) {
                lane.cancel_recurring();
            }
            lane.queue.push_back(job);
        }
        lane.wake.notify_one();
        Ok((call_id, fresh))
    }

    /// Next step of a lane. Only the lane's one worker asks.
    pub(super) fn next(&mut self, rsc: &str, now: Instant) -> Step {
        let Some(lane) = self.lanes.get_mut(rsc) else {
            return Step::End;
        };
        let step = lane.next(now);
        if matches!(step, Step::End) {
            self.lanes.remove(rsc);
        }
        step
    }

    /// Takes the result of a run; true when it must be told.
    pub(super) fn completed(&mut self, job: &Job, rc: i32, op_status: i32, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(&job.request.rsc) else {
            return false;
        };
        lane.running = None;
        if job.request.interval_ms == 0 {
            return true;
        }
        // Not found: cancelled while it ran, and its result means nothing any more.
        lane.recurring
            .iter_mut()
            .find(|r| r.job.call_id == job.call_id)
            .is_some_and(|r| r.completed(rc, op_status, now))
    }

    /// Frees a lane after a run that was stopped; true when that must be told. Who cancels a
    /// recurring operation knows that he did.
    pub(super) fn abandoned(&mut self, job: &Job) -> bool {
        if let Some(lane) = self.lanes.get_mut(&job.request.rsc) {
            lane.running = None;
        }
        job.request.interval_ms == 0
    }

    /// Cancels a recurring operation, or one that waits; false when there is none.
    pub(super) fn cancel(&mut self, rsc: &str, operation: &str, interval_ms: u64) -> bool {
        self.lanes
            .get_mut(rsc)
            .is_some_and(|lane| lane.cancel(operation, interval_ms))
    }

    /// Drops everything of a resource, recurring and waiting, and ends what is under way.
    pub(super) fn forget(&mut self, rsc: &str) {
        self.told.retain(|(r, _)| r != rsc);
        if let Some(lane) = self.lanes.get_mut(rsc) {
            lane.clear();
        }
    }

    /// As [`Lanes::forget`], for all and without a word.
    pub(super) fn clear(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.clear();
            lane.dropped.clear();
        }
    }

    /// Makes the recurring operations of a resource due now, and says why; false when it has none.
    pub(super) fn poke(&mut self, rsc: &str, why: &str, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(rsc) else {
            return false;
        };
        for recurring in &mut lane.recurring {
            recurring.poke(why, now);
        }
        lane.wake.notify_one();
        !lane.recurring.is_empty()
    }

    /// A resource's recurring operations with the call id of each, in the order of their requests.
    pub(super) fn recurring(&self, rsc: &str) -> Vec<(OpRequest, i32)> {
        let of = |r: &Recurring| (r.job.request.clone(), r.job.call_id);
        let lane = self.lanes.get(rsc);
        lane.map_or_else(Vec::new, |lane| lane.recurring.iter().map(of).collect())
    }

    /// True the first time a resource has this to tell.
    pub(super) fn first_told(&mut self, rsc: &str, text: &str) -> bool {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert((rsc.to_owned(), text.to_owned()))
    }

    /// Everything queued or under way. A recurring operation between two runs is neither.
    pub(super) fn in_flight(&self) -> Vec<InFlight> {
        let mut all = Vec::new();
        for (rsc, lane) in &self.lanes {
            if let Some(running) = &lane.running {
                all.push(InFlight {
                    rsc: rsc.clone(),
                    operation: running.operation.clone(),
                    interval_ms: running.interval_ms,
                    call_id: running.call_id,
                    running: true,
                });
            }
            all.extend(lane.queue.iter().map(|job| InFlight {
                rsc: rsc.clone(),
                operation: job.request.operation.clone(),
                interval_ms: 0,
                call_id: job.call_id,
                running: false,
            }));
        }
        all
    }
}

impl Lane {
    fn next(&mut self, now: Instant) -> Step {
        debug_assert!(
            self.running.is_none(),
            "one operation of a resource at a time"
        );
        if let Some(job) = self.dropped.pop() {
            return Step::TellCancelled(Box::new(job));
        }
        if let Some(first) = self.queue.front() {
            // A delayed operation keeps its place: what follows it may depend on it.
            if first.not_before > now {
                return Step::Wait(first.not_before, self.wake.clone());
            }
            return match self.queue.pop_front() {
                Some(job) => self.start(job),
                None => Step::End,
            };
        }
        let Some(next) = self.recurring.iter_mut().min_by_key(|r| r.due) else {
            return Step::End;
        };
        if next.due > now {
            return Step::Wait(next.due, self.wake.clone());
        }
        let job = next.begin();
        self.start(job)
    }

    fn start(&mut self, job: Job) -> Step {
        let stop = Arc::new(Notify::new());
        self.running = Some(Running {
            operation: job.request.operation.clone(),
            interval_ms: job.request.interval_ms,
            call_id: job.call_id,
            stop: stop.clone(),
        });
        Step::Run(Box::new(job), stop)
    }

    fn cancel(&mut self, operation: &str, interval_ms: u64) -> bool {
        let before = self.queue.len() + self.recurring.len();
        if interval_ms == 0 {
            self.queue.retain(|job| job.request.operation != operation);
        } else {
            self.recurring.retain(|r| !r.is(operation, interval_ms));
            self.stop_running(|r| r.operation == operation && r.interval_ms == interval_ms);
        }
        self.wake.notify_one();
        self.queue.len() + self.recurring.len() < before
    }

    fn cancel_recurring(&mut self) {
        self.recurring.clear();
        self.stop_running(|r| r.interval_ms > 0);
    }

    fn clear(&mut self) {
        self.dropped.extend(self.queue.drain(..));
        self.recurring.clear();
        self.stop_running(|_| true);
        self.wake.notify_one();
    }

    fn stop_running(&self, which: impl Fn(&Running) -> bool) {
        if let Some(running) = self.running.as_ref().filter(|r| which(r)) {
            running.stop.notify_one();
        }
    }
}

/// Operations after which recurring monitors must be asked for anew
/// (daemons/controld/controld_execd.c, `do_lrm_rsc_op`: everything that is done once, save
/// monitor and notify). What only reads the agent leaves them alone too.
fn changes_state(operation: &str) -> bool {
    !matches!(
        operation,
        "monitor" | "notify" | "meta-data" | "validate-all"
    )
}

/// Operations of one resource that may wait.
pub(super) const LANE_QUEUE_MAX: usize = 32;
/// Recurring operations of one resource.
pub(super) const LANE_RECURRING_MAX: usize = 32;
const TOLD_MAX: usize = 4096;
