//! Memory that the tasks of a job share, also between the executors of a worker, and locks that live in it.
//!
//! A lock is a place in a [`Region`]: everybody who takes the lock at the same offset of the same region takes the same
//! lock, whichever process it is in. A process that is killed while it holds one leaves the others running: the next
//! holder is told ([`Guard::was_abandoned`]), and decides what that means for what the lock guards.

mod mutex;
mod rwlock;
mod semaphore;

pub use mutex::{Guard, Mutex};
pub use rwlock::{RwLock, WriteGuard};
pub use semaphore::Semaphore;

use crate::{Error, host};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Regions begin at a multiple of this, in every process.
const PAGE_BYTES: usize = 4096;

/// Memory that several may use at once, zeros at first. Clones are the same memory. What a job's [`shared`](crate::Job::shared)
/// gave is no longer there when the workload's object is gone: to touch it then ends the process.
#[derive(Clone, Debug)]
pub struct Region(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    bytes: usize,
    /// It is this process' own.
    own: Option<Layout>,
}

// SAFETY: the memory has no thread affinity, and is given out as atomics and locks alone.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// A number in a region.
#[derive(Clone, Debug)]
pub struct Word {
    region: Region,
    at: usize,
}

impl Region {
    /// Memory of this process alone, used in the same way.
    ///
    /// # Errors
    /// [`Error::params`] for 0 bytes; no memory.
    pub fn private(bytes: usize) -> Result<Self, Error> {
        let layout = Layout::from_size_align(bytes, PAGE_BYTES).ok().filter(|_| bytes > 0);
        let layout =
            layout.ok_or_else(|| Error::params(format_args!("a region cannot have {bytes} bytes")))?;
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) });
        let start =
            start.ok_or_else(|| Error::failed(format_args!("no memory for a region of {bytes} bytes")))?;
        Ok(Self(Arc::new(Memory { start, bytes, own: Some(layout) })))
    }

    /// The job's region of that name.
    pub(crate) fn named(job: u128, name: &str, bytes: usize) -> Result<Self, Error> {
        let start = host::region(job, name, bytes)?;
        Ok(Self(Arc::new(Memory { start, bytes, own: None })))
    }

    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// The number whose eight bytes begin at `at`, a multiple of 8.
    ///
    /// # Errors
    /// [`Error::params`] when it does not lie in the region.
    pub fn word(&self, at: usize) -> Result<Word, Error> {
        self.place(at, size_of::<AtomicU64>(), align_of::<AtomicU64>(), "a number")?;
        Ok(Word { region: self.clone(), at })
    }

    /// The lock that begins at `at`, a multiple of 64, and takes [`Mutex::BYTES`].
    ///
    /// # Errors
    /// [`Error::params`] when it does not lie in the region.
    pub fn mutex(&self, at: usize) -> Result<Mutex, Error> {
        Mutex::new(self, at)
    }

    /// The lock that begins at `at`, a multiple of 64, and takes [`RwLock::BYTES`].
    ///
    /// # Errors
    /// [`Error::params`] when it does not lie in the region.
    pub fn rwlock(&self, at: usize) -> Result<RwLock, Error> {
        RwLock::new(self, at)
    }

    /// The semaphore of `permits` permits that begins at `at`, a multiple of 64, and takes as many times
    /// [`Mutex::BYTES`].
    ///
    /// # Errors
    /// [`Error::params`] when it does not lie in the region, or has no permits.
    pub fn semaphore(&self, at: usize, permits: usize) -> Result<Semaphore, Error> {
        Semaphore::new(self, at, permits)
    }

    /// The address of something in the region.
    fn place(&self, at: usize, bytes: usize, align: usize, what: &str) -> Result<NonNull<u8>, Error> {
        let has = self.bytes();
        let fits = at.checked_add(bytes).is_some_and(|end| end <= has) && at.is_multiple_of(align);
        if !fits {
            return Err(Error::params(format_args!(
                "{what} of {bytes} bytes at {at} of a region of {has} bytes: it must lie within, at a multiple of {align}"
            )));
        }
        // SAFETY: within the region, as was just checked.
        Ok(unsafe { self.0.start.add(at) })
    }
}

impl Deref for Word {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        // SAFETY: `Region::word` checked that it lies in the region, aligned; the region is kept, starts at a page, and
        // gives out nothing but atomics and locks.
        unsafe { self.region.0.start.add(self.at).cast().as_ref() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(layout) = self.own {
            // SAFETY: it was allocated with this layout, and nobody has it any more.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn words_lie_within_and_are_the_same_for_all() {
        let region = Region::private(100).unwrap();
        let word = region.word(8).unwrap();
        word.store(7, Relaxed);
        assert_eq!(region.clone().word(8).unwrap().load(Relaxed), 7);
        assert_eq!(region.word(0).unwrap().load(Relaxed), 0);
        for at in [4, 96, 100, usize::MAX - 7, usize::MAX] {
            assert!(region.word(at).unwrap_err().message().contains("region of 100 bytes"), "{at}");
        }
        assert!(region.mutex(64).is_err() && region.mutex(8).is_err());
        assert!(Region::private(0).is_err() && Region::private(usize::MAX).is_err());
    }

    #[test]
    fn without_a_host_nothing_is_shared() {
        let error = Region::named(1, "sum", 8).unwrap_err();
        assert!(error.message().contains("shared memory"), "{error:?}");
    }
}
