//! What of all that plugins say is shown on the worker's own standard error: enough to see what happens, never so much that
//! everything else is lost in it.

use super::line::{Source, TaskRef};
use muster_plugin_host::LogLevel;
use std::io::Write;
use std::time::Instant;

/// So many lines may come at once.
const BURST: f64 = 200.0;
/// And so many a second after that.
const LINES_PER_S: f64 = 20.0;

/// The worker's standard error.
#[derive(Debug)]
pub(super) struct Console {
    /// A command of a person's own started this worker: warnings and errors as plain lines, and no other log calls.
    plain: bool,
    left: f64,
    filled: Instant,
    silent: u64,
}

/// What is to be shown.
pub(super) struct Shown<'a> {
    pub plugin: &'a str,
    pub executor: u64,
    pub task: Option<TaskRef>,
    pub source: Source,
    pub text: &'a [u8],
}

impl Console {
    pub fn new(plain: bool) -> Self {
        Self { plain, left: BURST, filled: Instant::now(), silent: 0 }
    }

    /// Shows a line, when there is room for it.
    pub fn show(&mut self, line: &Shown<'_>) {
        if self.plain && matches!(line.source, Source::Call(3..)) {
            return;
        }
        if !self.may() {
            self.silent += 1;
            return;
        }
        self.tell_silence();
        let text = clean(line.text);
        let Shown { plugin, executor, task, .. } = line;
        let index = task.map(|task| task.index);
        match line.source {
            Source::Call(level) if self.plain => {
                say(&format!(
                    "[{} {}] {text}",
                    name(plugin, *executor, index),
                    LogLevel::from_abi(level.into()).name()
                ));
            }
            Source::Output => say(&format!("[{}] {text}", name(plugin, *executor, index))),
            Source::Call(0 | 1) => tracing::error!(target: "plugin", plugin, task = index, "{text}"),
            Source::Call(2) => tracing::warn!(target: "plugin", plugin, task = index, "{text}"),
            Source::Call(3) => tracing::info!(target: "plugin", plugin, task = index, "{text}"),
            Source::Call(4) => tracing::debug!(target: "plugin", plugin, task = index, "{text}"),
            Source::Call(_) => tracing::trace!(target: "plugin", plugin, task = index, "{text}"),
        }
    }

    /// Says how many lines were not shown.
    pub fn tell_silence(&mut self) {
        let silent = std::mem::take(&mut self.silent);
        if silent > 0 {
            say(&format!("[muster] {silent} more lines of plugins are not shown here"));
        }
    }

    fn may(&mut self) -> bool {
        let now = Instant::now();
        self.left = (self.left + now.duration_since(self.filled).as_secs_f64() * LINES_PER_S).min(BURST);
        self.filled = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

fn name(plugin: &str, executor: u64, task: Option<u64>) -> String {
    task.map_or_else(|| format!("{plugin}/{executor}"), |index| format!("task {index}"))
}

/// As text that does nothing to a terminal.
fn clean(text: &[u8]) -> String {
    let shown = |letter: char| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter };
    String::from_utf8_lossy(text).chars().map(shown).collect()
}

// When nobody reads standard error, there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
