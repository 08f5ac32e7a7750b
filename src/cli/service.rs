//! The daemon as a service of this machine: start, stop, enable, disable. Other machines are not
//! reached from here.

use super::exit::{Exit, Failure};
use crate::paths::Paths;
use std::process::Command;

/// Has systemd, or the init script where there is no systemd, do it.
///
/// # Errors
/// [`Exit::Unavailable`] where there is neither; what they say themselves.
pub(crate) fn tell(paths: &Paths, verb: &str) -> Result<(), Failure> {
    let script = paths.init_d().join("mainstay");
    let systemd = paths.root().join("run/systemd/system").is_dir();
    let mut command = if systemd {
        let mut command = Command::new("systemctl");
        command.args([verb, "mainstay"]);
        command
    } else if script.exists() && INIT_VERBS.contains(&verb) {
        let mut command = Command::new(&script);
        command.arg(verb);
        command
    } else {
        return Err(Failure::new(
            Exit::Unavailable,
            format!("this machine has no systemd: use /etc/init.d/mainstay to {verb} it"),
        ));
    };
    match command.status() {
        Ok(code) if code.success() => Ok(()),
        Ok(code) => Err(Failure::new(
            Exit::Error,
            match systemd {
                true => format!(
                    "{verb} of mainstay failed ({code}): `journalctl -u mainstay` tells why"
                ),
                false => format!("{verb} of mainstay failed ({code}): its log tells why"),
            },
        )),
        Err(e) => Err(Failure::new(
            Exit::Error,
            format!("{}: {e}", command.get_program().display()),
        )),
    }
}

/// What an init script does.
const INIT_VERBS: [&str; 3] = ["start", "stop", "restart"];
