//! Whether a running task should stop, for those who do not hold its context.

use muster_plugin_abi as abi;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest sleep without looking: hosts of older versions do not wake who waits for the flag.
const LOOK: Duration = Duration::from_millis(100);

/// Whether the running task should stop, see [`Context::cancel_flag`](crate::Context::cancel_flag).
#[derive(Clone, Copy, Debug)]
pub struct CancelFlag<'a> {
    flag: *const u32,
    call: PhantomData<&'a abi::TaskCtx>,
}

// SAFETY: the flag is only read, and the host promises that it may be read during the call, which is 'a.
unsafe impl Send for CancelFlag<'_> {}
// SAFETY: as above.
unsafe impl Sync for CancelFlag<'_> {}

impl<'a> CancelFlag<'a> {
    pub(crate) const fn of(call: &'a abi::TaskCtx) -> Self {
        Self { flag: call.cancel, call: PhantomData }
    }

    /// True when it should.
    #[must_use]
    pub fn is_set(self) -> bool {
        // SAFETY: the host promises that the flag is readable during the call, and 'a does not outlive that.
        unsafe { self.flag.read_volatile() != 0 }
    }

    /// Sleeps for a time, or until the flag is set.
    pub fn wait(self, time: Duration) {
        let end = Instant::now().checked_add(time);
        while !self.is_set() {
            let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            self.sleep_while_clear(left.min(LOOK));
        }
    }

    /// Once, at most for that time.
    fn sleep_while_clear(self, time: Duration) {
        let time = libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
        };
        // Without FUTEX_PRIVATE_FLAG: whoever sets the flag may be another process.
        // SAFETY: the address is a readable, aligned u32 during the call, and the timeout lives until the system call returns.
        unsafe {
            libc::syscall(libc::SYS_futex, self.flag, libc::FUTEX_WAIT, 0, &raw const time);
        }
    }

    /// Lends the flag to other threads while `call` runs: a thread that watches may keep what it is lent for longer, and
    /// then only learns that the call has ended.
    pub fn lend<T>(self, call: impl FnOnce(&LentFlag) -> T) -> T {
        struct End<'a>(&'a LentFlag);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        let flag = CancelFlag { flag: self.flag, call: PhantomData };
        let lent = LentFlag(Arc::new(Mutex::new(Some(flag))));
        let _end = End(&lent);
        call(&lent)
    }
}

/// The flag of a task that may have ended, see [`CancelFlag::lend`].
// The flag is read under the lock alone, and is taken out under it before the call ends: so it is never read after that.
#[derive(Clone, Debug)]
pub struct LentFlag(Arc<Mutex<Option<CancelFlag<'static>>>>);

impl LentFlag {
    /// True when the task still runs and should stop. The task cannot end while `then` runs, which is called in that case.
    pub fn when_set(&self, then: impl FnOnce()) -> bool {
        let flag = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_set = flag.is_some_and(CancelFlag::is_set);
        if is_set {
            then();
        }
        is_set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_its_time_or_with_the_flag() {
        use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
        let value = AtomicU32::new(0);
        let flag = CancelFlag { flag: value.as_ptr(), call: PhantomData };
        let began = Instant::now();
        flag.wait(Duration::from_millis(120));
        assert!(began.elapsed() >= Duration::from_millis(120));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || flag.wait(Duration::MAX));
            value.store(1, SeqCst);
            waiter.join().unwrap();
        });
        assert!(flag.is_set());
    }

    #[test]
    fn a_lent_flag_is_never_read_when_its_call_has_ended() {
        let mut value = 0_u32;
        let flag = CancelFlag { flag: &raw const value, call: PhantomData };
        let kept = flag.lend(|lent| {
            assert!(!lent.when_set(|| panic!("it is not set")));
            lent.clone()
        });
        value = 1;
        assert_eq!(value, 1);
        assert!(!kept.when_set(|| panic!("its call has ended")));
        let flag = CancelFlag { flag: &raw const value, call: PhantomData };
        let mut seen = false;
        assert!(flag.lend(|lent| std::thread::scope(|scope| {
            scope.spawn(|| lent.clone().when_set(|| seen = true)).join().unwrap()
        })));
        assert!(seen);
    }
}
