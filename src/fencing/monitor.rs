//! Fence devices as resources: start, monitor and stop of class `stonith`.
//!
//! A started device is one whose agent answered `monitor`; nothing of it runs between operations
//! (daemons/execd/execd_commands.c, `execute_stonith_action`).

use super::agent::{AgentEnd, FencerConfig};
use super::device::Device;
use crate::executor::OpRequest;
use crate::executor::outcome::{Verdict, ocf_rc, op_status};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Devices started on this node.
#[derive(Default)]
pub(crate) struct ActiveDevices {
    started: Mutex<BTreeSet<String>>,
}

impl ActiveDevices {
    /// Runs one operation of a fence device; `None` = cancelled.
    pub(crate) async fn run(
        &self,
        config: &FencerConfig,
        request: &OpRequest,
        stop: Arc<Notify>,
    ) -> Option<Verdict> {
        let done = |rc| Some(Verdict::refused(rc, op_status::DONE, ""));
        let started = self.started().contains(&request.rsc);
        match (request.operation.as_str(), request.interval_ms) {
            ("stop", _) => {
                self.remove(&request.rsc);
                done(ocf_rc::OK)
            }
            ("monitor", 0) if !started => done(ocf_rc::NOT_RUNNING),
            ("start" | "monitor", _) => {
                let verdict = ask(config, request, stop).await?;
                let mut devices = self.started();
                if verdict.rc == ocf_rc::OK && request.operation == "start" {
                    devices.insert(request.rsc.clone());
                }
                Some(verdict)
            }
            ("reload" | "reload-agent" | "notify", _) => done(ocf_rc::OK),
            (other, _) => Some(Verdict::refused(
                3,
                op_status::DONE,
                format!("fence devices have no operation {other}"),
            )),
        }
    }

    /// The device is stopped, or no longer a resource.
    pub(crate) fn remove(&self, rsc: &str) {
        self.started().remove(rsc);
    }

    fn started(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(config: &FencerConfig, request: &OpRequest, stop: Arc<Notify>) -> Option<Verdict> {
    let device = Device {
        id: request.rsc.clone(),
        agent: request.kind.clone(),
        params: request.params.clone(),
        ..Device::default()
    };
    let timeout_ms = match request.timeout_ms {
        0 => MONITOR_TIMEOUT_MS_DEFAULT,
        ms => ms,
    };
    let run = config
        .run_device(&device, "monitor", None, timeout_ms, &stop)
        .await;
    let (rc, status) = match run.end {
        AgentEnd::Ok => (ocf_rc::OK, op_status::DONE),
        AgentEnd::Off | AgentEnd::Failed => (ocf_rc::GENERIC, op_status::DONE),
        AgentEnd::TimedOut => (ocf_rc::GENERIC, op_status::TIMEOUT),
        AgentEnd::Absent => (ocf_rc::NOT_INSTALLED, op_status::NOT_INSTALLED),
        AgentEnd::Cancelled => return None,
    };
    Some(Verdict::refused(rc, status, run.why))
}

const MONITOR_TIMEOUT_MS_DEFAULT: u64 = 20_000;
