//! `mainstay-lab bench`: the figures of the README, measured on this machine.

mod announce;
mod cli;
mod keepalived;
mod many;
mod quiet;
mod restart;
mod views;
mod vip;
mod writes;

pub(super) use cli::time;
pub(super) use many::{VIPS_DEFAULT, VIPS_MAX};

use crate::lab::cluster::Lab;
use crate::lab::error::LabError;
use crate::lab::interrupt;
use crate::lab::options::Options;
use crate::lab::probe::Silence;
use crate::lab::service::{
    MEMBERS_WITHIN, MOVED_WITHIN, PROBE_EVERY, VIP, file_system, load_average, with_vip,
};
use crate::lab::table::{self, Figure};
use crate::lab::wait::Seen;
use clap::ValueEnum;
use netlink::probe::Echo;
use netlink::sweep::{AT_REST, IN_MOTION};
use restart::Deaths;
use std::time::{Duration, Instant};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Bench {
    /// Power-off of the floating IP's holder: how long a client gets no answer
    Failover,
    /// SIGKILL to the holder's daemon, DC and not: lost answers, time until it is a member again
    Restart,
    /// Power-on of all nodes: time until quorum, and until the floating IP answers
    Cold,
    /// Memory and CPU time of a daemon with nothing to do
    Idle,
    /// The floating IP through every fault: outages, and whether two nodes ever answered
    Vip,
    /// One address comes up: from the decision to its first announcement on the wire
    Announce,
    /// Hundreds of floating IPs on one node: how far apart they answer when it loses power
    Many,
    /// Minutes in which nothing happens, on a busy machine: false moves, lost probes
    Quiet,
    /// A node or its daemon dies: how soon the others have a new view
    Views,
    /// Changes of the configuration that a quorum has on disk
    Writes,
    /// Commands that people and monitors wait for, from start to end of the process
    Cli,
}

/// How a bench is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Times that it is done.
    pub(super) runs: u32,
    /// Floating IPs of [`Bench::Many`].
    pub(super) vips: u16,
    /// Busy threads beside [`Bench::Quiet`].
    pub(super) busy: u8,
}

impl Bench {
    /// Runs when not said otherwise.
    pub(super) fn runs(self) -> u32 {
        match self {
            Self::Failover
            | Self::Restart
            | Self::Cold
            | Self::Vip
            | Self::Announce
            | Self::Many
            | Self::Quiet
            | Self::Views
            | Self::Writes
            | Self::Cli => 10,
            // Every run gives one sample per node.
            Self::Idle => 4,
        }
    }

    fn figures(self, token_ms: Option<u32>, nodes: u8) -> Vec<Figure> {
        match self {
            Self::Failover => vec![Figure::new("client outage", "ms", Some(700.0))],
            Self::Restart => restart::figures(),
            Self::Cold => vec![
                Figure::new("quorum after power-on", "ms", Some(3000.0)),
                Figure::new("floating IP answers after power-on", "ms", Some(3000.0)),
            ],
            Self::Vip => vip::figures(token_ms),
            Self::Announce => announce::figures(),
            Self::Many => many::figures(),
            Self::Quiet => quiet::figures(),
            Self::Views => views::figures(token_ms),
            Self::Writes => writes::figures(),
            // Has tables of its own.
            Self::Cli => Vec::new(),
            Self::Idle => idle_figures(nodes),
        }
    }

    fn up(self, options: &Options, vips: u16) -> Result<Lab, LabError> {
        match self {
            Self::Many => many::up(options, vips),
            _ => with_vip(options),
        }
    }

    fn run(self, lab: &Lab, scale: Scale, deaths: &mut Deaths) -> Result<Vec<Vec<f64>>, LabError> {
        match self {
            Self::Failover => failover(lab),
            Self::Restart => restart::run(lab, deaths),
            Self::Cold => cold(lab),
            Self::Idle => idle(lab),
            Self::Vip => vip::run(lab, deaths),
            Self::Announce => announce::run(1),
            Self::Many => many::run(lab, scale.vips),
            Self::Quiet => quiet::run(lab, scale.busy),
            Self::Views => views::run(lab, deaths),
            Self::Writes => writes::run(lab),
            Self::Cli => Ok(Vec::new()),
        }
    }
}

