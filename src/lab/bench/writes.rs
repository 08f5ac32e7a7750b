//! `mainstay-lab bench writes`: acknowledged changes of the configuration, each on a quorum's disks.

use super::ms;
use crate::ipc::{Change, Client, Edit, Request, Response};
use crate::lab::cluster::Lab;
use crate::lab::error::LabError;
use crate::lab::interrupt;
use crate::lab::service::MEMBERS_WITHIN;
use crate::lab::table::Figure;
use std::time::Instant;

/// The figures, in the order of [`run`]'s samples.
pub(super) fn figures() -> Vec<Figure> {
    vec![
        Figure::new("a change, one after another", "ms", Some(5.0)),
        // 500 in a second.
        Figure::new("a change, many at once: time for each", "ms", Some(2.0)),
    ]
}

/// Changes one by one, then many at once; a sample for each figure.
pub(super) fn run(lab: &Lab) -> Result<Vec<Vec<f64>>, LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    lab.paste("node1", &format!("crm_attribute --name {NAME} --update 0"))?;
    let mut client = lab.client_of("node1")?;
    let mut single = Vec::new();
    for number in 0..SINGLE {
        interrupt::check()?;
        let from = Instant::now();
        write(&mut client, number)?;
        single.push(ms(from.elapsed()));
    }
    let clients: Result<Vec<Client>, LabError> =
        (0..AT_ONCE).map(|_| lab.client_of("node1")).collect();
    let from = Instant::now();
    let done: Result<(), LabError> = std::thread::scope(|scope| {
        let workers: Vec<_> = clients?
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || (0..EACH).try_for_each(|number| write(&mut client, number)))
            })
            .collect();
        let join = |w: std::thread::ScopedJoinHandle<'_, Result<(), LabError>>| {
            w.join()
                .unwrap_or_else(|_| Err(LabError::Refused("a writer ended early".to_owned())))
        };
        workers.into_iter().try_for_each(join)
    });
    done?;
    let each = ms(from.elapsed()) / f64::from(AT_ONCE * EACH);
    Ok(vec![single, vec![each]])
}

fn write(client: &mut Client, value: u32) -> Result<(), LabError> {
    let mut op = [0; 16];
    getrandom::fill(&mut op)
        .map_err(|e| LabError::Refused(format!("a change cannot be named: {e}")))?;
    let change = Change {
        op,
        base: None,
        edit: Edit::Patch(patch(value)),
        client: "bench".to_owned(),
        user: "root".to_owned(),
    };
    match client.call(&Request::Change(change)) {
        Ok(Response::Changed { .. }) => Ok(()),
        Ok(other) => Err(LabError::Refused(format!("a change: {other:?}"))),
        Err(error) => Err(LabError::Refused(format!("a change: {error}"))),
    }
}

/// Sets the property that is written.
fn patch(value: u32) -> String {
    let id = format!("cib-bootstrap-options-{NAME}");
    let version = "admin_epoch=\"0\" epoch=\"0\" num_updates=\"0\"";
    format!(
        "<diff format=\"2\"><version><source {version}/><target {version}/></version>\
         <change operation=\"modify\" path=\"/cib/configuration/crm_config/\
         cluster_property_set[@id=&apos;cib-bootstrap-options&apos;]/nvpair[@id=&apos;{id}&apos;]\">\
         <change-list><change-attr name=\"value\" operation=\"set\" value=\"{value}\"/></change-list>\
         <change-result><nvpair id=\"{id}\" name=\"{NAME}\" value=\"{value}\"/></change-result>\
         </change></diff>"
    )
}

/// The property that is written.
const NAME: &str = "bench-writes";
/// Changes one after another in a run.
const SINGLE: u32 = 50;
/// Connections that write at once.
const AT_ONCE: u32 = 32;
/// Changes of each of them.
const EACH: u32 = 20;
