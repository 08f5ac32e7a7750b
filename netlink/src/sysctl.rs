//! Kernel switches under /proc/sys: read first, write only what differs.

use std::io;
use std::path::PathBuf;

/// What setting a switch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// It had that value already.
    Already,
    /// It was changed from this value.
    Changed(String),
    /// It could not be set, and why (absent on this kernel, read-only file system, no right).
    Failed(String),
}

/// Reads a switch, without the closing newline; `key` as below /proc/sys, with `/` or `.` between
/// its parts (`net/ipv4/ip_nonlocal_bind`). Interface names with a dot need the `/` form. Network
/// switches are those of the calling thread's namespace.
///
/// # Errors
/// As from the file system: absent on this kernel, not mounted.
pub fn read(key: &str) -> io::Result<String> {
    Ok(std::fs::read_to_string(path(key))?.trim_end().to_owned())
}

/// Gives a switch a value when it has another one. Never fails loudly: the reason comes back,
/// because a container with a read-only /proc/sys may still have the value that is wanted.
pub fn set(key: &str, value: &str) -> Set {
    let path = path(key);
    let old = match read(key) {
        Ok(old) => old,
        Err(error) => return Set::Failed(format!("cannot read {}: {error}", path.display())),
    };
    if old == value {
        return Set::Already;
    }
    match std::fs::write(&path, value) {
        Ok(()) => Set::Changed(old),
        Err(error) => Set::Failed(format!(
            "cannot change {} from {old} to {value}: {error}",
            path.display()
        )),
    }
}

/// Writes a switch that only triggers something and cannot be read (`net/ipv4/route/flush`).
///
/// # Errors
/// As from the file system.
pub fn trigger(key: &str, value: &str) -> io::Result<()> {
    std::fs::write(path(key), value)
}

fn path(key: &str) -> PathBuf {
    let separator = if key.contains('/') { '/' } else { '.' };
    let mut path = PathBuf::from("/proc/sys");
    // Parts that climb or restart are dropped: a key never leaves /proc/sys.
    path.extend(
        key.split(separator)
            .filter(|part| !matches!(*part, "" | "." | "..")),
    );
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::netns;

    #[test]
    fn keys_stay_below_proc_sys() {
        let table = [
            ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
            (
                "net/ipv4/conf/eth0.5/arp_notify",
                "/proc/sys/net/ipv4/conf/eth0.5/arp_notify",
            ),
            ("/../../etc/passwd", "/proc/sys/etc/passwd"),
        ];
        for (key, expected) in table {
            assert_eq!(path(key), PathBuf::from(expected));
        }
    }

    #[test]
    fn only_differences_are_written() {
        let Some(netns) = netns("only_differences_are_written") else {
            return;
        };
        let key = "net.ipv4.ip_nonlocal_bind";
        let results = netns.run(|| [set(key, "1"), set(key, "1")]).unwrap();
        assert_eq!(results, [Set::Changed("0".to_owned()), Set::Already]);
        assert_eq!(netns.run(|| read(key).unwrap()).unwrap(), "1");
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let Set::Failed(reason) = set("net.ipv4.no_such_switch", "1") else {
            panic!()
        };
        assert!(
            reason.contains("/proc/sys/net/ipv4/no_such_switch"),
            "{reason}"
        );
    }
}
