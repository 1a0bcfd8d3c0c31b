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
mod kept;
mod machine;
pub mod matrix;
mod probe;
mod reading;
mod result;
mod steady;
mod subject;
mod table;
mod usage;
mod verdict;

pub use assemble::assemble;
pub use bundle::{COMPARISON, Run, SAMPLES};
pub use configuration::{Configuration, configurations};
pub use course::{End, Limits, Measured, Tell, measure};
pub use environment::Machine;
pub use fail::{Failed, failed};
pub use file::{Written, is_file, read as read_file};
pub use group::{Case, Factors, Group};
pub use inputs::Inputs;
pub use kept::{Kept, KeptPlugin, KeptRow, RunFolder, all, find};
pub use machine::Load;
pub use probe::CANCELS;
pub use reading::{From as ReadingFrom, Reading};
pub use result::{Cluster, Comparison, Spread};
pub use steady::steadiness;
pub use subject::Subject;
pub use table::{tasks_text, text};
pub use usage::Usage;
pub use verdict::{percent, time_with_interval, with_interval};
