//! `mainstay-lab bench cli`: how long the commands take that people and monitors wait for.
//!
//! A process from its start to its end, started from inside a node. Beside them, where they are
//! installed, Pacemaker's and crmsh's own: those have no daemon to ask here, so that they read the
//! same CIB from a file (`CIB_file`), which is the least that they do.

use super::ms;
use crate::lab::cluster::Lab;
use crate::lab::error::{LabError, Tried};
use crate::lab::interrupt;
use crate::lab::mounts;
use crate::lab::options::Options;
use crate::lab::service::{MEMBERS_WITHIN, file_system, load_average};
use crate::lab::table::{self, Figure};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command, and what it may take.
struct Timed {
    what: &'static str,
    /// `{}` is the number of the run.
    line: &'static str,
    goal_ms: Option<f64>,
}

/// Measures and prints the tables; exit code 0 when every goal is met, 1 when not.
pub(super) fn run(options: &Options, runs: u32) -> Result<i32, LabError> {
    interrupt::watch()?;
    let load_before = load_average();
    let lab = up(options)?;
    let disk = file_system(lab.dir())?;
    let measured = measure(&lab, runs);
    if measured.is_err() {
        lab.keep_files();
    }
    interrupt::forget();
    let nodes = options.nodes;
    drop(lab);
    let (ours, theirs) = measured?;
    println!("Cli: {nodes} nodes, each command {runs} times after {WARM_UPS} that do not count");
    print!("{}", table::render(&ours));
    match theirs {
        Ok(theirs) => {
            println!("Pacemaker's and crmsh's tools on this machine, the same CIB in a file:");
            print!("{}", table::render(&theirs));
        }
        Err(why) => println!("nothing to compare with: {why}"),
    }
    println!(
        "load average before {load_before}, after {}",
        load_average()
    );
    println!("nodes' files on {disk}");
    if cfg!(debug_assertions) {
        println!("not an optimised build: the goals are for --release");
    }
    Ok(i32::from(!ours.iter().all(Figure::met)))
}

/// A cluster with an agent that costs nothing.
fn up(options: &Options) -> Result<Lab, LabError> {
    let lab = Lab::up(&Options {
        powered_off: true,
        ..options.clone()
    })?;
    let agent = lab
        .dir()
        .join("skeleton/usr-lib/ocf/resource.d/mainstay/still");
    mounts::write(&agent, AGENT)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&agent, mode).tried(|| format!("chmod {}", agent.display()))?;
    lab.poweron_all()?;
    lab.wait_members(MEMBERS_WITHIN)?;
    Ok(lab)
}

/// Our figures, and theirs or why there are none.
type Measured = (Vec<Figure>, Result<Vec<Figure>, String>);

fn measure(lab: &Lab, runs: u32) -> Result<Measured, LabError> {
    configure(lab, 0..1)?;
    let mut ours = of_node(lab, runs, &WITH_ONE)?;
    let mut theirs = of_machine(lab, runs, &THEIRS_WITH_ONE)?;
    configure(lab, 1..MANY)?;
    ours.extend(of_node(lab, runs, &WITH_MANY)?);
    if let (Ok(first), Ok(more)) = (&mut theirs, of_machine(lab, runs, &THEIRS_WITH_MANY)?) {
        first.extend(more);
    }
    Ok((ours, theirs))
}

/// Adds resources, and waits until they run.
fn configure(lab: &Lab, numbers: std::ops::Range<u32>) -> Result<(), LabError> {
    let mut lines = "configure\nproperty stonith-enabled=false\n".to_owned();
    for number in numbers {
        // Writing to a string cannot fail.
        let _ = writeln!(
            lines,
            "primitive still{number} ocf:mainstay:still op monitor interval=1h"
        );
    }
    lines += "commit\nquit\n";
    let crm = lab.exec_with("node1", &["crm"], lines.as_bytes(), CONFIGURED_WITHIN)?;
    let waited = lab.exec_with("node1", &["crm_resource", "--wait"], b"", CONFIGURED_WITHIN)?;
    for output in [crm, waited] {
        if !output.ok() {
            return Err(LabError::Refused(format!(
                "the resources were not configured: {}{}",
                output.stdout, output.stderr
            )));
        }
    }
    Ok(())
}

