//! `mainstay-lab bench restart`: SIGKILL to the daemon of the floating IP's holder, once where it
//! coordinates the cluster and once where it does not. The first is the harder case: before the new
//! process can be granted the address, the cluster has to elect a coordinator.

use super::{AFTERWARDS, SETTLED, lost, ms};
use crate::lab::cluster::Lab;
use crate::lab::error::LabError;
use crate::lab::init::boottime_ms;
use crate::lab::interrupt;
use crate::lab::probe::Silence;
use crate::lab::service::{MEMBERS_WITHIN, MOVED_WITHIN, PROBE_EVERY, VIP};
use crate::lab::table::Figure;
use crate::lab::wait::Seen;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The figures, in the order of [`run`]'s samples.
pub(super) fn figures() -> Vec<Figure> {
    vec![
        Figure::new("member again after start", "ms", Some(500.0)),
        Figure::worst("the DC's: probes lost", "", 0.0),
        Figure::new("the DC's: longest silence", "ms", None),
        Figure::worst("another's: probes lost", "", 0.0),
        Figure::new("another's: longest silence", "ms", None),
    ]
}

/// One death of each kind; a sample for each figure.
pub(super) fn run(lab: &Lab, deaths: &mut Deaths) -> Result<Vec<Vec<f64>>, LabError> {
    let mut samples = vec![Vec::new()];
    for role in [Role::Dc, Role::Other] {
        let seen = restart(lab, role, deaths)?;
        samples[0].push(seen.member_ms);
        samples.push(vec![seen.lost]);
        samples.push(vec![seen.silence_ms]);
    }
    Ok(samples)
}

/// What the holder is besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It coordinates the cluster.
    Dc,
    /// Another node does.
    Other,
}

struct Restarted {
    member_ms: f64,
    lost: f64,
    silence_ms: f64,
}

fn restart(lab: &Lab, role: Role, deaths: &mut Deaths) -> Result<Restarted, LabError> {
    let holder = holder_as(lab, role)?;
    deaths.wait_turn(&holder)?;
    let names: Vec<String> = lab.nodes()?.into_iter().map(|n| n.name).collect();
    let probe = lab.probe(VIP, PROBE_EVERY)?;
    lab.wait_answer(&probe, MOVED_WITHIN)?;
    std::thread::sleep(SETTLED);
    still_as(lab, role, &holder)?;

    let before = lab.daemon_group(&holder)?;
    let killed = deaths.kill(lab, &holder)?;
    let started_ms = lab
        .wait(
            format!("the daemon of {holder} to be started again"),
            MEMBERS_WITHIN,
        )
        .every(LOOK_EVERY)
        .log(&lab.daemon_log(&holder))
        .until(|| {
            Ok(match lab.daemon_worker(&holder) {
                Ok(now) if !before.iter().any(|(known, _)| *known == now) => {
                    Seen::Yes(now.started_ms())
                }
                Ok(now) => Seen::NotYet(format!("pid {}", now.pid)),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        })?;
    let member_ms = lab
        .wait(format!("{holder} to be a member again"), MEMBERS_WITHIN)
        .every(LOOK_EVERY)
        .log(&lab.daemon_log(&holder))
        .until(|| {
            Ok(match lab.glance(&holder)? {
                Ok(glance) if glance.has_members(&names) => Seen::Yes(boottime_ms()),
                Ok(glance) => Seen::NotYet(glance.local_state),
                Err(cause) => Seen::NotYet(cause),
            })
        })?;
    std::thread::sleep(AFTERWARDS);
    let end = Instant::now();
    let echoes = probe.stop();
    let silence = Silence::longest(&echoes, killed, end).lasted;
    Ok(Restarted {
        member_ms: member_ms.saturating_sub(started_ms) as f64,
        lost: lost(&echoes, killed, end) as f64,
        silence_ms: ms(silence),
    })
}

/// The floating IP's holder, after the address was moved to a node of that role if need be.
pub(super) fn holder_as(lab: &Lab, role: Role) -> Result<String, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    let holder = lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    let dc = coordinator(lab)?;
    if (holder == dc) == (role == Role::Dc) {
        return Ok(holder);
    }
    let mut names = lab.nodes()?.into_iter().map(|n| n.name);
    let target = match role {
        Role::Dc => dc,
        Role::Other => names
            .find(|n| *n != dc)
            .ok_or_else(|| LabError::Refused("one node is always the DC".to_owned()))?,
    };
    lab.paste(
        &target,
        &format!("crm -w resource move failover-ip {target}"),
    )?;
    let holder = lab.wait_holder(VIP, Some(&holder), MOVED_WITHIN)?;
    still_as(lab, role, &holder)?;
    Ok(holder)
}

/// Nobody was elected meanwhile: the figure would be told of the wrong case.
fn still_as(lab: &Lab, role: Role, holder: &str) -> Result<(), LabError> {
    let dc = coordinator(lab)?;
    if (holder == dc) == (role == Role::Dc) {
        return Ok(());
    }
    let cause = format!("{dc} became the DC while {holder} was to be killed as {role:?}");
    Err(LabError::Refused(cause))
}

pub(super) fn coordinator(lab: &Lab) -> Result<String, LabError> {
    let nodes = lab.nodes()?;
    lab.wait("a DC".to_owned(), MEMBERS_WITHIN).until(|| {
        let mut seen = "nobody answers".to_owned();
        for node in &nodes {
            match lab.glance(&node.name)? {
                Ok(glance) => match glance.dc {
                    Some(dc) => return Ok(Seen::Yes(dc)),
                    None => seen = format!("{} knows none", node.name),
                },
                Err(cause) => seen = cause,
            }
        }
        Ok(Seen::NotYet(seen))
    })
}

/// When each daemon was killed. Its parent starts one that dies again and again ever later, as it
/// should; that is not what is measured here.
#[derive(Debug, Default)]
pub(super) struct Deaths(BTreeMap<String, Vec<Instant>>);

impl Deaths {
    /// Kills the node's daemon; the moment.
    pub(super) fn kill(&mut self, lab: &Lab, node: &str) -> Result<Instant, LabError> {
        let moment = lab.kill_daemon(node)?;
        self.0.entry(node.to_owned()).or_default().push(moment);
        Ok(moment)
    }

    /// Waits until the node's next death is one that is answered at once.
    pub(super) fn wait_turn(&mut self, node: &str) -> Result<(), LabError> {
        let mut told = false;
        loop {
            interrupt::check()?;
            let now = Instant::now();
            let known = self.0.entry(node.to_owned()).or_default();
            known.retain(|at| now.duration_since(*at) < FORGOTTEN_AFTER);
            if known.len() < DEATHS_AT_ONCE {
                return Ok(());
            }
            if !told {
                told = true;
                eprintln!(
                    "the daemon of {node} died {} times within a minute: waiting until its parent \
                     starts it without a pause again",
                    known.len()
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Time between two looks at a process that is starting.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Deaths that a daemon's parent answers at once within [`FORGOTTEN_AFTER`]: of its five starts
/// without a pause (`daemon/supervise.rs`) the first came before any death.
const DEATHS_AT_ONCE: usize = 4;
/// The minute after which that parent forgets a start, and a little more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(62);
