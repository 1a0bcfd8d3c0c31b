//! What people claim about threads, processes and their kin, held against what was measured here.

use crate::compare::{Group, Measured, Row, Spread, with_interval};
use crate::statistics::{median, ratio};
use serde::Serialize;

/// A claim and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// What it is about.
    pub topic: &'static str,
    /// As the article behind muster puts it, or people do.
    pub claim: String,
    /// What was measured here.
    pub measured: String,
    pub verdict: Holds,
    /// The command that repeats it.
    pub command: String,
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// On what, the measurement says.
    Depends,
    /// It could not be measured, or not sharply enough.
    Unknown,
}

impl Holds {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Yes => "holds",
            Self::No => "does not hold",
            Self::Depends => "depends",
            Self::Unknown => "not known",
        }
    }

    /// Whether a ratio is above a bound, when all of its interval is on one side of it.
    pub fn above(ratio: Option<Ratio>, bound: f64) -> Self {
        match ratio {
            Some(ratio) if ratio.is_above(bound) => Self::Yes,
            Some(ratio) if ratio.is_below(bound) => Self::No,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// How many times as much one is as another.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    ratio: Spread,
    /// Neither of the two rows is invalid; of others nothing is claimed.
    counts: bool,
}

impl Ratio {
    /// All of its interval is.
    pub fn is_above(self, bound: f64) -> bool {
        self.counts && self.ratio.lo > bound
    }

    /// All of its interval is.
    pub fn is_below(self, bound: f64) -> bool {
        self.counts && self.ratio.hi < bound
    }
}

/// What was measured, to be asked by names.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub groups: &'a [Group],
    pub measured: &'a Measured,
    /// What came of them.
    pub rows: &'a [Row],
}

impl Evidence<'_> {
    /// Whether a group was measured.
    pub fn has(&self, group: &str) -> bool {
        self.groups.iter().any(|other| other.name == group)
    }

    fn values(&self, group: &str, case: &str) -> Option<&[f64]> {
        let at = self.groups.iter().position(|other| other.name == group)?;
        let column = self.groups[at].cases.iter().position(|other| other.name() == case)?;
        Some(self.measured.groups.get(at)?.blocks.values(column))
    }

    /// How many times as long one takes as another, both of one group; `None`: too few blocks.
    pub fn ratio(&self, group: &str, over: &str, under: &str) -> Option<Ratio> {
        self.times(group, over, under, self.values(group, over)?, self.values(group, under)?)
    }

    /// How many times as much one tells of a quantity as another, both of one group, by blocks; `None`: too few blocks.
    pub fn reading_ratio(&self, group: &str, over: &str, under: &str, name: &str) -> Option<Ratio> {
        self.times(group, over, under, &self.told(group, over, name)?, &self.told(group, under, name)?)
    }

    fn times(&self, group: &str, over: &str, under: &str, a: &[f64], b: &[f64]) -> Option<Ratio> {
        let is_theirs =
            |row: &&Row| row.group.as_deref() == Some(group) && (row.name == over || row.name == under);
        let counts = self.rows.iter().filter(is_theirs).all(|row| row.valid);
        ratio(a, b).map(|ratio| Ratio { ratio: ratio.into(), counts })
    }

    /// The median of what the outputs of a case told, and the most that any run told.
    pub fn reading(&self, group: &str, case: &str, name: &str) -> Option<(f64, f64)> {
        let told = self.told(group, case, name)?;
        let most = told.iter().copied().max_by(f64::total_cmp)?;
        Some((median(&told)?, most))
    }

    /// What each run of a case told.
    fn told(&self, group: &str, case: &str, name: &str) -> Option<Vec<f64>> {
        let at = self.groups.iter().position(|other| other.name == group)?;
        let column = self.groups[at].cases.iter().position(|other| other.name() == case)?;
        let readings = &self.groups[at].cases[column].subject.readings;
        let place = readings.iter().position(|reading| reading.name == name)?;
        let samples = &self.measured.groups.get(at)?.samples[column];
        Some(samples.iter().filter_map(|sample| sample.readings.get(place)).copied().collect())
    }
}

/// A ratio in words; it may not be known.
pub fn times(times: Option<Ratio>) -> String {
    match times {
        Some(Ratio { ratio, counts: true }) => with_interval(&ratio),
        Some(Ratio { ratio, counts: false }) => format!("{} [invalid]", with_interval(&ratio)),
        None => "an unknown number of".to_owned(),
    }
}