/// Commands in a node.
fn of_node(lab: &Lab, runs: u32, all: &[Timed]) -> Result<Vec<Figure>, LabError> {
    let runs = (runs + WARM_UPS).to_string();
    let mut figures = Vec::new();
    for timed in all {
        interrupt::check()?;
        let mut argv = vec![mounts::PROGRAM, "__time", &runs];
        argv.extend(timed.line.split(' '));
        let output = lab.exec_with("node1", &argv, b"", CONFIGURED_WITHIN)?;
        if !output.ok() {
            return Err(LabError::Refused(format!(
                "`{}`: {}",
                timed.line, output.stderr
            )));
        }
        let micros = output.stdout.lines().filter_map(|l| l.parse::<f64>().ok());
        figures.push(figure(timed, micros.map(|us| us / 1e3)));
    }
    Ok(figures)
}

/// Commands of this machine, on the lab's CIB; why there are none.
fn of_machine(
    lab: &Lab,
    runs: u32,
    all: &[Timed],
) -> Result<Result<Vec<Figure>, String>, LabError> {
    if let Some(timed) = all.iter().find(|t| !is_theirs(t.line)) {
        let tool = timed.line.split(' ').next().unwrap_or_default();
        return Ok(Err(format!("no {tool} but ours is installed here")));
    }
    let cib = lab.shared_dir().join("cib.xml");
    let text = as_theirs(&lab.paste("node1", "cibadmin -Q")?)?;
    let mut figures = Vec::new();
    for timed in all {
        interrupt::check()?;
        // Anew for each, because one of them writes.
        mounts::write(&cib, &text)?;
        let words: Vec<&str> = timed.line.split(' ').collect();
        let mut times = Vec::new();
        for number in 0..runs + WARM_UPS {
            match once(&words, number, &[("CIB_file", cib.as_os_str().to_owned())]) {
                Ok(took) => times.push(ms(took)),
                Err(why) => return Ok(Err(format!("`{}`: {why}", timed.line))),
            }
        }
        figures.push(figure(timed, times.into_iter()));
    }
    Ok(Ok(figures))
}

/// The CIB with the feature set of theirs: one that says that it was written by a newer version is
/// refused.
fn as_theirs(text: &str) -> Result<String, LabError> {
    let refused = |e: cib::Error| LabError::Refused(format!("the CIB of the lab: {e}"));
    let mut cib = cib::Cib::parse(text).map_err(refused)?;
    cib.root_mut().set("crm_feature_set", THEIR_FEATURE_SET);
    Ok(cib.to_xml())
}

fn figure(timed: &Timed, times: impl Iterator<Item = f64>) -> Figure {
    Figure {
        samples: times.skip(WARM_UPS as usize).collect(),
        ..Figure::new(timed.what, "ms", timed.goal_ms)
    }
}

/// Where the tool's name leads is a program that is not this one under another name.
fn is_theirs(line: &str) -> bool {
    let name = line.split(' ').next().unwrap_or_default();
    let path = Path::new("/usr/sbin").join(name);
    fs::canonicalize(path).is_ok_and(|real| real.file_name().is_some_and(|f| f == name))
}

