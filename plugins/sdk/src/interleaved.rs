//! Many tasks at the same time on one thread: the async form of a workload, and the runtime that keeps its tasks going.

use crate::output::Sink;
use crate::{Context, Error, Level, Log, Output, Random, Task, Workload, host, panic};
use futures_util::stream::{FuturesUnordered, Stream};
use muster_plugin_abi::{self as abi, Async, AsyncTask, Bytes, CtxObject, ErrorText, next, status};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::fmt::Arguments;
use std::future::{Future, poll_fn};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};

/// Threads of a runtime, at the most, for what can only be waited for on a thread, such as the look-up of a name.
const BLOCKING_THREADS_MAX: usize = 32;

/// How often a task that waits on a thread of its own looks whether it should stop.
const LOOK: Duration = Duration::from_millis(5);

/// A workload whose tasks mostly wait, for answers or for time, and can do so many at a time on one thread: under the
/// model `async` each thread keeps up to `--in-flight` of them going. Futures run on a current-thread runtime of tokio
/// with timers and sockets (`muster_sdk::tokio`); they need not be `Send`. What computes for long between two `.await`
/// holds up all others.
///
/// Under all other models [`Workload::run`] is called. A workload that has no other form of its own writes
/// `ctx.wait_for(async |ctx| self.run_async(task, ctx).await)` there.
pub trait AsyncWorkload: Workload {
    /// Runs one task. It is dropped where it waits when the task should stop.
    ///
    /// # Errors
    /// As those of [`Workload::run`], which must give the same results.
    fn run_async(
        &self,
        task: Task<'_>,
        ctx: &AsyncContext,
    ) -> impl Future<Output = Result<Self::Output, Error>>;
}

/// What a task of the async form can ask and tell.
#[derive(Debug)]
pub struct AsyncContext {
    ctx: *mut CtxObject,
    attempt: u32,
    random: RefCell<Random>,
}

impl AsyncContext {
    /// Random numbers of this task: the same on every attempt, machine and shape. Not to be held over an `.await`.
    pub fn random(&self) -> RefMut<'_, Random> {
        self.random.borrow_mut()
    }

    /// Tells how far the task is; `total` 0 when that is not known.
    pub fn progress(&self, done: u64, total: u64) {
        if let Some((host, progress)) = host::table().and_then(|host| Some((host, host.progress?))) {
            // SAFETY: the function belongs to this table; ctx came with the running call.
            unsafe { progress(host.this, self.ctx, done, total) }
        }
    }

    /// As [`Context::scratch_dir`]: each task in flight has a folder of its own.
    ///
    /// # Errors
    /// It cannot be made; transient when the disk is full.
    pub fn scratch_dir(&self) -> Result<Option<PathBuf>, Error> {
        host::scratch_dir(self.ctx)
    }

    /// Which attempt this is, from 1. For logs, never for results.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Log for AsyncContext {
    fn log(&self, level: Level, message: Arguments<'_>) {
        host::log(self.ctx, level as u32, &message.to_string());
    }
}

impl Context<'_> {
    /// Runs the future of one task on this thread, for workloads that have an async form only: `ctx.wait_for(async |ctx|
    /// self.run_async(task, ctx).await)`. Where tasks take turns, others compute while it waits.
    ///
    /// # Errors
    /// That of the task; [`Error::cancelled`] soon after it should stop.
    pub fn wait_for<T>(
        &mut self,
        begin: impl AsyncFnOnce(&AsyncContext) -> Result<T, Error>,
    ) -> Result<T, Error> {
        thread_local! {
            static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
        }
        let context = AsyncContext {
            ctx: self.ctx(),
            attempt: self.attempt(),
            random: RefCell::new(self.random().clone()),
        };
        let outer = WAITING.replace(self.ctx());
        let result = RUNTIME.with(|runtime| {
            let mut runtime = runtime.borrow_mut();
            let runtime = match &*runtime {
                Some(runtime) => runtime,
                None => &*runtime.insert(new_runtime()?),
            };
            runtime.block_on(until_cancelled(self, begin(&context)))
        });
        WAITING.set(outer);
        result
    }
}

/// Polls the future of a task, and looks now and then whether it should stop.
async fn until_cancelled<T>(
    ctx: &Context<'_>,
    task: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut task = pin!(task);
    let mut look = tokio::time::interval(LOOK);
    poll_fn(|cx| {
        if let Poll::Ready(result) = task.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        while look.poll_tick(cx).is_ready() {
            if ctx.cancelled() {
                return Poll::Ready(Err(Error::cancelled()));
            }
        }
        Poll::Pending
    })
    .await
}

thread_local! {
    /// The call whose runtime may wait on this thread.
    static WAITING: Cell<*mut CtxObject> = const { Cell::new(std::ptr::null_mut()) };
}

/// A runtime whose waits let others compute, where tasks take turns.
fn new_runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .on_thread_park(|| blocking(|host| host.blocking_begin))
        .on_thread_unpark(|| blocking(|host| host.blocking_end))
        .build();
    runtime.map_err(|error| Error::transient(format_args!("no async runtime could be made: {error}")))
}

fn blocking(
    which: impl Fn(&abi::Host) -> Option<unsafe extern "C" fn(*mut std::ffi::c_void, *mut CtxObject)>,
) {
    let ctx = WAITING.get();
    if let Some((host, function)) = host::table().and_then(|host| Some((host, which(host)?)))
        && !ctx.is_null()
    {
        // SAFETY: the function belongs to this table; ctx came with the call that this thread is in.
        unsafe { function(host.this, ctx) }
    }
}

