//! `mainstay-lab bench quiet`: minutes in which nothing happens, on a machine that is busy.
//!
//! A short detection timeout is worth something only where it does not mistake a busy machine for a
//! dead node.

use super::{SETTLED, lost, ms};
use crate::lab::cluster::Lab;
use crate::lab::error::LabError;
use crate::lab::interrupt;
use crate::lab::probe::Silence;
use crate::lab::service::{MEMBERS_WITHIN, MOVED_WITHIN, PROBE_EVERY, VIP};
use crate::lab::table::Figure;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The figures, in the order of [`run`]'s samples.
pub(super) fn figures() -> Vec<Figure> {
    vec![
        Figure::worst("new views in a minute", "", 0.0),
        Figure::worst("moves in a minute", "", 0.0),
        Figure::new("probes lost in a minute", "", None),
        Figure::new("longest silence in a minute", "ms", None),
    ]
}

/// One minute; a sample for each figure.
pub(super) fn run(lab: &Lab, busy: u8) -> Result<Vec<Vec<f64>>, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    let holder = lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    let probe = lab.probe(VIP, PROBE_EVERY)?;
    lab.wait_answer(&probe, MOVED_WITHIN)?;
    let work = Work::begin(busy);
    std::thread::sleep(SETTLED);

    let (from, before) = (Instant::now(), view_of(lab, &holder)?);
    let mut moves = 0;
    let mut last = holder.clone();
    while from.elapsed() < MINUTE {
        interrupt::check()?;
        std::thread::sleep(LOOK_EVERY);
        let holders = lab.holders(VIP)?;
        if let Some(other) = holders.into_iter().find(|h| *h != last) {
            moves += 1;
            last = other;
        }
    }
    let (to, after) = (Instant::now(), view_of(lab, &holder)?);
    drop(work);
    let echoes = probe.stop();
    let silence = Silence::longest(&echoes, from, to).lasted;
    Ok(vec![
        vec![after.saturating_sub(before) as f64],
        vec![f64::from(moves)],
        vec![lost(&echoes, from, to) as f64],
        vec![ms(silence)],
    ])
}

fn view_of(lab: &Lab, node: &str) -> Result<u64, LabError> {
    let glance = lab.glance(node)?;
    let glance = glance.map_err(|cause| LabError::Refused(format!("{node}: {cause}")))?;
    Ok(glance.view_no)
}

/// Threads that use whatever time they are given, until this is dropped.
struct Work {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Work {
    fn begin(threads: u8) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let spin = |over: Arc<AtomicBool>| {
            while !over.load(Ordering::Relaxed) {
                std::hint::black_box((0..10_000_u64).fold(0, u64::wrapping_add));
            }
        };
        let threads = (0..threads)
            .map(|_| {
                let over = Arc::clone(&over);
                std::thread::spawn(move || spin(over))
            })
            .collect();
        Self { over, threads }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Between two looks at who has the address. Who had it for less shows as lost probes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
