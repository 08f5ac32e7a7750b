//! `mainstay-lab bench many`: hundreds of floating IPs on one node move together.

use super::{AFTERWARDS, SETTLED, ms};
use crate::lab::cluster::Lab;
use crate::lab::error::LabError;
use crate::lab::interrupt;
use crate::lab::options::Options;
use crate::lab::service::{MEMBERS_WITHIN, MOVED_WITHIN};
use crate::lab::table::Figure;
use crate::lab::wait::Seen;
use netlink::sweep::{Passage, Sweep};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// The figures, in the order of [`run`]'s samples.
pub(super) fn figures() -> Vec<Figure> {
    let time = |what, goal| Figure::new(what, "ms", goal);
    vec![
        time("power-off: first answers", None),
        time("power-off: last after the first", Some(SPREAD_MS)),
        time("power-off: last announced, same", None),
        time("standby: first answers", None),
        time("standby: last after the first", Some(SPREAD_MS)),
        time("standby: longest outage of one", None),
        time("standby: command returns (-w)", None),
        time("two nodes answered", Some(0.0)),
        Figure::new("resident memory of the holder", "MiB", None),
        Figure::new("CPU of one core, holding them", "%", None),
    ]
}

/// A cluster whose network has room for them.
pub(super) fn up(options: &Options, vips: u16) -> Result<Lab, LabError> {
    let options = Options {
        prefix: PREFIX,
        ..options.clone()
    };
    let lab = Lab::up(&options)?;
    let configured = configure(&lab, vips);
    if configured.is_err() {
        lab.keep_files();
    }
    configured.map(|()| lab)
}

fn configure(lab: &Lab, vips: u16) -> Result<(), LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    let crm = lab.exec_with("node1", &["crm"], lines(vips).as_bytes(), CONFIGURED_WITHIN)?;
    if !crm.ok() {
        return Err(LabError::Refused(format!(
            "crm configure of {vips} addresses: exit {}: {}{}",
            crm.code, crm.stdout, crm.stderr
        )));
    }
    wait_all_on_one(lab, vips).map(|_| ())
}

/// Loose primitives that want to be where the first one is.
fn lines(vips: u16) -> String {
    let mut text = "configure\nproperty stonith-enabled=false\n".to_owned();
    text += "rsc_defaults resource-stickiness=100\n";
    for (number, ip) in addresses(vips).into_iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "primitive vip{number} ocf:heartbeat:IPaddr2 params ip={ip} cidr_netmask={PREFIX} \
             op monitor interval=10s"
        );
    }
    if vips > 1 {
        let others: Vec<String> = (1..vips).map(|n| format!("vip{n}")).collect();
        let _ = writeln!(
            text,
            "colocation together inf: ( {} ) vip0",
            others.join(" ")
        );
    }
    text + "commit\nquit\n"
}

/// 10.77.1.1 to 10.77.1.250, 10.77.2.1 and so on.
fn addresses(vips: u16) -> Vec<Ipv4Addr> {
    let address = |n: u16| {
        let (network, host) = (n / PER_NETWORK + 1, n % PER_NETWORK + 1);
        Ipv4Addr::new(10, 77, network as u8, host as u8)
    };
    (0..vips).map(address).collect()
}

/// One round: idle, power-off, standby; a sample for each figure.
pub(super) fn run(lab: &Lab, vips: u16) -> Result<Vec<Vec<f64>>, LabError> {
    let (memory, cpu) = at_rest(lab, vips)?;
    let poweroff = move_away(lab, vips, |node| lab.poweroff(node))?;
    lab.poweron(&poweroff.holder)?;
    lab.wait_members(MEMBERS_WITHIN)?;
    let mut command = Duration::ZERO;
    let standby = move_away(lab, vips, |node| {
        let from = Instant::now();
        lab.paste(node, &format!("crm -w node standby {node}"))?;
        command = from.elapsed();
        Ok(from)
    })?;
    let rested = &standby.holder;
    lab.paste(rested, &format!("crm -w node online {rested}"))?;
    let times = [
        poweroff.seen.first,
        poweroff.seen.spread,
        poweroff.seen.claimed,
        standby.seen.first,
        standby.seen.spread,
        standby.seen.outage,
        command,
        poweroff.seen.double.max(standby.seen.double),
    ];
    let times = times.into_iter().map(|time| vec![ms(time)]);
    Ok(times.chain([vec![memory], vec![cpu]]).collect())
}

