//! A lock for many readers or one writer, made of stripes: a reader takes one of them, a writer all, in order (a
//! "big-reader" lock, as Linux had one in 2.4). Each stripe is a robust lock of its own.

use super::{Guard, Mutex, Region};
use crate::{Context, Error};

/// As many readers at a time, if they fall on different stripes.
const STRIPES: usize = 8;

/// Many readers or one writer, over all processes.
#[derive(Clone, Debug)]
pub struct RwLock(Vec<Mutex>);

/// The lock is held for writing until this is dropped.
#[derive(Debug)]
pub struct WriteGuard<'a>(Vec<Guard<'a>>);

impl RwLock {
    /// What it takes in a region.
    pub const BYTES: usize = STRIPES * Mutex::BYTES;

    pub(super) fn new(region: &Region, at: usize) -> Result<Self, Error> {
        let places = (0..STRIPES).map(|number| at.saturating_add(number * Mutex::BYTES));
        places.map(|at| region.mutex(at)).collect::<Result<_, _>>().map(Self)
    }

    /// Waits until it may read; where tasks take turns, others compute meanwhile. Threads of the same slot number in
    /// different processes wait for each other.
    ///
    /// # Errors
    /// [`Error::cancelled`] when the task should stop; [`Error::failed`] when this thread has it already.
    pub fn read(&self, ctx: &mut Context<'_>) -> Result<Guard<'_>, Error> {
        self.0[ctx.slot() as usize % STRIPES].lock(ctx)
    }

    /// Waits until it alone may write; where tasks take turns, others compute meanwhile.
    ///
    /// # Errors
    /// As [`RwLock::read`].
    pub fn write(&self, ctx: &mut Context<'_>) -> Result<WriteGuard<'_>, Error> {
        self.0.iter().map(|stripe| stripe.lock(ctx)).collect::<Result<_, _>>().map(WriteGuard)
    }
}

impl WriteGuard<'_> {
    /// Whether a process that had it died with it.
    #[must_use]
    pub fn was_abandoned(&self) -> bool {
        self.0.iter().any(Guard::was_abandoned)
    }
}
