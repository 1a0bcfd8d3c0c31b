//! Processes that go on with the code of the one that made them.

use super::check;
use super::process::{self, WaitStatus};
use std::io;
use std::marker::PhantomData;

/// A process that has one thread. Only such a process is copied whole: a copy has the locks of all threads, but only the
/// thread that made it. Holds until a thread is started.
#[derive(Debug)]
pub struct Alone(PhantomData<*const ()>);

impl Alone {
    /// Looks.
    ///
    /// # Errors
    /// There are other threads.
    pub fn look() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Self(PhantomData)),
            threads => Err(io::Error::other(format!("a process of {threads} threads cannot be copied"))),
        }
    }

    /// Makes a copy of this process, in which `child` runs and gives the exit code. It dies with this process.
    ///
    /// # Errors
    /// The system has no room for a process.
    pub fn fork(&self, child: impl FnOnce() -> i32) -> io::Result<u32> {
        let parent = std::process::id();
        // SAFETY: this process has no other thread, so that the copy is whole.
        let pid = check(unsafe { libc::fork() })?;
        if pid != 0 {
            return Ok(pid as u32);
        }
        process::die_with_parent(parent);
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(1);
        // SAFETY: ends the copy at once; what the original does at its end is not its business.
        unsafe { libc::_exit(code) }
    }
}

/// Waits until a child has ended, and takes its exit status.
///
/// # Errors
/// It is no child of ours.
pub fn wait(pid: u32) -> io::Result<WaitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid to write to.
        match check(unsafe { libc::waitpid(pid as libc::pid_t, &raw mut status, 0) }) {
            Ok(_) if libc::WIFSIGNALED(status) => return Ok(WaitStatus::Signal(libc::WTERMSIG(status))),
            Ok(_) => return Ok(WaitStatus::Code(libc::WEXITSTATUS(status))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