/// Measures and prints the table; exit code 0 when every goal is met, 1 when not.
pub(super) fn run(bench: Bench, options: &Options, scale: Scale) -> Result<i32, LabError> {
    let Scale { runs, vips, busy } = scale;
    if bench == Bench::Announce {
        return without_lab(bench, runs);
    }
    if bench == Bench::Cli {
        return cli::run(options, runs);
    }
    interrupt::watch()?;
    let load_before = load_average();
    let lab = bench.up(options, vips)?;
    let disk = file_system(lab.dir())?;
    let mut figures = bench.figures(options.token_ms, options.nodes);
    let mut deaths = Deaths::default();
    let outcome = (1..=runs).try_for_each(|number| {
        interrupt::check()?;
        let results = bench.run(&lab, scale, &mut deaths)?;
        let mut line = format!("run {number} of {runs}:");
        for (figure, samples) in figures.iter_mut().zip(results) {
            line += &table::words(figure, &samples);
            figure.samples.extend(samples);
        }
        eprintln!("{line}");
        Ok(())
    });
    if let Err(error) = &outcome
        && !matches!(error, LabError::Interrupted)
    {
        lab.keep_files();
    }
    interrupt::forget();
    let nodes = options.nodes;
    drop(lab);

    // What was measured before a failing run counts, and is shown with its number.
    let timers = options
        .token_ms
        .map_or("default timers".to_owned(), |t| format!("token {t} ms"));
    let probes = match bench {
        Bench::Many => {
            format!(
                "{vips} addresses, each asked every {AT_REST:?}, and from its claim on every {IN_MOTION:?}"
            )
        }
        Bench::Vip => "echoes every 1ms, questions by ARP every 5ms".to_owned(),
        Bench::Quiet => format!("{busy} busy threads, a probe every {PROBE_EVERY:?}"),
        _ => format!("a probe every {PROBE_EVERY:?}"),
    };
    println!("{bench:?}: {nodes} nodes, {timers}, {probes}");
    print!("{}", table::render(&figures));
    println!(
        "load average before {load_before}, after {}",
        load_average()
    );
    println!("nodes' files on {disk}; power-off keeps the page cache");
    if cfg!(debug_assertions) {
        println!("not an optimised build: the goals are for --release");
    }
    outcome?;
    if bench == Bench::Vip {
        keepalived::beside(options, runs)?;
    }
    Ok(i32::from(!figures.iter().all(Figure::met)))
}

/// What needs two namespaces and no node.
fn without_lab(bench: Bench, runs: u32) -> Result<i32, LabError> {
    let load_before = load_average();
    let mut figures = bench.figures(None, 0);
    for (figure, samples) in figures.iter_mut().zip(announce::run(runs)?) {
        figure.samples = samples;
    }
    println!("{bench:?}: two namespaces and a wire, no daemon");
    print!("{}", table::render(&figures));
    println!(
        "load average before {load_before}, after {}",
        load_average()
    );
    Ok(i32::from(!figures.iter().all(Figure::met)))
}

fn failover(lab: &Lab) -> Result<Vec<Vec<f64>>, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    let holder = lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    let probe = lab.probe(VIP, PROBE_EVERY)?;
    lab.wait_answer(&probe, MOVED_WITHIN)?;
    std::thread::sleep(SETTLED);

    let dead = lab.poweroff(&holder)?;
    lab.wait_holder(VIP, Some(&holder), MOVED_WITHIN)?;
    lab.wait_answer(&probe, MOVED_WITHIN)?;
    std::thread::sleep(AFTERWARDS);
    let outage = Silence::longest(&probe.stop(), dead, Instant::now()).lasted;
    lab.poweron(&holder)?;
    Ok(vec![vec![ms(outage)]])
}

