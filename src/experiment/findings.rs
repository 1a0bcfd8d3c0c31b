//! What experiments find beside times of runs: tables of quantities.

use crate::compare::Spread;
use crate::statistics::{median_interval, quantile};
use serde::Serialize;

/// All of it so far. What is complete is put in at once, so that an experiment that is interrupted keeps what it has.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    pub tables: Vec<Table>,
    /// Sentences, the answer first.
    pub verdict: Vec<String>,
    /// What a reader must know to believe the numbers.
    pub notes: Vec<String>,
}

/// Quantities of several things.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub title: String,
    /// What the first column holds.
    pub of: String,
    pub columns: Vec<Quantity>,
    pub rows: Vec<TableRow>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantity {
    pub name: String,
    /// `s`, `B`, `tasks`, `share`, a word for other counts, or nothing.
    pub unit: &'static str,
}

/// One thing.
#[derive(Clone, Debug, Serialize)]
pub struct TableRow {
    pub name: String,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// One quantity.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// A median with its interval of 95 %, and of how many it is.
    Measured { median: f64, lo: f64, hi: f64, samples: usize },
    /// A number that has no interval: a count, a size, a percentile, the median of too few.
    Number { number: f64 },
    /// Words, as where something cannot be done.
    Text { text: String },
    /// It was not measured.
    Unknown,
}

impl Cell {
    /// The median of values; with its interval from 5 values on.
    pub fn of(values: &[f64]) -> Self {
        match median_interval(values).map(Spread::from) {
            Some(Spread { median, lo, hi }) => Self::Measured { median, lo, hi, samples: values.len() },
            None => crate::statistics::median(values).map_or(Self::Unknown, |number| Self::Number { number }),
        }
    }

    /// A number, or that there is none.
    pub fn number(number: Option<f64>) -> Self {
        number.map_or(Self::Unknown, |number| Self::Number { number })
    }

    /// A quantile, as far as it is known.
    pub fn quantile(values: &[f64], q: f64) -> Self {
        Self::number(quantile(values, q))
    }

    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

impl Table {
    /// Without rows.
    pub fn new(title: impl Into<String>, of: impl Into<String>, columns: &[(&str, &'static str)]) -> Self {
        let columns = columns.iter().map(|&(name, unit)| Quantity { name: name.to_owned(), unit }).collect();
        Self { title: title.into(), of: of.into(), columns, rows: Vec::new() }
    }

    /// One more row.
    pub fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(TableRow { name: name.into(), cells });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_no_interval_and_none_are_unknown() {
        assert_eq!(Cell::of(&[]), Cell::Unknown);
        assert_eq!(Cell::of(&[1.0, 3.0, 2.0]), Cell::Number { number: 2.0 });
        let Cell::Measured { median, lo, hi, samples } = Cell::of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) else {
            panic!("no interval");
        };
        assert!(lo <= median && median <= hi && samples == 6);
        let json =
            serde_json::to_string(&[Cell::number(Some(1.5)), Cell::Unknown, Cell::text("cannot")]).unwrap();
        assert_eq!(json, r#"[{"number":1.5},null,{"text":"cannot"}]"#);
    }
}
