//! OCF resource agents: where they lie, how they are called, what their absence means.

use super::api::OpRequest;
use super::environment::BaseEnvironment;
use super::outcome::{Verdict, ocf_rc, op_status};
use super::process::ProcessSpec;
use crate::paths::Paths;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The call of an OCF agent.
///
/// # Errors
/// A result to report instead, when the name cannot be an agent's.
pub(super) fn command(
    request: &OpRequest,
    paths: &Paths,
    base: &BaseEnvironment,
    cwd: &Path,
) -> Result<ProcessSpec, Verdict> {
    let provider = request.provider.as_deref().unwrap_or("heartbeat");
    if !is_file_name(provider) || !is_file_name(&request.kind) {
        return Err(Verdict::refused(
            ocf_rc::NOT_CONFIGURED,
            op_status::INVALID,
            format!(
                "ocf:{provider}:{} is not the name of an agent",
                request.kind
            ),
        ));
    }
    Ok(ProcessSpec {
        program: agent_path(paths, provider, &request.kind),
        args: vec![request.operation.clone()],
        env: base.for_ocf(request).into_iter().collect(),
        cwd: cwd.to_owned(),
        user: None,
        stdin: Vec::new(),
        timeout: timeout_of(request),
        stdout_bytes_max: stdout_bytes_max(&request.operation),
    })
}

/// `OCF_ROOT/resource.d/PROVIDER/TYPE`.
pub(super) fn agent_path(paths: &Paths, provider: &str, kind: &str) -> PathBuf {
    paths
        .ocf_root()
        .join("resource.d")
        .join(provider)
        .join(kind)
}

/// Why the agent could not be started.
pub(super) fn absent(request: &OpRequest, program: &Path, error: &std::io::Error) -> Verdict {
    let provider = request.provider.as_deref().unwrap_or("heartbeat");
    let name = format!("ocf:{provider}:{}", request.kind);
    not_started(&name, program, error, package_of(provider))
}

/// The same for every kind of agent. `hint` says where it would come from.
pub(super) fn not_started(
    name: &str,
    program: &Path,
    error: &std::io::Error,
    hint: &str,
) -> Verdict {
    let path = program.display();
    let (rc, op_status, why) = match error.kind() {
        ErrorKind::NotFound if program.exists() => (
            ocf_rc::NOT_INSTALLED,
            op_status::NOT_INSTALLED,
            format!("the interpreter named in the first line of {path} does not exist"),
        ),
        ErrorKind::NotFound | ErrorKind::NotADirectory => (
            ocf_rc::NOT_INSTALLED,
            op_status::NOT_INSTALLED,
            format!("{path} does not exist; {hint}"),
        ),
        ErrorKind::PermissionDenied => (
            ocf_rc::PERMISSION,
            op_status::ERROR,
            format!("{path} is not executable; chmod 755 it"),
        ),
        _ => (
            ocf_rc::GENERIC,
            op_status::ERROR,
            format!("{path} could not be started: {error}"),
        ),
    };
    Verdict::refused(rc, op_status, format!("agent {name} cannot run: {why}"))
}

/// The request's timeout; Pacemaker's default where none was given.
pub(super) fn timeout_of(request: &OpRequest) -> Duration {
    Duration::from_millis(match request.timeout_ms {
        0 => TIMEOUT_MS_DEFAULT,
        ms => ms,
    })
}

/// A name that cannot leave the agents' directory.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

fn stdout_bytes_max(operation: &str) -> usize {
    if operation == "meta-data" {
        METADATA_BYTES_MAX
    } else {
        0
    }
}

fn package_of(provider: &str) -> &'static str {
    match provider {
        "heartbeat" => "the package resource-agents provides it",
        "pacemaker" => "the package pacemaker-resource-agents provides it",
        "mainstay" => "scripts/install of mainstay provides it",
        "linbit" => "the package drbd-utils provides it",
        _ => "install the package that provides it on this node",
    }
}

/// `default-action-timeout` of Pacemaker, in milliseconds.
const TIMEOUT_MS_DEFAULT: u64 = 20_000;
/// Longest meta-data kept, in bytes.
const METADATA_BYTES_MAX: usize = 256 * 1024;
