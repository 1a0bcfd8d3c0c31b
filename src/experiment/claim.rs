//! What people claim about threads, processes and their kin, held against what was measured here.

use crate::compare::{Group, Measured, Row, Spread, with_interval};
use crate::statistics::{median, ratio};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeSet;

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

    /// Of two ways that a claim is about.
    pub const fn of_both(one: Self, other: Self) -> Self {
        match (one, other) {
            (Self::Yes, Self::Yes) => Self::Yes,
            (Self::No, Self::No) => Self::No,
            (Self::Yes, Self::No) | (Self::No, Self::Yes) => Self::Depends,
            _ => Self::Unknown,
        }
    }

    /// Whether a ratio is about a number, a quarter more or less.
    pub fn about(ratio: Option<Ratio>, number: f64) -> Self {
        match (Self::above(ratio, 0.75 * number), Self::above(ratio, 1.25 * number)) {
            (Self::Yes, Self::No) => Self::Yes,
            (Self::No, _) | (_, Self::Yes) => Self::No,
            _ => Self::Unknown,
        }
    }
}

/// How many times as much one is as another.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    ratio: Spread,
    /// The share of the processors that something else used, by which either may have been slower, 0 where both rows are
    /// valid; `None`: a row is invalid for another reason, and nothing is claimed of it.
    disturbed: Option<f64>,
}

impl Ratio {
    /// All of its interval is, whatever else used the machine.
    pub fn is_above(self, bound: f64) -> bool {
        self.disturbed.is_some_and(|share| self.ratio.lo * (1.0 - share) > bound)
    }

    /// All of its interval is, whatever else used the machine.
    pub fn is_below(self, bound: f64) -> bool {
        self.disturbed.is_some_and(|share| self.ratio.hi < bound * (1.0 - share))
    }
}

/// What was measured, to be asked by names.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    groups: &'a [Group],
    measured: &'a Measured,
    /// What came of them.
    rows: &'a [Row],
    /// Where it is noted which rows are asked for.
    asked: Option<&'a Asked>,
}

/// Groups and rows, by their names.
type Asked = RefCell<BTreeSet<(String, String)>>;

/// Leaves only those rows that claims ask for.
pub fn keep_asked(groups: &mut Vec<Group>, claims: impl FnOnce(Evidence<'_>) -> Vec<Claim>) {
    let (nothing, asked) = (Measured::nothing(), Asked::default());
    claims(Evidence { asked: Some(&asked), ..Evidence::of(groups, &nothing, &[]) });
    let asked = asked.into_inner();
    for group in &mut *groups {
        let name = group.name.clone();
        group.cases.retain(|case| asked.contains(&(name.clone(), case.name().to_owned())));
    }
    groups.retain(|group| !group.cases.is_empty());
}

impl<'a> Evidence<'a> {
    /// Of groups that were measured.
    pub const fn of(groups: &'a [Group], measured: &'a Measured, rows: &'a [Row]) -> Self {
        Self { groups, measured, rows, asked: None }
    }

    /// Whether a group was measured.
    pub fn has(&self, group: &str) -> bool {
        self.groups.iter().any(|other| other.name == group)
    }

    fn values(&self, group: &str, case: &str) -> Option<&[f64]> {
        let (at, column) = self.place(group, case)?;
        Some(self.measured.groups.get(at)?.blocks.values(column))
    }

    /// Where a row is: which group, which case.
    fn place(&self, group: &str, case: &str) -> Option<(usize, usize)> {
        if let Some(asked) = self.asked {
            asked.borrow_mut().insert((group.to_owned(), case.to_owned()));
        }
        let at = self.groups.iter().position(|other| other.name == group)?;
        Some((at, self.groups[at].cases.iter().position(|other| other.name() == case)?))
    }

    /// How many times as long one takes as another, both of one group; `None`: too few blocks.
    pub fn ratio(&self, group: &str, over: &str, under: &str) -> Option<Ratio> {
        let (over_values, under_values) = (self.values(group, over), self.values(group, under));
        self.times(group, over, under, over_values?, under_values?)
    }

    /// How many times as much one tells of a quantity as another, both of one group, by blocks; `None`: too few blocks.
    pub fn reading_ratio(&self, group: &str, over: &str, under: &str, name: &str) -> Option<Ratio> {
        let (over_told, under_told) = (self.told(group, over, name), self.told(group, under, name));
        self.times(group, over, under, &over_told?, &under_told?)
    }

    fn times(&self, group: &str, over: &str, under: &str, a: &[f64], b: &[f64]) -> Option<Ratio> {
        let is_theirs =
            |row: &&Row| row.group.as_deref() == Some(group) && (row.name == over || row.name == under);
        let shares = self.rows.iter().filter(is_theirs).map(Row::disturbed);
        let disturbed = shares.reduce(|most, share| Some(most?.max(share?))).unwrap_or(Some(0.0));
        ratio(a, b).map(|ratio| Ratio { ratio: ratio.into(), disturbed })
    }

    /// The median of what the outputs of a case told, and the most that any run told.
    pub fn reading(&self, group: &str, case: &str, name: &str) -> Option<(f64, f64)> {
        let told = self.told(group, case, name)?;
        let most = told.iter().copied().max_by(f64::total_cmp)?;
        Some((median(&told)?, most))
    }

    /// What each run of a case told.
    fn told(&self, group: &str, case: &str, name: &str) -> Option<Vec<f64>> {
        let (at, column) = self.place(group, case)?;
        let readings = &self.groups[at].cases[column].subject.readings;
        let place = readings.iter().position(|reading| reading.name == name)?;
        let samples = &self.measured.groups.get(at)?.samples[column];
        Some(samples.iter().filter_map(|sample| sample.readings.get(place)).copied().collect())
    }
}

/// A ratio in words; it may not be known.
pub fn times(times: Option<Ratio>) -> String {
    match times {
        Some(Ratio { ratio, disturbed: Some(0.0) }) => with_interval(&ratio),
        Some(Ratio { ratio, .. }) => format!("{} [invalid]", with_interval(&ratio)),
        None => "an unknown number of".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_used_the_machine_must_not_decide() {
        let ratio = |disturbed| Some(Ratio { ratio: Spread { median: 2.0, lo: 1.8, hi: 2.2 }, disturbed });
        assert_eq!(Holds::above(ratio(Some(0.0)), 1.7), Holds::Yes);
        assert_eq!(Holds::above(ratio(Some(0.03)), 1.7), Holds::Yes, "1.746 is above");
        assert_eq!(Holds::above(ratio(Some(0.1)), 1.7), Holds::Unknown, "1.62 is not");
        assert_eq!(Holds::above(ratio(Some(0.03)), 2.3), Holds::No);
        assert_eq!(Holds::above(ratio(Some(0.1)), 2.3), Holds::Unknown);
        assert_eq!(Holds::above(ratio(None), 1.0), Holds::Unknown, "it is invalid for another reason");
        assert_eq!(Holds::above(None, 1.0), Holds::Unknown);
        for (number, holds) in [(2.0, Holds::Yes), (1.5, Holds::Unknown), (1.0, Holds::No), (4.0, Holds::No)]
        {
            assert_eq!(Holds::about(ratio(Some(0.0)), number), holds, "{number}");
        }
        assert_eq!(times(ratio(None)), "2.00 (1.80-2.20) [invalid]");
        assert_eq!(times(ratio(Some(0.03))), "2.00 (1.80-2.20) [invalid]");
        assert_eq!(times(ratio(Some(0.0))), "2.00 (1.80-2.20)");
    }
}
