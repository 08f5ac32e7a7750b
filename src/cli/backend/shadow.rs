//! Shadow configurations: CIBs in files that are worked on by name (`CIB_shadow`), and carried over
//! to the cluster when they are done (Pacemaker lib/cib/cib_utils.c, `get_shadow_file`).

use crate::cli::exit::{Exit, Failure};
use crate::paths::Paths;
use std::path::PathBuf;

/// Environment variable that names the shadow that is worked on.
pub(crate) const SHADOW_ENV: &str = "CIB_shadow";
/// Environment variable that names the directory of shadows.
const SHADOW_DIR_ENV: &str = "CIB_shadow_dir";

/// The shadow that is worked on.
#[must_use]
pub(crate) fn active() -> Option<String> {
    std::env::var(SHADOW_ENV).ok().filter(|v| !v.is_empty())
}

/// The file of a shadow, whether or not it is there.
///
/// # Errors
/// A name that is no file name.
pub(crate) fn path(name: &str) -> Result<PathBuf, Failure> {
    if name.is_empty() || name.contains('/') {
        return Err(Failure::usage(format!(
            "`{name}` cannot name a shadow configuration: a name is a word without `/`"
        )));
    }
    Ok(dir().join(format!("shadow.{name}")))
}

/// The file of a shadow that is there.
///
/// # Errors
/// [`Exit::NoSuch`].
pub(crate) fn existing(name: &str) -> Result<PathBuf, Failure> {
    let path = path(name)?;
    match path.exists() {
        true => Ok(path),
        false => Err(Failure {
            exit: Exit::NoSuch,
            text: format!("Could not access shadow instance '{name}': No such file or directory"),
            cure: Some(format!(
                "`crm_shadow -c {name}` makes it; `unset {SHADOW_ENV}` returns to the cluster"
            )),
        }),
    }
}

/// The names of the shadows that are there.
#[must_use]
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(dir()).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| {
        let name = e.file_name().to_string_lossy().into_owned();
        Some(name.strip_prefix("shadow.")?.to_owned())
    });
    let mut names: Vec<String> = names.filter(|n| !n.ends_with(".new")).collect();
    names.sort();
    names
}

/// Root's and hacluster's shadows lie with the cluster's state, everybody else's at home.
fn dir() -> PathBuf {
    if let Some(dir) = std::env::var_os(SHADOW_DIR_ENV).filter(|d| !d.is_empty()) {
        return dir.into();
    }
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    let cluster = uid.is_root() || user.as_ref().is_some_and(|u| u.name == "hacluster");
    match user.filter(|_| !cluster) {
        Some(user) => user.dir.join(".cib"),
        None => Paths::from_env().root().join("var/lib/pacemaker/cib"),
    }
}
