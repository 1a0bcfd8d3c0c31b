//! The executor's first thread: listens to the agent, opens and closes jobs, and sends results for threads
//! that are inside a long task.

use super::crash;
use super::flush::{Bell, LOOK_MS};
use super::gil::Gil;
use super::job::RunningJob;
use super::marks::Marks;
use super::outbox::Outbox;
use super::readings::{INTERVAL_MS, Readings, has_metrics};
use super::services::{Services, Serving, Sharing};
use super::{EXIT_CUT_OFF, EXIT_REFUSED, end, exit_code_for};
use crate::cache::{digest_of, short};
use crate::frame::{FrameError, FromExecutor, OpenJob, ToExecutor, split_frame};
use crate::os::socket;
use crate::region::Regions;
use crate::sandbox::SandboxError;
use crate::shelf::ShelfSide;
use bytes::{Bytes, BytesMut};
use muster_plugin_host::Plugin;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes read from the agent at once.
const READ_BYTES: usize = 64 << 10;

/// What the first thread owns.
#[derive(Debug)]
pub(super) struct Control {
    socket: OwnedFd,
    outbox: Arc<Outbox>,
    bell: Bell,
    bytes: BytesMut,
    descriptors: VecDeque<OwnedFd>,
    plugin: Option<Plugin>,
    job: Option<RunningJob>,
    serving: Serving,
    sharing: Sharing,
    marks: Option<Arc<Marks>>,
    readings: Readings,
    /// The lock of the open job's tasks, as the plugin's calls find it.
    gil: Arc<RwLock<Option<Arc<Gil>>>>,
    stopping: bool,
}

/// The process should end with this code.
struct End(i32);

