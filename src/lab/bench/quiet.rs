//! `mainstay-lab bench quiet`: minutes in which nothing happens, on a machine that is busy.
//!
//! A short detection timeout is worth something only where it does not mistake a busy machine for a
//! dead node.

use super::{SETTLED, lost, ms};
use crate::lab::cluster::Lab;
use crate::lab::error::{LabError, Tried as _};
use crate::lab::interrupt;
use crate::lab::probe::Silence;
use crate::lab::service::{MEMBERS_WITHIN, MOVED_WITHIN, PROBE_EVERY, VIP};
use crate::lab::table::Figure;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
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
        Figure::new("a processor stood still, longest", "ms", None),
        Figure::new("of a minute, such for 10 ms and more", "ms", None),
    ]
}

/// One minute; a sample for each figure.
pub(super) fn run(lab: &Lab, busy: u8) -> Result<Vec<Vec<f64>>, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    let holder = lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    let probe = lab.probe(VIP, PROBE_EVERY)?;
    lab.wait_answer(&probe, MOVED_WITHIN)?;
    let work = Beside::begin(busy)?;
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
    let still = work.end();
    let echoes = probe.stop();
    let silence = Silence::longest(&echoes, from, to).lasted;
    Ok(vec![
        vec![after.saturating_sub(before) as f64],
        vec![f64::from(moves)],
        vec![lost(&echoes, from, to) as f64],
        vec![ms(silence)],
        vec![ms(still.longest)],
        vec![ms(still.altogether)],
    ])
}

fn view_of(lab: &Lab, node: &str) -> Result<u64, LabError> {
    let glance = lab.glance(node)?;
    let glance = glance.map_err(|cause| LabError::Refused(format!("{node}: {cause}")))?;
    Ok(glance.view_no)
}

/// What runs beside the nodes: threads that use whatever time they get, and for every processor one
/// that comes first and notes when even it got none. Then a hypervisor or its quota has stopped that
/// processor, and no program on it can be in time.
struct Beside {
    over: Arc<AtomicBool>,
    busy: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<Standstill>>,
}

/// When a processor did nothing for anybody.
#[derive(Clone, Copy, Debug, Default)]
struct Standstill {
    longest: Duration,
    altogether: Duration,
}

impl Beside {
    fn begin(busy: u8) -> Result<Self, LabError> {
        let over = Arc::new(AtomicBool::new(false));
        let mut beside = Self {
            over: Arc::clone(&over),
            busy: Vec::new(),
            watchers: Vec::new(),
        };
        let processors = sched_getaffinity(Pid::from_raw(0)).map_err(std::io::Error::from);
        let processors = processors.tried(|| "ask for the processors".to_owned())?;
        for number in (0..CpuSet::count()).filter(|n| processors.is_set(*n).unwrap_or(false)) {
            let over = Arc::clone(&over);
            let watcher = std::thread::spawn(move || watch(number, &over));
            beside.watchers.push(watcher);
        }
        for _ in 0..busy {
            let over = Arc::clone(&over);
            beside.busy.push(std::thread::spawn(move || spin(&over)));
        }
        Ok(beside)
    }

    /// Ends everything; the worst processor, and what all of them lost.
    fn end(mut self) -> Standstill {
        self.over.store(true, Ordering::Relaxed);
        let mut sum = Standstill::default();
        for one in self.watchers.drain(..).filter_map(|w| w.join().ok()) {
            sum.longest = sum.longest.max(one.longest);
            sum.altogether += one.altogether;
        }
        sum
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.busy.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spin(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        std::hint::black_box((0..10_000_u64).fold(0, u64::wrapping_add));
    }
}

/// Without the right to come first it sees waiting for others, too.
fn watch(processor: usize, over: &AtomicBool) -> Standstill {
    let mut only = CpuSet::new();
    if only.set(processor).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &only);
    }
    let _ = netlink::make_thread_realtime(FIRST_OF_ALL);
    let mut seen = Standstill::default();
    let mut last = Instant::now();
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(STEP);
        let late = last.elapsed().saturating_sub(STEP);
        last = Instant::now();
        if late >= STOOD_STILL {
            seen.longest = seen.longest.max(late);
            seen.altogether += late;
        }
    }
    seen
}

const MINUTE: Duration = Duration::from_secs(60);
/// Between two looks at who has the address. Who had it for less shows as lost probes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Real-time priority above every thread of the daemon.
const FIRST_OF_ALL: i32 = 99;
/// Between two looks of a processor's watcher.
const STEP: Duration = Duration::from_millis(1);
/// A watcher that is so late was not merely waiting for an interrupt.
const STOOD_STILL: Duration = Duration::from_millis(10);
