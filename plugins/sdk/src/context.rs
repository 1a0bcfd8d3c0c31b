//! What a running task can ask and tell.

use crate::output::Sink;
use crate::{
    CancelFlag, ChannelEnd, ChannelSpec, Error, Level, Log, Output, Random, Side, Task, channel, host,
};
use muster_plugin_abi::{self as abi, status, task_seed};
use std::fmt::Arguments;
use std::path::PathBuf;
use std::time::Duration;

/// The running task's way to its host. It also hands out the tasks of a range, see [`Context::next_task`].
#[derive(Debug)]
pub struct Context<'a> {
    call: &'a abi::TaskCtx,
    range: &'a abi::Range,
    sink: Sink<'a>,
    /// Tasks finished.
    at: usize,
    /// Where the running task's result begins.
    begin: usize,
    random: Option<Random>,
}

impl<'a> Context<'a> {
    /// # Safety
    /// All three must be valid for `'a` and as the header says; nobody else may use `out` meanwhile.
    pub(crate) unsafe fn new(call: &'a abi::TaskCtx, range: &'a abi::Range, out: *mut abi::Out) -> Self {
        // SAFETY: the caller's promise.
        let sink = unsafe { Sink::lent(out, call.ctx) };
        Self { call, range, sink, at: 0, begin: 0, random: None }
    }

    /// True when the task should stop: the job was cancelled, or its time is over.
    #[inline]
    #[must_use]
    pub fn cancelled(&self) -> bool {
        // SAFETY: the host promises that the flag is readable during the call; another thread sets it.
        unsafe { self.call.cancel.read_volatile() != 0 }
    }

