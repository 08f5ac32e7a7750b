//! `mainstay-lab bench vip`: every way in which a floating IP moves or comes back, and for how
//! long two nodes answered for it.

use super::restart::{Deaths, Role, holder_as};
use super::{AFTERWARDS, SETTLED, ms};
use crate::lab::cluster::Lab;
use crate::lab::error::LabError;
use crate::lab::probe::Silence;
use crate::lab::service::{MEMBERS_WITHIN, MOVED_WITHIN, VIP};
use crate::lab::table::Figure;
use netlink::owners::{OwnerWatch, overlap};
use netlink::probe::EchoProbe;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The figures, in the order of [`run`]'s samples; goals depend on the detection timeout.
pub(super) fn figures(token_ms: Option<u32>) -> Vec<Figure> {
    let detection_ms = f64::from(token_ms.unwrap_or(DETECTION_MS_DEFAULT));
    // 600 ms at the default of 500, 130 at 100: what comes after detection shrinks with it.
    let poweroff = if detection_ms < 200.0 { 30.0 } else { 100.0 };
    let outage = |what, goal| Figure::new(what, "ms", Some(goal));
    vec![
        outage("power-off: outage", detection_ms + poweroff),
        outage("daemon frozen: outage", detection_ms + 100.0),
        outage("node cut: outage", detection_ms + 100.0),
        outage("node apart: outage", detection_ms + 100.0),
        outage("standby: outage", 5.0),
        outage("standby: command returns (-w)", 50.0),
        outage("ip addr del: outage", 5.0),
        outage("kill -9 of the DC's: outage", 5.0),
        outage("kill -9 of another's: outage", 5.0),
        Figure::worst("two nodes answered, worst fault", "ms", 0.0),
    ]
}

/// One round of all faults; a sample for each figure.
pub(super) fn run(lab: &Lab, deaths: &mut Deaths) -> Result<Vec<Vec<f64>>, LabError> {
    let mut samples = Vec::new();
    let mut double = Duration::ZERO;
    let faults: [(Fault, Undo); 4] = [
        (
            |lab, node| lab.poweroff(node),
            |lab, node| lab.poweron(node),
        ),
        (
            |lab, node| lab.suspend_daemon(node),
            |lab, node| lab.resume_daemon(node).map(|_| ()),
        ),
        (
            |lab, node| timed(|| lab.cut(node)),
            |lab, node| lab.heal(node),
        ),
        (
            |lab, node| timed(|| lab.apart(node)),
            |lab, node| lab.heal(node),
        ),
    ];
    for (fault, undo) in faults {
        let seen = take_over(lab, fault, undo)?;
        samples.push(vec![ms(seen.outage)]);
        double = double.max(seen.double);
    }
    let (standby, command) = rest(lab)?;
    samples.push(vec![ms(standby.outage)]);
    samples.push(vec![ms(command)]);
    double = double.max(standby.double);
    let removed = blip(lab, &answering_holder(lab)?, |lab, node| {
        lab.remove_address(node, VIP)
    })?;
    let mut blips = vec![removed];
    for role in [Role::Dc, Role::Other] {
        let holder = holder_as(lab, role)?;
        deaths.wait_turn(&holder)?;
        blips.push(blip(lab, &holder, |lab, node| deaths.kill(lab, node))?);
    }
    lab.paste(&answering_holder(lab)?, "crm -w resource clear failover-ip")?;
    for seen in blips {
        samples.push(vec![ms(seen.outage)]);
        double = double.max(seen.double);
    }
    samples.push(vec![ms(double)]);
    Ok(samples)
}

type Fault = fn(&Lab, &str) -> Result<Instant, LabError>;
type Undo = fn(&Lab, &str) -> Result<(), LabError>;

/// What the client saw of one fault.
pub(super) struct Observed {
    pub(super) outage: Duration,
    pub(super) double: Duration,
}

/// The client's two eyes: echoes every millisecond, and questions who has the address.
pub(super) struct Eyes {
    echoes: EchoProbe,
    owners: OwnerWatch,
}

impl Eyes {
    pub(super) fn open(lab: &Lab) -> Result<Self, LabError> {
        let IpAddr::V4(address) = VIP else {
            return Err(LabError::Refused("the bench's address is IPv4".to_owned()));
        };
        let eyes = Self {
            echoes: lab.probe(VIP, ECHO_EVERY)?,
            owners: lab.owners(address, ASK_EVERY)?,
        };
        lab.wait_answer(&eyes.echoes, MOVED_WITHIN)?;
        std::thread::sleep(SETTLED);
        Ok(eyes)
    }

    pub(super) fn close(self, from: Instant, to: Instant) -> Observed {
        Observed {
            outage: Silence::longest(&self.echoes.stop(), from, to).lasted,
            double: overlap(&self.owners.stop(), RETURN_AFTER),
        }
    }
}

/// The holder meets with a fault, another node takes over, the fault ends.
fn take_over(lab: &Lab, fault: Fault, undo: Undo) -> Result<Observed, LabError> {
    let holder = answering_holder(lab)?;
    let eyes = Eyes::open(lab)?;
    let from = fault(lab, &holder)?;
    lab.wait_answer(&eyes.echoes, MOVED_WITHIN)?;
    std::thread::sleep(GOES_ON);
    let to = Instant::now();
    undo(lab, &holder)?;
    // Two owners are most likely when the old one comes back.
    lab.wait_members(MEMBERS_WITHIN)?;
    std::thread::sleep(SETTLED);
    Ok(eyes.close(from, to))
}

/// `crm node standby` of the holder, and how long the command took.
fn rest(lab: &Lab) -> Result<(Observed, Duration), LabError> {
    let holder = answering_holder(lab)?;
    let eyes = Eyes::open(lab)?;
    let from = Instant::now();
    lab.paste(&holder, &format!("crm -w node standby {holder}"))?;
    let command = from.elapsed();
    std::thread::sleep(AFTERWARDS);
    let seen = eyes.close(from, Instant::now());
    lab.paste(&holder, &format!("crm -w node online {holder}"))?;
    Ok((seen, command))
}

/// A fault of the holder after which the address stays where it is.
fn blip(
    lab: &Lab,
    holder: &str,
    fault: impl FnOnce(&Lab, &str) -> Result<Instant, LabError>,
) -> Result<Observed, LabError> {
    let eyes = Eyes::open(lab)?;
    let from = fault(lab, holder)?;
    std::thread::sleep(GOES_ON);
    let seen = eyes.close(from, Instant::now());
    lab.wait_members(MEMBERS_WITHIN)?;
    lab.paste(holder, "crm -w resource cleanup failover-ip")?;
    Ok(seen)
}

fn answering_holder(lab: &Lab) -> Result<String, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    lab.wait_holder(VIP, None, MOVED_WITHIN)
}

fn timed(act: impl FnOnce() -> Result<(), LabError>) -> Result<Instant, LabError> {
    let moment = Instant::now();
    act().map(|()| moment)
}

/// Detection timeout where corosync.conf has no `token`, in milliseconds.
pub(super) const DETECTION_MS_DEFAULT: u32 = 500;
/// Time between two echoes: the finest figure is 5 ms.
const ECHO_EVERY: Duration = Duration::from_millis(1);
/// Time between two questions who has the address.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// A move back after this time is another move, not two owners.
const RETURN_AFTER: Duration = Duration::from_millis(50);
/// How long a fault lasts once the address answers again.
const GOES_ON: Duration = Duration::from_millis(1500);
