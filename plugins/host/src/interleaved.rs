//! Keeps many tasks of a job going on one thread, through the plugin's own runtime (`muster.async/1`).
//!
//! What the plugin is lent stays valid until the process ends, because it may complete tasks late and from threads of
//! its own. A ticket is a place and how often that was used, so that one which comes twice, late or from nowhere is
//! known for what it is.

use crate::job::{Instance, Job};
use crate::outcome::{ErrorKind, TaskError};
use crate::scratch::Scratches;
use crate::slot::{Call, Slot, SlotState};
use muster_plugin_abi::{self as abi, Async, AsyncTask, Bytes, DriveFn, ErrorText, next, status, task_seed};
use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// A task to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Its index.
    pub index: u64,
    /// Which attempt of it this is.
    pub attempt: u32,
    /// Its input; empty when the job has none.
    pub input: Vec<u8>,
    /// For whoever gave it: comes back when it has ended.
    pub token: u64,
}

/// A task that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedTask {
    /// Its index.
    pub index: u64,
    /// What came with the task.
    pub token: u64,
    /// Its result, or why there is none.
    pub outcome: Result<Vec<u8>, TaskError>,
}

/// One attempt of a task, as the plugin knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Begin this task.
    Begin(NewTask),
    /// The task should stop. It still ends, in its own way.
    Stop(Ticket),
    /// Go on with what there is, and ask again when woken.
    Wait,
    /// Drop what is going on.
    Close,
}

/// Where the tasks of a drive come from and what becomes of them. Called by the driving thread alone.
pub trait TaskSource {
    /// What to do next; `running` tasks are going on.
    fn next(&mut self, running: u32) -> Next;

    /// The task with this token begins, and has this ticket until it ends.
    fn begun(&mut self, token: u64, ticket: Ticket);

    /// A task has ended.
    fn ended(&mut self, task: EndedTask);

    /// The thread runs code of this task from here, given by index and token, or of none.
    fn enter(&mut self, task: Option<(u64, u64)>);

    /// The plugin broke the rules, in a way that belongs to no task any more.
    fn misused(&mut self, text: &str);
}

impl Job {
    /// Lends this thread to the plugin until `source` says to close. `in_flight`: the most tasks at the same time;
    /// `wake`: readable when the plugin should ask again. Tasks that were going on when it returned and were not told
    /// to be dropped have failed.
    ///
    /// # Errors
    /// What kept the plugin from going on; a new call may do better.
    pub fn drive(
        &self,
        slot: &mut Slot<'_>,
        in_flight: u32,
        wake: BorrowedFd<'_>,
        source: &mut dyn TaskSource,
    ) -> Result<(), TaskError> {
        let Some(drive) = self.async_form() else {
            let message = "the plugin has no async form".to_owned();
            return Err(TaskError { kind: ErrorKind::Unsupported, code: 0, message });
        };
        slot.set_job(self.id());
        let instance = self.instance()?;
        let flight: &'static Flight = Box::leak(Box::new(Flight {
            thread: std::thread::current().id(),
            wake_fd: wake.as_raw_fd(),
            inner: Mutex::new(Inner {
                job_seed: self.seed(),
                limit: slot.result_limit(),
                ..Inner::default()
            }),
        }));
        let state = slot.state();
        let mut driving = Driving { job: self, instance: &instance, flight, source, state, poisoned: false };
        let error = driving.call(drive, slot, in_flight);
        driving.finish(error)
    }
}

/// The struct that the plugin is lent, and what stands behind it. Never freed.
struct Flight {
    thread: ThreadId,
    wake_fd: i32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Places whose tasks were completed and not taken over.
    completed: Vec<u32>,
    running: u32,
    /// The drive is over.
    over: bool,
    job_seed: u64,
    limit: usize,
    /// What belongs to no task.
    misuses: Vec<String>,
    /// The driving call's own state; null outside of it.
    driving: Pointer,
}

/// A pointer that only the driving thread follows.
struct Pointer(*mut c_void);

impl Default for Pointer {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

// SAFETY: it is followed by the thread that set it, and by no other: see `next` and `enter`.
unsafe impl Send for Pointer {}

#[derive(Default)]
struct Place {
    uses: u32,
    task: Option<Going>,
}

/// A task between its beginning and its end.
struct Going {
    index: u64,
    token: u64,
    /// Lent to the plugin.
    input: Vec<u8>,
    outcome: Option<Result<Vec<u8>, TaskError>>,
}

/// Misuses that are kept in words; more are not worth the memory.
const MISUSES_MAX: usize = 16;

impl Flight {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_driven_here(&self) -> bool {
        std::thread::current().id() == self.thread
    }

