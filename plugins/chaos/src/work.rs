//! The work that tasks do before any fault: they wait.

use muster_sdk::{Context, Error};
use std::thread;
use std::time::{Duration, Instant};

/// How long tasks wait.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    normal: Duration,
    slow: Duration,
    /// The longest wait without asking whether to go on.
    slice: Duration,
}

impl Work {
    /// Waits of so many milliseconds, and so many times as long.
    pub fn new(ms: f64, factor: f64, check_ms: u32) -> Self {
        // The longest that the parameters allow, a thousand times a thousand days, fits.
        Self {
            normal: Duration::from_secs_f64(ms / 1e3),
            slow: Duration::from_secs_f64(ms / 1e3 * factor),
            slice: Duration::from_millis(check_ms.into()),
        }
    }

    /// Waits.
    pub fn wait(&self, slow: bool, ctx: &mut Context<'_>) -> Result<(), Error> {
        let end = Instant::now().checked_add(if slow { self.slow } else { self.normal });
        loop {
            ctx.check()?;
            // A time beyond what the clock can say never comes.
            let left = end.map_or(self.slice, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(());
            }
            ctx.blocking(|| thread::sleep(left.min(self.slice)));
        }
    }
}
