//! Fencing a node: which devices can, in which order, and what came of it.

use super::agent::{AgentEnd, FencerConfig};
use super::device::{Device, HostCheck};
use super::metadata::AgentMetadata;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::sleep;

/// A node to be fenced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FenceRequest {
    /// Name of the node.
    pub target: String,
    /// `reboot`, `off` or `on`.
    pub action: String,
    /// Milliseconds for one device's action (`stonith-timeout`); a device's own
    /// `pcmk_ACTION_timeout` wins.
    pub timeout_ms: u64,
    /// Topology levels for the target ([`super::levels`]); empty = every device that can.
    pub levels: Vec<Vec<String>>,
    /// Uniform in u32: where between `pcmk_delay_base` and `pcmk_delay_max` to wait.
    pub random: u32,
    /// Who asks, for the history.
    pub client: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceOutcome {
    /// The agents of these devices say that it is done.
    Fenced {
        /// Devices, in the order they acted.
        devices: Vec<String>,
        /// Action performed: `off` where an agent knows no `reboot`.
        action: String,
    },
    /// The node may still run. Each reason names a device and why it did not do it.
    Failed {
        /// One per device or level; never empty.
        reasons: Vec<String>,
    },
}

impl FenceOutcome {
    /// The node is fenced.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }
}

/// An entry of the fencing history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceRecord {
    /// What was asked.
    pub request: FenceRequest,
    /// Node that ran the agents.
    pub by: String,
    /// Seconds since the epoch.
    pub started_at: i64,
    /// Seconds since the epoch; `None` = under way.
    pub ended_at: Option<i64>,
    /// `None` = under way.
    pub outcome: Option<FenceOutcome>,
}

/// Runs fence agents. The caller asks for a node once at a time.
pub struct Fencer {
    config: FencerConfig,
    history: Mutex<VecDeque<FenceRecord>>,
}

/// Whether a device can reach a target.
enum Reach {
    Yes,
    No(String),
}

impl Fencer {
    /// A fencer with an empty history.
    #[must_use]
    pub fn new(config: FencerConfig) -> Self {
        Self {
            config,
            history: Mutex::default(),
        }
    }

    /// Fences a node. Bounded: by each device's timeouts and tries, and by the number of devices.
    /// Dropping the future kills the agent under way.
    pub async fn fence(&self, request: &FenceRequest, devices: &[Device]) -> FenceOutcome {
        let mut record = Recording::begin(self, request);
        let outcome = if request.levels.is_empty() {
            self.by_any(request, devices).await
        } else {
            self.by_levels(request, devices).await
        };
        record.end(outcome.clone());
        outcome
    }

    /// Asks the devices whether they could fence a node, without doing it: `(device, Ok)` or why
    /// not. For `doctor` and `check`.
    pub async fn reach(&self, target: &str, devices: &[Device]) -> Vec<(String, Option<String>)> {
        let mut found = Vec::new();
        for device in devices {
            let why = match self.can_fence(device, target).await {
                Reach::Yes => None,
                Reach::No(why) => Some(why),
            };
            found.push((device.id.clone(), why));
        }
        found
    }

    /// Newest last, at most [`HISTORY_MAX`].
    #[must_use]
    pub fn history(&self) -> Vec<FenceRecord> {
        self.records().iter().cloned().collect()
    }

    /// Targets under way.
    #[must_use]
    pub fn pending(&self) -> Vec<String> {
        self.records()
            .iter()
            .filter(|record| record.outcome.is_none())
            .map(|record| record.request.target.clone())
            .collect()
    }

