//! Comparisons that are kept on the coordinator's machine. What they hold and how they are drawn is known to whoever started
//! the coordinator; here they are listed and served.

use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Debug;
use std::path::PathBuf;

/// Runs that a list has at most.
pub const LISTED_MAX: usize = 200;
/// A report loads nothing and runs nothing; its style and its charts are within it.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-downloads";

/// Where kept comparisons are.
pub trait Reports: Debug + Send + Sync {
    /// The folder.
    fn folder(&self) -> PathBuf;

    /// The newest `max`, newest first, and how many there are.
    ///
    /// # Errors
    /// Why the folder cannot be read.
    fn list(&self, max: usize) -> Result<(Vec<Report>, usize), String>;

    /// A run as an HTML page that loads nothing; `None`: there is no such run.
    ///
    /// # Errors
    /// Why it cannot be drawn.
    fn page(&self, run: u64) -> Result<Option<String>, String>;
}

/// A line of the list. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Its number.
    #[serde(skip)]
    pub run: u64,
    /// When it was last written, Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_s: Option<f64>,
    /// The experiment, or the plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Tasks of each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
    /// Blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why nothing more is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What the view shows.
pub fn state(reports: Option<&dyn Reports>) -> Value {
    let Some(kept) = reports else { return json!({ "reports": {}, "all": 0 }) };
    match kept.list(LISTED_MAX) {
        Ok((lines, all)) => {
            let lines: Map<String, Value> =
                lines.into_iter().map(|line| (line.run.to_string(), json!(line))).collect();
            json!({ "folder": kept.folder().display().to_string(), "reports": lines, "all": all })
        }
        Err(error) => json!({ "error": error }),
    }
}
