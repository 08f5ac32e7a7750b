//! keepalived under the same faults, in a lab of its own, where it is installed: what a floating IP
//! without quorum and without a kernel lease does on this very machine.

use super::vip::Eyes;
use super::{AFTERWARDS, ms};
use crate::lab::cluster::Lab;
use crate::lab::error::{LabError, Tried};
use crate::lab::options::Options;
use crate::lab::service::{MOVED_WITHIN, VIP};
use crate::lab::table::{self, Figure};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Measures and prints a table beside ours; a line instead where there is no keepalived.
pub(super) fn beside(options: &Options, runs: u32) -> Result<(), LabError> {
    let Some(version) = version() else {
        println!("keepalived is not installed: no figures beside these");
        return Ok(());
    };
    // Its stable fast setting beside the fast profile (peers' documents), its default else.
    let fast = options.token_ms.is_some_and(|token_ms| token_ms < 200);
    let interval_s = if fast { "0.05" } else { "1" };
    let lab = up(options, interval_s)?;
    let mut figures = figures();
    let outcome = (1..=runs).try_for_each(|number| {
        let samples = round(&lab)?;
        let mut line = format!("keepalived, run {number} of {runs}:");
        for (figure, sample) in figures.iter_mut().zip(samples) {
            line += &format!(" {} {sample:.1} {}", figure.what, figure.unit);
            figure.samples.push(sample);
        }
        eprintln!("{line}");
        Ok(())
    });
    drop(lab);
    println!("beside it {version}, advert_int {interval_s}");
    print!("{}", table::render(&figures));
    outcome
}

/// The program's name and version, if it runs.
fn version() -> Option<String> {
    let output = Command::new("keepalived").arg("--version").output().ok()?;
    // It says so on standard error.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = said.lines().next()?.split(' ').take(2).collect();
    Some(words.join(" "))
}

/// As ours, without what has no counterpart there; no goals.
fn figures() -> Vec<Figure> {
    [
        "power-off: outage",
        "daemon frozen: outage",
        "node cut: outage",
        "node apart: outage",
        "two nodes answered, worst fault",
    ]
    .map(|what| Figure::new(what, "ms", None))
    .to_vec()
}

/// A lab whose nodes run keepalived instead of our daemon, the address on one of them.
fn up(options: &Options, interval_s: &str) -> Result<Lab, LabError> {
    let daemon = [
        "keepalived",
        "-n",
        "-l",
        "-f",
        CONFIG,
        "-p",
        "/run/k.pid",
        "-r",
        "/run/v.pid",
    ];
    let lab = Lab::up(&Options {
        daemon: daemon.map(str::to_owned).to_vec(),
        powered_off: true,
        ..options.clone()
    })?;
    for (number, node) in lab.nodes()?.into_iter().enumerate() {
        let etc = lab
            .dir()
            .join("nodes")
            .join(&node.name)
            .join("etc-corosync");
        let name = Path::new(CONFIG).file_name().unwrap_or_default();
        let file = etc.join(name);
        let text = config(interval_s, 150 - number);
        std::fs::write(&file, text).tried(|| format!("write {}", file.display()))?;
    }
    lab.poweron_all()?;
    settle(&lab)?;
    Ok(lab)
}

fn config(interval_s: &str, priority: usize) -> String {
    format!(
        "vrrp_instance lab {{\n  state BACKUP\n  nopreempt\n  version 3\n  interface eth0\n  \
         virtual_router_id 51\n  priority {priority}\n  advert_int {interval_s}\n  \
         virtual_ipaddress {{\n    {VIP}/24\n  }}\n}}\n"
    )
}

type Fault = fn(&Lab, &str) -> Result<(), LabError>;

/// One round of the faults that its users know; a sample for each figure.
fn round(lab: &Lab) -> Result<Vec<f64>, LabError> {
    let faults: [(Fault, Fault); 4] = [
        (
            |lab, node| lab.poweroff(node).map(|_| ()),
            |lab, node| lab.poweron(node),
        ),
        (
            |lab, node| lab.suspend_daemon(node).map(|_| ()),
            |lab, node| lab.resume_daemon(node).map(|_| ()),
        ),
        (|lab, node| lab.cut(node), |lab, node| lab.heal(node)),
        (|lab, node| lab.apart(node), |lab, node| lab.heal(node)),
    ];
    let mut samples = Vec::new();
    let mut double = Duration::ZERO;
    for (fault, undo) in faults {
        let holder = settle(lab)?;
        let eyes = Eyes::open(lab)?;
        let from = Instant::now();
        fault(lab, &holder)?;
        std::thread::sleep(LASTS);
        let to = Instant::now();
        undo(lab, &holder)?;
        settle(lab)?;
        std::thread::sleep(AFTERWARDS);
        let seen = eyes.close(from, to);
        samples.push(ms(seen.outage));
        double = double.max(seen.double);
    }
    samples.push(ms(double));
    Ok(samples)
}

/// Waits until the address rests on one node.
fn settle(lab: &Lab) -> Result<String, LabError> {
    lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    std::thread::sleep(RESTED);
    lab.wait_holder(VIP, None, MOVED_WITHIN)
}

/// Inside a node.
const CONFIG: &str = "/etc/corosync/keepalived.conf";
/// How long a fault lasts: longer than three advertisements of a second, and a skew.
const LASTS: Duration = Duration::from_secs(6);
/// A node that came back speaks up within this time.
const RESTED: Duration = Duration::from_secs(4);
