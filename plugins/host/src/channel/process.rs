//! Whether the processes of peers are there.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Whether a process of this machine is there.
pub(super) fn is_alive(process: u32) -> bool {
    let Some(process) = libc::pid_t::try_from(process).ok().filter(|process| *process > 0) else {
        return false;
    };
    // SAFETY: signal 0 only asks.
    let asked = unsafe { libc::kill(process, 0) };
    asked == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Something that becomes readable when the process ends.
pub(super) fn watch(process: u32) -> io::Result<OwnedFd> {
    // SAFETY: it takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Whether a process that is watched has ended.
pub(super) fn has_ended(process: &OwnedFd) -> bool {
    let mut asked = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&raw mut asked, 1, 0) > 0 }
}
