//! Being root without being root: a user namespace of the lab's own, where the kernel allows it.

use super::error::{LabError, Tried};
use super::state::State;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::path::Path;

/// Makes the calling process root over the lab in `dir`: it is already, or it joins the running
/// lab's user namespace, or it makes a new one. Call it before any thread is started.
///
/// # Errors
/// [`LabError::Refused`] with the cure when the kernel allows no user namespaces.
pub fn become_root(dir: &Path) -> Result<(), LabError> {
    if geteuid().is_root() {
        return Ok(());
    }
    match State::load(dir) {
        Ok(state) if state.is_live() => {
            let namespace = state.switch.namespace("user")?;
            setns(&namespace, CloneFlags::CLONE_NEWUSER)
                .tried(|| format!("join the user namespace of the lab in {}", dir.display()))
        }
        _ => make(),
    }
}

/// True in a user namespace that does not map all users to themselves.
#[must_use]
pub(super) fn inside_own() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !is_identity(&map))
}

/// The user's id as the machine knows it.
#[must_use]
pub(super) fn outer_uid() -> u32 {
    let uid = geteuid().as_raw();
    fs::read_to_string("/proc/self/uid_map")
        .ok()
        .and_then(|map| outer(&map, uid))
        .unwrap_or(uid)
}

fn make() -> Result<(), LabError> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| {
        LabError::Refused(format!(
            "not root, and this kernel allows no user namespace ({errno}): run as root, or allow it \
             with `sysctl kernel.unprivileged_userns_clone=1`, `sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0` and `sysctl \
             user.max_user_namespaces=10000` (whichever of them exist)"
        ))
    })?;
    // user_namespaces(7): the group map may be written only after setgroups(2) is given up.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", &format!("0 {gid} 1"))
}

fn write(path: &str, text: &str) -> Result<(), LabError> {
    fs::write(path, text).tried(|| format!("write {text:?} to {path}"))
}

fn rows(map: &str) -> impl Iterator<Item = [u32; 3]> + '_ {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map_while(|n| n.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    })
}

fn is_identity(map: &str) -> bool {
    rows(map).any(|row| row == [0, 0, u32::MAX])
}

fn outer(map: &str, uid: u32) -> Option<u32> {
    rows(map)
        .find(|[inner, _, count]| uid >= *inner && uid - inner < *count)
        .and_then(|[inner, outer, _]| outer.checked_add(uid - inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_maps_are_read_as_user_namespaces_7_writes_them() {
        let initial = "         0          0 4294967295\n";
        let own = "         0       1000          1\n";
        assert!(is_identity(initial));
        assert!(!is_identity(own));
        assert_eq!(outer(initial, 7), Some(7));
        assert_eq!(outer(own, 0), Some(1000));
        assert_eq!(outer(own, 1), None);
    }
}
