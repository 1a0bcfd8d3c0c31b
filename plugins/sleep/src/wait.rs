//! Lets time pass, and stops soon after being asked to.

use muster_sdk::{Context, Error, tokio};
use std::time::{Duration, Instant};

/// The longest time of spinning without letting others go first.
const SPIN_MS_MAX: u64 = 1;

/// What waiting needs from the task it happens in.
pub trait Host {
    /// An error when the task should stop. Called very often.
    fn check(&self) -> Result<(), Error>;
    /// The same, and lets other tasks compute.
    fn checkpoint(&mut self) -> Result<(), Error>;
    /// Sleeps; an error when the task should stop, at once.
    fn sleep(&mut self, time: Duration) -> Result<(), Error>;
}

impl Host for Context<'_> {
    fn check(&self) -> Result<(), Error> {
        Context::check(self)
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        Context::checkpoint(self)
    }

    fn sleep(&mut self, time: Duration) -> Result<(), Error> {
        Context::sleep(self, time)
    }
}

/// Waits for `time`: spins for the share `spin` of it, then sleeps.
pub fn wait(time: Duration, spin: f64, host: &mut impl Host) -> Result<(), Error> {
    let begin = Instant::now();
    let spun = begin + time.mul_f64(spin);
    let mut next_turn = begin;
    loop {
        let now = Instant::now();
        if now >= spun {
            break;
        }
        if now >= next_turn {
            next_turn = now + Duration::from_millis(SPIN_MS_MAX);
            host.checkpoint()?;
        }
        host.check()?;
        std::hint::spin_loop();
    }
    let end = if spin < 1.0 { begin + time } else { spun };
    host.check()?;
    match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Ok(()),
        left => host.sleep(left),
    }
}

/// The same in the async form, which is dropped when it should stop: spins for a slice at a time, then sleeps.
pub async fn wait_async(time: Duration, spin: f64) {
    let begin = Instant::now();
    let spun = begin + time.mul_f64(spin);
    while Instant::now() < spun {
        let turn = Instant::now() + Duration::from_millis(SPIN_MS_MAX);
        while Instant::now() < turn.min(spun) {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
    }
    tokio::time::sleep_until((begin + time).into()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::thread;

    /// Counts what it is asked for, and stops after `checks` checks.
    struct Fake {
        checks: Cell<u32>,
        slept: Vec<Duration>,
        turns: u32,
    }

    impl Fake {
        fn new(checks: u32) -> Self {
            Self { checks: Cell::new(checks), slept: Vec::new(), turns: 0 }
        }
    }

    impl Host for Fake {
        fn check(&self) -> Result<(), Error> {
            let left = self.checks.get().checked_sub(1).ok_or_else(Error::cancelled)?;
            self.checks.set(left);
            Ok(())
        }

        fn checkpoint(&mut self) -> Result<(), Error> {
            self.turns += 1;
            Ok(())
        }

        fn sleep(&mut self, time: Duration) -> Result<(), Error> {
            self.slept.push(time);
            thread::sleep(time);
            self.check()
        }
    }

    fn timed(ms: u64, spin: f64) -> (Fake, Duration) {
        let mut host = Fake::new(u32::MAX);
        let begin = Instant::now();
        wait(Duration::from_millis(ms), spin, &mut host).unwrap();
        (host, begin.elapsed())
    }

    #[test]
    fn sleeps_once() {
        let (host, took) = timed(35, 0.0);
        assert!(took >= Duration::from_millis(35));
        assert!(host.slept.len() == 1 && host.turns == 0);
    }

    #[test]
    fn spins_its_share() {
        let (host, took) = timed(20, 1.0);
        assert!(took >= Duration::from_millis(20) && host.slept.is_empty() && host.turns > 0);
        let (host, took) = timed(20, 0.5);
        let asked: Duration = host.slept.iter().sum();
        assert!(took >= Duration::from_millis(20) && asked <= Duration::from_millis(20));
        assert!(host.turns > 0);
    }

    #[test]
    fn no_time_takes_no_sleep() {
        let (host, _) = timed(0, 0.0);
        assert!(host.slept.is_empty());
    }

    #[test]
    fn stops_when_asked() {
        for (spin, checks) in [(0.0, 0), (1.0, 2)] {
            let mut host = Fake::new(checks);
            let error = wait(Duration::from_secs(3600), spin, &mut host).unwrap_err();
            assert!(error.is_cancelled() && host.slept.is_empty());
        }
    }
}
