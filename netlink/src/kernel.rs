//! The handle everything is asked through.

use crate::socket::Socket;
use crate::{NetNs, Result};

/// A dedicated blocking socket to one network namespace's routing tables.
///
/// Methods live beside what they handle: links, addresses, routes. The namespace is the one the
/// opening thread was in; the handle may move to other threads.
pub struct Kernel {
    pub(crate) socket: Socket,
}

impl Kernel {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the system refuses a netlink socket (descriptor limit, sandbox).
    pub fn open() -> Result<Self> {
        Ok(Self {
            socket: Socket::open()?,
        })
    }

    /// Opens a socket in another network namespace; the caller's own is not touched.
    ///
    /// # Errors
    /// As [`Kernel::open`], or when the namespace may not be entered (CAP_SYS_ADMIN).
    pub fn open_in(netns: &NetNs) -> Result<Self> {
        netns.run(Self::open)?
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kernel")
    }
}
