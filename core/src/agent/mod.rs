//! What a worker does with the tasks it was given.

mod io;

pub use io::{ExitCause, Grant, Input, Output, PluginKey};
