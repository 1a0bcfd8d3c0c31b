//! One executor process as the agent sees it: a task that starts it, reads what it says and tells how it
//! ended, and a task that writes to it. Nothing of it is believed; what does not add up ends it.

use super::event::{End, Event, Events};
use super::exit::Circumstances;
use super::output::{Output, Watch};
use crate::cache::PluginFile;
use crate::crash::CrashFile;
use crate::frame::{FrameBuffer, FromExecutor};
use crate::log::Log;
use crate::os::cgroup::{Group, MemoryEvidence};
use crate::os::process;
use crate::os::socket;
use crate::scratch::remove_of_executor;
use crate::shelf::{SHELVED_BYTES_MAX, SHELVED_FRAMES_MAX, Shelf};
use crate::spawner::{Confinement, Spawned, Spawner};
use muster_core::id::{ExecutorId, JobId};
use muster_core::time::Time;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long an executor that closed its socket may take to end by itself.
const END_GRACE: Duration = Duration::from_millis(200);
/// How long the last lines of a dead executor may take to arrive.
const LAST_LINES_WAIT: Duration = Duration::from_millis(50);

/// A frame and the descriptors that travel with it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub frame: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

/// The agent's hold on an executor.
#[derive(Debug)]
pub(super) struct ExecutorHandle {
    /// The job it has, and its slots in the job's page.
    pub seat: Option<Seat>,
    pub circumstances: Circumstances,
    pub plugin: Arc<PluginFile>,
    pub started: Time,
    pub is_loaded: bool,
    /// A job was open in it.
    pub has_opened: bool,
    /// Where it writes when it crashes; `None`: there were no descriptors left.
    pub crash: Option<CrashFile>,
    /// What it runs, for those who read what it writes.
    pub watch: Watch,
    /// Where its tasks may have folders.
    pub scratch: Option<PathBuf>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    process: Arc<Process>,
}

/// What every executor is started with.
#[derive(Clone, Debug)]
pub(super) struct Surroundings<'a> {
    /// Where its tasks may have folders.
    pub scratch: Option<PathBuf>,
    pub spawner: &'a Spawner,
    pub events: &'a Events,
    pub log: &'a Log,
}

/// Where an executor sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub job: JobId,
    pub first_slot: u32,
    pub threads: u32,
}

impl Seat {
    /// Its slots in the page.
    pub fn slots(self) -> std::ops::Range<u32> {
        self.first_slot..self.first_slot.saturating_add(self.threads)
    }
}

/// The process, once it is there.
#[derive(Debug, Default)]
struct Process {
    /// 0 before it started and after its end.
    pid: AtomicU32,
    kill: AtomicBool,
    /// The control group that it is in, if any.
    group: Mutex<Option<Arc<Group>>>,
}

impl Process {
    fn kill(&self) {
        self.kill.store(true, SeqCst);
        match self.pid.load(SeqCst) {
            0 => {}
            pid => process::kill_group(pid, libc::SIGKILL),
        }
        if let Some(group) = &*self.group.lock().unwrap_or_else(PoisonError::into_inner) {
            group.kill();
        }
    }

    fn set_group(&self, group: Option<Arc<Group>>) {
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = group;
    }

    fn terminate(&self) {
        match self.pid.load(SeqCst) {
            // It has not begun: there is nothing to clean up.
            0 => self.kill(),
            pid => {
                process::kill_group(pid, libc::SIGTERM);
                // Who is stopped would not hear it.
                process::kill_group(pid, libc::SIGCONT);
            }
        }
    }
}

impl ExecutorHandle {
    /// Its folder for tasks, as it is told it; empty for none.
    pub fn scratch_text(&self) -> String {
        self.scratch.as_deref().and_then(Path::to_str).unwrap_or_default().to_owned()
    }

