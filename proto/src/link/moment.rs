//! Points in time by a clock that people set.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// A second of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// The last second of the year 9999: what certificates can name.
const LAST_UNIX_S: u64 = 253_402_300_799;

impl Moment {
    /// This moment, by this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        Self::of_unix_s(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    /// A second of Unix time; none after the year 9999.
    #[must_use]
    pub const fn of_unix_s(seconds: u64) -> Self {
        Self(if seconds < LAST_UNIX_S { seconds } else { LAST_UNIX_S })
    }

    /// Seconds of Unix time.
    #[must_use]
    pub const fn unix_s(self) -> u64 {
        self.0
    }

    /// So many seconds later.
    #[must_use]
    pub const fn later(self, seconds: u64) -> Self {
        Self::of_unix_s(self.0.saturating_add(seconds))
    }

    /// So many seconds earlier.
    #[must_use]
    pub const fn earlier(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// How long after `earlier` this is; zero when it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// As certificates want it.
    pub(super) fn date(self) -> OffsetDateTime {
        let seconds = i64::try_from(self.0).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// `2026-01-31 13:05:00 UTC`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date();
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let (hour, minute, second) = (date.hour(), date.minute(), date.second());
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (u64::MAX, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(Moment::of_unix_s(seconds).to_string(), text);
        }
    }
}
