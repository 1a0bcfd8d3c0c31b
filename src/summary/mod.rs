//! What is said about a job at its end: numbers first, then people.

mod explain;
mod open_loop;
mod quantity;
mod report;
mod table;
mod times;
mod words;

pub use explain::{Before, before, where_time_went};
pub use muster_proto::hex;
pub use open_loop::{OpenLoop, fell_behind, pattern};
pub use quantity::{measured, percent, plain, quantity};
pub use report::{Facts, Report};
pub use table::{Column, bytes, list, list_and_left_out, number, pairs, paragraph, seconds};
pub use times::{at, secs, sketch};
pub use words::{counted, shape, state_name, why_stand_ins, workers_of_slots};
