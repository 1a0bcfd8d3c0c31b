//! What people claim about threads, processes and their kin, held against what was measured here.

use crate::compare::{Group, Measured, Spread, with_interval};
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
    pub fn above(ratio: Option<Spread>, bound: f64) -> Self {
        match ratio {
            Some(ratio) if ratio.lo > bound => Self::Yes,
            Some(ratio) if ratio.hi < bound => Self::No,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// What was measured, to be asked by names.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub groups: &'a [Group],
    pub measured: &'a Measured,
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
    pub fn ratio(&self, group: &str, over: &str, under: &str) -> Option<Spread> {
        ratio(self.values(group, over)?, self.values(group, under)?).map(Spread::from)
    }

    /// How many times as much one tells of a quantity as another, both of one group, by blocks; `None`: too few blocks.
    pub fn reading_ratio(&self, group: &str, over: &str, under: &str, name: &str) -> Option<Spread> {
        ratio(&self.told(group, over, name)?, &self.told(group, under, name)?).map(Spread::from)
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
pub fn times(ratio: Option<Spread>) -> String {
    ratio.map_or_else(|| "an unknown number of".to_owned(), |ratio| with_interval(&ratio))
}
