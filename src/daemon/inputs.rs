//! What the DC decided from is kept, by a thread of its own: no decision waits for a disk.

use crate::inputs::{self, Series};
use cib::Element;
use scheduler::Plan;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Takes inputs; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    queue: SyncSender<Input>,
}

#[derive(Debug)]
struct Input {
    cib: Element,
    series: Series,
    /// It led to something to do.
    acts: bool,
    now: i64,
}

impl Inputs {
    /// Starts the thread; without one nothing is kept, and the log says so.
    pub(super) fn start(folder: PathBuf) -> Self {
        let (queue, inbox) = sync_channel(QUEUE_MAX);
        let started = std::thread::Builder::new()
            .name("inputs".to_owned())
            .spawn(move || keep_all(&folder, &inbox));
        if let Err(error) = started {
            tracing::warn!("no thread for the inputs of decisions, none is kept: {error}");
        }
        Self { queue }
    }

    /// Keeps what a plan was made of. One that finds the queue full is left out.
    pub(super) fn keep(&self, cib: Element, plan: &Plan, now: i64) {
        let series = match (plan.errors.is_empty(), plan.warnings.is_empty()) {
            (false, _) => Series::Error,
            (true, false) => Series::Warn,
            (true, true) => Series::Input,
        };
        let acts = !plan.summary.is_empty();
        let input = Input {
            cib,
            series,
            acts,
            now,
        };
        match self.queue.try_send(input) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("the disk is slow: what was decided from is not kept this time");
            }
        }
    }
}

fn keep_all(folder: &std::path::Path, inbox: &Receiver<Input>) {
    // It packs whole configurations: behind everything that somebody waits for.
    let _ = netlink::make_thread_nice(INPUTS_NICE);
    let mut last = None;
    let mut told = false;
    for input in inbox {
        let Input {
            cib,
            series,
            acts,
            now,
        } = input;
        // A decision made again on the same state brings nothing new.
        if last.as_ref() == Some(&cib) {
            continue;
        }
        match inputs::save(folder, series, &cib, now) {
            Ok(Some(path)) if acts => tracing::info!("decided from {}", path.display()),
            // That nothing is left to do is told, and where from is seldom asked.
            Ok(Some(path)) => tracing::debug!("decided from {}", path.display()),
            Ok(None) => {}
            Err(error) if !told => {
                told = true;
                let folder = folder.display();
                tracing::warn!("what was decided from cannot be kept in {folder}: {error}");
            }
            Err(_) => {}
        }
        last = Some(cib);
    }
}

/// Nice value of the thread that keeps inputs.
const INPUTS_NICE: i32 = 10;
/// Inputs that may wait for the disk.
const QUEUE_MAX: usize = 4;
