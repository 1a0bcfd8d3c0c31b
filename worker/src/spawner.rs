//! Starts executors. One thread does it and never ends while the agent lives: the kernel kills a child when
//! the thread that started it ends.

use crate::executor::EXECUTOR_ARGUMENT;
use crate::os::{process, socket};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// The running executable, also when its file was replaced meanwhile.
const SELF: &str = "/proc/self/exe";

/// A child that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id, and the id of its group.
    pub pid: u32,
    /// Becomes readable when it ends.
    pub pidfd: OwnedFd,
    /// The agent's end of the socket; does not block.
    pub socket: OwnedFd,
    /// What it writes to standard output and standard error; does not block.
    pub output: OwnedFd,
}

type Reply = oneshot::Sender<io::Result<Spawned>>;

/// The way to the thread that starts children.
#[derive(Clone, Debug)]
pub struct Spawner {
    requests: mpsc::Sender<Reply>,
}

impl Spawner {
    /// Starts the thread. It ends when the last clone of the spawner is gone.
    pub fn start() -> io::Result<Self> {
        let (requests, orders) = mpsc::channel::<Reply>();
        std::thread::Builder::new().name("spawner".to_owned()).stack_size(256 << 10).spawn(move || {
            while let Ok(reply) = orders.recv() {
                // Nobody waits for the answer any more: the child sees its socket closed and ends.
                let _ = reply.send(spawn());
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts an executor.
    pub async fn spawn(&self) -> io::Result<Spawned> {
        let gone = || io::Error::other("the thread that starts executors is gone");
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn spawn() -> io::Result<Spawned> {
    let (ours, theirs) = socket::pair()?;
    let (output, output_of_child) = pipe()?;
    // No pre_exec: without it the standard library uses vfork, which does not copy the agent's page tables.
    let mut child = Command::new(SELF)
        .arg0("muster-executor")
        .arg(EXECUTOR_ARGUMENT)
        .arg(std::process::id().to_string())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(output_of_child.try_clone()?))
        .stderr(Stdio::from(output_of_child))
        .process_group(0)
        .spawn()?;
    let pid = child.id();
    let prepared = (|| {
        socket::set_nonblocking(&ours)?;
        socket::set_nonblocking(&output)?;
        process::pidfd(pid)
    })();
    match prepared {
        Ok(pidfd) => Ok(Spawned { pid, pidfd, socket: ours, output }),
        Err(error) => {
            // It just started and has nothing to lose.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two descriptors.
    crate::os::check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both were just made and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}
