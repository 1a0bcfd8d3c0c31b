//! Why tasks failed, in words and as JSON: causes, what helps, and reports that outlive their cluster.

mod cause;
mod log;
mod object;
mod saved;
mod suggestion;
mod task;
mod text;

pub use log::LogText;
pub use object::Object;
pub use saved::{Saved, newest, save};
pub use task::TaskOf;
pub use text::{job_text, task_text};
