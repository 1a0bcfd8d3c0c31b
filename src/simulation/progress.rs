//! How far the runs are, once it takes long enough to wonder.

use super::pool::PARTS;
use crate::job::progress_bar;
use indicatif::{HumanCount, HumanDuration, ProgressBar};
use std::time::{Duration, Instant};

/// Before this, nobody wonders.
const SOON: Duration = Duration::from_secs(1);

/// A line that shows how far the runs are.
#[derive(Debug)]
pub struct Progress {
    show: bool,
    began: Instant,
    runs: u64,
    /// Tasks of a run, when there is only one.
    tasks: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// `tasks`: those of the only run.
    pub fn new(show: bool, runs: u64, tasks: Option<u64>) -> Self {
        Self { show, began: Instant::now(), runs, tasks, bar: None }
    }

    /// `parts` of all runs are done, and so many runs came to their end.
    pub fn update(&mut self, parts: u64, ended: u64) {
        let time = self.began.elapsed();
        if !self.show || time < SOON {
            return;
        }
        let all = self.runs * PARTS;
        let mut message = match self.tasks {
            Some(tasks) => {
                let done = (u128::from(tasks) * u128::from(parts) / u128::from(PARTS)) as u64;
                format!("{}/{} tasks", HumanCount(done), HumanCount(tasks))
            }
            None => format!("{}/{} runs", HumanCount(ended), HumanCount(self.runs)),
        };
        let left = time.as_secs_f64() * (all.saturating_sub(parts)) as f64 / parts as f64;
        if let Ok(left) = Duration::try_from_secs_f64(left) {
            message.push_str(&format!(", {} to go", HumanDuration(left)));
        }
        let bar = self.bar.get_or_insert_with(|| progress_bar(all));
        bar.set_message(message);
        bar.set_position(parts);
    }

    /// Takes the line away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
