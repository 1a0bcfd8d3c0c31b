//! What people see while it measures.

use crate::compare::{Limits, Measured, Run, Tell, tasks_text};
use crate::summary::{counted, seconds};
use crate::terminal::{self, note};
use indicatif::{ProgressBar, ProgressStyle};

/// Says what happens, to whoever watches, and keeps what was measured.
pub struct Teller {
    limits: Limits,
    run: Run,
    bar: Option<ProgressBar>,
}

impl Teller {
    pub fn new(limits: Limits, run: Run) -> Self {
        let bar = terminal::watched().then(ProgressBar::new_spinner);
        let style = ProgressStyle::with_template("{msg}").ok();
        let bar = bar.zip(style).map(|(bar, style)| bar.with_style(style));
        Self { limits, run, bar }
    }

    fn say(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }

    pub fn end(self) -> Run {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.run
    }
}

impl Tell for Teller {
    fn calibrated(&mut self, measured: &Measured) {
        let Limits { budget, blocks, .. } = self.limits;
        let until = match blocks {
            Some(blocks) => counted(blocks as u32, "block", "blocks"),
            None => format!("up to {}", seconds(budget.as_secs_f64())),
        };
        match measured.groups.as_slice() {
            [only] => note(format_args!("{} a run, {until}", tasks_text(only.tasks))),
            several => note(format_args!("{} comparisons side by side, {until}", several.len())),
        }
    }

    fn run(&mut self, name: &str, (block, least): (usize, usize), (run, runs): (usize, usize)) {
        let of = match self.limits.blocks {
            Some(blocks) => format!(" of {blocks}"),
            None if block <= least => format!(" of at least {least}"),
            None => String::new(),
        };
        self.say(format!("block {block}{of}: run {run} of {runs}, {name}"));
    }

    fn block(&mut self, measured: &Measured) {
        self.run.add(measured);
    }

    fn probes(&mut self, name: &str) {
        self.say(format!("memory, crash and cancel of {name}"));
    }
}
