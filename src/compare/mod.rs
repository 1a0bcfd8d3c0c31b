//! Compares ways to run a workload: measured in blocks ([`course`]), judged by [`crate::statistics`], told in tables and in
//! two sentences ([`verdict`]).

mod assemble;
mod bundle;
mod calibrate;
mod configuration;
mod course;
mod environment;
mod kept;
mod machine;
mod probe;
mod result;
mod steady;
mod subject;
mod table;
mod usage;
mod verdict;

pub use assemble::assemble;
pub use bundle::Run;
pub use configuration::configurations;
pub use course::{End, Limits, Measured, Tell, measure};
pub use environment::Machine;
pub use kept::{Kept, RunFolder, all, find};
pub use machine::Load;
pub use result::Spread;
pub use steady::steadiness;
pub use subject::Subject;
pub use table::{tasks_text, text};
pub use usage::Usage;
pub use verdict::with_interval;
