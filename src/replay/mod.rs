//! One task of a job, run again by itself: with the parameters, the seed, the index and the input that it had.

mod alone;
mod case;
mod debugger;
mod direct;
mod pull;

pub use alone::{Ending, alone};
pub use case::{Case, of_cluster, of_last_run};
pub use debugger::{Debugger, under};
pub use direct::run_if_direct;
pub use pull::pull;
