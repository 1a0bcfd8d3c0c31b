//! Runs that are kept in `.muster/runs`, read again: what [`crate::compare`] wrote, for lists, differences, reports and
//! exports.

mod bundle;
mod comparison;
mod folder;
mod line;
mod samples;

pub use bundle::Bundle;
pub use comparison::{Cell, Claim, Comparison, Group, Plugin, Row, Table, ValueOf};
pub use folder::{RunFolder, all, all_in, find};
pub use line::Line;
pub use samples::{MORE, Sample, TaskSample};
