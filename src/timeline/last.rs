//! The single tasks of the last `muster run --trace` whose cluster is gone.

use super::recording::Recording;
use crate::cluster::private_folder;
use crate::exit::{Exit, Failure, Outcome};
use crate::leftover::{Leftover, folder, read};
use crate::output::save;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

const FILE: &str = "trace.json";

/// What was kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Last {
    version: u32,
    /// The number of the job on the cluster that it had.
    pub job: u64,
    /// When it ended, in seconds since 1970.
    pub ended_s: f64,
    pub recording: Recording,
}

impl Leftover for Last {
    const VERSION: u32 = 1;

    fn version(&self) -> u32 {
        self.version
    }
}

/// Keeps what is known of a run, in place of the one before.
pub fn keep(job: u64, recording: Recording) -> Outcome<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let last = Last { version: Last::VERSION, job, ended_s: now.as_secs_f64(), recording };
    let folder = folder()?;
    let failed = |error: std::io::Error| Failure::io(Exit::Storage, "write", &folder, &error);
    private_folder(&folder).map_err(failed)?;
    let text = serde_json::to_vec(&last).map_err(|error| failed(error.into()))?;
    save(&folder.join(format!(".{FILE}")), &text)
}

/// What was kept last; `None`: nothing.
pub fn newest() -> Outcome<Option<Last>> {
    read(&folder()?.join(format!(".{FILE}")))
}
