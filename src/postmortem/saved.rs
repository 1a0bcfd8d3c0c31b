//! Post-mortems of runs whose cluster is gone: a file for each failed run, the last ones kept.

use super::Object;
use crate::cluster::private_folder;
use crate::exit::{Exit, Failure};
use muster_proto::link::AccessFolder;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The format of the files.
const VERSION: u32 = 1;
/// Runs that are kept.
const RUNS_MAX: usize = 20;
const SUFFIX: &str = ".json";

/// What is kept of a failed run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    pub version: u32,
    /// When it ended, in seconds since 1970.
    pub ended_s: f64,
    /// The plugin, as it was given.
    pub plugin: String,
    pub job: u64,
    pub state: String,
    pub reason: String,
    pub tasks: u64,
    pub failed: u64,
    pub objects: Vec<Object>,
}

fn folder() -> Result<PathBuf, Failure> {
    Ok(AccessFolder::state_home()?.join("runs"))
}

/// Keeps what is known of a failed run.
pub fn save(saved: &Saved) -> Result<(), Failure> {
    let folder = folder()?;
    let failed = |error: std::io::Error| Failure::io(Exit::Storage, "write", &folder, &error);
    private_folder(&folder).map_err(failed)?;
    let text = serde_json::to_vec(saved).map_err(|error| failed(error.into()))?;
    let name = format!("{:020}-{}", (saved.ended_s * 1e6) as u64, std::process::id());
    // Whole or not at all, whoever looks meanwhile.
    let unfinished = folder.join(format!(".{name}"));
    std::fs::write(&unfinished, text)
        .and_then(|()| std::fs::rename(&unfinished, folder.join(format!("{name}{SUFFIX}"))))
        .map_err(failed)?;
    for old in files(&folder).iter().rev().skip(RUNS_MAX) {
        // Another run may have removed it.
        let _ = std::fs::remove_file(old);
    }
    Ok(())
}

/// The newest failed run; `None`: there is none.
pub fn newest() -> Result<Option<Saved>, Failure> {
    let folder = folder()?;
    let Some(path) = files(&folder).pop() else { return Ok(None) };
    let text = std::fs::read(&path).map_err(|error| Failure::io(Exit::Storage, "read", &path, &error))?;
    let damaged = |why: String| {
        Failure::new(Exit::Storage, format_args!("{} cannot be read: {why}", path.display()))
            .hint("remove it")
    };
    let saved: Saved = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if saved.version != VERSION {
        return Err(damaged(format!("it has format {}, this muster reads {VERSION}", saved.version)));
    }
    Ok(Some(saved))
}

impl Saved {
    /// A run that just ended.
    pub fn new(plugin: &str, status: &muster_proto::v1::JobStatus, objects: Vec<Object>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            version: VERSION,
            ended_s: now.as_secs_f64(),
            plugin: plugin.to_owned(),
            job: status.job,
            state: crate::summary::state_name(status.state()).to_owned(),
            reason: status.reason.clone(),
            tasks: status.tasks,
            failed: status.failed,
            objects,
        }
    }
}

/// The files, the oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = listed
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.ends_with(SUFFIX) && !name.starts_with('.'))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}
