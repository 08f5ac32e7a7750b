//! The cluster that demo and bench run: three nodes, a floating IP, what it costs.

use super::cluster::Lab;
use super::error::{LabError, Tried};
use super::options::Options;
use super::wait::Seen;
use netlink::probe::EchoProbe;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

/// The floating IP of demo and bench.
pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 10));
/// Time between two probes of it.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(5);
/// Bound of a cold start.
pub(super) const MEMBERS_WITHIN: Duration = Duration::from_secs(60);
/// Bound of a take-over.
pub(super) const MOVED_WITHIN: Duration = Duration::from_secs(60);

impl Lab {
    /// Runs a shell line in a node, as a person would paste it.
    ///
    /// # Errors
    /// When it cannot be run, or its exit code is not 0: the error has what it printed.
    pub fn paste(&self, node: &str, line: &str) -> Result<String, LabError> {
        let output = self.exec(node, &["sh", "-c", line])?;
        if output.ok() {
            return Ok(output.stdout + &output.stderr);
        }
        Err(LabError::Process {
            what: format!("`{line}` on {node}"),
            cause: format!(
                "exit {}: {}{}",
                output.code,
                output.stdout,
                output.stderr.trim_end()
            ),
            log: self.daemon_log(node),
        })
    }

    /// Waits until a probe begun from now on is answered; returns when the first was.
    ///
    /// # Errors
    /// A timeout.
    pub fn wait_answer(&self, probe: &EchoProbe, bound: Duration) -> Result<Instant, LabError> {
        let from = Instant::now();
        self.wait("the client to get an answer", bound)
            .every(PROBE_EVERY)
            .until(|| {
                Ok(match probe.wait_for_answer(from, Duration::ZERO) {
                    Some(at) => Seen::Yes(at),
                    None => Seen::NotYet("silence".to_owned()),
                })
            })
    }
}

/// Brings up the bench's cluster: `options`, the floating IP configured and answering.
pub(super) fn with_vip(options: &Options) -> Result<Lab, LabError> {
    let lab = Lab::up(options)?;
    let configured = configure(&lab);
    if configured.is_err() {
        lab.keep_files();
    }
    configured.map(|()| lab)
}

fn configure(lab: &Lab) -> Result<(), LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    lab.paste("node1", "crm configure property stonith-enabled=false")?;
    lab.paste("node1", &vip_line())?;
    lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    let probe = lab.probe(VIP, PROBE_EVERY)?;
    lab.wait_answer(&probe, MOVED_WITHIN).map(|_| ())
}

/// The floating IP, as the tutorials paste it.
pub(super) fn vip_line() -> String {
    format!(
        "crm configure primitive failover-ip ocf:heartbeat:IPaddr2 params ip={VIP} \
         cidr_netmask=24 op monitor interval=10s"
    )
}

/// The load averages of 1, 5 and 15 minutes, as proc_loadavg(5) has them.
pub(super) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Type of the file system that `dir` lies on.
pub(super) fn file_system(dir: &Path) -> Result<String, LabError> {
    let path = "/proc/self/mounts";
    let mounts = fs::read_to_string(path).tried(|| format!("read {path}"))?;
    Ok(type_of(&mounts, dir))
}

fn type_of(mounts: &str, dir: &Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(target, _)| dir.starts_with(target))
        // The later of two mounts on one place covers the earlier: max_by_key keeps the last.
        .max_by_key(|(target, _)| target.len())
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_and_latest_mount_tells_the_file_system() {
        let mounts =
            "/dev/a / ext4 rw 0 0\ntmpfs /var/tmp tmpfs rw 0 0\n/dev/b /var/tmp xfs rw 0 0\n";
        assert_eq!(type_of(mounts, Path::new("/var/tmp/lab")), "xfs");
        assert_eq!(type_of(mounts, Path::new("/var/tmporary")), "ext4");
        assert_eq!(type_of("", Path::new("/")), "unknown");
    }
}
