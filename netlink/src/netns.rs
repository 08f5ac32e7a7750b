//! Network namespaces by descriptor: made, opened and entered without /run/netns.

use crate::{Error, Result};
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

/// A network namespace, kept alive by the descriptor.
#[derive(Debug)]
pub struct NetNs(OwnedFd);

impl NetNs {
    /// Makes a new namespace: empty but for a `lo` that is down.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN in the caller's user namespace, or where /proc is not mounted.
    pub fn create() -> Result<Self> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| Error::io("make a network namespace (needs root)", errno))?;
            Self::current()
        })
    }

    /// The calling thread's namespace.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn current() -> Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace a process is in.
    ///
    /// # Errors
    /// When there is no such process or it may not be looked at.
    pub fn of_pid(pid: u32) -> Result<Self> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The namespace a file stands for (`/proc/PID/ns/net`, `/run/netns/NAME`).
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map(Self)
            .map_err(|errno| {
                Error::io(
                    format!("open the network namespace {}", path.display()),
                    errno,
                )
            })
    }

    /// A second descriptor of the same namespace.
    ///
    /// # Errors
    /// At the descriptor limit.
    pub fn try_clone(&self) -> Result<Self> {
        self.0
            .try_clone()
            .map(Self)
            .map_err(|e| Error::io("copy a namespace descriptor", e))
    }

    /// Moves the calling thread into this namespace, for good. Only for threads or processes
    /// that exist for it; everybody else wants [`NetNs::run`].
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN in the namespace's user namespace.
    pub fn enter(&self) -> Result<()> {
        setns(&self.0, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::io("enter a network namespace (needs root)", errno))
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for its end. Sockets
    /// opened there stay in the namespace wherever they are used afterwards.
    ///
    /// # Errors
    /// When the namespace cannot be entered; a panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| {
            self.enter()?;
            Ok(work())
        })
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for NetNs {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<OwnedFd> for NetNs {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

/// Runs on a scoped thread so that the caller's namespace stays as it is.
fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|source| Error::io("start a thread for a network namespace", source))?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kernel;
    use crate::testing::netns;

    #[test]
    fn work_in_a_namespace_leaves_the_caller_where_it_was() {
        let Some(fresh) = netns("work_in_a_namespace_leaves_the_caller_where_it_was") else {
            return;
        };
        let id = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let before = id();
        let inside = fresh.run(id).unwrap();
        assert_ne!(before, inside);
        assert_eq!(before, id());
        let names: Vec<_> = Kernel::open_in(&fresh).unwrap().links().unwrap();
        assert!(
            names
                .iter()
                .any(|link| link.name == "lo" && link.loopback && !link.up)
        );
    }

    #[test]
    fn a_process_that_is_gone_has_no_namespace() {
        let error = NetNs::of_pid(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("/proc/4294967295/ns/net"), "{error}");
    }
}
