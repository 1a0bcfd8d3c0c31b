//! `--sweep key=10..10000`: several values for a key, and the cross product of several sweeps.

use super::keys::Kind;
use super::overrides::{Override, is_key, kind_of};
use muster_core::quantity;
use std::str::FromStr;

/// Values of one sweep.
pub const SWEEP_VALUES_MAX: usize = 1_000;
/// Runs of all sweeps together.
pub const SWEEP_POINTS_MAX: usize = 10_000;
/// Steps of a range that does not say how many.
const DEFAULT_STEPS: usize = 10;
/// Digits of values between the ends.
const DIGITS: usize = 4;

/// The values that one key takes in turn.
///
/// `key=1,2,4` lists them. `key=10..10000` makes 10 from the first to the last, each the same multiple of the one
/// before; `key=10..10000:25` makes 25. Both ends may have a unit: `key=1ms..100ms`. Keys that want whole numbers
/// get whole numbers, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// As in an [`Override`].
    pub key: String,
    /// In the order in which they are tried, at least one.
    pub values: Vec<String>,
}

impl Sweep {
    /// One override for each value.
    pub fn overrides(&self) -> impl Iterator<Item = Override> + '_ {
        self.values.iter().map(|value| Override { key: self.key.clone(), value: value.clone() })
    }
}

/// The cross product: every combination of one value of each sweep, the last sweep changing fastest. Without sweeps
/// one point without changes.
///
/// # Errors
/// There are more than [`SWEEP_POINTS_MAX`], or two sweeps of the same key.
pub fn points(sweeps: &[Sweep]) -> Result<Vec<Vec<Override>>, SweepError> {
    let mut points = vec![Vec::new()];
    for (index, sweep) in sweeps.iter().enumerate() {
        if sweeps[..index].iter().any(|other| other.key == sweep.key) {
            return Err(SweepError::Twice { key: sweep.key.clone() });
        }
        let count = points.len().saturating_mul(sweep.values.len());
        if count > SWEEP_POINTS_MAX {
            return Err(SweepError::TooManyPoints { count });
        }
        let with = |point: &Vec<Override>, value| point.iter().cloned().chain([value]).collect::<Vec<_>>();
        points = points
            .iter()
            .flat_map(|point| sweep.overrides().map(|value| with(point, value)).collect::<Vec<_>>())
            .collect();
    }
    Ok(points)
}

/// Why a sweep cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// Not `key=values`.
    #[error("{text:?} is not key=values, as in workers=10..10000 or policy=fifo,fair")]
    NoKey {
        /// What was written.
        text: String,
    },
    /// A list with nothing between two commas.
    #[error("{key} has an empty value: write values with one comma between")]
    EmptyValue {
        /// The key.
        key: String,
    },
    /// An end of a range that is no number.
    #[error("{key}: {end:?} cannot be the end of a range: {problem}")]
    End {
        /// The key.
        key: String,
        /// The end.
        end: String,
        /// Why.
        problem: &'static str,
    },
    /// Ends of different kinds.
    #[error("{key}: the ends {first:?} and {last:?} are of different kinds: give both the same kind of unit")]
    MixedEnds {
        /// The key.
        key: String,
        /// The first.
        first: String,
        /// The last.
        last: String,
    },
    /// A number of steps that cannot be taken.
    #[error(
        "{key}: {steps:?} is no number of steps: write 2 to {SWEEP_VALUES_MAX}, as in {key}=10..10000:25"
    )]
    Steps {
        /// The key.
        key: String,
        /// What was written.
        steps: String,
    },
    /// Too many values.
    #[error("{key} has {count} values: at most {SWEEP_VALUES_MAX}")]
    TooManyValues {
        /// The key.
        key: String,
        /// How many.
        count: usize,
    },
    /// Too many combinations.
    #[error("the sweeps make {count} runs or more: at most {SWEEP_POINTS_MAX}; use fewer steps, as in :5")]
    TooManyPoints {
        /// How many.
        count: usize,
    },
    /// The same key again.
    #[error("{key} is swept twice: put all its values into one sweep")]
    Twice {
        /// The key.
        key: String,
    },
}

