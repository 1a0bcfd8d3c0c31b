//! The outputs of a job's tasks on their way to a file, a folder or stdout, in index order.

mod file;
mod folder;
mod render;
mod sink;
mod target;
mod whole;

pub use render::{output_line, reduced_text};
pub use sink::{Sink, SinkError};
pub use target::Target;
pub use whole::{is_free_for, save};
