//! Resource agents: OCF and LSB processes and native agents, timeouts, recurring operations, history.
//!
//! ```text
//! run() ──► queue (a lane per resource) ──► worker ──► native agent | process group
//!                     ▲                        │
//!                     └── recurring: again ────┴──► ExecutorEvent::Finished ──► History
//! ```
//!
//! One operation of a resource runs at a time; different resources run side by side, processes up
//! to [`PROCESSES_MAX`]. [`History`] is pure and turns results into what the CIB's status shows.

mod api;
mod environment;
mod failcount;
mod history;
mod lsb;
mod ocf;
pub(crate) mod outcome;
pub(crate) mod process;
mod queue;
mod recurring;
mod survivors;
mod together;
mod worker;

pub use api::{OpFinished, OpOutcome, OpRequest};
pub use environment::{BaseEnvironment, FEATURE_SET, read_environment_files};
pub use history::{Changed, History};
pub use outcome::{ocf_rc, op_status};
pub use queue::InFlight;
pub use survivors::end_survivors;

use crate::fencing::{ActiveDevices, FencerConfig};
use crate::paths::Paths;
use queue::Lanes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use together::Together;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// An agent that is served in this process instead of by a program.
pub trait NativeAgent: Send + Sync {
    /// `Ok(true)`: served here. `Ok(false)`: not this agent's business.
    ///
    /// # Errors
    /// Why an operation of this agent must go to the real program this time; told once per
    /// resource.
    fn handles(&self, request: &OpRequest) -> Result<bool, String>;

    /// Runs the operation and returns the OCF exit code and the exit reason (may be empty). Called
    /// on a blocking thread, one operation of a resource at a time. It cannot be interrupted: an
    /// operation that outlives its timeout is reported as timed out, and its resource waits a
    /// little longer ([`NATIVE_OVERTIME_MAX`]).
    fn run(&self, request: &OpRequest) -> (i32, String);

    /// Runs operations of different resources together, where that is cheaper than one by one, and
    /// returns a result for each, in their order. `None` in its place: it has to run by itself.
    /// Called on one thread, which serves all resources: nothing here may wait or sleep.
    fn run_together(&self, requests: &[OpRequest]) -> Vec<Option<(i32, String)>> {
        vec![None; requests.len()]
    }
}

/// What an executor is made of.
#[derive(Clone)]
pub struct ExecutorConfig {
    /// Where agents lie.
    pub paths: Paths,
    /// Name of this node.
    pub node_name: String,
    /// Asked in order before a program is run.
    pub natives: Vec<Arc<dyn NativeAgent>>,
    /// Added to every agent's environment ([`read_environment_files`]).
    pub environment: BTreeMap<String, String>,
}

/// What an executor tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorEvent {
    /// An operation ended. Recurring operations: the first result and every change.
    Finished(Box<OpFinished>),
    /// Something a person should know about a resource, once per resource and text.
    Notice {
        /// Resource.
        rsc: String,
        /// What, in a sentence.
        text: String,
    },
}

/// Why an operation was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecutorError {
    /// [`Executor::shutdown`] was called.
    #[error("operation {operation} of resource {rsc} refused: the executor is shutting down")]
    ShuttingDown {
        /// Resource.
        rsc: String,
        /// Operation.
        operation: String,
    },
    /// Too many operations of the resource wait already.
    #[error(
        "operation {operation} of resource {rsc} refused: {LANE_QUEUE_MAX} operations of it wait already"
    )]
    QueueFull {
        /// Resource.
        rsc: String,
        /// Operation.
        operation: String,
    },
    /// The command comes from a coordinator that has been superseded (invariant I13).
    #[error(
        "operation {operation} of resource {rsc} refused: its token {token:?} is older than {promised:?}, which this node has promised"
    )]
    StaleToken {
        /// Resource.
        rsc: String,
        /// Operation.
        operation: String,
        /// Token of the command.
        token: CommandToken,
        /// Greatest token promised.
        promised: CommandToken,
    },
}

/// Names the coordinator's reign that a command belongs to, ordered: ballot, then view.
pub type CommandToken = (u64, u64);

/// Runs the operations of this node's resources. Dropping it kills what runs.
pub struct Executor {
    shared: Arc<Shared>,
    workers: Mutex<JoinSet<()>>,
    runtime: Handle,
}

/// What the handle and the workers share.
struct Shared {
    config: ExecutorConfig,
    base: BaseEnvironment,
    cwd: PathBuf,
    state: Mutex<State>,
    permits: Semaphore,
    together: Vec<Together>,
    events: mpsc::Sender<ExecutorEvent>,
    /// Fence devices started on this node, and how their agents are run.
    fencing: FencerConfig,
    devices: ActiveDevices,
}

#[derive(Default)]
struct State {
    lanes: Lanes,
    closing: bool,
    promised: CommandToken,
}

