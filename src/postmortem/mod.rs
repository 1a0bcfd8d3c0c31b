//! Why tasks failed, in words and as JSON: causes, what helps, and reports that outlive their cluster.

mod cause;
mod lines;
mod log;
mod object;
mod replay;
mod saved;
mod suggestion;
mod task;
mod text;

pub use lines::{last_lines, told};
pub use log::LogText;
pub use object::Object;
pub use replay::Replay;
pub use saved::{KeptCases, Saved, newest, save};
pub use task::TaskOf;
pub use text::{job_text, task_text};
