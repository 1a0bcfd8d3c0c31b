//! Named experiments: each repeats a comparison that people make between threads, processes and their kin, and says what
//! came of it here. Those that are about the time of a workload are groups of cases for [`crate::compare`]; those about
//! anything else measure it themselves and give [`Table`]s.

mod claim;
mod cpu;
mod exchange;
mod findings;
mod gil;
mod hybrid;
mod io;
mod mixed;
mod name;
mod python;
mod setting;
mod shared;
mod workloads;

pub use claim::{Claim, Evidence};
pub use findings::{Cell, Findings, Quantity, Table};
pub use name::Name;
pub use setting::Setting;
pub use workloads::Workloads;