impl FromStr for Sweep {
    type Err = SweepError;

    fn from_str(text: &str) -> Result<Self, SweepError> {
        let no_key = || SweepError::NoKey { text: text.to_owned() };
        let (key, values) = text.split_once('=').ok_or_else(no_key)?;
        let (key, values) = (key.trim(), values.trim());
        if !is_key(key) || values.is_empty() {
            return Err(no_key());
        }
        let is_range =
            values.contains("..") && !values.starts_with(['"', '\'', '[', '{']) && !values.contains(',');
        let values = if is_range { range(key, values)? } else { list(key, values)? };
        Ok(Self { key: key.to_owned(), values })
    }
}

/// Values between commas; commas inside quotes and brackets belong to their value.
fn list(key: &str, text: &str) -> Result<Vec<String>, SweepError> {
    let (mut values, mut value, mut depth, mut quote) = (Vec::new(), String::new(), 0usize, None);
    for c in text.chars() {
        match (c, quote) {
            (c, Some(open)) => quote = Some(open).filter(|open| *open != c),
            ('"' | '\'', None) => quote = Some(c),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                values.push(std::mem::take(&mut value));
                continue;
            }
            _ => {}
        }
        value.push(c);
    }
    values.push(value);
    if values.len() > SWEEP_VALUES_MAX {
        return Err(SweepError::TooManyValues { key: key.to_owned(), count: values.len() });
    }
    let values: Vec<String> = values.iter().map(|value| value.trim().to_owned()).collect();
    if values.iter().any(String::is_empty) {
        Err(SweepError::EmptyValue { key: key.to_owned() })
    } else {
        Ok(values)
    }
}

fn range(key: &str, text: &str) -> Result<Vec<String>, SweepError> {
    let (ends, steps) = match text.rsplit_once(':') {
        Some((ends, steps)) => (ends, parse_steps(key, steps)?),
        None => (text, DEFAULT_STEPS),
    };
    let (first, last) = ends.split_once("..").unwrap_or((ends, ""));
    let (first, last) = (first.trim(), last.trim());
    let (start, end) = (End::parse(key, first)?, End::parse(key, last)?);
    if start.unit != end.unit {
        return Err(SweepError::MixedEnds {
            key: key.to_owned(),
            first: first.to_owned(),
            last: last.to_owned(),
        });
    }
    let whole = match kind_of(key) {
        Some(kind) => kind == Kind::Whole,
        None => start.is_whole && end.is_whole,
    };
    if whole && !(start.value.fract() == 0.0 && end.value.fract() == 0.0) {
        let end = if start.value.fract() == 0.0 { last } else { first };
        let problem = "this key takes whole numbers";
        return Err(SweepError::End { key: key.to_owned(), end: end.to_owned(), problem });
    }
    let ratio = end.value / start.value;
    let mut values: Vec<String> = Vec::with_capacity(steps);
    for step in 0..steps {
        let value = match step {
            0 => first.to_owned(),
            step if step + 1 == steps => last.to_owned(),
            step => start.unit.write(start.value * libm::pow(ratio, step as f64 / (steps - 1) as f64), whole),
        };
        let value = if whole { plain(&value) } else { value };
        if values.last() != Some(&value) {
            values.push(value);
        }
    }
    Ok(values)
}

fn parse_steps(key: &str, text: &str) -> Result<usize, SweepError> {
    let steps = text.trim().parse::<usize>().ok().filter(|steps| (2..=SWEEP_VALUES_MAX).contains(steps));
    steps.ok_or_else(|| SweepError::Steps { key: key.to_owned(), steps: text.to_owned() })
}

/// `1e3` as `1000`.
fn plain(value: &str) -> String {
    match value.replace('_', "").parse::<f64>() {
        Ok(number) => format!("{number:.0}"),
        Err(_) => value.to_owned(),
    }
}

