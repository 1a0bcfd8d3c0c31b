//! Runs that are kept in `.muster/runs`, read again: what [`crate::compare`] wrote, for lists, differences, reports and
//! exports.

mod bundle;
mod comparison;
mod folder;
mod samples;

pub use bundle::Bundle;
pub use comparison::{Cell, Claim, Comparison, Group, Measure, Plugin, Row, Table};
pub use folder::{Kept, KeptPlugin, KeptRow, RunFolder, all, find};
pub use samples::{MORE, Sample, TaskSample};
