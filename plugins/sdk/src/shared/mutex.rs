//! A lock in shared memory that outlives its holder: a robust mutex of POSIX (`PTHREAD_MUTEX_ROBUST`).

use super::Region;
use crate::{Context, Error};
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Whoever waits looks this often whether its task should stop.
const LOOK_NS: i64 = 10_000_000;
/// How long another process may take to make a lock, which takes it microseconds.
const MAKE_MAX: Duration = Duration::from_secs(5);
const MAKE_PAUSE: Duration = Duration::from_micros(100);
/// The lock is made. Smaller numbers but 0 are the process that makes it.
const MADE: u32 = u32::MAX;

/// Mutual exclusion between threads and processes.
#[derive(Clone, Debug)]
pub struct Mutex {
    /// Keeps the memory.
    _region: Region,
    cell: NonNull<Cell>,
}

// SAFETY: the cell is made for threads and processes; a clone is the same lock.
unsafe impl Send for Mutex {}
// SAFETY: as above.
unsafe impl Sync for Mutex {}

/// As it lies in the memory, zeros at first.
#[repr(C, align(64))]
struct Cell {
    state: AtomicU32,
    mutex: UnsafeCell<libc::pthread_mutex_t>,
}

const _: () = assert!(size_of::<Cell>() == Mutex::BYTES);

/// The lock is held until this is dropped.
#[derive(Debug)]
pub struct Guard<'a> {
    cell: &'a Cell,
    was_abandoned: bool,
    /// POSIX lets the thread alone unlock it that locked it.
    thread: PhantomData<*const ()>,
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Mutex {
    /// What it takes in a region.
    pub const BYTES: usize = 64;

    pub(super) fn new(region: &Region, at: usize) -> Result<Self, Error> {
        let place = region.place(at, Self::BYTES, align_of::<Cell>(), "a lock")?;
        let mutex = Self { _region: region.clone(), cell: place.cast() };
        mutex.cell().make()?;
        Ok(mutex)
    }

    fn cell(&self) -> &Cell {
        // SAFETY: it lies in the region, aligned; zeros are a valid cell, and it is only used through shared references.
        unsafe { self.cell.as_ref() }
    }

    /// Waits for the lock; where tasks take turns, others compute meanwhile.
    ///
    /// # Errors
    /// [`Error::cancelled`] when the task should stop; [`Error::failed`] when this thread has it already.
    pub fn lock(&self, ctx: &mut Context<'_>) -> Result<Guard<'_>, Error> {
        match self.try_lock()? {
            Some(guard) => Ok(guard),
            None => self.wait(ctx),
        }
    }

    #[cold]
    fn wait(&self, ctx: &mut Context<'_>) -> Result<Guard<'_>, Error> {
        let cancel = ctx.cancel_flag();
        ctx.blocking(|| {
            loop {
                if let Some(guard) = self.lock_within(LOOK_NS)? {
                    return Ok(guard);
                }
                if cancel.is_set() {
                    return Err(Error::cancelled());
                }
            }
        })
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// [`Error::failed`] when this thread has it.
    pub fn try_lock(&self) -> Result<Option<Guard<'_>>, Error> {
        // SAFETY: `make` has made it.
        self.taken(unsafe { libc::pthread_mutex_trylock(self.cell().mutex.get()) })
    }

    /// Waits for at most so many nanoseconds, less than a second.
    pub(super) fn lock_within(&self, nanos: i64) -> Result<Option<Guard<'_>>, Error> {
        let mut until = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock exists, and the time is valid to write to.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut until) };
        until.tv_nsec += nanos;
        if until.tv_nsec >= 1_000_000_000 {
            until.tv_sec += 1;
            until.tv_nsec -= 1_000_000_000;
        }
        // SAFETY: `make` has made it, and the time is valid to read.
        self.taken(unsafe { libc::pthread_mutex_timedlock(self.cell().mutex.get(), &raw const until) })
    }

    fn taken(&self, code: libc::c_int) -> Result<Option<Guard<'_>>, Error> {
        let cell = self.cell();
        let guard = |was_abandoned| Guard { cell, was_abandoned, thread: PhantomData };
        match code {
            0 => Ok(Some(guard(false))),
            libc::EOWNERDEAD => {
                // SAFETY: this thread holds it, as the code says.
                unsafe { libc::pthread_mutex_consistent(cell.mutex.get()) };
                Ok(Some(guard(true)))
            }
            libc::EBUSY | libc::ETIMEDOUT => Ok(None),
            libc::EDEADLK => Err(Error::failed("this thread has the lock already")),
            code => {
                let why = std::io::Error::from_raw_os_error(code);
                Err(Error::failed(format_args!("a lock in shared memory is of no use any more: {why}")))
            }
        }
    }
}