/// What the ends of a range are measured in.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Number,
    Picoseconds,
    Nanoseconds,
    Bytes,
    BytesPerSecond,
}

/// One end of a range.
struct End {
    value: f64,
    unit: Unit,
    is_whole: bool,
}

impl End {
    fn parse(key: &str, text: &str) -> Result<Self, SweepError> {
        let wrong = |problem| SweepError::End { key: key.to_owned(), end: text.to_owned(), problem };
        let digits = text.replace('_', "");
        let (value, unit) = if let Ok(number) = digits.parse::<f64>() {
            (number, Unit::Number)
        } else if kind_of(key) == Some(Kind::PerByte)
            && let Ok(ps) = quantity::per_byte_ps(text)
        {
            (ps as f64, Unit::Picoseconds)
        } else if let Ok(span) = quantity::duration(text) {
            (span.0 as f64, Unit::Nanoseconds)
        } else if let Ok(bytes) = quantity::size(text) {
            (bytes as f64, Unit::Bytes)
        } else if let Ok(bytes) = quantity::rate(text) {
            (bytes as f64, Unit::BytesPerSecond)
        } else {
            return Err(wrong("write a number, a duration, a size or a rate, as in 10..10000 or 1ms..100ms"));
        };
        if !value.is_finite() || value <= 0.0 {
            return Err(wrong("steps that multiply need ends above 0; list the values instead, as in 0,1,2"));
        }
        Ok(Self {
            value,
            unit,
            is_whole: value.fract() == 0.0 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        })
    }
}

