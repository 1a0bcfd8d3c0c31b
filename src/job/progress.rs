//! The progress line on stderr: done, total, rate, and a time to go that follows from the last seconds alone.

use super::is_final;
use crate::terminal::note;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use muster_proto::v1;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is that of this long.
const WINDOW: Duration = Duration::from_secs(5);
/// Nothing is said about the time to go before this much was seen.
const ENOUGH: Duration = Duration::from_secs(1);

/// Shows how far a job is, when somebody watches.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    rate: Rate,
    /// The job's number of tasks is known.
    closed: bool,
}

impl Progress {
    /// `total`: the number of tasks, when it is known from the start.
    pub fn new(show: bool, total: Option<u64>) -> Self {
        let bar = show.then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style(total.is_some()));
            bar
        });
        Self { bar, rate: Rate::default(), closed: total.is_some() }
    }

    /// Takes a new status.
    pub fn update(&mut self, status: &v1::JobStatus) {
        let Some(bar) = &self.bar else { return };
        let done = status.ok + status.failed;
        self.rate.add(Instant::now(), done);
        if !self.closed {
            bar.set_length(status.tasks);
        }
        bar.set_position(done);
        let per_second = self.rate.per_second();
        let mut message = per_second.map(|rate| format!("{}/s", short(rate))).unwrap_or_default();
        if status.failed > 0 {
            message.push_str(&format!(", {} failed", HumanCount(status.failed)));
        }
        let left = status.tasks.saturating_sub(done);
        if self.closed
            && left > 0
            && let Some(seconds) = self.rate.time_for(left)
        {
            message.push_str(&format!(", {} to go", HumanDuration(seconds)));
        }
        bar.set_message(message);
        if is_final(status) {
            bar.finish_and_clear();
        }
    }

    /// What takes the line away, for somebody else to hold.
    pub fn handle(&self) -> Handle {
        Handle(self.bar.clone())
    }
}

/// Takes the progress line away.
#[derive(Debug)]
pub struct Handle(Option<ProgressBar>);

impl Handle {
    /// Says something above the line.
    pub fn note(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }

    /// Takes it away.
    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(total: bool) -> ProgressStyle {
    let template = if total {
        "{bar:30} {human_pos}/{human_len} {msg}"
    } else {
        "{spinner} {human_pos} done of {human_len} so far {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A rate with three digits: `1.23 M`.
pub fn short(rate: f64) -> String {
    for (scale, unit) in [(1e9, " G"), (1e6, " M"), (1e3, " k")] {
        if rate >= scale {
            return format!("{:.*}{unit}", digits(rate / scale), rate / scale);
        }
    }
    format!("{rate:.*}", digits(rate))
}

fn digits(number: f64) -> usize {
    if number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    }
}

/// What was done in the last seconds.
#[derive(Debug, Default)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    fn add(&mut self, now: Instant, done: u64) {
        self.0.push_back((now, done));
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(then, _)| now - *then >= WINDOW) {
            self.0.pop_front();
        }
    }

    fn span(&self) -> Option<(Duration, u64)> {
        let ((then, before), (now, done)) = (self.0.front()?, self.0.back()?);
        Some((*now - *then, done.saturating_sub(*before)))
    }

    fn per_second(&self) -> Option<f64> {
        let (time, done) = self.span()?;
        (time > Duration::ZERO && done > 0).then(|| done as f64 / time.as_secs_f64())
    }

    fn time_for(&self, left: u64) -> Option<Duration> {
        self.span().filter(|(time, _)| *time >= ENOUGH)?;
        Duration::try_from_secs_f64(left as f64 / self.per_second()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_go_follows_from_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate::default();
        rate.add(start, 0);
        assert_eq!(rate.time_for(100), None);
        rate.add(start + Duration::from_millis(500), 1000);
        assert_eq!(rate.time_for(100), None, "half a second says little");
        for second in 1..60 {
            rate.add(start + Duration::from_secs(second), 1000 + second * 10);
        }
        assert_eq!(rate.per_second().map(f64::round), Some(10.0), "the fast start is forgotten");
        assert_eq!(rate.time_for(100), Some(Duration::from_secs(10)));
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!(
            [short(1.234), short(45.67), short(123_456.0), short(98.7e6)],
            ["1.23", "45.7", "123 k", "98.7 M"]
        );
    }
}
