//! Results that a thread has gathered leave with its next frame, at the latest when it has nothing to claim.
//! A thread that is inside a long task cannot send what it gathered before; the control thread does it then.
//! While nobody holds results, nothing wakes up for this.

use super::job::{Run, Shared};
use super::outbox::Outbox;
use crate::frame::{FromExecutor, Gather};
use crate::os::check;
use crate::os::monotonic_ns;
use crate::shelf::SHELVED_BYTES_MAX;
use muster_core::claim::HOLD_MAX;
use muster_core::time::Span;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often the control thread looks for results that wait too long, while there are any. Rarer than threads
/// look themselves: it only matters when a task takes much longer than those before it.
pub(super) const LOOK_MS: u64 = 100;
/// A frame is sent when it has about this many bytes.
pub(super) const FRAME_BYTES: usize = 256 << 10;

/// Results of so much work are put where they survive this process: a system call for each time costs nothing beside it.
const ASIDE_NS: u64 = 5_000_000;

/// The results that one thread holds.
#[derive(Debug)]
pub(super) struct Held {
    pub gather: Gather,
    /// When the first of them was added.
    since_ns: u64,
    /// How long those in `gather` took.
    busy_ns: u64,
    /// Others lie on the shelf, and the agent does not know.
    is_aside: bool,
    head: Vec<u8>,
}

/// What the threads of a job hold.
#[derive(Debug)]
pub(super) struct Holdings {
    threads: Vec<Mutex<Held>>,
    /// Whether results may be put aside. Those of reductions may not: apart from each other they cost the coordinator
    /// too much.
    may_put_aside: bool,
    holders: AtomicU32,
    bell: Bell,
}

impl Holdings {
    pub fn new(job: u64, threads: u32, may_put_aside: bool, bell: Bell) -> Self {
        let held = |thread| Mutex::new(Held::new(Gather::new(job, thread)));
        let threads = (0..threads).map(held).collect();
        Self { threads, may_put_aside, holders: AtomicU32::new(0), bell }
    }

    /// A thread's own results.
    pub fn lock(&self, thread: usize) -> MutexGuard<'_, Held> {
        self.threads[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the results in `held`, the last of which took `busy_ns`, will wait for others.
    pub fn hold(&self, held: &mut Held, busy_ns: u64, outbox: &Outbox) {
        held.busy_ns += busy_ns;
        if self.may_put_aside && held.busy_ns >= ASIDE_NS {
            held.put_aside(outbox);
        }
        if held.since_ns == 0 {
            held.since_ns = monotonic_ns();
            if self.holders.fetch_add(1, SeqCst) == 0 {
                self.bell.ring_if_asleep();
            }
        }
    }

    /// Sends what is held.
    pub fn send(&self, held: &mut Held, outbox: &Outbox) {
        if held.since_ns != 0 {
            held.since_ns = 0;
            self.holders.fetch_sub(1, SeqCst);
        }
        held.busy_ns = 0;
        // The agent looks at the shelf whenever something comes.
        let is_aside = std::mem::take(&mut held.is_aside);
        if held.gather.is_empty() {
            if is_aside {
                outbox.send(&FromExecutor::Shelved);
            }
            return;
        }
        held.head = held.gather.encode_head(std::mem::take(&mut held.head));
        outbox.send_parts(&[&held.head, held.gather.data()]);
        held.gather.clear();
    }

    /// Whether somebody holds results.
    pub fn any(&self) -> bool {
        self.holders.load(SeqCst) != 0
    }

    /// Sends what has waited for too long and belongs to threads that are busy otherwise.
    pub fn send_overdue(&self, outbox: &Outbox) {
        let now = monotonic_ns();
        for held in &self.threads {
            let Ok(mut held) = held.try_lock() else { continue };
            if held.has_waited(now, HOLD_MAX.0) {
                self.send(&mut held, outbox);
            }
        }
    }
}

impl Held {
    const fn new(gather: Gather) -> Self {
        Self { gather, since_ns: 0, busy_ns: 0, is_aside: false, head: Vec::new() }
    }

    /// Puts what was gathered on the shelf, if there is room.
    fn put_aside(&mut self, outbox: &Outbox) {
        if self.gather.is_empty() || self.gather.bytes() > SHELVED_BYTES_MAX / 2 {
            return;
        }
        let mut frame = self.gather.encode_head(std::mem::take(&mut self.head));
        frame.extend_from_slice(self.gather.data());
        if outbox.put_aside(&frame) {
            self.gather.clear();
            (self.busy_ns, self.is_aside) = (0, true);
        }
        self.head = frame;
    }

    /// Notes the times of one run of a task, where somebody wants them.
    pub fn note_run(&mut self, shared: &Shared, index: u64, run: &Run) {
        if let Some(due_ns) = run.due_ns.filter(|_| !run.failed) {
            self.gather.timings.latency.record(Span(run.ended_ns.saturating_sub(due_ns)));
        }
        self.gather.timings.samples.extend(shared.sample(index, run));
    }

    /// Whether it makes a whole frame.
    pub fn is_full(&self) -> bool {
        self.gather.bytes() >= FRAME_BYTES
    }

    /// Whether the first result has been held for so long.
    pub fn has_waited(&self, now_ns: u64, hold_ns: u64) -> bool {
        self.since_ns != 0 && now_ns.saturating_sub(self.since_ns) >= hold_ns
    }
}

/// Wakes the control thread from its sleep in poll(2).
#[derive(Clone, Debug)]
pub(super) struct Bell(std::sync::Arc<BellParts>);

#[derive(Debug)]
struct BellParts {
    event: OwnedFd,
    asleep: AtomicBool,
}

impl Bell {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes numbers and returns a new descriptor or -1.
        let event = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        Ok(Self(std::sync::Arc::new(BellParts { event, asleep: AtomicBool::new(false) })))
    }

    /// The descriptor that becomes readable.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }

    /// Wakes the control thread.
    pub fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes, as an eventfd wants them.
        unsafe { libc::write(self.0.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    fn ring_if_asleep(&self) {
        if self.0.asleep.swap(false, SeqCst) {
            self.ring();
        }
    }

    /// The control thread is about to sleep without a timeout.
    pub fn fall_asleep(&self) {
        self.0.asleep.store(true, SeqCst);
    }

    /// The control thread wakes up by itself soon enough.
    pub fn stay_awake(&self) {
        self.0.asleep.store(false, SeqCst);
    }

    /// Forgets that it was rung.
    pub fn hush(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight writable bytes, as an eventfd wants them.
        unsafe { libc::read(self.0.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