    fn wake(&self) {
        // SAFETY: writes eight bytes to a descriptor; when it is full the other side is awake anyway.
        unsafe { libc::write(self.wake_fd, (&raw const ONE).cast(), 8) };
    }
}

static ONE: u64 = 1;

impl Inner {
    /// Takes a place for a task; says its ticket and where its input lies.
    fn begin(&mut self, task: NewTask) -> (u64, Bytes) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[at as usize];
        place.uses = place.uses.wrapping_add(1);
        let ticket = u64::from(place.uses) << 32 | (u64::from(at) + 1);
        let NewTask { index, token, input, .. } = task;
        let going = place.task.insert(Going { index, token, input, outcome: None });
        self.running += 1;
        (ticket, Bytes::new(&going.input))
    }

    /// The task of a ticket that is in use.
    fn going(&mut self, ticket: u64) -> Option<(u32, &mut Going)> {
        let at = u32::try_from((ticket & u64::from(u32::MAX)).checked_sub(1)?).ok()?;
        let place = self.places.get_mut(at as usize).filter(|place| u64::from(place.uses) == ticket >> 32)?;
        Some((at, place.task.as_mut()?))
    }

    fn complete(&mut self, ticket: u64, outcome: Result<Vec<u8>, TaskError>) {
        let (over, is_told) = (self.over, self.misuses.len() < MISUSES_MAX);
        match self.going(ticket) {
            Some((_, going)) if going.outcome.is_some() => {
                going.outcome = Some(Err(TaskError::abi("complete() was called twice; a task ends once")));
            }
            Some((at, going)) => {
                going.outcome = Some(outcome);
                self.completed.push(at);
                self.running -= 1;
            }
            None if is_told => {
                let when = if over { ", after drive() had returned" } else { "" };
                self.misuses.push(format!(
                    "complete() was called for ticket {ticket:#x}, which belongs to no task that is going on{when}: it \
                     came twice, late, or was made up"
                ));
            }
            None => {}
        }
    }

    /// Frees a place.
    fn end(&mut self, at: u32) -> Option<EndedTask> {
        let Going { index, token, outcome, .. } = self.places[at as usize].task.take()?;
        self.free.push(at);
        Some(EndedTask { index, token, outcome: outcome? })
    }
}

/// One call of the plugin's `drive`.
struct Driving<'a> {
    job: &'a Job,
    instance: &'a Instance,
    flight: &'static Flight,
    source: &'a mut dyn TaskSource,
    /// That of the slot.
    state: NonNull<SlotState>,
    /// A task panicked: the object takes no new ones.
    poisoned: bool,
}

