//! The lock that tasks of an executor hold while they compute, when their job asks for one. It follows the
//! interpreter lock of CPython since 3.2 (Antoine Pitrou's "new GIL", Python/ceval_gil.c): whoever waits for the
//! switch interval without seeing the lock change hands asks for it; the holder gives it up at its next
//! checkpoint, and goes on only after somebody else had it.

use crate::os::monotonic_ns;
use muster_core::shape::Gil as Asked;
use muster_core::time::Span;
use muster_proto::convert::{LOCK_WAITS_MAX, LockWait};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The locks of a job in this executor, and what each thread has to do with its own.
#[derive(Debug)]
pub(super) struct Gil {
    domains: Vec<Domain>,
    threads: Vec<ThreadState>,
    switch: Duration,
    /// Waits are kept one by one.
    is_watched: bool,
}

#[derive(Debug, Default)]
struct Domain {
    state: Mutex<State>,
    /// The lock is free, or somebody took it.
    freed: Condvar,
    taken: Condvar,
    /// Somebody has waited for long enough.
    asked: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    /// The thread that has it or had it last.
    holder: Option<u32>,
    /// How often it came to another thread than the one before.
    switches: u64,
    waiting: u32,
}

/// Written by one thread, or by whoever waits in its name; never by two at a time.
#[derive(Debug, Default)]
#[repr(align(64))]
struct ThreadState {
    holds: AtomicBool,
    waited_ns: AtomicU64,
    handovers: AtomicU64,
    /// Its waits one by one, where somebody wants them.
    waits: Mutex<Waits>,
}

/// The waits of a task for its lock, by the machine's monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// When each of the first ones ended, and how long it took.
    first: Vec<(u64, u64)>,
    total_ns: u64,
}

impl Waits {
    fn add(&mut self, ended_ns: u64, waited_ns: u64) {
        self.total_ns += waited_ns;
        if self.first.len() < LOCK_WAITS_MAX {
            self.first.push((ended_ns, waited_ns));
        }
    }

    /// How long they took in all.
    pub const fn total(&self) -> Span {
        Span(self.total_ns)
    }

    /// The first of them, for a task that began at `begun_ns`.
    pub fn since(&self, begun_ns: u64) -> Vec<LockWait> {
        let since = |&(ended_ns, waited_ns): &(u64, u64)| LockWait {
            start: Span(ended_ns.saturating_sub(waited_ns).saturating_sub(begun_ns)),
            wait: Span(waited_ns),
        };
        self.first.iter().map(since).collect()
    }
}

impl Gil {
    /// Locks for so many threads.
    pub fn new(asked: Asked, threads: u32) -> Self {
        let domains = asked.domains.clamp(1, threads.max(1));
        Self {
            domains: (0..domains).map(|_| Domain::default()).collect(),
            threads: (0..threads).map(|_| ThreadState::default()).collect(),
            switch: Duration::from_nanos(asked.switch.0),
            is_watched: false,
        }
    }

    /// Keeps the waits of tasks one by one if `is_watched`.
    pub fn watched(self, is_watched: bool) -> Self {
        Self { is_watched, ..self }
    }

