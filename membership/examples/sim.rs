//! Runs whole simulated clusters, seed after seed, and says what it found.
//!
//! `cargo run --release --example sim -p membership -- --seeds 1..1000 --nodes 3`
//! `cargo run --release --example sim -p membership -- --seed 7 --nodes 5 --trace`
//! `SIM_TRACE=1 cargo run --example sim -p membership -- --scenarios --only r5_sole_survivor`
#![allow(dead_code, missing_docs, unreachable_pub)]

#[path = "../tests/sim/app.rs"]
mod app;
#[path = "../tests/sim/disk.rs"]
mod disk;
#[path = "../tests/sim/faults.rs"]
mod faults;
#[path = "../tests/sim/hardships.rs"]
mod hardships;
#[path = "../tests/sim/heirs.rs"]
mod heirs;
#[path = "../tests/sim/kernel.rs"]
mod kernel;
#[path = "../tests/sim/linear.rs"]
mod linear;
#[cfg(feature = "mutants")]
#[path = "../tests/sim/mutants.rs"]
mod mutants;
#[path = "../tests/sim/net.rs"]
mod net;
#[path = "../tests/sim/node.rs"]
mod node;
#[path = "../tests/sim/oracle/mod.rs"]
mod oracle;
#[path = "../tests/sim/queue.rs"]
mod queue;
#[path = "../tests/sim/relay.rs"]
mod relay;
#[path = "../tests/sim/rng.rs"]
mod rng;
#[path = "../tests/sim/run.rs"]
mod run;
#[path = "../tests/sim/scenarios/mod.rs"]
mod scenarios;
#[path = "../tests/sim/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use oracle::Violation;
use run::{Rules, Run, run, run_with_leases};
use world::{SECOND, Stats};

struct Options {
    seeds: std::ops::Range<u64>,
    nodes: Vec<u32>,
    seconds: u64,
    /// Peace between storms of faults, in seconds; 0: faults all the time.
    lull: u64,
    /// Of so many steps one is looked after, if nothing followed of it: nothing would have?
    look: u64,
    minutes: Option<u64>,
    trace: bool,
    keep_going: bool,
    /// One line per run with a digest of all that happened in it: to compare two builds.
    digest: bool,
    mutants: bool,
    /// How many random runs a bug that no scenario catches is shown.
    hunt_seeds: u64,
    scenarios: bool,
    /// Only scenarios whose name contains this.
    only: String,
    /// A seeded bug, by its name; needs the feature `mutants`.
    bug: Option<String>,
    two_node: bool,
    /// What decides beside the number of votes.
    rules: Rules,
    /// With VIPs that are granted, moved and answered for.
    leases: bool,
    /// Runs at a time.
    jobs: usize,
    /// No faults but one packet in a hundred lost (I24).
    calm: bool,
}

fn main() {
    let mut options = match parse() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("sim: {why}\n{USAGE}");
            std::process::exit(2);
        }
    };
    if options.trace {
        // Lines of one run only.
        options.jobs = 1;
    }
    if !seed_bug(options.bug.as_deref()) {
        std::process::exit(2);
    }
    let good = if options.mutants {
        hunt_all(options.hunt_seeds)
    } else if options.scenarios {
        play_all(&options)
    } else if options.calm {
        options.nodes.iter().all(|n| stay_calm(*n, &options))
    } else {
        soak(&options)
    };
    std::process::exit(i32::from(!good));
}

fn play_all(options: &Options) -> bool {
    let mut good = true;
    for (name, scenario) in scenarios::all().filter(|(name, _)| name.contains(&options.only)) {
        let began = Instant::now();
        let outcome = run::guarded(|| scenario(options.seeds.start));
        let took_ms = began.elapsed().as_millis();
        match outcome {
            Ok(()) => println!("{name:<50}held       {took_ms} ms"),
            Err(v) => {
                good = false;
                println!("{name:<50}{} at {} ms: {}", v.rule, v.at_us / 1_000, v.text);
            }
        }
    }
    good
}