impl Driving<'_> {
    fn call(&mut self, drive: DriveFn, slot: &mut Slot<'_>, in_flight: u32) -> Option<TaskError> {
        let flight = self.flight;
        flight.inner().driving = Pointer(std::ptr::from_mut(self).cast());
        // Lent until the process ends, as the flight.
        let lent: &'static Async = Box::leak(Box::new(Async {
            struct_size: abi::size_of_table::<Async>(),
            in_flight,
            this: std::ptr::from_ref(flight).cast_mut().cast(),
            wake_fd: flight.wake_fd,
            reserved0: 0,
            next: Some(next_event),
            enter: Some(enter),
            complete: Some(complete),
        }));
        let instance = self.instance;
        let _turn = instance.turn();
        self.scratch().has_many = true;
        let (error, _) = slot.enter("drive", Call::None, |ctx, error| {
            // SAFETY: the job object is alive, and all structs are valid and as the header says.
            unsafe { drive(instance.object(), ctx, lent, error) }
        });
        let mut inner = flight.inner();
        inner.driving = Pointer::default();
        inner.over = true;
        error
    }

    /// The folders of the tasks that are going.
    fn scratch(&mut self) -> &mut Scratches {
        // SAFETY: the slot is borrowed by the call that this is about, and only its thread is here, while no callback of
        // the slot runs.
        unsafe { &mut (*self.state.as_ptr()).scratch }
    }

    /// Hands over what was completed.
    fn settle(&mut self) {
        let (completed, misuses) = {
            let mut inner = self.flight.inner();
            let places = std::mem::take(&mut inner.completed);
            let ended: Vec<EndedTask> = places.into_iter().filter_map(|at| inner.end(at)).collect();
            (ended, std::mem::take(&mut inner.misuses))
        };
        for task in completed {
            let EndedTask { index, token, outcome } = task;
            self.scratch().end(index);
            let outcome = outcome.and_then(|result| self.job.check_result(&result).map(|()| result));
            if matches!(&outcome, Err(error) if error.kind == ErrorKind::Panic) {
                self.instance.poison();
                self.poisoned = true;
            }
            self.source.ended(EndedTask { index, token, outcome });
        }
        misuses.iter().for_each(|text| self.source.misused(text));
    }

    fn next(&mut self, task: &mut AsyncTask) -> u32 {
        self.settle();
        let running = self.flight.inner().running;
        if self.poisoned {
            return if running == 0 { next::CLOSE } else { next::NONE };
        }
        match self.source.next(running) {
            Next::Wait => next::NONE,
            Next::Close => {
                // What is dropped has not failed.
                let mut inner = self.flight.inner();
                inner.places.iter_mut().for_each(|place| place.task = None);
                inner.running = 0;
                next::CLOSE
            }
            Next::Stop(Ticket(ticket)) => {
                task.ticket = ticket;
                next::STOP
            }
            Next::Begin(new) => {
                let (index, attempt, token) = (new.index, new.attempt, new.token);
                let mut inner = self.flight.inner();
                let seed = task_seed(inner.job_seed, index);
                let (ticket, input) = inner.begin(new);
                drop(inner);
                self.source.begun(token, Ticket(ticket));
                *task = AsyncTask { struct_size: task.struct_size, attempt, ticket, index, seed, input };
                next::TASK
            }
        }
    }

    /// The call is over: what was not completed has failed.
    fn finish(mut self, error: Option<TaskError>) -> Result<(), TaskError> {
        self.settle();
        if error.as_ref().is_some_and(|error| error.kind == ErrorKind::Panic) {
            self.instance.poison();
        }
        let left: Vec<EndedTask> = {
            let mut inner = self.flight.inner();
            let error = error.clone().unwrap_or_else(|| {
                TaskError::abi(
                    "drive() returned without having completed the task; return when next() says so",
                )
            });
            let all = 0..inner.places.len() as u32;
            all.filter_map(|at| {
                let place = &mut inner.places[at as usize];
                place.task.as_mut()?.outcome.get_or_insert_with(|| Err(error.clone()));
                inner.end(at)
            })
            .collect()
        };
        left.into_iter().for_each(|task| self.source.ended(task));
        let mut inner = self.flight.inner();
        inner.running = 0;
        (inner.places, inner.free, inner.completed) = (Vec::new(), Vec::new(), Vec::new());
        error.map_or(Ok(()), Err)
    }
}

/// # Safety
/// `this` must be what the struct says.
unsafe fn flight(this: *mut c_void) -> &'static Flight {
    // SAFETY: `drive` leaked it.
    unsafe { &*this.cast::<Flight>() }
}

/// The state of the driving call, when this thread is in it.
///
/// # Safety
/// As for `flight`.
unsafe fn driving<'a>(this: *mut c_void) -> Option<&'a mut Driving<'a>> {
    // SAFETY: the caller's promise.
    let flight = unsafe { flight(this) };
    if !flight.is_driven_here() {
        return None;
    }
    let pointer = flight.inner().driving.0;
    // SAFETY: set by this thread for the time of its call, which goes on: it is the caller of our caller. The host's own
    // code does not run meanwhile.
    unsafe { pointer.cast::<Driving<'a>>().as_mut() }
}

unsafe extern "C" fn next_event(this: *mut c_void, task: *mut AsyncTask) -> u32 {
    // SAFETY: the plugin passes the struct's own pointer, and room for a task.
    unsafe {
        let (Some(driving), Some(task)) = (driving(this), task.as_mut()) else { return next::NONE };
        if task.struct_size < abi::size_of_table::<AsyncTask>() { next::CLOSE } else { driving.next(task) }
    }
}

unsafe extern "C" fn enter(this: *mut c_void, ticket: u64) {
    // SAFETY: as in `next_event`.
    unsafe {
        let Some(driving) = driving(this) else { return };
        let task = flight(this).inner().going(ticket).map(|(_, going)| (going.index, going.token));
        driving.source.enter(task);
    }
}

unsafe extern "C" fn complete(
    this: *mut c_void,
    ticket: u64,
    code: i32,
    result: Bytes,
    error: *const ErrorText,
) {
    // SAFETY: as in `next_event`; the result and the error are lent.
    let (flight, result, error) = unsafe { (flight(this), result.as_slice(), error.as_ref()) };
    let none = ErrorText::new();
    let mut inner = flight.inner();
    let outcome = match TaskError::from_call("complete", code, error.unwrap_or(&none)) {
        Some(error) => Err(error),
        None if result.len() > inner.limit => Err(TaskError::limit(result.len(), inner.limit)),
        None => Ok(result.to_vec()),
    };
    inner.complete(ticket, outcome);
    drop(inner);
    if !flight.is_driven_here() {
        flight.wake();
    }
}

const _: () = assert!(status::OK == 0, "a status of 0 has a result");
