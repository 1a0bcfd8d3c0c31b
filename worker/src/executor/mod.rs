//! The executor: a child process that loads one plugin, serves one job at a time and runs its tasks on a pool
//! of plain threads. The first thread listens to the agent; it never runs a task. An executor ends with its
//! agent, whatever happens.

mod combine;
mod control;
mod crash;
mod flush;
mod gil;
mod going;
mod interleaved;
mod job;
mod marks;
mod open_claims;
mod outbox;
mod pending;
mod queue;
mod readings;
mod runner;
mod services;
mod thread;
mod time_limit;
mod tree;
mod unfolded;
mod waker;

use crate::os::process;
use control::Control;
use std::ffi::OsString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

/// The argument that makes an executable an executor; the process id of the agent follows.
pub(crate) const EXECUTOR_ARGUMENT: &str = "__executor";
/// The further argument of an executor that keeps no descriptor which it was not given on purpose.
pub(crate) const CLOSED_ARGUMENT: &str = "__closed";
/// The argument that makes an executable try out a plugin; its path follows.
const PROBE_ARGUMENT: &str = "__probe";
/// The argument that makes an executable look for functions; the process id of the agent follows.
pub(crate) const SYMBOLS_ARGUMENT: &str = "__symbols";
/// The exit code of an executor that could not load its plugin or open its job.
const EXIT_REFUSED: i32 = 3;
/// The exit code of an executor whose plugin closed the descriptors that it works with. Hardly a plugin's own: one that
/// ends its process with it is found out by running alone.
pub(crate) const EXIT_CUT_OFF: i32 = 244;

/// Turns the process into an executor or a probe when its arguments say so, and returns otherwise. The main
/// function of every binary that starts workers calls this first.
pub fn run_if_executor() {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(first), Some(second)) = (arguments.next(), arguments.next()) else { return };
    if first == EXECUTOR_ARGUMENT {
        run(&second, arguments.next().is_some_and(|third| third == CLOSED_ARGUMENT));
    }
    if first == PROBE_ARGUMENT {
        muster_plugin_host::probe_main(Path::new(&second));
    }
    if first == SYMBOLS_ARGUMENT {
        crate::symbols::answer(&second);
    }
}

fn run(agent: &OsString, closed: bool) -> ! {
    let Some(agent) = agent.to_str().and_then(|text| text.parse().ok()) else {
        eprintln!("muster starts its executors by itself; {EXECUTOR_ARGUMENT} is not for people");
        end(2);
    };
    process::die_with_parent(agent);
    if closed && let Err(error) = crate::sandbox::close_inherited() {
        eprintln!("executor: {error}");
        end(2);
    }
    process::name_thread("executor");
    process::sharpen_timers();
    let code = match take_socket().and_then(Control::new) {
        Ok(control) => control.run(),
        Err(error) => {
            eprintln!("executor: no socket to the agent on standard input: {error}");
            2
        }
    };
    end(code)
}

/// What an error on the socket to the agent means: the agent is gone, or somebody in this process closed the descriptor.
fn exit_code_for(error: &io::Error) -> i32 {
    match error.raw_os_error() {
        Some(libc::EBADF | libc::ENOTSOCK | libc::ENOTCONN | libc::EDESTADDRREQ) => EXIT_CUT_OFF,
        Some(_) | None => 0,
    }
}

/// Ends the process without destructors: the plugin's threads may still be running.
fn end(code: i32) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// The agent's socket comes as standard input. It moves to a descriptor that no child inherits, and standard
/// input becomes empty.
fn take_socket() -> io::Result<OwnedFd> {
    // SAFETY: descriptors are passed as numbers; what is made here belongs to nobody else.
    unsafe {
        let socket = crate::os::check(libc::fcntl(libc::STDIN_FILENO, libc::F_DUPFD_CLOEXEC, 10))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let null = crate::os::check(libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC))?;
        let null = OwnedFd::from_raw_fd(null);
        crate::os::check(libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), libc::STDIN_FILENO))?;
        Ok(socket)
    }
}