/// Runs it once; how long that took.
fn once(words: &[&str], number: u32, env: &[(&str, OsString)]) -> Result<Duration, String> {
    let number = number.to_string();
    let words: Vec<String> = words.iter().map(|w| w.replace("{}", &number)).collect();
    let [program, args @ ..] = words.as_slice() else {
        return Err("no command".to_owned());
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(env.iter().map(|(n, v)| (*n, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let from = Instant::now();
    let ended = command.spawn().and_then(|mut child| child.wait());
    let took = from.elapsed();
    match ended {
        Ok(status) if status.success() => Ok(took),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// `__time COUNT CMD...`: runs the command so many times; microseconds of each, a line each.
pub(in crate::lab) fn time(args: &[OsString]) -> Result<(), LabError> {
    let words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let usage = || LabError::Refused("__time COUNT CMD...".to_owned());
    let [count, words @ ..] = words.as_slice() else {
        return Err(usage());
    };
    let count: u32 = count.parse().map_err(|_| usage())?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for number in 0..count {
        let took = once(&words, number, &[]).map_err(LabError::Refused)?;
        println!("{}", took.as_micros());
    }
    Ok(())
}

/// With one resource.
const WITH_ONE: [Timed; 5] = [
    Timed {
        what: "crm_mon -1, 1 resource",
        line: "crm_mon -1",
        goal_ms: Some(5.0),
    },
    Timed {
        what: "crm status, 1 resource",
        line: "crm status",
        goal_ms: Some(8.0),
    },
    Timed {
        what: "crm_attribute, on a quorum's disks",
        line: "crm_attribute -n bench-cli -v {}",
        goal_ms: Some(6.0),
    },
    Timed {
        what: "cibadmin -Q, 1 resource",
        line: "cibadmin -Q",
        goal_ms: Some(5.0),
    },
    Timed {
        what: "a process that does nothing",
        line: "crm_mon --version",
        goal_ms: None,
    },
];

/// With [`MANY`] of them.
const WITH_MANY: [Timed; 3] = [
    Timed {
        what: "crm_mon -1, 200 resources",
        line: "crm_mon -1",
        goal_ms: Some(12.0),
    },
    Timed {
        what: "crm status, 200 resources",
        line: "crm status",
        goal_ms: None,
    },
    Timed {
        what: "cibadmin -Q, 200 resources",
        line: "cibadmin -Q",
        goal_ms: None,
    },
];

/// The same of others.
const THEIRS_WITH_ONE: [Timed; 5] = [
    Timed {
        what: "crm_mon -1, 1 resource",
        line: "crm_mon -1",
        goal_ms: None,
    },
    Timed {
        what: "crm status, 1 resource",
        line: "crm status",
        goal_ms: None,
    },
    Timed {
        what: "crm_attribute, into the file",
        line: "crm_attribute -n bench-cli -v {}",
        goal_ms: None,
    },
    Timed {
        what: "cibadmin -Q, 1 resource",
        line: "cibadmin -Q",
        goal_ms: None,
    },
    Timed {
        what: "a process that does nothing",
        line: "crm_mon --version",
        goal_ms: None,
    },
];

/// The same of others.
const THEIRS_WITH_MANY: [Timed; 2] = [
    Timed {
        what: "crm_mon -1, 200 resources",
        line: "crm_mon -1",
        goal_ms: None,
    },
    Timed {
        what: "cibadmin -Q, 200 resources",
        line: "cibadmin -Q",
        goal_ms: None,
    },
];

/// A feature set that every Pacemaker from 1.1.18 on takes.
const THEIR_FEATURE_SET: &str = "3.0.14";
/// Resources, where there are many.
const MANY: u32 = 200;
/// Runs before those that count.
const WARM_UPS: u32 = 3;
/// Bound of configuring and starting them, and of a series of runs.
const CONFIGURED_WITHIN: Duration = Duration::from_secs(300);
/// Keeps a file, as long as it runs.
const AGENT: &str = "#!/bin/sh
state=/run/resource-agents/$OCF_RESOURCE_INSTANCE.state
case $1 in
start) : >$state ;;
stop) rm -f $state ;;
monitor) [ -e $state ] || exit 7 ;;
meta-data) echo '<resource-agent name=\"still\"><actions/></resource-agent>' ;;
*) exit 3 ;;
esac
";