impl Unit {
    /// The value with few digits, as it would be written in a scenario.
    fn write(self, value: f64, whole: bool) -> String {
        let scaled = |units: &[(&str, f64)]| {
            let found = units.iter().find(|(_, scale)| value >= *scale);
            let (name, scale) = found.or(units.last()).copied().unwrap_or(("", 1.0));
            format!("{}{name}", rounded(value / scale))
        };
        match self {
            Self::Number if whole => format!("{value:.0}"),
            Self::Number => rounded(value),
            Self::Picoseconds => scaled(&[("us", 1e6), ("ns", 1e3), ("ps", 1.0)]),
            Self::Nanoseconds => scaled(&[("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0)]),
            Self::Bytes => scaled(&[("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)]),
            Self::BytesPerSecond => scaled(&[("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3), ("B/s", 1.0)]),
        }
    }
}

fn rounded(value: f64) -> String {
    let text = format!("{value:.*e}", DIGITS - 1);
    text.parse::<f64>().map_or(text, |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        text.parse::<Sweep>().unwrap().values
    }

    #[test]
    fn ranges_multiply() {
        assert_eq!(
            values("workers=10..10000"),
            ["10", "22", "46", "100", "215", "464", "1000", "2154", "4642", "10000"]
        );
        assert_eq!(values("workers.fast.count=1..4:4"), ["1", "2", "3", "4"]);
        assert_eq!(values("tasks=1e3..1e6:4"), ["1000", "10000", "100000", "1000000"]);
        assert_eq!(values("latency=1ms..100ms:3"), ["1ms", "10ms", "100ms"]);
        assert_eq!(values("latency=100us..1s:3"), ["100us", "10ms", "1s"]);
        assert_eq!(values("jobs.0.time.exp=1ms..2ms:3"), ["1ms", "1.414ms", "2ms"]);
        assert_eq!(values("links.lan.bandwidth=1MB/s..8Mbit/s:2"), ["1MB/s", "8Mbit/s"]);
        assert_eq!(values("coordinator.per_byte=1ps..1ns:4"), ["1ps", "10ps", "100ps", "1ns"]);
        assert_eq!(values("workers.speed=1..4:3"), ["1", "2", "4"]);
        assert_eq!(values("faults.0.share=0.01..0.16:5"), ["0.01", "0.02", "0.04", "0.08", "0.16"]);
        assert_eq!(values("jobs.0.params.ms=1..100:3"), ["1", "10", "100"]);
        assert_eq!(values("workers=100..1:3"), ["100", "10", "1"]);
        assert_eq!(values("workers=5..5"), ["5"]);
        assert_eq!(values("workers=10..10000:25").len(), 25);
    }

    #[test]
    fn lists_keep_what_is_in_quotes_and_brackets_together() {
        assert_eq!(values("workers=1,2,4"), ["1", "2", "4"]);
        assert_eq!(values("policy=fifo+fixed:1, fair"), ["fifo+fixed:1", "fair"]);
        assert_eq!(
            values("jobs.0.time={exp=\"1s\"},{uniform=[\"1s\",\"2s\"]}"),
            ["{exp=\"1s\"}", "{uniform=[\"1s\",\"2s\"]}"]
        );
    }

    #[test]
    fn wrong_sweeps_say_why() {
        let cases = [
            ("workers", "\"workers\" is not key=values, as in workers=10..10000 or policy=fifo,fair"),
            ("workers=", "\"workers=\" is not key=values, as in workers=10..10000 or policy=fifo,fair"),
            ("workers=1,,2", "workers has an empty value: write values with one comma between"),
            (
                "workers=0..10",
                "workers: \"0\" cannot be the end of a range: steps that multiply need ends above 0; list the \
                 values instead, as in 0,1,2",
            ),
            (
                "workers=a..b",
                "workers: \"a\" cannot be the end of a range: write a number, a duration, a size or a rate, as in \
                 10..10000 or 1ms..100ms",
            ),
            ("workers=1.5..3", "workers: \"1.5\" cannot be the end of a range: this key takes whole numbers"),
            (
                "latency=1ms..5",
                "latency: the ends \"1ms\" and \"5\" are of different kinds: give both the same kind of unit",
            ),
            (
                "workers=1..5:1",
                "workers: \"1\" is no number of steps: write 2 to 1000, as in workers=10..10000:25",
            ),
            (
                "workers=1..5:x",
                "workers: \"x\" is no number of steps: write 2 to 1000, as in workers=10..10000:25",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Sweep>().unwrap_err().to_string(), message);
        }
        let many = format!("workers={}", vec!["1"; 1_001].join(","));
        assert!(many.parse::<Sweep>().unwrap_err().to_string().contains("1001 values: at most 1000"));
    }

    #[test]
    fn sweeps_multiply_and_have_a_limit() {
        let sweep = |text: &str| text.parse::<Sweep>().unwrap();
        let points = points(&[sweep("workers=1,2"), sweep("policy=fifo,fair")]).unwrap();
        let shown: Vec<String> = points
            .iter()
            .map(|point| point.iter().map(|set| set.value.as_str()).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(shown, ["1 fifo", "1 fair", "2 fifo", "2 fair"]);
        assert_eq!(super::points(&[]), Ok(vec![vec![]]));
        let many = [sweep("workers=1..1000000:200"), sweep("tasks=1..1000000000:200")];
        assert!(matches!(super::points(&many), Err(SweepError::TooManyPoints { .. })));
        let twice = [sweep("workers=1,2"), sweep("workers=3,4")];
        assert!(matches!(super::points(&twice), Err(SweepError::Twice { .. })));
    }

    #[test]
    fn a_key_is_one_word_in_one_line() {
        for text in ["a\nb=1", "a\rb=1..2", "a\u{1b}[2Jb=1"] {
            let error = text.parse::<Sweep>().unwrap_err();
            assert!(
                matches!(error, SweepError::NoKey { .. }) && !error.to_string().contains(char::is_control)
            );
            assert!(text.parse::<Override>().is_err(), "{text:?}");
        }
        assert_eq!("jobs.0.params.odd key=1".parse::<Override>().unwrap().key, "jobs.0.params.odd key");
    }
}