    async fn by_any(&self, request: &FenceRequest, devices: &[Device]) -> FenceOutcome {
        let mut by_priority: Vec<&Device> = devices.iter().collect();
        by_priority.sort_by_key(|d| std::cmp::Reverse(d.priority));
        let mut reasons = Vec::new();
        let mut acted = false;
        for device in by_priority {
            if let Reach::No(why) = self.can_fence(device, &request.target).await {
                reasons.push(why);
                continue;
            }
            let delayed = !std::mem::replace(&mut acted, true);
            match self.act(device, request, &request.action, delayed).await {
                Ok(action) => {
                    return FenceOutcome::Fenced {
                        devices: vec![device.id.clone()],
                        action,
                    };
                }
                Err(why) => reasons.push(why),
            }
        }
        if reasons.is_empty() {
            reasons.push(format!(
                "no fence device is configured that could fence {}",
                request.target
            ));
        }
        FenceOutcome::Failed { reasons }
    }

    /// Every device of a level must succeed. A reboot by several is off for all, then on: between
    /// two reboots one power supply would be up all the time
    /// (daemons/fenced/fenced_remote.c, `op_phase_off`).
    async fn by_levels(&self, request: &FenceRequest, devices: &[Device]) -> FenceOutcome {
        let mut reasons = Vec::new();
        for (index, level) in request.levels.iter().enumerate() {
            let several = level.len() > 1 && request.action == "reboot";
            let action = if several { "off" } else { &request.action };
            match self
                .by_level(request, devices, level, action, index == 0)
                .await
            {
                Err(why) => reasons.push(format!("level {}: {why}", index + 1)),
                Ok(performed) => {
                    if several {
                        self.turn_on_again(request, devices, level).await;
                    }
                    let action = if several {
                        "reboot".to_owned()
                    } else {
                        performed
                    };
                    return FenceOutcome::Fenced {
                        devices: level.clone(),
                        action,
                    };
                }
            }
        }
        FenceOutcome::Failed { reasons }
    }

    async fn by_level(
        &self,
        request: &FenceRequest,
        devices: &[Device],
        level: &[String],
        action: &str,
        first: bool,
    ) -> Result<String, String> {
        let mut performed = action.to_owned();
        for (nth, id) in level.iter().enumerate() {
            let device = devices.iter().find(|d| &d.id == id).ok_or_else(|| {
                format!("{id} of the fencing topology is no configured fence device")
            })?;
            if device.disabled {
                return Err(format!("{id} is stopped by its target-role"));
            }
            performed = self.act(device, request, action, first && nth == 0).await?;
        }
        Ok(performed)
    }

    /// The node is off, which is what was needed; that it comes back is a courtesy.
    async fn turn_on_again(&self, request: &FenceRequest, devices: &[Device], level: &[String]) {
        for id in level {
            if let Some(device) = devices.iter().find(|d| &d.id == id) {
                let _ = self.act(device, request, "on", false).await;
            }
        }
    }

    /// Returns the action performed.
    async fn act(
        &self,
        device: &Device,
        request: &FenceRequest,
        action: &str,
        delayed: bool,
    ) -> Result<String, String> {
        let metadata = self
            .config
            .metadata(&device.agent)
            .await
            .unwrap_or_default();
        let known = metadata.actions.is_empty() || metadata.has_action(device.action_name(action));
        let action = if action == "reboot" && !known {
            "off"
        } else {
            action
        };
        if delayed && action != "on" {
            let delay_ms = device.delay_ms(&request.target, request.random);
            sleep(Duration::from_millis(delay_ms.min(DELAY_MS_MAX))).await;
        }
        let stop = Arc::new(Notify::new());
        let timeout_ms = match request.timeout_ms {
            0 => TIMEOUT_MS_DEFAULT,
            ms => ms,
        };
        let run = self
            .config
            .run_device(device, action, Some(&request.target), timeout_ms, &stop)
            .await;
        match run.end {
            AgentEnd::Ok => Ok(action.to_owned()),
            _ => Err(format!("{}: {}", device.id, run.why)),
        }
    }

