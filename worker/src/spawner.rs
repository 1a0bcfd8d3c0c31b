//! Starts executors, and ends what they leave behind. One thread does both and never ends while the agent lives: the
//! kernel kills a child when the thread that started it ends, and what it just started is not taken for an orphan.

use crate::executor::{CLOSED_ARGUMENT, EXECUTOR_ARGUMENT};
use crate::os::cgroup::{Bounds, Cgroups, Group};
use crate::os::orphans::{self, Orphans};
use crate::os::{process, socket};
use crate::sandbox::{self, Sandbox};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
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
    /// The control group that it is in, when its bounds need one.
    pub group: Option<Arc<Group>>,
}

/// What an executor may use, and what keeps it.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    /// What it may use.
    pub bounds: Bounds,
    /// The control groups that can be used; `None`: no bound needs one.
    pub cgroups: Option<Arc<Cgroups>>,
    /// What it is kept from.
    pub sandbox: Arc<Sandbox>,
    /// The folder of its own, where there is one.
    pub scratch: Option<PathBuf>,
}

type Reply = oneshot::Sender<io::Result<Spawned>>;

#[derive(Debug)]
enum Request {
    Spawn(Confinement, Reply),
    /// An executor has ended and was waited for.
    Ended(u32, Option<Arc<Group>>, oneshot::Sender<()>),
    Reap,
}

/// The way to the thread that starts children.
#[derive(Clone, Debug)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread. It ends when the last clone of the spawner is gone. `adopts`: this process has no children
    /// but those that it starts here, and takes in what they leave behind.
    pub fn start(adopts: bool) -> io::Result<Self> {
        let (requests, orders) = mpsc::channel::<Request>();
        std::thread::Builder::new().name("spawner".to_owned()).stack_size(256 << 10).spawn(move || {
            let orphans = adopts.then(Orphans::adopt);
            let mut nursery = Nursery { orphans, mark: orphans::own_mark(), number: 0 };
            while let Ok(request) = orders.recv() {
                nursery.serve(request);
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts an executor.
    pub async fn spawn(&self, confinement: Confinement) -> io::Result<Spawned> {
        let gone = || io::Error::other("the thread that starts executors is gone");
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Spawn(confinement, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// An executor has ended and was waited for: ends what it left behind.
    pub async fn ended(&self, pid: u32, group: Option<Arc<Group>>) {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Ended(pid, group, reply)).is_ok() {
            let _ = answer.await;
        }
    }

    /// Frees what orphans hold that ended by themselves.
    pub fn reap(&self) {
        // Without the thread there is nobody who has orphans.
        let _ = self.requests.send(Request::Reap);
    }
}

/// What the thread keeps.
struct Nursery {
    orphans: Option<Orphans>,
    /// What the marks of executors begin with.
    mark: String,
    /// Of the next executor.
    number: u64,
}

impl Nursery {
    fn serve(&mut self, request: Request) {
        match request {
            // Nobody waits for the answer any more: the child sees its socket closed and ends.
            Request::Spawn(confinement, reply) => drop(reply.send(self.spawn(&confinement))),
            Request::Ended(pid, group, reply) => {
                if let Some(group) = &group {
                    group.kill();
                }
                if let Some(orphans) = &mut self.orphans {
                    orphans.end_of(pid);
                }
                drop(group);
                let _ = reply.send(());
            }
            Request::Reap => self.orphans.iter().for_each(Orphans::reap),
        }
    }

    fn spawn(&mut self, confinement: &Confinement) -> io::Result<Spawned> {
        self.number += 1;
        let mark = format!("{}-{}", self.mark, self.number);
        let cgroups = confinement.cgroups.as_deref();
        let group = match cgroups.map(|cgroups| Group::make(cgroups, self.number, confinement.bounds)) {
            Some(made) => made?,
            None => None,
        };
        let mut spawned = spawn(&mark, confinement)?;
        if let Some(orphans) = &mut self.orphans {
            orphans.started(spawned.pid, mark);
        }
        // It does nothing before it is told to load a plugin.
        if let Err(error) = confine(spawned.pid, confinement.bounds, group.as_ref()) {
            process::kill(spawned.pid, libc::SIGKILL);
            process::wait_gone(spawned.pid, std::time::Duration::from_secs(1));
            if let Some(orphans) = &mut self.orphans {
                orphans.end_of(spawned.pid);
            }
            return Err(error);
        }
        spawned.group = group.map(Arc::new);
        Ok(spawned)
    }
}

fn confine(pid: u32, bounds: Bounds, group: Option<&Group>) -> io::Result<()> {
    if let Some(files) = bounds.open_files {
        process::limit(pid, libc::RLIMIT_NOFILE, files.into())?;
    }
    if let Some(bytes) = bounds.memory_bytes
        && !group.is_some_and(Group::limits_memory)
    {
        process::limit(pid, libc::RLIMIT_DATA, bytes)?;
    }
    group.map_or(Ok(()), |group| group.add(pid))
}

fn spawn(mark: &str, confinement: &Confinement) -> io::Result<Spawned> {
    let (ours, theirs) = socket::pair()?;
    let (output, output_of_child) = pipe()?;
    // No pre_exec: without it the standard library uses vfork, which does not copy the agent's page tables.
    let mut command = Command::new(SELF);
    command.arg0("muster-executor").arg(EXECUTOR_ARGUMENT).arg(std::process::id().to_string());
    let Sandbox { level, env, .. } = &*confinement.sandbox;
    if let Some(kept) = sandbox::passed_on(*level, env, confinement.scratch.as_deref()) {
        command.arg(CLOSED_ARGUMENT).env_clear().envs(kept);
    }
    let mut child = command
        .env(orphans::MARK, mark)
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
        Ok(pidfd) => Ok(Spawned { pid, pidfd, socket: ours, output, group: None }),
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
