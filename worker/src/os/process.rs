//! Child processes: descriptors that tell when they end, how they ended, and their process groups.

use super::check;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A descriptor that becomes readable when the process ends.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers and returns a new descriptor or -1.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    let raw = check(raw as libc::c_int)?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A child that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// How it ended.
    pub status: WaitStatus,
    /// The most memory it had, in bytes.
    pub peak_bytes: u64,
}

/// Takes the exit status of a child; `None` while it still runs.
pub fn reap(pid: u32) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value to be overwritten.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: `status` and `usage` are valid to write to.
        let waited = unsafe { libc::wait4(pid as libc::pid_t, &mut status, libc::WNOHANG, &mut usage) };
        let peak_bytes = (usage.ru_maxrss.max(0) as u64) << 10;
        match check(waited) {
            Ok(0) => return Ok(None),
            Ok(_) if libc::WIFSIGNALED(status) => {
                return Ok(Some(Reaped { status: WaitStatus::Signal(libc::WTERMSIG(status)), peak_bytes }));
            }
            Ok(_) => {
                return Ok(Some(Reaped { status: WaitStatus::Code(libc::WEXITSTATUS(status)), peak_bytes }));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends a signal to every process of the group that `pid` leads. A group that is gone is no error.
pub fn kill_group(pid: u32, signal: i32) {
    // SAFETY: takes two integers.
    unsafe { libc::kill(-(pid as libc::pid_t), signal) };
}

/// Sends a signal to one process. One that is gone is no error.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: takes two integers.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// Processes below this one that lose their parent become its children.
pub fn become_subreaper() {
    // SAFETY: takes numbers only. Where it is refused, orphans go elsewhere.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// A child that has ended and was not waited for; it stays so.
#[must_use]
pub fn any_zombie() -> Option<u32> {
    // SAFETY: an all-zero siginfo_t is a valid value to be overwritten.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid to write to.
    check(unsafe { libc::waitid(libc::P_ALL, 0, &mut info, options) }).ok()?;
    // SAFETY: waitid has set it, or left zeros.
    let pid = unsafe { info.si_pid() };
    u32::try_from(pid).ok().filter(|&pid| pid != 0)
}

/// Waits for a child that was killed, at most for a while.
pub fn wait_gone(pid: u32, limit: std::time::Duration) {
    if let Ok(end) = pidfd(pid) {
        let mut wait =
            libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(&end), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&mut wait, 1, limit.as_millis() as libc::c_int) };
    }
    // Whoever is no child of ours, or not gone yet, stays.
    let _ = reap(pid);
}

/// When a process started, in the kernel's ticks since the machine did; `None`: there is none, or it has ended.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    let mut fields = fields.split(' ');
    // Behind the name: state is the third field of all, the start time the 22nd.
    let state = fields.next()?;
    if state == "Z" || state == "X" { None } else { fields.nth(18)?.parse().ok() }
}

/// Whether a signal, or a debugger, keeps a process from running.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| matches!(fields.split(' ').next(), Some("T" | "t")))
}

/// The parent of a process.
#[must_use]
pub fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.split(' ').nth(1)?.parse().ok()
}

/// What `/proc` says of a process behind its name.
fn stat(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.to_owned())
}

/// All processes that can be seen.
pub fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Sets a limit of another process, for it and what it starts; it cannot raise it again.
///
/// # Errors
/// The process is gone, or its limit is lower and may not be raised.
pub fn limit(pid: u32, resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limit` is a valid rlimit to read; the old one is not asked for.
    check(unsafe { libc::prlimit(pid as libc::pid_t, resource, &raw const limit, std::ptr::null_mut()) })?;
    Ok(())
}

/// Lets this process open as many files as it may at the most.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit that outlives both calls, which only read or write it. Where it is refused, the
    // old limit stays.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Asks the kernel to kill this process when the thread that started it ends. `parent` is the process that
/// should have started it: when that is gone already, this process ends at once.
pub fn die_with_parent(parent: u32) {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number; getppid takes nothing.
    let orphaned = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid() as u32 != parent
    };
    if orphaned {
        std::process::exit(0);
    }
}

/// Names the calling thread; the kernel keeps the first 15 bytes.
pub fn name_thread(name: &str) {
    let mut bytes = [0u8; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: the buffer is NUL-terminated and outlives the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, bytes.as_ptr()) };
}

/// Lets sleeps of this process end on time instead of up to 50 us late.
pub fn sharpen_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes a number of nanoseconds.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// The name of a signal, for messages.
#[must_use]
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        _ => "a signal",
    }
}
