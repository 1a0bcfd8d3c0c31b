//! The threads that a task has of its own.

use muster_http::{Flag, Url, fetch};
use muster_sdk::{Context, Error, Gauge, info};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest wait without asking whether to go on.
const SLICE: Duration = Duration::from_millis(10);

/// How a task's threads fetch.
#[derive(Debug)]
pub struct Crew {
    /// How often the address is fetched.
    pub fetches: u32,
    /// On how many threads.
    pub threads: u32,
    /// How long one fetch may take.
    pub limit: Duration,
    /// All such threads of this process.
    pub working: Working,
}

impl Crew {
    /// Fetches `url` as often as is to be; the first failure ends all.
    pub fn fetch_all(&self, url: &Url, ctx: &mut Context<'_>) -> Result<(), Error> {
        let threads = self.threads.min(self.fetches);
        if threads == 0 {
            return Ok(());
        }
        info!(ctx, "fetches {url} {} times on {threads} threads of its own, beside its slot", self.fetches);
        let (stop, next) = (AtomicBool::new(false), AtomicU32::new(0));
        let (sender, done) = channel();
        thread::scope(|scope| {
            let mut outcome = Ok(());
            for _ in 0..threads {
                let (sender, stop, next) = (sender.clone(), &stop, &next);
                let work = move || self.fetch_some(url, next, stop, &sender);
                if let Err(error) = thread::Builder::new().name("fetch".to_owned()).spawn_scoped(scope, work)
                {
                    outcome =
                        Err(Error::transient(format_args!("a thread for fetching could not start: {error}")));
                    break;
                }
            }
            drop(sender);
            let mut fetched = 0;
            loop {
                outcome = outcome.and_then(|()| ctx.check());
                if outcome.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                match ctx.blocking(|| done.recv_timeout(SLICE)) {
                    Ok(Ok(())) => {
                        fetched += 1;
                        // The sum behind the fetches counts as one more.
                        ctx.progress(fetched, u64::from(self.fetches) + 1);
                    }
                    // Those that stop because of another one's failure must not hide it.
                    Ok(Err(error)) => outcome = outcome.and(Err(error)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return outcome,
                }
            }
        })
    }

    /// One thread's part.
    fn fetch_some(&self, url: &Url, next: &AtomicU32, stop: &AtomicBool, done: &Sender<Result<(), Error>>) {
        let _counted = self.working.enter();
        while next.fetch_add(1, Ordering::Relaxed) < self.fetches && !stop.load(Ordering::Relaxed) {
            let fetched = fetch(url, self.limit, &mut Flag(stop)).map(drop);
            let failed = fetched.is_err();
            // The task listens until all of its threads have ended.
            let _ = done.send(fetched);
            if failed {
                return;
            }
        }
    }
}

/// How many inner threads this process has, shown as a gauge.
#[derive(Debug)]
pub struct Working {
    count: Mutex<u32>,
    gauge: Gauge,
}

/// One thread that is counted until it is dropped.
pub struct Counted<'a>(&'a Working);

impl Working {
    pub fn new(gauge: Gauge) -> Self {
        Self { count: Mutex::new(0), gauge }
    }

    fn enter(&self) -> Counted<'_> {
        self.change(|count| count.saturating_add(1));
        Counted(self)
    }

    /// The lock is held while the gauge is set, so that its last value is the right one.
    fn change(&self, change: impl FnOnce(u32) -> u32) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = change(*count);
        self.gauge.set(f64::from(*count));
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.change(|count| count.saturating_sub(1));
    }
}
