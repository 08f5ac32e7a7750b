//! The program's only `unsafe`: what nix has no safe call for.
//!
//! The crate is about the network; what a daemon asks of the kernel for its own process stands
//! here too, so that one file holds everything that must be read with care.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{LinkAddr, SockaddrLike};

/// An `AF_PACKET` address: interface, protocol in host order (`ETH_P_*`), hardware destination.
pub(crate) fn link_address(index: u32, protocol: u16, destination: [u8; 6]) -> LinkAddr {
    let mut hardware = [0; 8];
    hardware[..destination.len()].copy_from_slice(&destination);
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: destination.len() as u8,
        sll_addr: hardware,
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // JUSTIFICATION: nix reads link addresses but offers no safe way to make one.
    // SAFETY: `raw` is a whole, initialised sockaddr_ll that outlives the call, `len` is its
    // exact size, and its family says AF_PACKET, which is what `LinkAddr` checks for.
    unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(len)) }
        .expect("family and length are those of a link address")
}

/// Has the kernel drop what a classic BPF program does not let through (socket(7),
/// `SO_ATTACH_FILTER`); an older program is replaced.
///
/// # Errors
/// What the kernel says: EINVAL for a program that is empty, too long (4096) or wrong.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let filter = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    // JUSTIFICATION: nix has no socket option for filters.
    // SAFETY: `filter` is a whole sock_fprog; it and the `len` instructions it points to outlive
    // the call, which copies them and writes to neither.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Marks every descriptor above standard error close-on-exec, whoever left it open: agents inherit
/// none of them (Linux 5.11; older kernels answer ENOSYS or EINVAL).
///
/// # Errors
/// What the kernel says.
pub fn close_inherited_on_exec() -> io::Result<()> {
    // JUSTIFICATION: std and nix can only mark descriptors that they own.
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC takes numbers only and closes nothing now.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Keeps every page that the process touches in memory, without touching any now
/// (`MCL_ONFAULT`, ruling 31).
///
/// # Errors
/// What the kernel says: without CAP_IPC_LOCK the limit RLIMIT_MEMLOCK counts.
pub fn lock_memory() -> io::Result<()> {
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // JUSTIFICATION: nix does not know MCL_ONFAULT, and without it every stack is filled at once.
    // SAFETY: mlockall takes flags only and changes no memory that Rust sees.
    if unsafe { libc::mlockall(flags) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives the calling thread real-time priority (`SCHED_RR`); what it starts does not inherit it.
///
/// # Errors
/// What the kernel says: without CAP_SYS_NICE the limit RLIMIT_RTPRIO counts.
pub fn make_thread_realtime(priority: i32) -> io::Result<()> {
    set_scheduler(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, priority)
}

/// The same for the calling thread and every process that it starts from now on.
///
/// # Errors
/// As [`make_thread_realtime`].
pub fn make_offspring_realtime(priority: i32) -> io::Result<()> {
    set_scheduler(libc::SCHED_RR, priority)
}

/// Takes real-time priority from the calling thread.
///
/// # Errors
/// What the kernel says; nobody is refused that.
pub fn make_thread_ordinary() -> io::Result<()> {
    set_scheduler(libc::SCHED_OTHER, 0)
}

/// Gives the calling thread, and the ordinary threads that it starts while it is ordinary itself, that
/// nice value: -20 (first in line for a busy processor) to 19. Unlike with real-time priority all
/// others still get their turns.
///
/// # Errors
/// What the kernel says: below 0 it takes CAP_SYS_NICE, or the limit RLIMIT_NICE counts.
pub fn make_thread_nice(value: i32) -> io::Result<()> {
    // JUSTIFICATION: neither std nor nix offers nice values.
    // SAFETY: setpriority takes numbers only; 0 is the calling thread (setpriority(2), "C
    // library/kernel differences").
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set_scheduler(policy: libc::c_int, priority: i32) -> io::Result<()> {
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // JUSTIFICATION: neither std nor nix offers scheduling policies.
    // SAFETY: pid 0 is the calling thread, and `param` is a whole sched_param that outlives the
    // call.
    let done = unsafe { libc::sched_setscheduler(0, policy, &raw const param) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_what_was_asked() {
        let address = link_address(7, libc::ETH_P_ARP as u16, [0xff; 6]);
        assert_eq!((address.ifindex(), address.halen()), (7, 6));
        assert_eq!(u16::from_be(address.protocol()), 0x0806);
        assert_eq!(address.addr(), Some([0xff; 6]));
    }
}