/// Memory in MiB and CPU of one core in percent of the node that holds them and does nothing else.
fn at_rest(lab: &Lab, vips: u16) -> Result<(f64, f64), LabError> {
    let holder = wait_all_on_one(lab, vips)?;
    std::thread::sleep(SETTLED);
    let (start, before) = (Instant::now(), lab.daemon_usage(&holder)?);
    while start.elapsed() < IDLE_WINDOW {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = lab.daemon_usage(&holder)?;
    let busy_ms = after.cpu_ms.saturating_sub(before.cpu_ms) as f64;
    let cpu = 100.0 * busy_ms / ms(start.elapsed());
    Ok((after.rss_kib as f64 / 1024.0, cpu))
}

/// A move of all addresses.
struct Moved {
    /// Who had them.
    holder: String,
    seen: Passage,
}

/// Does something to the holder, and watches all addresses go elsewhere.
fn move_away(
    lab: &Lab,
    vips: u16,
    act: impl FnOnce(&str) -> Result<Instant, LabError>,
) -> Result<Moved, LabError> {
    let holder = wait_all_on_one(lab, vips)?;
    let old = lab.mac_of(&holder)?;
    let targets = addresses(vips);
    let sweep = lab.sweep(&targets, old)?;
    std::thread::sleep(SETTLED);
    let from = act(&holder)?;
    wait_settled(lab, &sweep, targets.len())?;
    std::thread::sleep(AFTERWARDS);
    let seen = Passage::of(&sweep.stop(), from, old);
    Ok(Moved { holder, seen })
}

fn wait_settled(lab: &Lab, sweep: &Sweep, all: usize) -> Result<(), LabError> {
    let what = format!("{all} addresses to answer elsewhere");
    lab.wait(what, MOVED_WITHIN).every(LOOK_EVERY).until(|| {
        Ok(match sweep.settled() {
            n if n == all => Seen::Yes(()),
            n => Seen::NotYet(format!("{n} do")),
        })
    })
}

/// Waits until one kernel has all addresses, no other any, and nothing is left to be done.
fn wait_all_on_one(lab: &Lab, vips: u16) -> Result<String, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    let targets: BTreeSet<IpAddr> = addresses(vips).into_iter().map(IpAddr::V4).collect();
    let what = format!("one node to hold all {vips} addresses");
    lab.wait(what, MOVED_WITHIN).until(|| {
        let mut parts = Vec::new();
        for node in lab.nodes()? {
            let here = lab.addresses(&node.name)?;
            match here.intersection(&targets).count() {
                0 => {}
                n => parts.push((node.name, n)),
            }
        }
        Ok(match parts.as_slice() {
            [(one, n)] if *n == targets.len() => Seen::Yes(one.clone()),
            _ => Seen::NotYet(format!("{parts:?}")),
        })
    })
}

/// Addresses of the bench when not said otherwise.
pub(in crate::lab) const VIPS_DEFAULT: u16 = 256;
/// Most addresses: the lab's network has room for them, a node's lease batch, too.
pub(in crate::lab) const VIPS_MAX: u16 = 1_000;
/// Goal of issue and README, in milliseconds.
const SPREAD_MS: f64 = 30.0;
/// Prefix length of the lab's network.
const PREFIX: u8 = 16;
/// Addresses used of each 10.77.N.0/24.
const PER_NETWORK: u16 = 250;
/// How long a holder is watched doing nothing.
const IDLE_WINDOW: Duration = Duration::from_secs(10);
/// Bound of the configuration's command.
const CONFIGURED_WITHIN: Duration = Duration::from_secs(120);
/// Time between two looks whether all have moved.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_all_different_and_none_is_a_nodes() {
        let all = addresses(VIPS_MAX);
        let unique: BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), usize::from(VIPS_MAX));
        assert!(all.iter().all(|ip| ip.octets()[2] != 0));
        assert_eq!(all[250], Ipv4Addr::new(10, 77, 2, 1));
    }
}
