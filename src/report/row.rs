//! What a page shows of a row, and in which words.

use super::chart::can_show;
use super::words::or_dash;
use crate::compare::{Spread, time_text};
use crate::kept::Row;

/// What is compared of rows, in titles and in sentences.
pub fn what_is_compared<'a>(rows: impl IntoIterator<Item = &'a Row>) -> (&'static str, &'static str) {
    let is_open = rows.into_iter().any(|row| row.latency_p95_s.is_some());
    if is_open { ("P95 latency", "p95 latency") } else { ("Time", "time") }
}

impl Row {
    /// What is compared of it: a median with its interval, or without one where there are too few blocks.
    pub fn told(&self) -> String {
        or_dash(time_text(self.compared().as_ref(), self.median_s), |text| text)
    }

    /// What is compared of it, when it is one that a chart can show.
    pub fn shown_time(&self) -> Option<Spread> {
        let is_shown = |time: &Spread| {
            time.median > 0.0
                && [time.lo, time.median, time.hi].into_iter().all(|it| it >= 0.0 && can_show(it))
        };
        self.compared().filter(is_shown)
    }

    /// The same of a row that counts.
    pub fn usable_time(&self) -> Option<Spread> {
        self.shown_time().filter(|_| self.valid)
    }

    /// What may be said of it, in words.
    pub fn words(&self, enough: bool) -> &'static str {
        match self.claim.as_str() {
            _ if self.is_wrong => "WRONG",
            _ if !self.valid => "invalid",
            _ if self.overload => "overload",
            _ if !enough => "not enough blocks",
            "best" => "best",
            "slower" if self.latency_p95_s.is_some() => "higher",
            "slower" => "slower",
            "no_difference" => "no difference",
            _ => "unclear",
        }
    }
}