fn cold(lab: &Lab) -> Result<Vec<Vec<f64>>, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    std::thread::sleep(SETTLED);
    lab.poweroff_all()?;
    let probe = lab.probe(VIP, PROBE_EVERY)?;
    std::thread::sleep(SETTLED);

    let on = Instant::now();
    lab.poweron_all()?;
    let nodes: Vec<String> = lab.nodes()?.into_iter().map(|n| n.name).collect();
    let quorum = lab
        .wait("quorum", MEMBERS_WITHIN)
        .every(Duration::from_millis(1))
        .log(&lab.daemon_log("node1"))
        .until(|| {
            let mut seen = String::new();
            for node in &nodes {
                match lab.glance(node)? {
                    Ok(glance) if glance.quorate => return Ok(Seen::Yes(Instant::now())),
                    Ok(glance) => seen = glance.quorum_why,
                    Err(cause) => seen = cause,
                }
            }
            Ok(Seen::NotYet(seen))
        })?;
    let answered = lab
        .wait("the floating IP to answer", MOVED_WITHIN)
        .every(PROBE_EVERY)
        .log(&lab.daemon_log("node1"))
        .until(|| {
            Ok(match probe.wait_for_answer(on, Duration::ZERO) {
                Some(at) => Seen::Yes(at),
                None => Seen::NotYet("silence".to_owned()),
            })
        })?;
    Ok(vec![vec![ms(quorum - on)], vec![ms(answered - on)]])
}

/// Everybody speaks with everybody: what a node does grows with their number.
fn idle_figures(nodes: u8) -> Vec<Figure> {
    let few = nodes <= 3;
    let cpu = if few { 1.0 } else { 3.0 };
    vec![
        Figure::new("resident memory", "MiB", Some(30.0)),
        Figure::new("of it private", "MiB", None),
        Figure::new("CPU of one core", "%", Some(cpu)),
        Figure::new("processes", "", None),
        Figure::new("sent and received", "kB/s", few.then_some(25.0)),
    ]
}

fn idle(lab: &Lab) -> Result<Vec<Vec<f64>>, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    std::thread::sleep(SETTLED);
    let names: Vec<String> = lab.nodes()?.into_iter().map(|n| n.name).collect();
    let usage = || {
        names
            .iter()
            .map(|n| lab.daemon_usage(n))
            .collect::<Result<Vec<_>, _>>()
    };
    let traffic = || {
        names
            .iter()
            .map(|n| lab.traffic_bytes(n))
            .collect::<Result<Vec<_>, _>>()
    };
    let (start, before, quiet) = (Instant::now(), usage()?, traffic()?);
    while start.elapsed() < IDLE_WINDOW {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    let (window_ms, after, loud) = (ms(start.elapsed()), usage()?, traffic()?);
    let mib = |kib: u64| kib as f64 / 1024.0;
    let memory = after.iter().map(|u| mib(u.rss_kib)).collect();
    let private = after.iter().map(|u| mib(u.private_kib)).collect();
    let cpu = before
        .iter()
        .zip(&after)
        .map(|(b, a)| 100.0 * a.cpu_ms.saturating_sub(b.cpu_ms) as f64 / window_ms)
        .collect();
    let processes = after.iter().map(|u| f64::from(u.processes)).collect();
    // Bytes in a millisecond are kilobytes in a second.
    let kb_per_s = |(q, l): (&u64, &u64)| l.saturating_sub(*q) as f64 / window_ms;
    let network = quiet.iter().zip(&loud).map(kb_per_s).collect();
    Ok(vec![memory, private, cpu, processes, network])
}

/// Questions asked between `from` and `to` that nobody answered.
fn lost(echoes: &[Echo], from: Instant, to: Instant) -> usize {
    let judged = from..to.checked_sub(IN_FLIGHT).unwrap_or(to);
    let is_lost = |e: &&Echo| judged.contains(&e.sent) && e.answered.is_none();
    echoes.iter().filter(is_lost).count()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Time for transitions to end before something is broken.
const SETTLED: Duration = Duration::from_millis(1000);
/// How long the client goes on after a take-over: a second silence would show.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// A probe younger than this may still be answered: it is not lost.
const IN_FLIGHT: Duration = Duration::from_millis(100);
/// How long a daemon is watched doing nothing.
const IDLE_WINDOW: Duration = Duration::from_secs(30);