impl Cell {
    /// Makes the lock, unless somebody has. Who dies while making it is replaced.
    fn make(&self) -> Result<(), Error> {
        let (own, begun) = (std::process::id(), Instant::now());
        loop {
            let state = self.state.load(SeqCst);
            let is_free = state == 0 || (state != MADE && state != own && !is_alive(state));
            if state == MADE {
                return Ok(());
            }
            if is_free && self.state.compare_exchange(state, own, SeqCst, SeqCst).is_ok() {
                let made = self.init();
                self.state.store(if made.is_ok() { MADE } else { 0 }, SeqCst);
                return made;
            }
            if begun.elapsed() >= MAKE_MAX {
                return Err(Error::transient(format_args!("process {state} makes a lock and stands still")));
            }
            std::thread::sleep(MAKE_PAUSE);
        }
    }

    fn init(&self) -> Result<(), Error> {
        let check = |code| match code {
            0 => Ok(()),
            code => Err(Error::from(std::io::Error::from_raw_os_error(code))),
        };
        // SAFETY: the attributes are made before they are used and destroyed at the end; nobody else touches the mutex
        // before the state says that it is made.
        unsafe {
            let mut attributes: libc::pthread_mutexattr_t = std::mem::zeroed();
            check(libc::pthread_mutexattr_init(&raw mut attributes))?;
            let made =
                check(libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED))
                    .and_then(|()| {
                        check(libc::pthread_mutexattr_setrobust(
                            &raw mut attributes,
                            libc::PTHREAD_MUTEX_ROBUST,
                        ))
                    })
                    .and_then(|()| {
                        check(libc::pthread_mutexattr_settype(
                            &raw mut attributes,
                            libc::PTHREAD_MUTEX_ERRORCHECK,
                        ))
                    })
                    .and_then(|()| check(libc::pthread_mutex_init(self.mutex.get(), &raw const attributes)));
            libc::pthread_mutexattr_destroy(&raw mut attributes);
            made
        }
    }
}

/// Whether a process of this machine is there.
fn is_alive(process: u32) -> bool {
    // SAFETY: signal 0 only asks.
    let asked = unsafe { libc::kill(process as libc::pid_t, 0) };
    asked == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

impl Guard<'_> {
    /// Whether the process that had the lock before died with it: what it guards may be half changed.
    #[must_use]
    pub const fn was_abandoned(&self) -> bool {
        self.was_abandoned
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread holds it: a guard is made with the lock and does not leave its thread.
        unsafe { libc::pthread_mutex_unlock(self.cell.mutex.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_never_twice_by_one() {
        let region = Region::private(4096).unwrap();
        let (one, same) = (region.mutex(64).unwrap(), region.mutex(64).unwrap());
        let guard = one.try_lock().unwrap().unwrap();
        assert!(!guard.was_abandoned());
        assert!(same.try_lock().is_err() || same.try_lock().unwrap().is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(same.lock_within(1_000_000).unwrap().is_none()));
        });
        drop(guard);
        assert!(same.try_lock().unwrap().is_some());
        assert!(region.mutex(128).unwrap().try_lock().unwrap().is_some(), "another lock");
    }

    #[test]
    fn threads_exclude_each_other() {
        let region = Region::private(4096).unwrap();
        let (mutex, word) = (region.mutex(0).unwrap(), region.word(64).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let _guard = loop {
                            if let Some(guard) = mutex.lock_within(100_000_000).unwrap() {
                                break guard;
                            }
                        };
                        word.store(word.load(SeqCst) + 1, SeqCst);
                    }
                });
            }
        });
        assert_eq!(word.load(SeqCst), 20_000);
    }

    #[test]
    fn a_holder_that_dies_leaves_it_and_that_is_told() {
        let (_file, shared) = shared_page();
        let mutex = shared.mutex(0).unwrap();
        // SAFETY: the child takes a lock and ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = match mutex.try_lock() {
                Ok(Some(guard)) => {
                    std::mem::forget(guard);
                    0
                }
                _ => 1,
            };
            // SAFETY: ends the child without running anything else of the test.
            unsafe { libc::_exit(code) };
        }
        let mut status = 1;
        // SAFETY: the child is this process' own.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child took it");
        let guard = mutex.lock_within(900_000_000).unwrap().expect("it is free again");
        assert!(guard.was_abandoned());
        drop(guard);
        assert!(!mutex.try_lock().unwrap().unwrap().was_abandoned(), "told once");
    }

    #[test]
    fn who_dies_while_making_it_is_replaced() {
        let (_file, shared) = shared_page();
        // SAFETY: the child ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: as above.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: the child is this process' own.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        shared.word(0).unwrap().store(child as u64, SeqCst);
        assert!(shared.mutex(0).unwrap().try_lock().unwrap().is_some());
    }

    /// A page that forked children share.
    fn shared_page() -> (std::fs::File, Region) {
        // SAFETY: the name ends with NUL; the descriptor is new.
        let file = unsafe {
            let fd = libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC);
            <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd)
        };
        file.set_len(4096).unwrap();
        // SAFETY: a new mapping of a file that has a page.
        let start = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
            libc::mmap(std::ptr::null_mut(), 4096, protection, libc::MAP_SHARED, fd, 0)
        };
        let start = NonNull::new(start.cast()).unwrap();
        (file, Region(std::sync::Arc::new(super::super::Memory { start, bytes: 4096, own: None })))
    }
}
