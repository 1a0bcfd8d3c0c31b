//! Post-mortems of runs whose cluster is gone: a file for each failed run, the last ones kept.

use super::{Object, Replay};
use crate::cluster::private_folder;
use crate::exit::{Exit, Failure};
use crate::leftover::{Leftover, folder, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_proto::v1;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs that are kept.
const RUNS_MAX: usize = 20;
const SUFFIX: &str = ".json";
/// Bytes of inputs that are kept of one run.
const INPUTS_MAX_BYTES: usize = 4 << 20;

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
    /// Where the plugin was named.
    #[serde(default)]
    pub folder: PathBuf,
    /// What it takes to run the failed tasks again.
    #[serde(default)]
    pub cases: KeptCases,
}

/// What failed tasks of one job are run again with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptCases {
    /// The encoded `muster.v1.JobSpec`, in base64.
    spec: String,
    /// By task; none when the job has no inputs.
    inputs: BTreeMap<u64, KeptInput>,
}

/// The input of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptInput {
    /// How long it was.
    bytes: u64,
    /// In base64; none when it was too large to be kept.
    data: Option<String>,
}

impl KeptCases {
    /// Those of a job.
    pub fn new(spec: &v1::JobSpec) -> Self {
        Self { spec: STANDARD.encode(spec.encode_to_vec()), inputs: BTreeMap::new() }
    }

    /// Adds an input, unless there are too many bytes of them already.
    pub fn add(&mut self, task: u64, input: &v1::TaskInput) {
        let kept: usize = self.inputs.values().filter_map(|input| input.data.as_ref()).map(String::len).sum();
        let fits = input.kept && kept / 4 * 3 + input.data.len() <= INPUTS_MAX_BYTES;
        let data = fits.then(|| STANDARD.encode(&input.data));
        self.inputs.insert(task, KeptInput { bytes: input.bytes, data });
    }

    /// What one task is run again with; `None`: it is not known.
    pub fn get(&self, job: u64, tasks: u64, task: u64) -> Option<v1::CaseReply> {
        let spec = v1::JobSpec::decode(&STANDARD.decode(&self.spec).ok()?[..]).ok()?;
        let input = match self.inputs.get(&task) {
            Some(KeptInput { bytes, data: Some(data) }) => {
                Some(v1::TaskInput { bytes: *bytes, kept: true, data: STANDARD.decode(data).ok()?.into() })
            }
            Some(KeptInput { bytes, data: None }) => {
                Some(v1::TaskInput { bytes: *bytes, ..Default::default() })
            }
            None if spec.has_inputs => return None,
            None => None,
        };
        (!self.spec.is_empty()).then_some(v1::CaseReply { job, spec: Some(spec), tasks, input })
    }
}

impl Leftover for Saved {
    const VERSION: u32 = 1;

    fn version(&self) -> u32 {
        self.version
    }
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
    read(&path)
}

impl Saved {
    /// A run that just ended.
    pub fn new(plugin: &str, status: &v1::JobStatus, objects: Vec<Object>, cases: KeptCases) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            version: Self::VERSION,
            ended_s: now.as_secs_f64(),
            plugin: plugin.to_owned(),
            job: status.job,
            state: crate::summary::state_name(status.state()).to_owned(),
            reason: status.reason.clone(),
            tasks: status.tasks,
            failed: status.failed,
            objects,
            folder: std::env::current_dir().unwrap_or_default(),
            cases,
        }
    }

    /// How its tasks are run again, from wherever we are.
    pub fn replay(&self, cluster: Option<String>) -> Replay {
        Replay::from_folder(&self.plugin, &self.folder, cluster)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_kept_up_to_a_limit_and_come_back_as_they_were() {
        let spec = v1::JobSpec { has_inputs: true, seed: 5, ..Default::default() };
        let mut cases = KeptCases::new(&spec);
        let input =
            |bytes: Vec<u8>| v1::TaskInput { bytes: bytes.len() as u64, kept: true, data: bytes.into() };
        cases.add(3, &input(b"\0\xff".to_vec()));
        cases.add(4, &input(vec![7; INPUTS_MAX_BYTES]));
        let text = serde_json::to_vec(&cases).unwrap();
        let cases: KeptCases = serde_json::from_slice(&text).unwrap();
        let found = cases.get(1, 9, 3).unwrap();
        assert_eq!((found.job, found.tasks, found.spec.unwrap().seed), (1, 9, 5));
        assert_eq!(found.input.unwrap().data, &b"\0\xff"[..]);
        let large = cases.get(1, 9, 4).unwrap().input.unwrap();
        assert_eq!((large.kept, large.bytes), (false, INPUTS_MAX_BYTES as u64));
        assert_eq!(cases.get(1, 9, 5), None);
        assert_eq!(KeptCases::default().get(1, 9, 0), None, "of an older muster");
    }
}
