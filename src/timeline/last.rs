//! The single tasks of the last `muster run --trace` whose cluster is gone.

use super::recording::Recording;
use crate::cluster::private_folder;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::save;
use muster_proto::link::AccessFolder;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The format of the file.
const VERSION: u32 = 1;
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

fn folder() -> Result<PathBuf, Failure> {
    Ok(AccessFolder::state_home()?.join("runs"))
}

/// Keeps what is known of a run, in place of the one before.
pub fn keep(job: u64, recording: Recording) -> Outcome<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let last = Last { version: VERSION, job, ended_s: now.as_secs_f64(), recording };
    let folder = folder()?;
    let failed = |error: std::io::Error| Failure::io(Exit::Storage, "write", &folder, &error);
    private_folder(&folder).map_err(failed)?;
    let text = serde_json::to_vec(&last).map_err(|error| failed(error.into()))?;
    save(&folder.join(format!(".{FILE}")), &text)
}

/// What was kept last; `None`: nothing.
pub fn newest() -> Outcome<Option<Last>> {
    let path = folder()?.join(format!(".{FILE}"));
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io(Exit::Storage, "read", &path, &error)),
    };
    let damaged = |why: String| {
        Failure::new(Exit::Storage, format_args!("{} cannot be read: {why}", path.display()))
            .hint("remove it")
    };
    let last: Last = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if last.version != VERSION {
        return Err(damaged(format!("it has format {}, this muster reads {VERSION}", last.version)));
    }
    Ok(Some(last))
}
