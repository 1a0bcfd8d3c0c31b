//! What is known of single tasks over time, and its drawing: a file in the Trace Event Format (JSON), which Perfetto and
//! Chrome's `about:tracing` show.
//!
//! Source: Nat Duca and Dan Sinclair, "Trace Event Format", the Chromium project.

mod event;
mod kept;
mod lanes;
mod last;
mod recording;
mod trace;

pub use kept::recordings;
pub use last::{Last, keep, newest};
pub use recording::Recording;
pub use trace::{MARK, Trace};