    /// Starts an executor; gives what it is to be told of its shelf with, if there is one. What it says and how it ends
    /// comes as events.
    pub fn start(
        now: Time,
        id: ExecutorId,
        seat: Seat,
        plugin: Arc<PluginFile>,
        confinement: Confinement,
        surroundings: Surroundings<'_>,
    ) -> (Self, Option<OwnedFd>) {
        let Surroundings { scratch, spawner, events, log } = surroundings;
        // Not bounded: the agent sends a few frames per job, and kills who does not read them.
        let (outgoing, orders) = mpsc::unbounded_channel();
        let process = Arc::new(Process::default());
        let watch = Watch::default();
        let (name, watched) = (plugin.name.as_str().into(), watch.clone());
        let output = Output { executor: id.0, plugin: name, watch: watched, log: log.clone() };
        // An executor without them works as well.
        let (shelf, for_executor) = Shelf::create().ok().unzip();
        let crash = CrashFile::create().ok();
        let (events, process_here) = (events.clone(), Arc::clone(&process));
        let supervisor = Supervisor { id, events, process: process_here, scratch: scratch.clone(), shelf };
        let confinement = Confinement { scratch: scratch.clone(), ..confinement };
        tokio::spawn(supervisor.run(spawner.clone(), confinement, output, orders));
        let circumstances = Circumstances::default();
        let handle = Self {
            seat: Some(seat),
            circumstances,
            plugin,
            started: now,
            is_loaded: false,
            has_opened: false,
            crash,
            watch,
            scratch,
            outgoing,
            process,
        };
        (handle, for_executor)
    }

    /// Sends a frame.
    pub fn send(&self, frame: Vec<u8>, descriptors: Vec<OwnedFd>) {
        // When the executor is gone, its end is on the way as an event.
        let _ = self.outgoing.send(Outgoing { frame, descriptors });
    }

    /// Kills it with all processes of its group.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Asks it, and all processes of its group, to end.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Whether it is stopped: then nothing in it can end.
    pub fn is_stopped(&self) -> bool {
        self.pid().is_some_and(process::is_stopped)
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        Some(self.process.pid.load(SeqCst)).filter(|&pid| pid != 0)
    }
}

struct Supervisor {
    id: ExecutorId,
    events: Events,
    process: Arc<Process>,
    shelf: Option<Shelf>,
    scratch: Option<PathBuf>,
}

impl Supervisor {
    async fn run(
        self,
        spawner: Spawner,
        confinement: Confinement,
        output: Output,
        orders: mpsc::UnboundedReceiver<Outgoing>,
    ) {
        let limit_bytes = confinement.bounds.memory_bytes.unwrap_or(0);
        let end = match spawner.spawn(confinement).await.and_then(Child::new) {
            Ok(child) => self.attend(child, limit_bytes, &spawner, output, orders).await,
            Err(error) => {
                End { last_lines: vec![format!("it could not be started: {error}")], ..End::default() }
            }
        };
        self.events.send(Event::Ended { executor: self.id, end }).await;
    }

    async fn attend(
        &self,
        child: Child,
        limit_bytes: u64,
        spawner: &Spawner,
        out: Output,
        orders: mpsc::UnboundedReceiver<Outgoing>,
    ) -> End {
        let Child { pid, pidfd, socket, output, group } = child;
        self.process.set_group(group.clone());
        self.process.pid.store(pid, SeqCst);
        if self.process.kill.load(SeqCst) {
            self.process.kill();
        }
        let log = out.log.clone();
        let mut lines = tokio::spawn(out.forward(output));
        let writer = tokio::spawn(write_all(Arc::clone(&socket), orders));
        let end = Arc::clone(&socket);
        let mut ended = tokio::spawn(async move {
            // An error here is the same as an end: then the executor is killed below.
            let _ = pidfd.readable().await;
            // Children that outlive it may hold its socket open: what has arrived is all there is.
            socket::shut_for_reading(end.get_ref().as_fd());
        });
        if let Err(violation) = self.read_all(&socket).await {
            self.events.send(Event::Violation { executor: self.id, text: violation }).await;
            self.process.kill();
        }
        let cut_off = timeout(END_GRACE, &mut ended).await.is_err();
        if cut_off {
            self.process.kill();
            let _ = ended.await;
        }
        writer.abort();
        // Before its id is free again, everything that it started goes with it.
        process::kill_group(pid, libc::SIGKILL);
        self.process.pid.store(0, SeqCst);
        let reaped = process::reap(pid).ok().flatten();
        let counted = group.as_ref().and_then(|group| group.memory());
        let memory = counted.or_else(|| {
            let peak_bytes = reaped?.peak_bytes;
            Some(MemoryEvidence { oom_kills: 0, peak_bytes, limit_bytes })
        });
        // Whoever holds it last removes it, which is nothing for this thread to wait for.
        self.process.set_group(None);
        spawner.ended(pid, group).await;
        if let Some(folder) = self.scratch.clone() {
            remove_of_executor(folder).await;
        }
        if timeout(LAST_LINES_WAIT, &mut lines).await.is_err() {
            lines.abort();
        }
        let status = reaped.map(|reaped| reaped.status);
        End { pid, status, memory, last_lines: log.ended(self.id.0).await, cut_off }
    }