/// I24: how often a cluster changes to which nothing happens.
fn stay_calm(nodes: u32, options: &Options) -> bool {
    let began = Instant::now();
    let setup = world::Setup::plain(nodes, options.seeds.start);
    let mut world = world::World::new(setup, faults::Profile::calm());
    world.look_every = options.look;
    world.net.loss_permille = 10;
    world.start_all();
    world.until("founded", 60 * SECOND, world::World::settled);
    let (views, elections) = (world.stats.views, world.stats.elections);
    world.run(options.seconds * SECOND);
    let (views, elections) = (world.stats.views - views, world.stats.elections - elections);
    let packets = world.stats.packets;
    println!(
        "{nodes} nodes, 1 % loss, {:.2} simulated hours: {views} views installed, {elections} elections, {packets} packets, {:.0} times real time",
        options.seconds as f64 / 3_600.0,
        options.seconds as f64 / began.elapsed().as_secs_f64()
    );
    match world.verdict() {
        Ok(_) => views + elections == 0,
        Err(v) => {
            println!("{} violated at {} ms: {}", v.rule, v.at_us / 1_000, v.text);
            false
        }
    }
}

#[cfg(not(feature = "mutants"))]
fn seed_bug(bug: Option<&str>) -> bool {
    if bug.is_some() {
        eprintln!("sim: built without the feature `mutants`");
    }
    bug.is_none()
}

#[cfg(feature = "mutants")]
fn seed_bug(bug: Option<&str>) -> bool {
    use membership::mutant::{Mutant, seed};
    let Some(bug) = bug else { return true };
    let found = Mutant::ALL.into_iter().find(|m| format!("{m:?}") == bug);
    if found.is_none() {
        eprintln!("sim: there is no seeded bug {bug}, see membership/src/mutant.rs");
    }
    seed(found);
    found.is_some()
}

#[cfg(not(feature = "mutants"))]
fn hunt_all(_seeds: u64) -> bool {
    eprintln!("sim: built without the feature `mutants`");
    false
}

/// A table of seeded bugs: what noticed each, by which invariant, after how many seeds.
#[cfg(feature = "mutants")]
fn hunt_all(seeds: u64) -> bool {
    std::panic::set_hook(Box::new(|_| {}));
    let mut escaped = 0;
    println!(
        "{:<26}{:<12}{:<50}{:>6}{:>7}",
        "mutant", "caught by", "in", "seed", "seeds"
    );
    for bug in membership::mutant::Mutant::ALL {
        match mutants::hunt(bug, seeds) {
            Some(c) => println!(
                "{:<26}{:<12}{:<50}{:>6}{:>7}",
                format!("{bug:?}"),
                c.rule,
                c.by,
                c.seed,
                c.seeds
            ),
            None => {
                escaped += 1;
                println!("{:<26}ESCAPED", format!("{bug:?}"));
            }
        }
    }
    escaped == 0
}

