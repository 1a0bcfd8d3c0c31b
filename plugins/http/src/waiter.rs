//! Who waits for a fetch, and who may end it.

use muster_sdk::{Context, Error};
use std::sync::atomic::{AtomicBool, Ordering};

/// Who waits for a fetch.
pub trait Waiter {
    /// Runs code that waits, for a few milliseconds.
    fn wait<T>(&mut self, wait: impl FnOnce() -> T) -> T;

    /// # Errors
    /// The fetch should stop.
    fn check(&self) -> Result<(), Error>;
}

/// A task waits on its own thread.
impl Waiter for Context<'_> {
    fn wait<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        self.blocking(wait)
    }

    fn check(&self) -> Result<(), Error> {
        Context::check(self)
    }
}

/// A thread that a task started: it stops when the flag is set.
#[derive(Clone, Copy, Debug)]
pub struct Flag<'a>(pub &'a AtomicBool);

impl Waiter for Flag<'_> {
    fn wait<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        wait()
    }

    fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::cancelled()) } else { Ok(()) }
    }
}