    /// Waits for the thread's lock and holds it until the guard is dropped.
    pub fn hold(&self, thread: u32) -> Turn<'_> {
        self.take(thread);
        Turn { gil: self, thread }
    }

    /// The thread computes from here. Holding the lock already is fine: plugins may lose count.
    pub fn take(&self, thread: u32) {
        let Some((domain, own)) = self.place(thread) else { return };
        if own.holds.swap(true, Relaxed) {
            return;
        }
        let begun = Instant::now();
        if domain.take(thread, self.switch) {
            self.add_wait(own, begun);
        }
    }

    /// The thread does not compute from here.
    pub fn release(&self, thread: u32) {
        let Some((domain, own)) = self.place(thread) else { return };
        if !own.holds.swap(false, Relaxed) {
            return;
        }
        let begun = Instant::now();
        if domain.release(thread) {
            own.handovers.fetch_add(1, Relaxed);
            self.add_wait(own, begun);
        }
    }

    /// Lets another thread compute when one has asked.
    pub fn checkpoint(&self, thread: u32) {
        let Some((domain, own)) = self.place(thread) else { return };
        if domain.asked.load(Relaxed) && own.holds.load(Relaxed) {
            // From before the lock is free: whoever takes it may get this thread's core.
            let begun = Instant::now();
            let is_given = domain.release(thread);
            own.handovers.fetch_add(is_given.into(), Relaxed);
            if domain.take(thread, self.switch) || is_given {
                self.add_wait(own, begun);
            }
        }
    }

    fn add_wait(&self, own: &ThreadState, begun: Instant) {
        let waited_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        own.waited_ns.fetch_add(waited_ns, Relaxed);
        if self.is_watched {
            own.waits.lock().unwrap_or_else(PoisonError::into_inner).add(monotonic_ns(), waited_ns);
        }
    }

    /// What the thread has waited for its lock, in nanoseconds, since the last call.
    pub fn take_waited_ns(&self, thread: u32) -> u64 {
        self.place(thread).map_or(0, |(_, own)| own.waited_ns.swap(0, Relaxed))
    }

    /// The thread's waits since the last call; none where nobody wants them.
    pub fn take_waits(&self, thread: u32) -> Waits {
        let own = self.place(thread).filter(|_| self.is_watched).map(|(_, own)| own);
        own.map_or_else(Waits::default, |own| {
            std::mem::take(&mut *own.waits.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// How often the thread gave its lock to another that had asked, since the last call.
    pub fn take_handovers(&self, thread: u32) -> u64 {
        self.place(thread).map_or(0, |(_, own)| own.handovers.swap(0, Relaxed))
    }

    fn place(&self, thread: u32) -> Option<(&Domain, &ThreadState)> {
        let own = self.threads.get(thread as usize)?;
        Some((&self.domains[thread as usize % self.domains.len()], own))
    }
}

/// A thread's turn to compute.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    gil: &'a Gil,
    thread: u32,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.gil.release(self.thread);
    }
}

impl Domain {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether it had to wait.
    fn take(&self, thread: u32, switch: Duration) -> bool {
        let mut state = self.state();
        let is_waiting = state.held;
        while state.held {
            let switches = state.switches;
            state.waiting += 1;
            let (woken, timeout) =
                self.freed.wait_timeout(state, switch).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.waiting -= 1;
            if timeout.timed_out() && state.held && state.switches == switches {
                self.asked.store(true, Relaxed);
            }
        }
        state.held = true;
        self.asked.store(false, Relaxed);
        if state.holder != Some(thread) {
            state.holder = Some(thread);
            state.switches += 1;
            self.taken.notify_all();
        }
        is_waiting
    }

    /// Says whether somebody who had asked has it now.
    fn release(&self, thread: u32) -> bool {
        let mut state = self.state();
        state.held = false;
        self.freed.notify_one();
        let is_asked = self.asked.load(Relaxed) && state.waiting > 0;
        // Without this the thread would have it back before the other one is awake.
        while is_asked && state.holder == Some(thread) && state.waiting > 0 {
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        is_asked && state.holder != Some(thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gil(domains: u32, switch_ms: u64, threads: u32) -> Gil {
        Gil::new(Asked { domains, switch: Span::from_millis(switch_ms) }, threads)
    }

    /// Computes on two threads until both have done `rounds` of `work`; gives the hand-overs.
    fn compute(gil: &Gil, time: Duration) -> u64 {
        let inside = [const { AtomicU64::new(0) }; 2];
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let inside = &inside;
                scope.spawn(move || {
                    let _turn = gil.hold(thread);
                    let begun = Instant::now();
                    while begun.elapsed() < time {
                        let domain = thread as usize % gil.domains.len();
                        assert_eq!(inside[domain].fetch_add(1, Relaxed), 0, "two compute under one lock");
                        std::hint::spin_loop();
                        inside[domain].fetch_sub(1, Relaxed);
                        gil.checkpoint(thread);
                    }
                });
            }
        });
        (0..2).map(|thread| gil.take_handovers(thread)).sum()
    }

    #[test]
    fn one_thread_computes_at_a_time_and_the_lock_changes_hands_at_the_interval() {
        // Both compute for 100 ms of wall time, of which each has about half.
        let quick = compute(&gil(1, 2, 2), Duration::from_millis(100));
        let slow = compute(&gil(1, 20, 2), Duration::from_millis(100));
        assert!((10..=60).contains(&quick), "{quick} hand-overs in 100 ms at 2 ms");
        assert!((2..=7).contains(&slow), "{slow} hand-overs in 100 ms at 20 ms");
    }

    #[test]
    fn a_lock_per_thread_is_never_waited_for() {
        let gil = gil(2, 1, 2);
        assert_eq!(compute(&gil, Duration::from_millis(20)), 0);
        assert_eq!((gil.take_waited_ns(0), gil.take_waited_ns(1)), (0, 0));
    }

    #[test]
    fn whoever_waits_does_not_hold_it() {
        let gil = gil(1, 1_000, 2);
        let _turn = gil.hold(0);
        gil.release(0);
        // Would wait for ever, were it held.
        gil.take(1);
        gil.release(1);
        gil.take(0);
        assert!(gil.threads[0].holds.load(Relaxed));
    }

    #[test]
    fn plugins_that_lose_count_hang_nobody() {
        let gil = gil(1, 1, 1);
        gil.release(0);
        gil.take(0);
        gil.take(0);
        drop(Turn { gil: &gil, thread: 0 });
        gil.release(0);
        gil.checkpoint(0);
        gil.take(7);
        gil.release(7);
        assert!(!gil.domains[0].state().held);
    }

    #[test]
    fn the_wait_is_measured() {
        let gil = gil(1, 1, 2).watched(true);
        let begun_ns = monotonic_ns();
        let turn = gil.hold(0);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(gil.hold(1)));
            let waits = || gil.domains[0].state().waiting == 1;
            while !waits() {
                std::thread::yield_now();
            }
            let since = Instant::now();
            while since.elapsed() < Duration::from_millis(10) {
                std::hint::spin_loop();
            }
            drop(turn);
        });
        assert!(gil.take_waited_ns(1) >= 10_000_000);
        assert_eq!(gil.take_waited_ns(1), 0, "taken");
        let (waits, ended_ns) = (gil.take_waits(1), monotonic_ns());
        let one = waits.since(begun_ns);
        assert_eq!((one.len(), waits.total()), (1, one[0].wait));
        assert!(
            one[0].wait.0 >= 10_000_000 && one[0].start.0 + one[0].wait.0 <= ended_ns - begun_ns,
            "{one:?}"
        );
        assert_eq!(gil.take_waits(1).total(), Span::ZERO, "taken");
        assert_eq!(gil.take_handovers(0), 1);
        // Whoever gives it up under pressure waits until the other has it.
        assert!(gil.take_waits(0).total().0 > 0 && gil.take_waited_ns(0) > 0);
    }
}
