//! When a comparison is a failure, for CI.

use super::measure::Measure;
use super::result::{Comparison, Row};
use super::verdict::time_with_interval;
use crate::cli::quantity;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// A condition under which it fails.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A row's name, or its model; every row without it.
    pub row: Option<String>,
    /// It takes longer than this one,
    pub slower_than: Option<Other>,
    /// by more than this share.
    #[serde(default, deserialize_with = "share")]
    pub by: f64,
    /// It takes longer than this.
    #[serde(default, deserialize_with = "time")]
    pub time_above: Option<Duration>,
    /// Its p95 latency is higher than this.
    #[serde(default, deserialize_with = "time")]
    pub p95_above: Option<Duration>,
}

/// What a row is held against.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// The first row of its group.
    Baseline,
    /// The best row of its group.
    Best,
}

/// What came of all conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// For sure: the whole interval is beyond.
    pub failed: Vec<String>,
    /// It cannot be known: too few blocks, or an invalid row.
    pub unknown: Vec<String>,
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    quantity::percent(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    quantity::duration(&String::deserialize(from)?).map(Some).map_err(serde::de::Error::custom)
}

impl Condition {
    /// Whether it is about a row of this name and model.
    pub fn is_about(&self, name: &str, model: &str) -> bool {
        self.row.as_deref().is_none_or(|row| row == name || row == model)
    }

    fn look(&self, row: &Row, measure: Measure, found: &mut Failed) {
        let name = row.full_name();
        let ratio = match self.slower_than {
            Some(Other::Baseline) => Some(row.ratio_to_baseline),
            Some(Other::Best) => Some(row.ratio_to_best),
            None => None,
        };
        // The row that others are held against has no ratio to itself.
        let is_itself = row.claim == "best" && self.slower_than == Some(Other::Best) || row.is_baseline;
        match ratio {
            Some(_) if is_itself => {}
            Some(_) if row.valid && row.overload => {
                found.failed.push(format!("{name} cannot keep up with the arrivals"));
            }
            Some(Some(ratio)) if row.valid && ratio.lo > 1.0 + self.by => {
                found.failed.push(format!("{name} {}", measure.times_as_much(&ratio)));
            }
            Some(Some(_)) if row.valid => {}
            Some(_) => found.unknown.push(name.clone()),
            None => {}
        }
        for (limit, value, what) in [
            (self.time_above, row.time_s, "takes"),
            (self.p95_above, row.latency_p95_s, "has a p95 latency of"),
        ] {
            match (limit, value.filter(|_| row.valid)) {
                (Some(limit), Some(value)) if value.lo > limit.as_secs_f64() => {
                    found.failed.push(format!("{name} {what} {}", time_with_interval(&value)));
                }
                (Some(_), None) => found.unknown.push(name.clone()),
                (Some(_) | None, _) => {}
            }
        }
    }
}

/// Holds a comparison against conditions.
pub fn failed(conditions: &[Condition], comparison: &Comparison) -> Failed {
    let mut found = Failed::default();
    for condition in conditions {
        for row in comparison.rows.iter().filter(|row| condition.is_about(&row.name, row.model)) {
            condition.look(row, comparison.measure, &mut found);
        }
    }
    found.unknown.dedup();
    found
}