    /// The same question for those who wait while the context is borrowed, also on another thread.
    #[must_use]
    pub const fn cancel_flag(&self) -> CancelFlag<'a> {
        CancelFlag::of(self.call)
    }

    /// Stops the task with `?` when it should stop. About a nanosecond: ask at least every 10 ms.
    ///
    /// # Errors
    /// [`Error::cancelled`]
    #[inline]
    pub fn check(&self) -> Result<(), Error> {
        if self.cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// As [`Context::check`], and lets other threads go first where tasks take turns. Costs a call into the
    /// host.
    ///
    /// # Errors
    /// [`Error::cancelled`]
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        let Some((host, checkpoint)) = host::table().and_then(|host| Some((host, host.checkpoint?))) else {
            return self.check();
        };
        // SAFETY: the function belongs to this table; ctx came with the running call.
        match unsafe { checkpoint(host.this, self.call.ctx) } {
            status::OK => Ok(()),
            _ => Err(Error::cancelled()),
        }
    }

    /// Runs code that waits (I/O, sleep, a lock) and does not compute: where tasks take turns, others compute
    /// meanwhile. Not to be nested.
    pub fn blocking<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        struct End(*mut abi::CtxObject);
        impl Drop for End {
            fn drop(&mut self) {
                if let Some((host, end)) = host::table().and_then(|host| Some((host, host.blocking_end?))) {
                    // SAFETY: the function belongs to this table; ctx came with the running call.
                    unsafe { end(host.this, self.0) }
                }
            }
        }
        if let Some((host, begin)) = host::table().and_then(|host| Some((host, host.blocking_begin?))) {
            // SAFETY: the function belongs to this table; ctx came with the running call.
            unsafe { begin(host.this, self.call.ctx) }
        }
        let _end = End(self.call.ctx);
        wait()
    }

    /// Sleeps without computing: where tasks take turns, others compute meanwhile. A task that should stop is woken at once.
    ///
    /// # Errors
    /// [`Error::cancelled`]
    pub fn sleep(&mut self, time: Duration) -> Result<(), Error> {
        let flag = self.cancel_flag();
        self.blocking(|| flag.wait(time));
        self.check()
    }

    /// Waits for another task of the job that runs at the same time on this worker and asks for the same channel; none:
    /// nobody came in time.
    ///
    /// # Errors
    /// [`Error::params`] for a name, capacity or size that cannot be; [`Error::cancelled`]; [`Error::transient`] when the other
    /// one dies, or 64 channels are in use.
    pub fn channel(&self, spec: &ChannelSpec, side: Side) -> Result<Option<ChannelEnd<'a>>, Error> {
        channel::open(self.call.ctx, spec, side)
    }

    /// Random numbers of this task: the same on every attempt, machine and shape.
    #[inline]
    pub fn random(&mut self) -> &mut Random {
        let index = self.range.start.wrapping_add(self.at as u64);
        let seed = self.range.job_seed;
        self.random.get_or_insert_with(|| Random::new(task_seed(seed, index)))
    }

    /// Whether the job's tasks have inputs; one of them may still be empty.
    #[must_use]
    pub const fn has_inputs(&self) -> bool {
        !self.range.input_offsets.is_null()
    }

    /// Tells how far the task is; `total` 0 when that is not known. The last word of a running task shows in `muster job
    /// info` and in the progress line, where heartbeats bring it, once a second. It is cheap: two words are touched.
    pub fn progress(&self, done: u64, total: u64) {
        if let Some((host, progress)) = host::table().and_then(|host| Some((host, host.progress?))) {
            // SAFETY: the function belongs to this table; ctx came with the running call.
            unsafe { progress(host.this, self.call.ctx, done, total) }
        }
    }

    /// Appends to the task's result without a copy of its own; for [`Written`](crate::Written).
    ///
    /// # Errors
    /// Over the limit of one result, or no memory.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.put(bytes)
    }

    /// A folder that the running attempt has for itself: empty at first, and removed with all that is in it when the attempt
    /// has ended, whatever becomes of the process. It is made when it is first asked for. `None`: the host has none.
    ///
    /// # Errors
    /// It cannot be made; transient when the disk is full.
    pub fn scratch_dir(&self) -> Result<Option<PathBuf>, Error> {
        host::scratch_dir(self.call.ctx)
    }

    /// The time left, when the task has a time limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.call.deadline_ns;
        (deadline != u64::MAX).then(|| Duration::from_nanos(deadline.saturating_sub(host::now_ns())))
    }

    #[cfg(feature = "async")]
    pub(crate) const fn ctx(&self) -> *mut abi::CtxObject {
        self.call.ctx
    }

    /// The number of the slot, from 0 to below [`Job::threads`](crate::Job::threads); stable for this thread.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.call.slot
    }

    /// Which attempt this is, from 1. For logs, never for results.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.range.attempt
    }

    /// Runs the tasks of the range, one after the other, and appends what they give back: the quick way to do
    /// what [`Context::next_task`] and [`Context::finish`] do.
    ///
    /// # Errors
    /// That of the first task that fails.
    #[inline]
    pub fn each<T: Output>(
        &mut self,
        mut run: impl FnMut(Task<'a>, &mut Self) -> Result<T, Error>,
    ) -> Result<(), Error> {
        // Copies, because the compiler must think that a result could be written over what they come from.
        let (range, call) = (*self.range, *self.call);
        for at in self.at..range.count as usize {
            // SAFETY: the host promises that the flag is readable during the call.
            if unsafe { call.cancel.read_volatile() } != 0 {
                return Err(Error::cancelled());
            }
            if self.sink.is_full() && at > 0 {
                break;
            }
            self.at = at;
            self.random = None;
            let index = range.start.wrapping_add(at as u64);
            // SAFETY: the host promises that the word is writable during the call; others only read it.
            unsafe { call.current.write_volatile(index) };
            let begin = self.sink.len();
            // SAFETY: `range` is the host's, and `at` is below its count.
            let task = Task { index, job_seed: range.job_seed, input: unsafe { input(&range, at) } };
            let output = run(task, self)?;
            output.append(&mut self.sink)?;
            self.sink.close(at, self.sink.len() - begin)?;
            self.at = at + 1;
        }
        Ok(())
    }

    /// The next task of the range, for [`Workload::run_range`](crate::Workload::run_range); none when all are
    /// done or the host wants the results so far. Between two calls there must be one [`Context::finish`].
    ///
    /// # Errors
    /// [`Error::cancelled`]
    #[inline]
    pub fn next_task(&mut self) -> Result<Option<Task<'a>>, Error> {
        let at = self.at;
        if at as u64 >= self.range.count || (self.sink.is_full() && at > 0) {
            return Ok(None);
        }
        self.check()?;
        let index = self.range.start.wrapping_add(at as u64);
        // SAFETY: the host promises that the word is writable during the call; others only read it.
        unsafe { self.call.current.write_volatile(index) };
        self.begin = self.sink.len();
        self.random = None;
        // SAFETY: the range is the host's, and `at` is below its count.
        let input = unsafe { input(self.range, at) };
        Ok(Some(Task { index, job_seed: self.range.job_seed, input }))
    }

    /// Finishes the task that [`Context::next_task`] gave last.
    ///
    /// # Errors
    /// When the output cannot be written, or no task is unfinished.
    #[inline]
    pub fn finish(&mut self, output: impl Output) -> Result<(), Error> {
        if self.at as u64 >= self.range.count {
            return Err(Error::new(status::ABI, "finish was called without a task"));
        }
        output.append(&mut self.sink)?;
        self.sink.close(self.at, self.sink.len() - self.begin)?;
        self.at += 1;
        self.begin = self.sink.len();
        Ok(())
    }
}

/// The input of a task.
///
/// # Safety
/// `range` must be as the header says, with data that is valid for `'a`, and `at` below its count.
#[inline]
unsafe fn input<'a>(range: &abi::Range, at: usize) -> &'a [u8] {
    if range.input_offsets.is_null() {
        return &[];
    }
    // SAFETY: the host gives count+1 ascending offsets into its data, and `at` is below count.
    unsafe {
        let from = range.input_offsets.add(at).read();
        let to = range.input_offsets.add(at + 1).read();
        if to <= from {
            return &[];
        }
        std::slice::from_raw_parts(range.input_data.add(from as usize), (to - from) as usize)
    }
}

impl Log for Context<'_> {
    fn log(&self, level: Level, message: Arguments<'_>) {
        host::log(self.call.ctx, level as u32, &message.to_string());
    }
}
