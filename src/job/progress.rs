//! The progress line on stderr: done, total, rate, and a time to go that follows from the last seconds alone. What
//! running tasks say they have done counts.

use super::is_final;
use crate::terminal::note;
use indicatif::{HumanCount, HumanDuration, HumanFloatCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use muster_proto::v1;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is that of this long.
const WINDOW: Duration = Duration::from_secs(5);
/// The bar counts in these parts of a task.
const PARTS: f64 = 1_000.0;
/// Nothing is said about the time to go before this much was seen.
const ENOUGH: Duration = Duration::from_secs(1);

/// Shows how far a job is, when somebody watches.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    rate: Rate,
    /// The job's number of tasks, when it was known from the start.
    total: Option<u64>,
}

impl Progress {
    /// `total`: the number of tasks, when it is known from the start.
    pub fn new(show: bool, total: Option<u64>) -> Self {
        let bar = show.then(|| bar(total.map(|tasks| parts(tasks as f64))));
        Self { bar, rate: Rate::default(), total }
    }

    /// Takes a new status.
    pub fn update(&mut self, status: &v1::JobStatus) {
        let Some(bar) = &self.bar else { return };
        let done = done(status);
        self.rate.add(Instant::now(), done);
        let mut message = self.place(status);
        if let Some(rate) = self.rate.per_second() {
            message.push_str(&format!(" {}/s", short(rate)));
        }
        if status.failed > 0 {
            message.push_str(&format!(", {} failed", HumanCount(status.failed)));
        }
        if let Some(left) = self.total.map(|total| total as f64 - done).filter(|&left| left > 0.0)
            && let Some(seconds) = self.rate.time_for(left)
        {
            message.push_str(&format!(", {} to go", HumanDuration(seconds)));
        }
        // Both draw, and of two draws at once the second may be left out: better the bar is late than the words.
        bar.set_message(message);
        bar.set_position(parts(done));
        if is_final(status) {
            bar.finish_and_clear();
        }
    }

    /// How many tasks are done of how many, with a decimal when running tasks say how far they are.
    fn place(&self, status: &v1::JobStatus) -> String {
        let ended = status.ok + status.failed;
        let done = if status.in_progress > 0.0 {
            // Cut, not rounded: a task is done when its result is there.
            HumanFloatCount((done(status) * 10.0).floor() / 10.0).to_string()
        } else {
            HumanCount(ended).to_string()
        };
        match self.total {
            Some(total) => format!("{done}/{}", HumanCount(total)),
            None => format!("{done} done of {} so far", HumanCount(status.tasks)),
        }
    }

    /// What takes the line away, for somebody else to hold.
    pub fn handle(&self) -> Handle {
        Handle(self.bar.clone())
    }
}

/// Takes the progress line away.
#[derive(Clone, Debug)]
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

/// A line that counts to `length`, with words beside it.
pub fn progress_bar(length: u64) -> ProgressBar {
    bar(Some(length))
}

fn bar(length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style(length.is_some()));
    bar
}

fn style(total: bool) -> ProgressStyle {
    let template = if total { "{bar:30} {msg}" } else { "{spinner} {msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What is done, in tasks; never more than there are.
fn done(status: &v1::JobStatus) -> f64 {
    ((status.ok + status.failed) as f64 + status.in_progress).min(status.tasks as f64)
}

fn parts(tasks: f64) -> u64 {
    (tasks * PARTS) as u64
}

/// A number with three digits: `1.23 M`.
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
struct Rate(VecDeque<(Instant, f64)>);

impl Rate {
    fn add(&mut self, now: Instant, done: f64) {
        self.0.push_back((now, done));
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(then, _)| now - *then >= WINDOW) {
            self.0.pop_front();
        }
    }

    fn span(&self) -> Option<(Duration, f64)> {
        let ((then, before), (now, done)) = (self.0.front()?, self.0.back()?);
        Some((*now - *then, done - before))
    }

    fn per_second(&self) -> Option<f64> {
        let (time, done) = self.span()?;
        (time > Duration::ZERO && done > 0.0).then(|| done / time.as_secs_f64())
    }

    fn time_for(&self, left: f64) -> Option<Duration> {
        self.span().filter(|(time, _)| *time >= ENOUGH)?;
        Duration::try_from_secs_f64(left / self.per_second()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_go_follows_from_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate::default();
        rate.add(start, 0.0);
        assert_eq!(rate.time_for(100.0), None);
        rate.add(start + Duration::from_millis(500), 1000.0);
        assert_eq!(rate.time_for(100.0), None, "half a second says little");
        for second in 1..60 {
            rate.add(start + Duration::from_secs(second), (1000 + second * 10) as f64);
        }
        assert_eq!(rate.per_second().map(f64::round), Some(10.0), "the fast start is forgotten");
        assert_eq!(rate.time_for(100.0), Some(Duration::from_secs(10)));
    }

    #[test]
    fn running_tasks_count_as_far_as_they_are() {
        let start = Instant::now();
        let mut rate = Rate::default();
        for quarter in 0..=8u8 {
            rate.add(start + Duration::from_secs(quarter.into()), f64::from(quarter) / 4.0);
        }
        assert_eq!(rate.time_for(2.0), Some(Duration::from_secs(8)));
        rate.add(start + Duration::from_secs(9), 0.0);
        assert_eq!(rate.time_for(4.0), None, "a task that starts anew is no rate");

        let status = |ok, in_progress| v1::JobStatus { tasks: 4_000, ok, in_progress, ..Default::default() };
        let place = |total, status: &v1::JobStatus| Progress::new(false, total).place(status);
        assert_eq!(place(Some(4_000), &status(1_234, 0.0)), "1,234/4,000");
        assert_eq!(place(Some(4_000), &status(1_234, 1.57)), "1,235.5/4,000");
        assert_eq!(place(Some(4_000), &status(3_999, 1.5)), "4,000/4,000");
        let fed = v1::JobStatus { tasks: 2, ..status(1, 0.5) };
        assert_eq!(place(Some(4_000), &fed), "1.5/4,000", "not all have been fed");
        assert_eq!(place(None, &status(1, 0.5)), "1.5 done of 4,000 so far");
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!(
            [short(1.234), short(45.67), short(123_456.0), short(98.7e6)],
            ["1.23", "45.7", "123 k", "98.7 M"]
        );
    }
}
