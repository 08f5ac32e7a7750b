//! LSB init scripts: `/etc/init.d/NAME ACTION`, and their exit codes in OCF's terms.

use super::api::OpRequest;
use super::environment::BaseEnvironment;
use super::ocf::{is_file_name, timeout_of};
use super::outcome::{Verdict, ocf_rc, op_status};
use super::process::ProcessSpec;
use crate::paths::Paths;
use std::path::Path;

/// The call of an init script; `monitor` becomes `status`.
///
/// # Errors
/// A result to report instead.
pub(super) fn command(
    request: &OpRequest,
    paths: &Paths,
    base: &BaseEnvironment,
    cwd: &Path,
) -> Result<ProcessSpec, Verdict> {
    if !is_file_name(&request.kind) {
        return Err(Verdict::refused(
            ocf_rc::NOT_CONFIGURED,
            op_status::INVALID,
            format!("lsb:{} is not the name of an init script", request.kind),
        ));
    }
    let action = match request.operation.as_str() {
        "monitor" => "status",
        other => other,
    };
    Ok(ProcessSpec {
        program: paths.init_d().join(&request.kind),
        args: vec![action.to_owned()],
        env: base.plain().into_iter().collect(),
        cwd: cwd.to_owned(),
        user: None,
        stdin: Vec::new(),
        timeout: timeout_of(request),
        stdout_bytes_max: 0,
    })
}

/// Exit codes of init scripts (LSB 5.0, "Init Script Actions"; lib/services/services_lsb.c,
/// `services__lsb2ocf`): `status` has its own meaning, everything else is OCF's up to 7.
pub(super) fn map_rc(operation: &str, code: i32) -> i32 {
    match (operation, code) {
        ("monitor", 0) => ocf_rc::OK,
        // Dead with a pid file, dead with a lock file, stopped.
        ("monitor", 1..=3) => ocf_rc::NOT_RUNNING,
        // Codes that wrappers around init scripts use.
        ("monitor", 150) => ocf_rc::NOT_INSTALLED,
        ("monitor", 151) => ocf_rc::PERMISSION,
        ("monitor", _) => ocf_rc::GENERIC,
        (_, 0..=7) => code,
        _ => ocf_rc::GENERIC,
    }
}