    /// Hands every frame to the driver, until the executor has closed its side or breaks the rules.
    async fn read_all(&self, socket: &AsyncFd<OwnedFd>) -> Result<(), String> {
        let mut buffer = FrameBuffer::default();
        loop {
            let read = read_some(socket, &mut buffer).await;
            // What was put aside is older than what has just come.
            self.clear_shelf().await?;
            match read {
                Ok(0) if buffer.is_inside_frame() && !self.process.kill.load(SeqCst) => {
                    // It died while writing: its exit says more than half a frame.
                    return Ok(());
                }
                Ok(0) | Err(_) => return Ok(()),
                Ok(_) => {}
            }
            self.hand_over(&mut buffer).await?;
        }
    }

    /// Hands over what the executor has put aside.
    async fn clear_shelf(&self) -> Result<(), String> {
        let Some(shelf) = self.shelf.as_ref().filter(|shelf| !shelf.is_empty()) else { return Ok(()) };
        let (mut room, mut buffer) = (vec![0; SHELVED_BYTES_MAX], FrameBuffer::default());
        for _ in 0..SHELVED_FRAMES_MAX {
            let Some(frame) = shelf.take(&mut room) else { break };
            buffer.extend(frame);
            self.hand_over(&mut buffer).await?;
            if buffer.is_inside_frame() {
                return Err("it put a part of a frame aside".to_owned());
            }
        }
        Ok(())
    }

    /// Hands over every whole frame.
    async fn hand_over(&self, buffer: &mut FrameBuffer) -> Result<(), String> {
        while let Some(frame) = buffer.next_frame().map_err(|error| error.to_string())? {
            let frame = FromExecutor::decode(frame).map_err(|error| error.to_string())?;
            self.events.send(Event::Frame { executor: self.id, frame }).await;
        }
        Ok(())
    }
}

/// A child with its descriptors registered.
struct Child {
    pid: u32,
    pidfd: AsyncFd<OwnedFd>,
    socket: Arc<AsyncFd<OwnedFd>>,
    output: AsyncFd<OwnedFd>,
    group: Option<Arc<Group>>,
}

impl Child {
    fn new(spawned: Spawned) -> io::Result<Self> {
        let Spawned { pid, pidfd, socket, output, group } = spawned;
        let register = |fd, interest| {
            // SAFETY: an OwnedFd gives the same open descriptor for as long as it lives, and the AsyncFd owns it.
            unsafe { AsyncFd::register_with_interest(fd, interest) }
        };
        Ok(Self {
            pid,
            pidfd: register(pidfd, Interest::READABLE)?,
            socket: Arc::new(register(socket, Interest::READABLE | Interest::WRITABLE)?),
            output: register(output, Interest::READABLE)?,
            group,
        })
    }
}

async fn read_some(socket: &AsyncFd<OwnedFd>, buffer: &mut FrameBuffer) -> io::Result<usize> {
    let room = buffer.room();
    socket.async_io(Interest::READABLE, |fd| socket::read_into(fd.as_fd(), room)).await
}

async fn write_all(socket: Arc<AsyncFd<OwnedFd>>, mut orders: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { frame, descriptors }) = orders.recv().await {
        let mut rest = frame.as_slice();
        let mut descriptors = descriptors.as_slice();
        while !rest.is_empty() {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            let send = |fd: &OwnedFd| socket::send(fd.as_fd(), rest, &borrowed, false);
            match socket.async_io(Interest::WRITABLE, send).await {
                Ok(sent) => (rest, descriptors) = (&rest[sent..], &[]),
                // Gone: its end is on the way as an event.
                Err(_) => return,
            }
        }
    }
}
