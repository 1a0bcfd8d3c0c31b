//! The shell that runs a command, and the process group that it leads.

use crate::guard::Guarded;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Time between asking a group to end and killing it.
const GRACE: Duration = Duration::from_millis(200);

/// A child that leads a process group of its own. Whatever is left of the group is killed when this is dropped, and
/// the child is waited for.
#[derive(Debug)]
pub struct Group {
    child: Child,
    pid: Pid,
    /// Readable when the child has ended.
    end: OwnedFd,
    status: Option<ExitStatus>,
    /// Until the child is waited for.
    guarded: Option<Guarded>,
}

impl Group {
    /// Takes over a child that was started in a process group of its own.
    pub fn new(mut child: Child) -> Result<Self> {
        let watched = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| Error::from(ErrorKind::InvalidData))
            .and_then(|pid| Ok((pid, pidfd_open(pid, PidfdFlags::empty())?, Guarded::new(child.id())?)));
        match watched {
            Ok((pid, end, guarded)) => Ok(Self { child, pid, end, status: None, guarded: Some(guarded) }),
            Err(error) => {
                // Nobody could notice its end, or nobody would end it.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Becomes readable when the child has ended.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Kills what is left of the group, and waits for the child.
    pub fn finish(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // Until the child is waited for, its number cannot become that of another group.
        let _ = kill_process_group(self.pid, Signal::KILL);
        self.guarded = None;
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    /// Asks the group to end, and kills it when it does not soon.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if self.status.is_none() && kill_process_group(self.pid, Signal::TERM).is_ok() {
            let deadline = Instant::now() + GRACE;
            wait_for(&mut [PollFd::new(&self.end, PollFlags::IN)], deadline)?;
        }
        self.finish()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// Waits until something can be done with one of `fds`, at most until `deadline`.
pub fn wait_for(fds: &mut [PollFd<'_>], deadline: Instant) -> Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.try_into().map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        match poll(fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(drop).map_err(Error::from),
        }
    }
}

/// Makes reads and writes return at once.
pub fn unblock(pipe: &impl AsFd) -> Result<()> {
    Ok(rustix::io::ioctl_fionbio(pipe, true)?)
}

/// A pipe end as a file.
pub fn file(pipe: impl Into<OwnedFd>) -> File {
    File::from(pipe.into())
}
