//! Named experiments: each repeats a comparison that people make between threads, processes and their kin, and says what
//! came of it here. Those that are about the time of a workload are groups of cases for [`crate::compare`]; those about
//! anything else measure it themselves and give [`Table`]s.

mod findings;
mod setting;

pub use findings::{Cell, Findings, Quantity, Table};
pub use setting::Setting;
