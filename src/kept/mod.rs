//! Runs that are kept in `.muster/runs`, read again: what [`crate::compare`] wrote, for lists, differences, reports and
//! exports.

mod bundle;
mod comparison;
mod folder;
mod samples;

pub use bundle::Bundle;
pub use comparison::{Cell, Claim, Comparison, Group, Plugin, Row, Table, ValueOf};
pub use folder::{RunFolder, all, find};
pub use samples::{MORE, Sample, TaskSample};
