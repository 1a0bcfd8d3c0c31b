//! Compares ways to run a workload: measured in blocks ([`course`]), judged by [`crate::statistics`], told in tables and in
//! two sentences ([`verdict`]).

mod across;
mod assemble;
mod bundle;
mod calibrate;
mod configuration;
mod course;
mod environment;
mod fail;
mod file;
mod front;
mod group;
mod inputs;
mod invalid;
mod latency;
mod machine;
pub mod matrix;
mod measure;
mod probe;
mod reading;
mod result;
mod sample;
mod steady;
mod subject;
mod table;
mod tasks;
mod usage;
mod verdict;

pub use assemble::assemble;
pub use bundle::{COMPARISON, RUNS, Run, SAMPLES, TASKS};
pub use configuration::{Configuration, Configurations, configurations};
pub use course::{End, Limits, Measured, Tell, measure};
pub use environment::Machine;
pub use fail::{Failed, failed};
#[cfg(fuzzing)]
pub use file::parse as parse_file;
pub use file::{Written, is_file, read as read_file};
pub use group::{Case, Factors, Group};
pub use inputs::Inputs;
pub use machine::Load;
pub use measure::{Measure, open_tasks};
pub use probe::CANCELS;
pub use reading::{From as ReadingFrom, Reading};
pub use result::{Cluster, Comparison, Row, Shares, Spread};
pub use steady::steadiness;
pub use subject::Subject;
pub use table::{tasks_text, text};
pub use tasks::P95_TASKS_MIN;
pub use usage::Usage;
pub use verdict::{time_text, time_with_interval, with_interval};
