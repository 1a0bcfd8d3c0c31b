//! A semaphore whose permits are locks: that of a process that died is free again.

use super::{Guard, Mutex, Region};
use crate::{Context, Error};

/// How long one permit is waited for before the others are looked at again.
const LOOK_NS: i64 = 1_000_000;

/// At most so many holders at a time, over all processes.
#[derive(Clone, Debug)]
pub struct Semaphore(Vec<Mutex>);

impl Semaphore {
    pub(super) fn new(region: &Region, at: usize, permits: usize) -> Result<Self, Error> {
        if permits == 0 {
            return Err(Error::params("a semaphore without permits lets nobody in"));
        }
        let places = (0..permits).map(|number| at.saturating_add(number.saturating_mul(Mutex::BYTES)));
        places.map(|at| region.mutex(at)).collect::<Result<_, _>>().map(Self)
    }

    /// Waits for a permit; where tasks take turns, others compute meanwhile.
    ///
    /// # Errors
    /// [`Error::cancelled`] when the task should stop; [`Error::failed`] when this thread has all of them.
    pub fn acquire(&self, ctx: &mut Context<'_>) -> Result<Guard<'_>, Error> {
        // Threads begin at different ones.
        let first = ctx.slot() as usize % self.0.len();
        match self.try_from(first)? {
            Some(guard) => Ok(guard),
            None => self.wait(first, ctx),
        }
    }

    #[cold]
    fn wait(&self, first: usize, ctx: &mut Context<'_>) -> Result<Guard<'_>, Error> {
        let cancel = ctx.cancel_flag();
        ctx.blocking(|| {
            loop {
                if let Some(guard) = self.0[first].lock_within(LOOK_NS)? {
                    return Ok(guard);
                }
                if let Some(guard) = self.try_from(first)? {
                    return Ok(guard);
                }
                if cancel.is_set() {
                    return Err(Error::cancelled());
                }
            }
        })
    }

    fn try_from(&self, first: usize) -> Result<Option<Guard<'_>>, Error> {
        let (behind, from) = self.0.split_at(first);
        for permit in from.iter().chain(behind) {
            if let Some(guard) = permit.try_lock()? {
                return Ok(Some(guard));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_are_permits() {
        let region = Region::private(4096).unwrap();
        let semaphore = region.semaphore(64, 2).unwrap();
        let first = semaphore.try_from(0).unwrap().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let second = semaphore.try_from(0).unwrap().unwrap();
                std::thread::scope(|scope| {
                    scope.spawn(|| assert!(semaphore.try_from(1).unwrap().is_none()));
                });
                drop(second);
            });
        });
        drop(first);
        assert!(region.semaphore(0, 0).is_err() && region.semaphore(0, 100).is_err());
    }
}
