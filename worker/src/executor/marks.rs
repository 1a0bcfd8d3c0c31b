//! What an executor writes to its pipe: in time, and with marks that say which task wrote it.

use crate::log::TaskRef;
use crate::log::marker::mark;
use crate::os::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The executor's own hold on the pipe behind its standard error. A plugin may put something else there.
#[derive(Debug)]
pub(super) struct Marks {
    pipe: OwnedFd,
}

unsafe extern "C" {
    static mut stdout: *mut libc::FILE;
}

impl Marks {
    /// Takes hold of the pipe, before a plugin is loaded; `None`: there is none. Lines of C's standard output leave when
    /// they end from now on; into a pipe they would wait for a full buffer.
    pub fn prepare() -> Option<Self> {
        // SAFETY: the C library's own stream, which nothing has written to yet; no buffer is given.
        unsafe { libc::setvbuf(stdout, std::ptr::null_mut(), libc::_IOLBF, 0) };
        // SAFETY: takes numbers and returns a new descriptor or -1.
        let pipe = check(unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 10) }).ok()?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let marks = Self { pipe: unsafe { OwnedFd::from_raw_fd(pipe) } };
        marks.unread().is_ok().then_some(marks)
    }

    /// What was written since the last mark is the task's, when some of it was not read yet.
    pub fn end(&self, task: TaskRef) {
        if self.unread().unwrap_or(0) == 0 {
            return;
        }
        let bytes = mark(task);
        // SAFETY: the bytes are readable for their length. Writes this short are never torn apart; when nobody reads any
        // more there is nobody to tell.
        unsafe { libc::write(self.pipe.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    }

    fn unread(&self) -> io::Result<usize> {
        crate::os::socket::unread(&self.pipe)
    }
}
