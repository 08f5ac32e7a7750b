//! Running alert agents: side by side up to a bound, numbered, killed at their timeout.

use super::config::{Alert, Recipient};
use super::event::AlertEvent;
use crate::executor::BaseEnvironment;
use crate::executor::outcome::readable;
use crate::executor::process::{self, Ended, ProcessSpec};
use crate::paths::Paths;
use jiff::{Timestamp, tz::TimeZone};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

/// Runs alert agents. Dropping it kills those under way.
pub struct Alerter {
    environment: BTreeMap<String, String>,
    user: Option<(u32, u32)>,
    permits: Arc<Semaphore>,
    sequence: AtomicU64,
    running: Mutex<JoinSet<()>>,
    failures: mpsc::Sender<String>,
}

impl Alerter {
    /// An alerter that tells `failures` which alert agent failed and why, in a sentence; what does
    /// not fit in that channel is lost, because alerts must never hold up the cluster.
    #[must_use]
    pub fn new(
        paths: &Paths,
        environment: &BTreeMap<String, String>,
        failures: mpsc::Sender<String>,
    ) -> Self {
        Self {
            environment: BaseEnvironment::new(paths, environment).plain(),
            user: alert_user(),
            permits: Arc::new(Semaphore::new(ALERTS_RUNNING_MAX)),
            sequence: AtomicU64::new(0),
            running: Mutex::default(),
            failures,
        }
    }

    /// Tells every enabled recipient of every alert that wants this event; returns how many. Does
    /// not wait for them. Must be called inside a tokio runtime.
    pub fn send(&self, event: &AlertEvent, alerts: &[Alert]) -> usize {
        let wanted = alerts.iter().filter(|a| event.is_wanted(&a.select));
        let mut told = 0;
        for alert in wanted {
            for recipient in alert.recipients.iter().filter(|r| r.enabled) {
                // One number per call, as Pacemaker's `CRM_alert_node_sequence` grows.
                let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
                let env = variables(event, recipient, sequence, now());
                told += usize::from(self.spawn(alert, recipient, env));
            }
        }
        told
    }

    /// Waits until no alert is under way.
    pub async fn idle(&self) {
        let mut running = std::mem::take(&mut *self.running());
        while running.join_next().await.is_some() {}
    }

    fn spawn(&self, alert: &Alert, recipient: &Recipient, env: BTreeMap<String, String>) -> bool {
        let mut running = self.running();
        while running.try_join_next().is_some() {}
        let failures = self.failures.clone();
        if running.len() >= ALERTS_WAITING_MAX {
            let id = &alert.id;
            let text = format!("alert {id} dropped: {ALERTS_WAITING_MAX} alerts wait already");
            let _ = failures.try_send(text);
            return false;
        }
        let mut whole = self.environment.clone();
        whole.extend(env);
        let spec = ProcessSpec {
            program: PathBuf::from(&alert.path),
            args: Vec::new(),
            env: whole.into_iter().collect(),
            cwd: PathBuf::from("/"),
            user: self.user,
            stdin: Vec::new(),
            timeout: Duration::from_millis(recipient.timeout_ms),
            stdout_bytes_max: 0,
        };
        let (id, permits) = (alert.id.clone(), self.permits.clone());
        running.spawn(async move {
            let permit = permits.acquire().await;
            if let Err(why) = run(spec).await {
                let _ = failures.try_send(format!("alert {id}: {why}"));
            }
            drop(permit);
        });
        true
    }

    fn running(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Alert agents need no power over the node: as in Pacemaker they run as `hacluster`, where root
/// starts them and that user exists.
fn alert_user() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = nix::unistd::User::from_name(ALERT_USER).ok()??;
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

async fn run(spec: ProcessSpec) -> Result<(), String> {
    if !spec.program.is_absolute() {
        return Err(format!(
            "its path \"{}\" is not absolute",
            spec.program.display()
        ));
    }
    let (program, allowed) = (spec.program.display().to_string(), spec.timeout);
    let result = process::run(spec, Arc::new(Notify::new())).await;
    let said = match result.tail.lines().last() {
        Some(line) => format!(": {line}"),
        None => String::new(),
    };
    match result.ended {
        Ended::Exited(0) | Ended::Cancelled => Ok(()),
        Ended::Exited(code) => Err(format!("{program} exited with {code}{said}")),
        Ended::Signalled(signal) => Err(format!("{program} was ended by signal {signal}{said}")),
        Ended::TimedOut => Err(format!(
            "{program} did not complete within {}{said}",
            readable(allowed)
        )),
        Ended::NotStarted(error) if !Path::new(&program).exists() => {
            Err(format!("{program} does not exist ({error})"))
        }
        Ended::NotStarted(error) => Err(format!("{program} could not be started: {error}")),
    }
}

/// The event's variables, and those of the call. `now` is since the epoch.
pub(super) fn variables(
    event: &AlertEvent,
    recipient: &Recipient,
    sequence: u64,
    now: Duration,
) -> BTreeMap<String, String> {
    let mut vars = event.variables();
    let call = [
        ("node_sequence", sequence.to_string()),
        ("version", VERSION.to_owned()),
        (
            "timestamp",
            timestamp(&recipient.timestamp_format, now, &TimeZone::system()),
        ),
        ("timestamp_epoch", now.as_secs().to_string()),
        ("timestamp_usec", now.subsec_micros().to_string()),
        ("recipient", recipient.value.clone().unwrap_or_default()),
    ];
    for (name, value) in call {
        vars.insert(format!("CRM_alert_{name}"), value);
    }
    for (name, value) in &recipient.variables {
        let fits = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        if fits {
            vars.insert(name.clone(), value.clone());
        }
    }
    // execve(2) would refuse the whole environment.
    vars.retain(|_, value| !value.contains('\0'));
    vars
}

/// strftime with GNU date's `%N`: `%6N`, `%06N` six digits of the second's fraction.
pub(super) fn timestamp(format: &str, now: Duration, zone: &TimeZone) -> String {
    let format = expand_fraction(format, now.subsec_nanos());
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds)
        .ok()
        .map(|at| at.to_zoned(zone.clone()))
        .and_then(|at| jiff::fmt::strtime::format(&format, &at).ok())
        .unwrap_or_else(|| now.as_secs().to_string())
}

fn expand_fraction(format: &str, nanos: u32) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = &rest[at + 1..];
        let digits = spec
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(spec.len());
        if spec[digits..].starts_with('N') {
            let width = spec[..digits].parse().unwrap_or(9).clamp(1, 9);
            out.push_str(&format!("{nanos:09}")[..width]);
            rest = &spec[digits + 1..];
        } else {
            // Take the conversion with it, so that `%%` is not read twice.
            let end = spec.chars().next().map_or(0, char::len_utf8);
            out.push('%');
            out.push_str(&spec[..end]);
            rest = &spec[end..];
        }
    }
    out.push_str(rest);
    out
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Alert agents that run at the same time.
pub const ALERTS_RUNNING_MAX: usize = 16;
/// Alert agents that run or wait; more are dropped, loudly.
pub const ALERTS_WAITING_MAX: usize = 512;
const ALERT_USER: &str = "hacluster";
/// `CRM_alert_version`: the Pacemaker release whose alerts these are.
const VERSION: &str = "2.1.9";
