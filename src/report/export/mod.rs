//! Runs as one tidy table: a line for each observation, a column for each variable (Wickham, "Tidy Data", Journal of
//! Statistical Software 59, 2014), whatever runs they come from.

mod csv;
#[cfg(feature = "parquet")]
mod parquet;
mod tidy;

pub use csv::csv;
#[cfg(feature = "parquet")]
pub use parquet::parquet;
pub use tidy::{Tidy, samples, tasks};
