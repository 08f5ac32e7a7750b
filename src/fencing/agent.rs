//! Running a fence agent: `key=value` lines on standard input, the answer in the exit code.

use super::device::{Device, is_agent_name};
use super::metadata::AgentMetadata;
use crate::executor::BaseEnvironment;
use crate::executor::outcome::readable;
use crate::executor::process::{self, Ended, ProcessSpec, printable};
use crate::paths::Paths;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Where fence agents lie and what surrounds them; cheap to clone.
#[derive(Clone)]
pub struct FencerConfig {
    directory: PathBuf,
    environment: Vec<(String, String)>,
    pub(super) node_name: String,
    /// By agent; an agent's meta-data does not change while it is installed.
    metadata: Arc<Mutex<BTreeMap<String, Arc<AgentMetadata>>>>,
}

/// How an agent's run ended.
#[derive(Debug)]
pub(super) struct AgentRun {
    /// What happened.
    pub(super) end: AgentEnd,
    /// Standard output, bounded.
    pub(super) stdout: String,
    /// In words, empty after success.
    pub(super) why: String,
}

/// Ends of an agent's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AgentEnd {
    /// Exit code 0: done; status: on.
    Ok,
    /// Exit code 2: status: off. A failure for every other action.
    Off,
    /// Any other exit code.
    Failed,
    /// Killed at its timeout.
    TimedOut,
    /// Not installed, or not executable.
    Absent,
    /// Taken back by the caller.
    Cancelled,
}

impl FencerConfig {
    /// Agents of `paths`, with the agents' environment plus `environment`.
    #[must_use]
    pub fn new(paths: &Paths, node_name: &str, environment: &BTreeMap<String, String>) -> Self {
        let base = BaseEnvironment::new(paths, environment);
        Self {
            directory: paths.fence_agents(),
            environment: base.plain().into_iter().collect(),
            node_name: node_name.to_owned(),
            metadata: Arc::default(),
        }
    }

    /// What the agent says about itself; asked once. An agent that does not answer is treated as
    /// one that takes `reboot` and `off` and no parameter for its target.
    ///
    /// # Errors
    /// The agent is absent, fails or prints something else.
    pub(super) async fn metadata(&self, agent: &str) -> Result<Arc<AgentMetadata>, String> {
        if let Some(known) = self.cache().get(agent) {
            return Ok(known.clone());
        }
        let arguments = [("action".to_owned(), "metadata".to_owned())];
        let stop = Arc::new(Notify::new());
        let run = self.run(agent, &arguments, METADATA_TIME_MAX, stop).await;
        if run.end != AgentEnd::Ok {
            return Err(format!("no meta-data: {}", run.why));
        }
        let parsed = AgentMetadata::parse(&run.stdout)
            .ok_or_else(|| format!("{agent} printed no meta-data of a fence agent"))?;
        let parsed = Arc::new(parsed);
        let mut cache = self.cache();
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(agent.to_owned(), parsed.clone());
        Ok(parsed)
    }

    /// Runs one action of an agent.
    pub(super) async fn run(
        &self,
        agent: &str,
        arguments: &[(String, String)],
        allowed: Duration,
        stop: Arc<Notify>,
    ) -> AgentRun {
        if !is_agent_name(agent) {
            let why = format!("\"{agent}\" is not the name of a fence agent");
            return AgentRun::without_output(AgentEnd::Absent, why);
        }
        let stdin: String = arguments
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let spec = ProcessSpec {
            program: self.directory.join(agent),
            args: Vec::new(),
            env: self.environment.clone(),
            cwd: PathBuf::from("/"),
            user: None,
            stdin: stdin.into_bytes(),
            timeout: allowed,
            stdout_bytes_max: STDOUT_BYTES_MAX,
        };
        let program = spec.program.clone();
        let result = process::run(spec, stop).await;
        let said = last_line(&result.tail);
        let (end, why) = match result.ended {
            Ended::Exited(0) => (AgentEnd::Ok, String::new()),
            Ended::Exited(2) => (AgentEnd::Off, format!("{agent} exited with 2{said}")),
            Ended::Exited(code) => (
                AgentEnd::Failed,
                format!("{agent} exited with {code}{said}"),
            ),
            Ended::Signalled(signal) => (
                AgentEnd::Failed,
                format!("{agent} was ended by signal {signal}{said}"),
            ),
            Ended::TimedOut => (
                AgentEnd::TimedOut,
                format!(
                    "{agent} did not complete within {}{said}",
                    readable(allowed)
                ),
            ),
            Ended::Cancelled => (AgentEnd::Cancelled, format!("{agent} was cancelled")),
            Ended::NotStarted(error) => (AgentEnd::Absent, absent(agent, &program, &error)),
        };
        AgentRun {
            end,
            stdout: String::from_utf8_lossy(&result.stdout).into_owned(),
            why,
        }
    }

    /// Runs an action of a device, trying again while it fails in time
    /// (lib/fencing/st_actions.c, `stonith_action_async_done`).
    pub(super) async fn run_device(
        &self,
        device: &Device,
        action: &str,
        target: Option<&str>,
        default_timeout_ms: u64,
        stop: &Arc<Notify>,
    ) -> AgentRun {
        let metadata = self.metadata(&device.agent).await.unwrap_or_default();
        let arguments = match device.arguments(action, target, &metadata) {
            Ok(arguments) => arguments,
            Err(why) => return AgentRun::without_output(AgentEnd::Failed, why),
        };
        let total = Duration::from_millis(device.timeout_ms(action, default_timeout_ms));
        let began = tokio::time::Instant::now();
        let mut tries = 0;
        loop {
            let left = match tries {
                0 => total,
                _ => total.saturating_sub(began.elapsed()),
            };
            tries += 1;
            let run = self
                .run(&device.agent, &arguments, left, stop.clone())
                .await;
            let left = total.saturating_sub(began.elapsed());
            let enough = left.as_millis() * 100 >= total.as_millis() * RETRY_TIME_LEFT_PERCENT_MIN;
            let status_off = action == "status" && run.end == AgentEnd::Off;
            let again = matches!(run.end, AgentEnd::Failed | AgentEnd::Off) && !status_off;
            if !again || tries >= device.tries(action) || !enough {
                return run;
            }
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<AgentMetadata>>> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AgentRun {
    fn without_output(end: AgentEnd, why: String) -> Self {
        Self {
            end,
            stdout: String::new(),
            why,
        }
    }
}

fn absent(agent: &str, program: &std::path::Path, error: &std::io::Error) -> String {
    let path = program.display();
    match error.kind() {
        ErrorKind::NotFound if program.exists() => {
            format!("{agent}: the interpreter named in the first line of {path} does not exist")
        }
        ErrorKind::NotFound => format!(
            "{agent} cannot run: {path} does not exist; the package fence-agents provides the \
             common ones"
        ),
        ErrorKind::PermissionDenied => {
            format!("{agent} cannot run: {path} is not executable; chmod 755 it")
        }
        _ => format!("{agent} cannot run: {path} could not be started: {error}"),
    }
}

fn last_line(tail: &str) -> String {
    match tail.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!(": {}", printable(line.trim(), LINE_BYTES_MAX)),
        None => String::new(),
    }
}

const METADATA_TIME_MAX: Duration = Duration::from_secs(5);
const STDOUT_BYTES_MAX: usize = 1024 * 1024;
const CACHE_MAX: usize = 256;
const LINE_BYTES_MAX: usize = 300;
/// A failed action is tried again only while this much of its time is left.
const RETRY_TIME_LEFT_PERCENT_MIN: u128 = 30;
