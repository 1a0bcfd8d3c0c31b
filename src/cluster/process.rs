//! Processes of our own: the same binary again, as a worker or a coordinator.

use crate::exit::{Exit, Failure, reason};
use muster_proto::link::Process;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// How a child lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It dies with the thread that started it, which must therefore be one that lives as long as we do.
    Bound,
    /// It goes on without us, in a session of its own.
    Detached,
}

/// A child process.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Child {
    /// Starts this binary again. Its output goes to `log`, or to our stderr.
    pub fn start(arguments: &[OsString], start: Start, log: Option<&Path>) -> Result<Self, Failure> {
        Self::start_program(Path::new("/proc/self/exe"), arguments, start, log)
    }

    /// The same with another `muster`.
    pub fn start_program(
        program: &Path,
        arguments: &[OsString],
        start: Start,
        log: Option<&Path>,
    ) -> Result<Self, Failure> {
        let failed = |error: &io::Error| {
            Failure::new(Exit::Storage, format_args!("cannot start a process of muster: {}", reason(error)))
        };
        let mut command = Command::new(program);
        command.arg0("muster").args(arguments).stdin(Stdio::null());
        match log {
            Some(path) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                let file = file.map_err(|error| Failure::io(Exit::Storage, "write", path, &error))?;
                command.stderr(file.try_clone().map_err(|error| failed(&error))?).stdout(file);
            }
            None => {
                command.stdout(Stdio::null());
            }
        }
        let parent = std::process::id();
        // SAFETY: the closure makes system calls only, which is what may be done between fork and exec.
        unsafe {
            command.pre_exec(move || match start {
                Start::Bound => die_with(parent),
                Start::Detached => own_session(),
            });
        }
        command.spawn().map(Self).map_err(|error| failed(&error))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// A descriptor that becomes readable when it has ended.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        open_process(self.0.id()).ok_or_else(io::Error::last_os_error)
    }

    /// How it ended, when it did.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// The signal that ended it, when one did. Whoever waits for it still finds it.
    pub fn killed_by(&self) -> Option<i32> {
        // SAFETY: siginfo_t is plain data for which zero is valid.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: the call writes one siginfo_t to the pointer that is given.
        let found = unsafe { libc::waitid(libc::P_PID, self.0.id(), &raw mut info, options) } == 0;
        // SAFETY: after waitid the status is the field that is set.
        let status = unsafe { info.si_status() };
        (found && matches!(info.si_code, libc::CLD_KILLED | libc::CLD_DUMPED)).then_some(status)
    }

    /// Sends a signal, unless it ended.
    pub fn signal(&mut self, signal: i32) {
        if self.ended().is_none() {
            send(self.0.id(), signal);
        }
    }

    /// Waits until it ended; kills it when that takes longer than `grace`.
    pub fn end(&mut self, grace: Duration) {
        if self.ended().is_none() && !wait_gone(self.0.id(), grace) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// Sends a signal to a process, when it still runs.
pub fn signal(process: Process, signal: i32) {
    if process.is_alive() {
        send(process.pid, signal);
    }
}

/// Sends a signal to a process whose number cannot have gone to another: a child that was not waited for.
pub fn send(pid: u32, signal: i32) {
    if let Ok(pid) = i32::try_from(pid) {
        // SAFETY: kill takes numbers only.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Waits until a process has ended, while other things go on. `false`: it still runs after `limit`.
pub async fn gone(pid: u32, limit: Duration) -> bool {
    let Some(process) = open_process(pid) else { return true };
    tokio::time::timeout(limit, readable(process)).await.is_ok()
}

/// Waits until a process's descriptor says that it has ended. One that cannot be watched is not waited for.
pub async fn readable(process: OwnedFd) {
    // SAFETY: an OwnedFd keeps naming the same open descriptor for as long as it lives.
    if let Ok(process) = unsafe { AsyncFd::<OwnedFd>::register(process) } {
        let _ = process.readable().await;
    }
}

/// Waits until a process has ended. `false`: it still runs after `limit`.
fn wait_gone(pid: u32, limit: Duration) -> bool {
    let Some(process) = open_process(pid) else { return true };
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut wait = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd is given, and it is ours.
        match unsafe { libc::poll(&raw mut wait, 1, millis) } {
            0 if left.is_zero() => return false,
            1 => return true,
            _ => {} // interrupted, or the rest of a millisecond
        }
    }
}

/// The process as a descriptor; `None` when there is none.
fn open_process(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok()?;
    // SAFETY: the call takes numbers only.
    let descriptor = i32::try_from(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).ok()?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

pub fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: system calls that take numbers only.
    let set = unsafe {
        // Its own process group: Ctrl-C in a terminal is for us alone.
        libc::setpgid(0, 0) == 0 && libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
    };
    if !set {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it takes nothing.
    let now = unsafe { libc::getppid() };
    // The parent may have died before the line above.
    if u32::try_from(now) == Ok(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

fn own_session() -> io::Result<()> {
    // SAFETY: it takes nothing.
    if unsafe { libc::setsid() } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
