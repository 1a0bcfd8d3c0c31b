//! What else happens on this machine while something is measured.

use muster_worker::os::proc_file::group_file;
use std::time::{Duration, Instant};

/// What the kernel has counted up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    at: Instant,
    /// All processors, in any process; what others took of the machine is not in it.
    busy: Duration,
    /// Taken by the machine's host.
    stolen: Duration,
    /// Our own cgroup had to wait although it had work.
    throttled: Duration,
}

/// What came between, as shares of all that the processors could do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interference {
    /// Taken by the machine's host.
    pub stolen: f64,
    /// Held back by the limit of a cgroup.
    pub throttled: f64,
    /// Used by processes that are not ours.
    pub others: f64,
}

impl Load {
    /// Now. What cannot be read counts as nothing.
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let (busy, stolen) = processors(&text);
        Self { at: Instant::now(), busy, stolen, throttled: throttled().unwrap_or_default() }
    }

    /// What came since then, of which `own` was ours.
    pub fn since(self, before: Self, own: Duration) -> Interference {
        let could = self.at.saturating_duration_since(before.at).as_secs_f64() * processors_online();
        if could <= 0.0 {
            return Interference::default();
        }
        let share = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / could;
        let busy = share(self.busy, before.busy);
        Interference {
            stolen: share(self.stolen, before.stolen),
            throttled: share(self.throttled, before.throttled),
            others: (busy - own.as_secs_f64() / could).clamp(0.0, 1.0),
        }
    }
}

/// Busy and stolen time of all processors together, by `/proc/stat`.
fn processors(stat: &str) -> (Duration, Duration) {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Vec<u64> =
        line.unwrap_or_default().split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let tick = |at: usize| ticks.get(at).copied().unwrap_or(0);
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy = [0, 1, 2, 5, 6].map(tick).iter().sum::<u64>();
    (time_of(busy), time_of(tick(7)))
}

fn time_of(ticks: u64) -> Duration {
    // SAFETY: the call has no requirements.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_secs_f64(ticks as f64 / per_second.max(1) as f64)
}

/// Processors that the machine has.
pub fn processors_online() -> f64 {
    // SAFETY: the call has no requirements.
    unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }.max(1) as f64
}

/// How long our cgroup was held back, where it is one of version 2 with a limit.
fn throttled() -> Option<Duration> {
    let text = group_file("cpu.stat")?;
    let micros = text.lines().find_map(|line| line.strip_prefix("throttled_usec "))?;
    micros.trim().parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_the_processors_could_do() {
        let stat = "cpu  100 10 50 1000 5 3 2 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        let ticks = time_of(1).as_secs_f64();
        let (busy, stolen) = processors(stat);
        assert!((busy.as_secs_f64() - 165.0 * ticks).abs() < 1e-9);
        assert!((stolen.as_secs_f64() - 7.0 * ticks).abs() < 1e-9);
        let at = Instant::now();
        let before = Load { at, busy, stolen, throttled: Duration::ZERO };
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds * processors_online());
        let after = Load {
            at: at + Duration::from_secs(10),
            busy: busy + seconds(6.0),
            stolen: stolen + seconds(0.5),
            throttled: seconds(0.1),
        };
        let found = after.since(before, seconds(4.0));
        for (share, is) in [(found.stolen, 0.05), (found.throttled, 0.01), (found.others, 0.2)] {
            assert!((share - is).abs() < 1e-9, "{found:?}");
        }
    }
}
