//! Log lines that strangers cause: some are written, the rest are counted, so that nobody fills a disk by knocking.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines in a window, and how long it is.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// About strangers, of all listeners of this process.
pub(super) static STRANGERS: Quiet = Quiet::new();

/// At most so many lines in each window.
#[derive(Debug)]
pub(super) struct Quiet(Mutex<Window>);

#[derive(Debug)]
struct Window {
    begun: Option<Instant>,
    written: u32,
    /// Not written since the last line was.
    left_out: u64,
}

impl Quiet {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Window { begun: None, written: 0, left_out: 0 }))
    }

    /// How many lines were left out before this one; `None`: this one is, too.
    pub(super) fn line(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.begun.is_none_or(|begun| now.duration_since(begun) >= WINDOW) {
            (window.begun, window.written) = (Some(now), 0);
        }
        if window.written < LINES_MAX {
            window.written += 1;
            return Some(std::mem::take(&mut window.left_out));
        }
        window.left_out += 1;
        None
    }
}

/// Writes a line about a stranger, unless there were many lately.
macro_rules! about_stranger {
    ($($line:tt)*) => {
        if let Some(left_out) = $crate::link::quiet::STRANGERS.line(std::time::Instant::now()) {
            tracing::info!(left_out, $($line)*);
        }
    };
}
pub(super) use about_stranger;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_written_and_the_rest_counted() {
        let quiet = Quiet::new();
        let start = Instant::now();
        let lines: Vec<_> = (0..1_000).map(|_| quiet.line(start)).collect();
        assert_eq!(lines.iter().filter(|line| **line == Some(0)).count(), LINES_MAX as usize);
        assert_eq!(lines.iter().flatten().count(), LINES_MAX as usize);
        assert_eq!(quiet.line(start + WINDOW), Some(1_000 - u64::from(LINES_MAX)));
        assert_eq!(quiet.line(start + WINDOW), Some(0));
    }
}
