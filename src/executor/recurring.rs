//! Recurring operations: when the next run is due, and which results are news.

use super::queue::Job;
use std::time::Duration;
use tokio::time::Instant;

/// A recurring operation of one resource.
pub(super) struct Recurring {
    /// What to run; its call id names this registration.
    pub(super) job: Job,
    /// Next run.
    pub(super) due: Instant,
    reported: Option<(i32, i32)>,
    /// What happened to the resource since the last run began, in words.
    poked: Option<String>,
}

impl Recurring {
    /// First run at once, or after the job's start delay.
    pub(super) fn new(job: Job) -> Self {
        Self {
            due: job.not_before,
            job,
            reported: None,
            poked: None,
        }
    }

    /// Whether this is the operation of that name and interval.
    pub(super) fn is(&self, operation: &str, interval_ms: u64) -> bool {
        self.job.request.operation == operation && self.job.request.interval_ms == interval_ms
    }

    /// Something happened: the next run is due now, also when one is under way, which may have
    /// looked before.
    pub(super) fn poke(&mut self, why: &str, now: Instant) {
        self.due = self.due.min(now);
        self.poked = Some(why.to_owned());
    }

    /// The job of the run that begins now, with what made it due.
    pub(super) fn begin(&mut self) -> Job {
        Job {
            queued_at: self.due,
            cause: self.poked.take(),
            ..self.job.clone()
        }
    }

    /// Takes a result and schedules the next run an interval after its end. True when the result
    /// must be told: the first one, and each that differs from the one told before
    /// (daemons/execd/execd_commands.c, `send_cmd_complete_notify`).
    pub(super) fn completed(&mut self, rc: i32, op_status: i32, now: Instant) -> bool {
        self.due = if self.poked.is_some() {
            now
        } else {
            now + Duration::from_millis(self.job.request.interval_ms.max(INTERVAL_MS_MIN))
        };
        let news = self.reported != Some((rc, op_status));
        self.reported = Some((rc, op_status));
        news
    }
}

/// Shortest pause between two runs, in milliseconds: a configured interval of 1 ms is a typing
/// error that must not eat the machine.
const INTERVAL_MS_MIN: u64 = 10;