fn parse() -> Result<Options, String> {
    let mut options = Options {
        seeds: 1..201,
        nodes: vec![2, 3, 5],
        seconds: 60,
        lull: 0,
        look: world::LOOK_EVERY,
        minutes: None,
        trace: false,
        keep_going: false,
        digest: false,
        mutants: false,
        hunt_seeds: 0,
        scenarios: false,
        only: String::new(),
        bug: None,
        two_node: false,
        rules: Rules::Plain,
        leases: false,
        calm: false,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
        match arg.as_str() {
            "--seed" => {
                let seed = number(value()?)?;
                options.seeds = seed..seed + 1;
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or("--seeds A..B")?;
                options.seeds = number(from.into())?..number(to.into())?;
            }
            "--nodes" => {
                let list = value()?;
                let nodes: Result<Vec<u64>, String> =
                    list.split(',').map(|n| number(n.into())).collect();
                options.nodes = nodes?.into_iter().map(|n| n.clamp(1, 128) as u32).collect();
            }
            "--seconds" => options.seconds = number(value()?)?,
            "--look" => options.look = number(value()?)?.max(1),
            "--lull" => options.lull = number(value()?)?,
            "--hours" => options.minutes = Some(60 * number(value()?)?),
            "--minutes" => options.minutes = Some(number(value()?)?),
            "--trace" => options.trace = true,
            "--mutants" => options.mutants = true,
            "--leases" => options.leases = true,
            "--calm" => options.calm = true,
            "--jobs" => options.jobs = number(value()?)?.clamp(1, 256) as usize,
            "--hunt" => options.hunt_seeds = number(value()?)?,
            "--two-node" => options.two_node = true,
            "--rules" => {
                let name = value()?;
                options.rules = Rules::named(&name).ok_or(format!("no rules {name}"))?;
            }
            "--scenarios" => options.scenarios = true,
            "--only" => options.only = value()?,
            "--bug" => options.bug = Some(value()?),
            "--digest" => options.digest = true,
            "--keep-going" => options.keep_going = true,
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(options)
}

const USAGE: &str = "usage: sim [--seed S | --seeds A..B] [--nodes N[,N...]] [--seconds SIMULATED] \
                     [--lull SECONDS] [--look N] [--minutes REAL | --hours REAL] [--jobs N] [--trace] [--keep-going] [--digest] \
                     [--two-node] [--rules plain|tie|lms|witness|mixed] [--leases] | --calm [--nodes N] [--seconds SIMULATED] | --scenarios [--only PART] [--bug MUTANT] [--seed S] | --mutants \
                     [--hunt SEEDS]";

/// Seed after seed, on as many processors as wanted, until there are no more, the time is up, or a
/// rule was violated.
fn soak(options: &Options) -> bool {
    let began = Instant::now();
    let (next, found) = (
        AtomicU64::new(options.seeds.start),
        Mutex::new(Found::default()),
    );
    let more = || {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let in_time = options.minutes.map(|m| began.elapsed().as_secs() < 60 * m);
        let violated = found.lock().is_ok_and(|f| f.violations > 0);
        let wanted = in_time.unwrap_or(seed < options.seeds.end);
        (wanted && (options.keep_going || !violated)).then_some(seed)
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                // Bugs are seeded in the running thread.
                seed_bug(options.bug.as_deref());
                while let Some(seed) = more() {
                    for nodes in &options.nodes {
                        let outcome = play(options, seed, *nodes);
                        if let Ok(mut found) = found.lock() {
                            found.add(options, (seed, *nodes), outcome);
                        }
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_default();
    report(&found, options.jobs, began.elapsed().as_secs_f64());
    found.violations == 0
}

fn play(options: &Options, seed: u64, nodes: u32) -> Result<Stats, Violation> {
    let this = Run {
        seed,
        nodes,
        fault_us: options.seconds * SECOND,
        lull_us: options.lull * SECOND,
        look_every: options.look,
        trace: options.trace,
        digest: options.digest,
        two_node: options.two_node,
        rules: options.rules,
    };
    match options.leases {
        true => run_with_leases(this),
        false => run(this),
    }
}

/// What all runs came to.
#[derive(Default)]
struct Found {
    total: Stats,
    runs: u64,
    violations: u64,
}

impl Found {
    fn add(&mut self, options: &Options, run: (u64, u32), outcome: Result<Stats, Violation>) {
        self.runs += 1;
        let (seed, nodes) = run;
        match outcome {
            Ok(stats) => {
                if options.digest {
                    println!("seed={seed} nodes={nodes} digest={:016x}", stats.digest);
                }
                self.total.add(&stats);
            }
            Err(v) => {
                self.violations += 1;
                println!(
                    "seed={seed} nodes={nodes} commit={}: {} violated at {} ms: {}",
                    commit(),
                    v.rule,
                    v.at_us / 1_000,
                    v.text
                );
                println!(
                    "replay: cargo run --release --example sim -p membership -- --seed {seed} \
                     --nodes {nodes} --rules {} --seconds {} --lull {}{}{} --trace",
                    options.rules.name(),
                    options.seconds,
                    options.lull,
                    if options.two_node { " --two-node" } else { "" },
                    if options.leases { " --leases" } else { "" }
                );
            }
        }
    }
}

/// The commit this was built from, as far as the working directory tells.
fn commit() -> String {
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output();
    let text = git.ok().filter(|o| o.status.success()).map(|o| o.stdout);
    let text = text.and_then(|t| String::from_utf8(t).ok());
    text.map_or_else(|| "unknown".into(), |t| t.trim().to_owned())
}

fn report(found: &Found, jobs: usize, took_s: f64) {
    let total = &found.total;
    let simulated_s = total.simulated_us as f64 / 1e6;
    let faults: u64 = total.faults.values().sum();
    println!("runs            {}", found.runs);
    println!("violations      {}", found.violations);
    println!(
        "simulated       {:.2} h in {took_s:.1} s: {:.0} times real time, with {jobs} at a time",
        simulated_s / 3_600.0,
        simulated_s / took_s
    );
    println!(
        "packets         {}, by relay {}, steps {}, of which nothing followed {}",
        total.packets, total.relayed, total.steps, total.quiet
    );
    println!(
        "operations      {} proposed, {} acknowledged, {} entries committed",
        total.proposals, total.acked, total.commits
    );
    println!(
        "elections       {}, views installed {}, commands run {}",
        total.elections, total.views, total.commands
    );
    println!("faults          {faults}");
    for (name, count) in &total.faults {
        println!("    {name:<14}{count}");
    }
}