/// Keeps tasks going until the host says to close.
///
/// # Safety
/// `call` and `host` must be as the header says, and the thread inside the call that they came with.
pub(crate) unsafe fn drive<W: AsyncWorkload>(
    workload: &W,
    call: &abi::TaskCtx,
    host: &Async,
) -> Result<(), Error> {
    if host.struct_size < abi::size_of_table::<Async>() {
        return Err(Error::new(status::ABI, "the host's async table is older than this plugin's SDK"));
    }
    let (Some(next), Some(enter), Some(complete)) = (host.next, host.enter, host.complete) else {
        return Err(Error::new(status::ABI, "the host's async table lacks a function"));
    };
    let outer = WAITING.replace(call.ctx);
    let runtime = new_runtime()?;
    let tasks = Tasks { workload, ctx: call.ctx, host, next, enter, complete };
    // The tasks have yield points enough, and a budget for all of them together would make them wait for nothing.
    let result = runtime.block_on(tokio::task::unconstrained(tasks.keep_going()));
    // Nobody waits for the look-up of a name that a dropped task began.
    runtime.shutdown_background();
    WAITING.set(outer);
    result
}

struct Tasks<'a, W> {
    workload: &'a W,
    ctx: *mut CtxObject,
    host: &'a Async,
    next: unsafe extern "C" fn(*mut std::ffi::c_void, *mut AsyncTask) -> u32,
    enter: unsafe extern "C" fn(*mut std::ffi::c_void, u64),
    complete: unsafe extern "C" fn(*mut std::ffi::c_void, u64, i32, Bytes, *const ErrorText),
}

/// Whether a task that is going should stop.
#[derive(Debug, Default)]
struct Stop {
    asked: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The host's descriptor, which the host closes.
struct WakeFd(RawFd);

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl<W: AsyncWorkload> Tasks<'_, W> {
    async fn keep_going(&self) -> Result<(), Error> {
        // SAFETY: the descriptor stays the same and open until this call returns, as the header says.
        let wake = unsafe { AsyncFd::register_with_interest(WakeFd(self.host.wake_fd), Interest::READABLE) }?;
        let stops: RefCell<HashMap<u64, Rc<Stop>>> = RefCell::default();
        let mut going = FuturesUnordered::new();
        loop {
            loop {
                let mut task = AsyncTask::empty();
                // SAFETY: the function and its first argument belong together; there is room for a task.
                match unsafe { (self.next)(self.host.this, &raw mut task) } {
                    next::TASK => {
                        let stop = Rc::new(Stop::default());
                        stops.borrow_mut().insert(task.ticket, Rc::clone(&stop));
                        going.push(self.run_one(task, stop, &stops));
                    }
                    next::STOP => {
                        if let Some(stop) = stops.borrow().get(&task.ticket) {
                            stop.asked.set(true);
                            if let Some(waker) = stop.waker.take() {
                                waker.wake();
                            }
                        }
                    }
                    next::CLOSE => return Ok(()),
                    _ => break,
                }
            }
            poll_fn(|cx| {
                let mut has_ended = false;
                while let Poll::Ready(Some(())) = Pin::new(&mut going).poll_next(cx) {
                    has_ended = true;
                }
                match wake.poll_read_ready(cx) {
                    Poll::Ready(Ok(mut guard)) => {
                        guard.clear_ready();
                        Poll::Ready(Ok(()))
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(Error::from(error))),
                    Poll::Pending if has_ended => Poll::Ready(Ok(())),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await?;
        }
    }

    /// Runs a task and tells the host what came of it.
    async fn run_one(&self, task: AsyncTask, stop: Rc<Stop>, stops: &RefCell<HashMap<u64, Rc<Stop>>>) {
        let context = AsyncContext {
            ctx: self.ctx,
            attempt: task.attempt,
            random: RefCell::new(Random::new(task.seed)),
        };
        // SAFETY: the host lends the input until the task is completed, which happens below.
        let input = unsafe { task.input.as_slice() };
        let given = Task { index: task.index, job_seed: 0, input };
        let mut future = pin!(self.workload.run_async(given, &context));
        let outcome = poll_fn(|cx| {
            if stop.asked.get() {
                return Poll::Ready(Err(Error::cancelled()));
            }
            // SAFETY: the function and its first argument belong together.
            unsafe { (self.enter)(self.host.this, task.ticket) };
            let polled = panic::guard(|| future.as_mut().poll(cx));
            // SAFETY: as above.
            unsafe { (self.enter)(self.host.this, 0) };
            match polled {
                Ok(Poll::Pending) => {
                    stop.waker.replace(Some(cx.waker().clone()));
                    Poll::Pending
                }
                Ok(Poll::Ready(result)) => Poll::Ready(result),
                Err(message) => Poll::Ready(Err(Error::new(status::PANIC, message))),
            }
        })
        .await;
        stops.borrow_mut().remove(&task.ticket);
        let bytes = outcome.and_then(|output| Sink::collect(|sink| output.append(sink)));
        self.complete_with(task.ticket, bytes);
    }

    fn complete_with(&self, ticket: u64, outcome: Result<Vec<u8>, Error>) {
        let mut text = ErrorText::new();
        let (code, result, error) = match &outcome {
            Ok(bytes) => (status::OK, Bytes::new(bytes), std::ptr::null()),
            Err(error) => (error.store(&mut text), Bytes::EMPTY, &raw const text),
        };
        // SAFETY: the function and its first argument belong together; result and error live until it returns.
        unsafe { (self.complete)(self.host.this, ticket, code, result, error) };
    }
}
