//! Reports on kept runs: pages of one file that load nothing ([`page`]), and tables for other programs ([`export`]).
//! Reads what `muster compare` and experiments keep, and measures nothing.

mod across;
mod chart;
mod download;
pub mod export;
mod grid;
mod html;
mod page;
mod part;
mod row;
mod section;
mod sweep;
mod words;

pub use page::page;

/// By this line a report is known for one.
pub const MARK: &str = "<meta name=\"generator\" content=\"muster report\">";
