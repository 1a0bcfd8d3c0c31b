//! Sleeps in the job page in the name of a thread that waits in the plugin's own runtime, and wakes that thread
//! through a descriptor.

use super::job::Shared;
use crate::os::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The descriptor and what the sleeper was asked for.
#[derive(Debug)]
pub(super) struct Waker {
    event: OwnedFd,
    order: Mutex<Order>,
    ordered: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Nothing,
    /// Sleep until the page changes from this number.
    Sleep(u32),
    End,
}

impl Waker {
    /// A descriptor that nobody has woken.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes numbers and returns a new descriptor or -1.
        let event = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: it was just made and belongs to nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        Ok(Self { event, order: Mutex::new(Order::Nothing), ordered: Condvar::new() })
    }

    /// Readable when the thread should look again.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// The thread looks now.
    pub fn hush(&self) {
        let mut count = [0u8; 8];
        // SAFETY: reads eight bytes into eight; nothing there is fine.
        unsafe { libc::read(self.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// Wakes the thread once the page has changed since `sequence` was read, unless it sleeps already.
    pub fn sleep(&self, sequence: u32) {
        let mut order = self.order();
        if *order == Order::Nothing {
            *order = Order::Sleep(sequence);
            self.ordered.notify_one();
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
            let Order::Sleep(sequence) = *order else { return };
            drop(order);
            shared.page.park(slot, sequence);
            let mut order = self.order();
            if *order == Order::End {
                return;
            }
            *order = Order::Nothing;
            drop(order);
            self.wake();
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