    async fn can_fence(&self, device: &Device, target: &str) -> Reach {
        let no = |why: String| Reach::No(format!("{}: {why}", device.id));
        if device.disabled {
            return no("is stopped by its target-role".to_owned());
        }
        let metadata = self.config.metadata(&device.agent).await;
        let known = match &metadata {
            Ok(metadata) => metadata.clone(),
            // Without its meta-data a device that names its targets may still work.
            Err(_) => Arc::new(AgentMetadata::default()),
        };
        match device.host_check(&known) {
            HostCheck::StaticList if device.lists(target) => Reach::Yes,
            HostCheck::StaticList => no(format!(
                "its pcmk_host_list and pcmk_host_map do not name {target}"
            )),
            HostCheck::None => match metadata {
                Ok(_) => Reach::Yes,
                Err(why) => no(why),
            },
            HostCheck::DynamicList => self.lists_dynamically(device, target).await,
            HostCheck::Status => self.knows_status(device, target).await,
        }
    }

    async fn lists_dynamically(&self, device: &Device, target: &str) -> Reach {
        let stop = Arc::new(Notify::new());
        let run = self
            .config
            .run_device(device, "list", None, QUERY_TIMEOUT_MS_DEFAULT, &stop)
            .await;
        if run.end != AgentEnd::Ok {
            return Reach::No(format!("{}: list: {}", device.id, run.why));
        }
        let alias = device.alias(target);
        // A line is `PLUG` or `PLUG,NAME`; both count.
        let listed = run
            .stdout
            .lines()
            .flat_map(|line| line.split([',', ' ', '\t', ';']))
            .any(|word| word.eq_ignore_ascii_case(&alias));
        if listed {
            Reach::Yes
        } else {
            Reach::No(format!("{}: its list does not contain {alias}", device.id))
        }
    }

    async fn knows_status(&self, device: &Device, target: &str) -> Reach {
        let stop = Arc::new(Notify::new());
        let run = self
            .config
            .run_device(
                device,
                "status",
                Some(target),
                QUERY_TIMEOUT_MS_DEFAULT,
                &stop,
            )
            .await;
        match run.end {
            AgentEnd::Ok | AgentEnd::Off => Reach::Yes,
            _ => Reach::No(format!("{}: status: {}", device.id, run.why)),
        }
    }

    fn records(&self) -> MutexGuard<'_, VecDeque<FenceRecord>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A history entry under way; a future that is dropped half-way leaves it as failed.
struct Recording<'a> {
    fencer: &'a Fencer,
    request: FenceRequest,
    started_at: i64,
    outcome: Option<FenceOutcome>,
}

impl<'a> Recording<'a> {
    fn begin(fencer: &'a Fencer, request: &FenceRequest) -> Self {
        let started_at = epoch_seconds();
        let mut records = fencer.records();
        while records.len() >= HISTORY_MAX {
            records.pop_front();
        }
        records.push_back(FenceRecord {
            request: request.clone(),
            by: fencer.config.node_name.clone(),
            started_at,
            ended_at: None,
            outcome: None,
        });
        drop(records);
        Self {
            fencer,
            request: request.clone(),
            started_at,
            outcome: None,
        }
    }

    fn end(&mut self, outcome: FenceOutcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| FenceOutcome::Failed {
            reasons: vec!["given up before it ended".to_owned()],
        });
        let mut records = self.fencer.records();
        let open = records.iter_mut().rev().find(|r| {
            r.outcome.is_none() && r.request == self.request && r.started_at == self.started_at
        });
        if let Some(record) = open {
            record.ended_at = Some(epoch_seconds());
            record.outcome = Some(outcome);
        }
    }
}

fn epoch_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// Entries of the fencing history kept (Pacemaker's `MAX_STONITH_HISTORY`).
pub const HISTORY_MAX: usize = 500;
/// `stonith-timeout`, milliseconds.
const TIMEOUT_MS_DEFAULT: u64 = 60_000;
/// `list` and `status`, milliseconds.
const QUERY_TIMEOUT_MS_DEFAULT: u64 = 20_000;
/// Longest delay obeyed, milliseconds.
const DELAY_MS_MAX: u64 = 600_000;
