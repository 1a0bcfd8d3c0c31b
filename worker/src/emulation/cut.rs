//! Times in which the link carries nothing, one way or both.

use crate::os::monotonic_ns;
use muster_core::quantity::duration;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Directions of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    Both,
    /// From the coordinator to the worker.
    ToWorker,
    /// From the worker to the coordinator.
    ToCoordinator,
}

impl Direction {
    /// Whether what goes to `other`, one of the two ends, is meant, too.
    const fn covers(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Both, _) | (Self::ToWorker, Self::ToWorker) | (Self::ToCoordinator, Self::ToCoordinator)
        )
    }
}

/// A time in which nothing arrives: as text `AT+LENGTH[:to-worker|:to-coordinator]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When it begins, after the start.
    pub at: Duration,
    /// How long it lasts.
    pub length: Duration,
    /// Which way.
    pub direction: Direction,
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (times, direction) = match text.split_once(':') {
            None => (text, Direction::Both),
            Some((times, "to-worker")) => (times, Direction::ToWorker),
            Some((times, "to-coordinator")) => (times, Direction::ToCoordinator),
            Some((_, other)) => {
                return Err(format!(
                    "unknown direction {other:?}: write :to-worker, :to-coordinator or nothing"
                ));
            }
        };
        let (at, length) =
            times.split_once('+').ok_or("AT+LENGTH is wanted, for example 500ms+2s:to-worker".to_owned())?;
        let time =
            |text: &str| duration(text).map(Duration::from).map_err(|error| format!("{text:?} {error}"));
        let (at, length) = (time(at)?, time(length)?);
        if length.is_zero() {
            return Err("the length is zero".to_owned());
        }
        Ok(Self { at, length, direction })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Both => "",
            Direction::ToWorker => ":to-worker",
            Direction::ToCoordinator => ":to-coordinator",
        };
        write!(f, "{}ns+{}ns{direction}", self.at.as_nanos(), self.length.as_nanos())
    }
}

/// The instant that cuts count from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nanoseconds since the UNIX epoch.
    At(u64),
    /// A file that will hold such a number; until it does, the start has not come.
    File(PathBuf),
}

impl FromStr for Start {
    type Err = String;

    /// A path is told from a number by a slash in it.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let wanted =
            "nanoseconds since 1970 are wanted, or the path (with a slash) of a file that will hold them";
        text.parse().map(Self::At).map_err(|_| wanted.to_owned())
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(ns) => ns.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The cuts of one direction.
#[derive(Debug)]
pub(super) struct Cuts {
    /// Begin and end after the start, in nanoseconds.
    cuts: Vec<(u64, u64)>,
    start: Option<Start>,
    /// The start by the monotonic clock, once it is known.
    start_ns: Option<u64>,
}

impl Cuts {
    /// Those of `cuts` that hold up what goes to `end`, which is one of the two ends.
    pub fn towards(end: Direction, cuts: &[Cut], start: Option<&Start>) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let cuts = cuts.iter().filter(|cut| cut.direction.covers(end));
        let cuts = cuts.map(|cut| (ns(cut.at), ns(cut.at.saturating_add(cut.length)))).collect();
        Self { cuts, start: start.cloned(), start_ns: None }
    }

    /// Until when nothing arrives, when that is so at `now_ns`.
    pub fn held_until(&mut self, now_ns: u64) -> Option<u64> {
        if self.cuts.is_empty() {
            return None;
        }
        let start = self.start_ns()?;
        let covers = |&&(begin, end): &&(u64, u64)| {
            (start.saturating_add(begin)..start.saturating_add(end)).contains(&now_ns)
        };
        self.cuts.iter().filter(covers).map(|&(_, end)| start.saturating_add(end)).max()
    }

    fn start_ns(&mut self) -> Option<u64> {
        if self.start_ns.is_none() {
            let unix_ns = match self.start.as_ref()? {
                Start::At(ns) => *ns,
                Start::File(path) => std::fs::read_to_string(path).ok()?.trim().parse().ok()?,
            };
            self.start_ns = Some(to_monotonic(unix_ns));
        }
        self.start_ns
    }
}

/// The monotonic clock's time at a time of the UNIX clock.
fn to_monotonic(unix_ns: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let monotonic = monotonic_ns();
    match unix_ns.checked_sub(now_ns) {
        Some(ahead) => monotonic.saturating_add(ahead),
        None => monotonic.saturating_sub(now_ns - unix_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn cuts_are_read_and_written() {
        for (text, at, length, direction) in [
            ("500ms+2s", 500, 2_000, Direction::Both),
            ("0s+1ms:to-worker", 0, 1, Direction::ToWorker),
            ("1.5s+20ms:to-coordinator", 1_500, 20, Direction::ToCoordinator),
        ] {
            let (at, length) = (Duration::from_millis(at), Duration::from_millis(length));
            let cut: Cut = text.parse().unwrap();
            assert_eq!(cut, Cut { at, length, direction });
            assert_eq!(cut.to_string().parse(), Ok(cut));
        }
        for (bad, word) in [
            ("", "AT+LENGTH"),
            ("5s", "AT+LENGTH"),
            ("5+1s", "no unit"),
            ("5s+0s", "zero"),
            ("5s+-1s", "negative"),
            ("5s+1s:up", "to-coordinator"),
        ] {
            let error = bad.parse::<Cut>().unwrap_err();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }

    #[test]
    fn what_arrives_in_a_cut_waits_for_its_end() {
        let cuts: Vec<Cut> =
            ["10ms+5ms", "12ms+8ms:to-worker"].iter().map(|text| text.parse().unwrap()).collect();
        let held = |end, at_ms: u64| {
            let mut cuts = Cuts { start_ns: Some(MS), ..Cuts::towards(end, &cuts, None) };
            cuts.held_until(MS + at_ms * MS).map(|until| (until - MS) / MS)
        };
        let coordinator = [9, 10, 14, 15, 19].map(|at| held(Direction::ToCoordinator, at));
        assert_eq!(coordinator, [None, Some(15), Some(15), None, None]);
        let worker = [9, 10, 13, 15, 20].map(|at| held(Direction::ToWorker, at));
        assert_eq!(worker, [None, Some(15), Some(20), Some(20), None]);
    }

    #[test]
    fn the_start_may_be_known_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("start");
        let start = path.to_str().unwrap().parse().unwrap();
        assert_eq!(start, Start::File(path.clone()));
        let cut = ["0s+1h".parse().unwrap()];
        let mut cuts = Cuts::towards(Direction::ToWorker, &cut, Some(&start));
        assert_eq!(cuts.held_until(monotonic_ns()), None);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        std::fs::write(&path, format!("{now}\n")).unwrap();
        let until = cuts.held_until(monotonic_ns()).unwrap();
        let left = until - monotonic_ns();
        assert!(left > 3_590_000 * MS && left <= 3_600_000 * MS, "{left}");
        assert!("soon".parse::<Start>().unwrap_err().contains("1970"));
    }
}
