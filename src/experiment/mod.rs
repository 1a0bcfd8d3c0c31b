//! Named experiments: each repeats a comparison that people make between threads, processes and their kin, and says what
//! came of it here. Those that are about the time of a workload are groups of cases for [`crate::compare`]; those about
//! anything else measure it themselves and give [`Table`]s.

mod bare;
mod claim;
mod cpu;
mod crowd;
mod exchange;
mod findings;
mod gil;
mod hybrid;
mod interruption;
mod io;
mod isolation;
mod lifecycle;
mod memory;
mod mixed;
mod name;
mod overhead;
mod passing;
mod pinned;
mod python;
mod rounds;
mod setting;
mod shape;
mod shared;
mod stated;
mod strike;
mod switching;
mod text;
pub mod tour;
mod versus;
mod workloads;

pub use bare::{hold, run_if_bare};
pub use claim::{Claim, Evidence};
pub use findings::{Cell, Findings, Quantity, Table};
pub use name::Name;
pub use setting::Setting;
pub use stated::stated;
pub use text::tables as tables_text;
pub use workloads::Workloads;