impl Control {
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let outbox = Arc::new(Outbox::new(socket.try_clone()?));
        Ok(Self {
            socket,
            outbox,
            bell: Bell::new()?,
            bytes: BytesMut::new(),
            descriptors: VecDeque::new(),
            plugin: None,
            job: None,
            serving: Serving::default(),
            sharing: Sharing::default(),
            marks: Marks::prepare().map(Arc::new),
            readings: Readings::default(),
            gil: Arc::default(),
            stopping: false,
        })
    }

    /// Serves the agent until it stops this executor or is gone; gives the exit code.
    pub fn run(mut self) -> i32 {
        let _stack = crash::enter_control();
        loop {
            let (readable, overdue) = match self.wait() {
                Ok(woken) => woken,
                Err(error) => {
                    eprintln!("executor: waiting for the agent: {error}");
                    return 2;
                }
            };
            if overdue && let Some(job) = &self.job {
                job.send_overdue(&self.outbox);
            }
            if let (Some(plugin), Some(_)) = (&self.plugin, &self.job) {
                self.readings.tell_when_due(plugin, &self.outbox);
            }
            let step = if readable { self.read() } else { Ok(()) };
            if let Err(End(code)) = step.and_then(|()| self.finish_closing()) {
                return code;
            }
        }
    }

    /// Waits for the agent, the bell, or the time to send for others; says whether the agent wrote and
    /// whether that time may have come.
    fn wait(&self) -> io::Result<(bool, bool)> {
        let holding = || self.job.as_ref().is_some_and(RunningJob::holds_results);
        self.bell.fall_asleep();
        let timeout_ms = if holding() {
            self.bell.stay_awake();
            Some(LOOK_MS)
        } else {
            let measures = self.job.is_some() && self.plugin.as_ref().is_some_and(has_metrics);
            measures.then_some(INTERVAL_MS)
        };
        let timeout = timeout_ms.map_or(-1, |ms| ms as libc::c_int);
        let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = [watch(self.socket.as_raw_fd()), watch(self.bell.fd().as_raw_fd())];
        // SAFETY: `fds` is an array of two valid pollfd.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout) };
        let error = (ready < 0).then(io::Error::last_os_error);
        self.bell.stay_awake();
        if fds[1].revents & libc::POLLNVAL != 0 {
            // Nobody could wake this thread any more, and it would never sleep.
            end(EXIT_CUT_OFF);
        }
        if fds[1].revents != 0 {
            self.bell.hush();
        }
        match error {
            Some(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            Some(_) => Ok((false, false)),
            None => Ok((fds[0].revents != 0, holding())),
        }
    }

    fn read(&mut self) -> Result<(), End> {
        let mut room = [0u8; READ_BYTES];
        let descriptors = &mut self.descriptors;
        let read = socket::receive(self.socket.as_fd(), &mut room, |fd| descriptors.push_back(fd));
        match read {
            // The agent is gone, and it sends nothing without this process.
            Ok(0) => return Err(End(0)),
            Err(error) => return Err(End(exit_code_for(&error))),
            Ok(len) => self.bytes.extend_from_slice(&room[..len]),
        }
        while let Some(frame) = split_frame(&mut self.bytes).map_err(broken)? {
            self.obey(frame)?;
        }
        Ok(())
    }

    fn obey(&mut self, frame: Bytes) -> Result<(), End> {
        match ToExecutor::decode(frame).map_err(broken)? {
            ToExecutor::Load { path, digest, record, shelf, sandbox, scratch } => {
                let record = if record { self.descriptors.pop_front() } else { None };
                if let Some(shelf) = if shelf { self.descriptors.pop_front() } else { None } {
                    self.outbox.set_shelf(ShelfSide::new(shelf));
                }
                let scratch = (!scratch.is_empty()).then(|| Path::new(&scratch));
                self.load((Path::new(&path), &digest), record, |path| sandbox.enter(path, scratch))
            }
            ToExecutor::Open(open) => self.open(open),
            ToExecutor::Close { job } => {
                if let Some(running) = self.job.as_mut().filter(|running| running.id() == job) {
                    running.close();
                }
                Ok(())
            }
            ToExecutor::Stop => {
                self.stopping = true;
                match &mut self.job {
                    Some(running) => {
                        running.close();
                        Ok(())
                    }
                    None => Err(End(0)),
                }
            }
        }
    }

    /// Loads the plugin, once this process was confined.
    fn load(
        &mut self,
        (path, digest): (&Path, &[u8; 32]),
        record: Option<OwnedFd>,
        confine: impl FnOnce(&Path) -> Result<(), SandboxError>,
    ) -> Result<(), End> {
        if let Some(record) = record
            && let Err(error) = crash::watch(&record)
        {
            eprintln!("executor: crashes will not be recorded: {error}");
        }
        confine(path).map_err(|error| self.refuse(error.to_string(), false))?;
        check(path, digest).map_err(|text| self.refuse(text, true))?;
        let services = Services {
            outbox: Arc::clone(&self.outbox),
            gil: Arc::clone(&self.gil),
            serving: self.serving.clone(),
            sharing: self.sharing.clone(),
        };
        match Plugin::load(path, Arc::new(services)) {
            Ok(plugin) => {
                crash::watch_again();
                self.plugin = Some(plugin);
                self.outbox.send(&FromExecutor::Loaded);
                Ok(())
            }
            Err(error) => Err(self.refuse(error.to_string(), false)),
        }
    }

    fn refuse(&self, text: String, is_damage: bool) -> End {
        self.outbox.send(&FromExecutor::LoadFailed { text, is_damage });
        End(EXIT_REFUSED)
    }

    fn open(&mut self, open: OpenJob) -> Result<(), End> {
        let id = open.job;
        let mut descriptor = || self.descriptors.pop_front();
        let (page, arena, regions) = (descriptor(), descriptor(), descriptor());
        let (Some(plugin), Some(page), Some(arena), Some(regions), None) =
            (&self.plugin, page, arena, regions, &self.job)
        else {
            eprintln!(
                "executor: told to open job {id} without a plugin or its memory, or inside another job"
            );
            return Err(End(2));
        };
        crash::watch_again();
        self.sharing.set(Some(Regions::new(id, regions)));
        let opened =
            RunningJob::open(plugin, open, page, arena, &self.outbox, &self.bell, self.marks.as_ref());
        let started = opened.and_then(|mut running| {
            // Before the first task: one that ends this process at once is a task that crashed, and not a job that
            // cannot be opened here.
            self.outbox.send(&FromExecutor::Opened { job: id });
            *self.gil.write().unwrap_or_else(PoisonError::into_inner) = running.gil();
            self.serving.set(Some(running.shared()));
            running.start()?;
            Ok(running)
        });
        match started {
            Ok(running) => {
                self.job = Some(running);
                Ok(())
            }
            Err(error) => {
                self.outbox.send(&FromExecutor::OpenFailed { job: id, text: error.to_string() });
                Err(End(EXIT_REFUSED))
            }
        }
    }

    /// Reports a job as closed once its last thread has ended.
    fn finish_closing(&mut self) -> Result<(), End> {
        let Some(running) = self.job.take_if(|running| running.has_ended()) else { return Ok(()) };
        let (job, is_last) = (running.id(), running.is_last());
        self.serving.set(None);
        running.end();
        self.sharing.set(None);
        if let Some(plugin) = &self.plugin {
            self.readings.tell(plugin, &self.outbox);
        }
        if is_last && !self.stopping {
            self.outbox.send(&FromExecutor::Retired);
            return Err(End(0));
        }
        self.outbox.send(&FromExecutor::Closed { job });
        if self.stopping { Err(End(0)) } else { Ok(()) }
    }
}

fn broken(error: FrameError) -> End {
    eprintln!("executor: the agent sent what no agent sends: {error}");
    End(2)
}

/// Whether a plugin's file still is what the agent checked.
fn check(path: &Path, digest: &[u8; 32]) -> Result<(), String> {
    match digest_of(path) {
        Ok(found) if found != *digest => Err(format!(
            "plugin file {}: it was changed after it came (its digest is {}, expected {})",
            path.display(),
            short(&found),
            short(digest)
        )),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("plugin file {}: no such file", path.display()))
        }
        Err(error) => Err(format!("plugin file {}: {error}", path.display())),
    }
}
