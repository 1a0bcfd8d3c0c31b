//! What `muster simulate` needs around the simulator: which runs there are, threads to run them on, and how their
//! results are compared, shown and written. The simulations themselves are `muster_sim`'s.

mod comparison;
mod ending;
mod figures;
mod folder;
mod metrics;
mod pictures;
mod plan;
mod pool;
mod progress;
mod report;
mod run;
mod summary;
mod tables;
mod timeline;

pub use ending::not_ended;
pub use folder::Folder;
pub use plan::{Plan, apart};
pub use pool::{Finished, Running};
pub use progress::Progress;
pub use report::Report;
pub use summary::summary;
