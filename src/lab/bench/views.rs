//! `mainstay-lab bench views`: how soon the others agree that a node is gone, or is another.

use super::restart::{Deaths, coordinator};
use super::{SETTLED, ms};
use crate::ipc::{Client, Request, Response};
use crate::lab::cluster::Lab;
use crate::lab::error::LabError;
use crate::lab::interrupt;
use crate::lab::service::MEMBERS_WITHIN;
use crate::lab::table::Figure;
use crate::view::Status;
use std::time::{Duration, Instant};

/// The figures, in the order of [`run`]'s samples; goals depend on the detection timeout.
pub(super) fn figures(token_ms: Option<u32>) -> Vec<Figure> {
    let detection_ms = f64::from(token_ms.unwrap_or(super::vip::DETECTION_MS_DEFAULT));
    let view = |what, goal| Figure::new(what, "ms", Some(goal));
    vec![
        view("power-off of a member: new view", detection_ms + 20.0),
        view("power-off of the DC: new view", detection_ms + 60.0),
        view("kill -9 of a member's: new view", 100.0),
        view("kill -9 of the DC's: new view", 100.0),
    ]
}

/// One death of each kind; a sample for each figure.
pub(super) fn run(lab: &Lab, deaths: &mut Deaths) -> Result<Vec<Vec<f64>>, LabError> {
    let mut samples = Vec::new();
    for the_dc in [false, true] {
        let (victim, witness) = pair(lab, the_dc)?;
        let (mut client, view) = watch(lab, &witness)?;
        let from = lab.poweroff(&victim)?;
        let seen = wait_view(&mut client, view, from)?;
        samples.push(vec![ms(seen)]);
        lab.poweron(&victim)?;
    }
    for the_dc in [false, true] {
        let (victim, witness) = pair(lab, the_dc)?;
        deaths.wait_turn(&victim)?;
        let (mut client, view) = watch(lab, &witness)?;
        let from = deaths.kill(lab, &victim)?;
        let seen = wait_view(&mut client, view, from)?;
        samples.push(vec![ms(seen)]);
    }
    lab.wait_members(MEMBERS_WITHIN)?;
    Ok(samples)
}

/// A node that is the DC, or is not, and another that is neither.
fn pair(lab: &Lab, the_dc: bool) -> Result<(String, String), LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    std::thread::sleep(SETTLED);
    let dc = coordinator(lab)?;
    let names = lab.nodes()?.into_iter().map(|n| n.name);
    let mut others: Vec<String> = names.filter(|n| *n != dc).collect();
    let few = || LabError::Refused("views are measured with three nodes or more".to_owned());
    let witness = others.pop().ok_or_else(few)?;
    let victim = if the_dc { Some(dc) } else { others.pop() };
    Ok((victim.ok_or_else(few)?, witness))
}

fn watch(lab: &Lab, node: &str) -> Result<(Client, u64), LabError> {
    let mut client = lab.client_of(node)?;
    let view = ask(&mut client)?.view_no;
    Ok((client, view))
}

fn wait_view(client: &mut Client, old: u64, from: Instant) -> Result<Duration, LabError> {
    loop {
        interrupt::check()?;
        let status = ask(client)?;
        // With a new DC the number grows before its first view stands.
        if status.view_no > old && status.quorate && status.dc.is_some() {
            return Ok(from.elapsed());
        }
        if from.elapsed() > MEMBERS_WITHIN {
            return Err(LabError::Refused(format!("view {old} stays as it is")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn ask(client: &mut Client) -> Result<Status, LabError> {
    match client.call(&Request::Status) {
        Ok(Response::Status(status)) => Ok(*status),
        Ok(other) => Err(LabError::Refused(format!("no status but {other:?}"))),
        Err(error) => Err(LabError::Refused(format!("no status: {error}"))),
    }
}

/// Between two questions to a survivor's daemon.
const LOOK_EVERY: Duration = Duration::from_millis(1);
