//! Sleeps in the job page in the name of a thread that waits in the plugin's own runtime, and wakes that thread
//! through a descriptor.

use super::job::Shared;
use crate::frame::FromExecutor;
use crate::os::{check, monotonic_ns};
use muster_core::page::SlotRecord;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The descriptor and what the sleeper was asked for.
#[derive(Debug)]
pub(super) struct Waker {
    event: OwnedFd,
    order: Mutex<Order>,
    ordered: Condvar,
    /// How often the thread has looked.
    looks: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Nothing,
    Sleep(Nap),
    End,
}

/// What to wake the thread for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nap {
    /// The page has changed since it had this number.
    pub sequence: u32,
    /// This time has come, by the machine's monotonic clock: a task is over its time, or one arrives. `u64::MAX`: never.
    pub until_ns: u64,
    /// When a task is over its time. `u64::MAX`: never.
    pub limit_ns: u64,
}

impl Waker {
    /// A descriptor that nobody has woken.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes numbers and returns a new descriptor or -1.
        let event = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: it was just made and belongs to nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        Ok(Self {
            event,
            order: Mutex::new(Order::Nothing),
            ordered: Condvar::new(),
            looks: AtomicU64::new(0),
        })
    }

    /// Readable when the thread should look again.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// The thread looks now.
    pub fn hush(&self) {
        self.looks.fetch_add(1, Relaxed);
        let mut count = [0u8; 8];
        // SAFETY: reads eight bytes into eight; nothing there is fine.
        unsafe { libc::read(self.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// Wakes the thread, whose slot this is, once what `nap` says has happened.
    pub fn sleep(&self, shared: &Shared, slot: u32, nap: Nap) {
        let mut order = self.order();
        match *order {
            Order::Nothing => {
                *order = Order::Sleep(nap);
                self.ordered.notify_one();
            }
            // The sleeper would wake up too late: it does now, and goes on with this. The thread may never ask again.
            Order::Sleep(before) if nap.until_ns < before.until_ns => {
                *order = Order::Sleep(nap);
                drop(order);
                shared.page.wake_slots(slot, 1);
            }
            Order::Sleep(_) | Order::End => {}
        }
    }

    /// Lets the sleeper end; `slot` is woken when it sleeps.
    pub fn end(&self, shared: &Shared, slot: u32) {
        *self.order() = Order::End;
        self.ordered.notify_one();
        shared.page.wake_slots(slot, 1);
    }

    /// What the sleeper does, on a thread of its own.
    pub fn serve(&self, shared: &Shared, slot: u32) {
        loop {
            let mut order = self.order();
            while *order == Order::Nothing {
                order = self.ordered.wait(order).unwrap_or_else(PoisonError::into_inner);
            }
            let Order::Sleep(nap) = *order else { return };
            drop(order);
            shared.page.park_until(slot, nap.sequence, nap.until_ns);
            let mut order = self.order();
            match *order {
                Order::End => return,
                // The thread has looked since, and wants something else.
                Order::Sleep(other) if other != nap => continue,
                Order::Sleep(_) | Order::Nothing => {}
            }
            *order = Order::Nothing;
            drop(order);
            let looks = self.looks.load(Relaxed);
            self.wake();
            if nap.limit_ns != u64::MAX && self.is_deaf(shared, slot, looks, nap.limit_ns) {
                let slot = slot - shared.open.first_slot;
                // Tasks may have been completed that nobody has asked for: which one keeps the thread is not known.
                shared.outbox.send(&FromExecutor::Deaf { slot, tasks: Vec::new() });
            }
        }
    }

    /// Whether the thread, which had looked so often and was woken, does not look until a task has been over its time for
    /// long: it may have been woken before that, for a change of the page, and then nobody else would ask. While it runs a
    /// task it is that one's time that counts, and the agent's business; and it may wait for its turn.
    fn is_deaf(&self, shared: &Shared, slot: u32, looks: u64, until_ns: u64) -> bool {
        if shared.gil.is_some() {
            return false;
        }
        let has_not_looked =
            |order: &mut Order| *order == Order::Nothing && self.looks.load(Relaxed) == looks;
        let is_idle = |record: &SlotRecord| record.current.load(SeqCst) == SlotRecord::IDLE;
        let mut order = self.order();
        loop {
            let left_ns = until_ns.saturating_sub(monotonic_ns());
            let patience =
                Duration::from_nanos(left_ns.saturating_add(shared.open.grace_ns / 2).max(1_000_000));
            let waited = self.ordered.wait_timeout_while(order, patience, has_not_looked);
            (order, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !has_not_looked(&mut order) {
                return false;
            }
            if shared.page.slot(slot).is_some_and(is_idle) {
                return true;
            }
        }
    }

    fn wake(&self) {
        // SAFETY: writes eight bytes; when the counter is full the thread is awake anyway.
        unsafe { libc::write(self.event.as_raw_fd(), 1u64.to_ne_bytes().as_ptr().cast(), 8) };
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
