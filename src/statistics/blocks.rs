//! The values of a comparison: one for each block and configuration.

use thiserror::Error;

/// No comparison has more blocks: the exact test takes time with the cube of their number.
pub const BLOCKS_MAX: usize = 1_000;
/// Two configurations and the twin.
const COLUMNS_MIN: usize = 3;

/// The column that runs the baseline a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Where its values are.
    pub column: usize,
    /// The column of the configuration that it repeats.
    pub baseline: usize,
}

/// Values in seconds by block and column. A column is a configuration or the twin; each value is finite and above 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    twin: Twin,
    columns: Vec<Vec<f64>>,
}

/// What cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum Refused {
    /// There is nothing to compare with.
    #[error("{columns} columns: a comparison needs at least two configurations and the twin")]
    TooFewColumns {
        /// How many there are, with the twin's.
        columns: usize,
    },
    /// The twin is no column, or no other than its baseline.
    #[error(
        "twin in column {} of the baseline in column {}: they must be two of the {columns} columns, counted from 0",
        twin.column, twin.baseline
    )]
    Twin {
        /// The twin as given.
        twin: Twin,
        /// How many columns there are.
        columns: usize,
    },
    /// A block with too many values, or too few.
    #[error("a block of {found} values: each of the {columns} columns must have one")]
    Width {
        /// How many values came.
        found: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// A value that has no logarithm.
    #[error(
        "column {column} took {value} seconds: a value must be a finite number above 0; leave out the whole block"
    )]
    Value {
        /// Where it was.
        column: usize,
        /// What came.
        value: f64,
    },
    /// There are [`BLOCKS_MAX`] blocks already.
    #[error("there are {BLOCKS_MAX} blocks already, and a comparison has no more")]
    Full,
}

impl Blocks {
    /// No blocks yet. `columns` counts the configurations and the twin.
    ///
    /// # Errors
    /// [`Refused::TooFewColumns`] or [`Refused::Twin`].
    pub fn new(columns: usize, twin: Twin) -> Result<Self, Refused> {
        if columns < COLUMNS_MIN {
            return Err(Refused::TooFewColumns { columns });
        }
        if twin.column == twin.baseline || twin.column.max(twin.baseline) >= columns {
            return Err(Refused::Twin { twin, columns });
        }
        Ok(Self { twin, columns: vec![Vec::new(); columns] })
    }

    /// One more block: the seconds of each column.
    ///
    /// # Errors
    /// [`Refused::Width`], [`Refused::Value`] or [`Refused::Full`]; nothing of the block is kept then.
    pub fn push(&mut self, block: &[f64]) -> Result<(), Refused> {
        if block.len() != self.columns.len() {
            return Err(Refused::Width { found: block.len(), columns: self.columns.len() });
        }
        let is_wrong = |value: &f64| !(value.is_finite() && *value > 0.0);
        if let Some(column) = block.iter().position(is_wrong) {
            return Err(Refused::Value { column, value: block[column] });
        }
        if self.len() == BLOCKS_MAX {
            return Err(Refused::Full);
        }
        for (column, value) in self.columns.iter_mut().zip(block) {
            column.push(*value);
        }
        Ok(())
    }

    /// How many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns[0].len()
    }

    /// Whether there is no block yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which column is the twin.
    #[must_use]
    pub const fn twin(&self) -> Twin {
        self.twin
    }

    /// The columns that are compared: all but the twin.
    pub fn configurations(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let twin = self.twin.column;
        (0..self.columns.len()).filter(move |column| *column != twin)
    }

    /// How many pairs of configurations there are.
    #[must_use]
    pub fn pairs(&self) -> usize {
        let configurations = self.columns.len() - 1;
        configurations * (configurations - 1) / 2
    }

    /// The seconds of one column in the order of blocks.
    ///
    /// # Panics
    /// When there is no such column.
    #[must_use]
    pub fn values(&self, column: usize) -> &[f64] {
        &self.columns[column]
    }

    /// The values of one column as multiples of their block's geometric mean, in the order of blocks. How fast the
    /// machine was in a block is not in them. The twin has no part in the mean: the baseline would count twice.
    ///
    /// # Panics
    /// When there is no such column.
    #[must_use]
    pub fn relative(&self, column: usize) -> Vec<f64> {
        let values = self.columns[column].iter().enumerate();
        values.map(|(block, value)| (value.ln() - self.log_mean(block)).exp()).collect()
    }

    /// The mean logarithm of a block's configurations.
    fn log_mean(&self, block: usize) -> f64 {
        let sum: f64 = self.configurations().map(|column| self.columns[column][block].ln()).sum();
        sum / (self.columns.len() - 1) as f64
    }
}

/// Blocks in which the second configuration takes these seconds, the first one and its twin always 1.
#[cfg(test)]
pub(super) fn beside(seconds: &[f64]) -> Blocks {
    let mut blocks = Blocks::new(3, Twin { column: 2, baseline: 0 }).expect("two configurations and a twin");
    for second in seconds {
        blocks.push(&[1.0, *second, 1.0]).expect("positive seconds");
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWIN: Twin = Twin { column: 2, baseline: 0 };

    #[test]
    fn what_is_no_comparison_is_refused() {
        assert_eq!(Blocks::new(2, TWIN), Err(Refused::TooFewColumns { columns: 2 }));
        for twin in [Twin { column: 3, baseline: 0 }, Twin { column: 1, baseline: 1 }] {
            assert_eq!(Blocks::new(3, twin), Err(Refused::Twin { twin, columns: 3 }));
        }
    }

    #[test]
    fn what_has_no_logarithm_is_refused_and_nothing_of_it_kept() {
        let mut blocks = Blocks::new(3, TWIN).unwrap();
        for value in [0.0, -0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let refused = blocks.push(&[1.0, value, 1.0]).unwrap_err();
            assert!(matches!(refused, Refused::Value { column: 1, .. }), "{refused}");
        }
        assert_eq!(blocks.push(&[1.0; 2]), Err(Refused::Width { found: 2, columns: 3 }));
        assert!(blocks.is_empty());
        let refused = blocks.push(&[1.0, 0.0, 1.0]).unwrap_err().to_string();
        let said =
            "column 1 took 0 seconds: a value must be a finite number above 0; leave out the whole block";
        assert_eq!(refused, said);
    }

    #[test]
    fn there_is_an_end_to_blocks() {
        let mut blocks = Blocks::new(3, TWIN).unwrap();
        for _ in 0..BLOCKS_MAX {
            blocks.push(&[1.0; 3]).unwrap();
        }
        assert_eq!(blocks.push(&[1.0; 3]), Err(Refused::Full));
        assert_eq!(blocks.len(), BLOCKS_MAX);
    }

    #[test]
    fn relative_values_know_nothing_of_the_machine() {
        let mut blocks = Blocks::new(3, TWIN).unwrap();
        blocks.push(&[1.0, 4.0, 100.0]).unwrap();
        blocks.push(&[10.0, 40.0, 0.1]).unwrap();
        for (found, expected) in blocks.relative(1).iter().zip([2.0, 2.0]) {
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
        assert_eq!((blocks.pairs(), blocks.configurations().collect::<Vec<_>>()), (1, vec![0, 1]));
    }
}