impl Executor {
    /// An executor that tells `events`. Must be called inside a tokio runtime with IO and time.
    /// Makes the directories that agents expect (`/run/resource-agents`), as far as it may.
    #[must_use]
    pub fn new(config: ExecutorConfig, events: mpsc::Sender<ExecutorEvent>) -> Self {
        let shared = Shared {
            base: BaseEnvironment::new(&config.paths, &config.environment),
            cwd: prepare_directories(&config.paths),
            state: Mutex::default(),
            permits: Semaphore::new(PROCESSES_MAX),
            together: (config.natives.iter().cloned())
                .filter_map(Together::start)
                .collect(),
            events,
            fencing: FencerConfig::new(&config.paths, &config.node_name, &config.environment),
            devices: ActiveDevices::default(),
            config,
        };
        Self {
            shared: Arc::new(shared),
            workers: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    /// Takes an operation and returns its call id. A recurring operation replaces the one of the
    /// same name and interval. An operation that changes the resource's state (start, stop,
    /// promote …) cancels its recurring operations first, also one under way.
    ///
    /// # Errors
    /// [`ExecutorError::ShuttingDown`], [`ExecutorError::QueueFull`].
    pub fn run(&self, request: OpRequest) -> Result<i32, ExecutorError> {
        self.take(request, None)
    }

    /// As [`Executor::run`], for a command of the coordinator that `token` names (I13).
    ///
    /// # Errors
    /// Also [`ExecutorError::StaleToken`].
    pub fn run_under(&self, token: CommandToken, request: OpRequest) -> Result<i32, ExecutorError> {
        self.take(request, Some(token))
    }

    /// From now on commands with a lower token are refused.
    pub fn promise(&self, token: CommandToken) {
        let mut state = self.shared.state();
        state.promised = state.promised.max(token);
    }

    fn take(&self, request: OpRequest, token: Option<CommandToken>) -> Result<i32, ExecutorError> {
        let (rsc, operation) = (request.rsc.clone(), request.operation.clone());
        let mut state = self.shared.state();
        if state.closing {
            return Err(ExecutorError::ShuttingDown { rsc, operation });
        }
        if let Some(token) = token {
            let promised = state.promised;
            if token < promised {
                return Err(ExecutorError::StaleToken {
                    rsc,
                    operation,
                    token,
                    promised,
                });
            }
            state.promised = token;
        }
        let Ok((call_id, fresh)) = state.lanes.add(request, Instant::now()) else {
            return Err(ExecutorError::QueueFull { rsc, operation });
        };
        drop(state);
        if fresh {
            let mut workers = lock(&self.workers);
            while workers.try_join_next().is_some() {}
            workers.spawn_on(worker::serve(self.shared.clone(), rsc), &self.runtime);
        }
        Ok(call_id)
    }

    /// Cancels a recurring operation, killing a run under way, or takes back one-time operations
    /// of that name that still wait (`interval_ms` 0). No event follows. False when there was none.
    pub fn cancel(&self, rsc: &str, operation: &str, interval_ms: u64) -> bool {
        self.shared
            .state()
            .lanes
            .cancel(rsc, operation, interval_ms)
    }

    /// Drops everything about a resource (Pacemaker's `lrm_delete`): recurring and waiting
    /// operations go, one under way is killed. One-time operations are told as cancelled
    /// ([`op_status::CANCELLED`]), so that nobody waits for them.
    pub fn forget(&self, rsc: &str) {
        self.shared.devices.remove(rsc);
        self.shared.state().lanes.forget(rsc);
    }

    /// Something happened to a resource (the kernel told of a lost address …): its recurring
    /// operations run now, once more if one is under way, and a failure's reason ends with `why`.
    /// False when it has none.
    pub fn poke(&self, rsc: &str, why: &str) -> bool {
        self.shared.state().lanes.poke(rsc, why, Instant::now())
    }

    /// A resource's recurring operations, with the call id under which each reports.
    #[must_use]
    pub fn recurring(&self, rsc: &str) -> Vec<(OpRequest, i32)> {
        self.shared.state().lanes.recurring(rsc)
    }

    /// A number for a result that no run gives, in the order of all others.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.shared.state().lanes.number()
    }

    /// Operations that wait or run now.
    #[must_use]
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.shared.state().lanes.in_flight()
    }

    /// Kills what runs, with all its process groups, and takes nothing more. Resources are left
    /// as they are: stop them first.
    pub async fn shutdown(&self) {
        {
            let mut state = self.shared.state();
            state.closing = true;
            state.lanes.clear();
        }
        let mut workers = std::mem::take(&mut *lock(&self.workers));
        let all = async { while workers.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_WAIT_MAX, all).await.is_err() {
            workers.shutdown().await;
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // The workers' futures own their process groups, which die with them.
        lock(&self.workers).abort_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// No code panics while it holds these locks half-way through a change; a poisoned one is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `/run/resource-agents` as resource-agents' tmpfiles.d makes it (absent in containers and
/// namespaces), and a working directory of the agents' own, as Pacemaker's daemons have one.
fn prepare_directories(paths: &Paths) -> PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o1755);
    let _ = builder.create(paths.root().join("run/resource-agents"));
    let cwd = paths.state_dir().join("cores");
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(&cwd);
    if made.is_ok() && cwd.is_dir() {
        cwd
    } else {
        PathBuf::from("/")
    }
}

/// Agent processes that run at the same time; native agents do not count.
pub const PROCESSES_MAX: usize = 64;
/// How long a resource waits, after the timeout, for a native operation that is still running.
pub const NATIVE_OVERTIME_MAX: Duration = Duration::from_secs(5);
/// Operations of native agents that run together in one round; more wait for the next one.
pub const ROUND_MAX: usize = 1024;
/// Operations of one resource that may wait for their turn.
pub const LANE_QUEUE_MAX: usize = queue::LANE_QUEUE_MAX;
/// Longest wait for killed operations at shutdown.
const SHUTDOWN_WAIT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
pub(crate) mod real_agents_tests;
#[cfg(test)]
mod tests;
