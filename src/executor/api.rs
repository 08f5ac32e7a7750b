//! What the executor is asked, and what it answers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One operation of one resource, complete: the executor needs no CIB to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpRequest {
    /// Resource id as in the history (anonymous clone instances without `:N`).
    pub rsc: String,
    /// `OCF_RESOURCE_INSTANCE`: the same name; empty = `rsc`.
    pub instance: String,
    /// `ocf`, `lsb`, `systemd`, `service`, `stonith`.
    pub class: String,
    /// `heartbeat` …
    pub provider: Option<String>,
    /// `IPaddr2` …
    pub kind: String,
    /// `start`, `stop`, `monitor`, `promote`, `demote`, `notify`, `migrate_to`, `migrate_from`,
    /// `reload-agent`, `validate-all`, `meta-data`.
    pub operation: String,
    /// Milliseconds; 0 = once, else recurring until cancelled.
    pub interval_ms: u64,
    /// Milliseconds for one run.
    pub timeout_ms: u64,
    /// Milliseconds before the first run.
    pub start_delay_ms: u64,
    /// Instance parameters, verbatim (`OCF_RESKEY_*`).
    pub params: BTreeMap<String, String>,
    /// `CRM_meta_*` without the prefix.
    pub meta: BTreeMap<String, String>,
    /// Exit code that was expected.
    pub target_rc: i32,
    /// `ACTION:TRANSITION:TARGET_RC:UUID`, kept in the history.
    pub transition_key: String,
    /// MD5 of the parameters as Pacemaker computes it (`op-digest`), kept in the history.
    pub digest: String,
    /// `on-fail` in force.
    pub on_fail: String,
}

/// How one run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpOutcome {
    /// Number of the run on this executor, growing.
    pub call_id: i32,
    /// OCF exit code.
    pub rc: i32,
    /// PCMK_EXEC: 0 done, 1 cancelled, 2 timed out, 4 error, 7 not installed … ([`super::op_status`]).
    pub op_status: i32,
    /// Last `ocf-exit-reason:` line, or what the executor has to say; bounded.
    pub exit_reason: String,
    /// Start of the run, seconds since the epoch.
    pub started_at: i64,
    /// Milliseconds it ran.
    pub exec_ms: u64,
    /// Milliseconds it waited.
    pub queue_ms: u64,
    /// Tail of what it printed, bounded; for logs.
    pub output: String,
}

/// An operation's end. Recurring operations report their first result and every change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpFinished {
    /// What was asked.
    pub request: OpRequest,
    /// How it ended.
    pub outcome: OpOutcome,
}
