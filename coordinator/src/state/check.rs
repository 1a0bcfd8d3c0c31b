//! Whether a coordinator can go on from a state folder, and all that is damaged in it.

use super::{AUTHORITY, trial};
use crate::checksum;
use crate::driver::Driver;
use crate::store::blobs::{Digest, hex};
use crate::store::sqlite::source::Source;
use crate::store::{PluginRecord, Record, StoreError};
use muster_core::id::JobId;
use muster_core::range::RangeSet;
use muster_proto::link::Authority;
use std::path::Path;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The format of the database.
    pub format: i64,
    /// An older muster wrote it. A coordinator brings it up to date when it starts; until then its records are not read.
    pub is_older: bool,
    /// Jobs that are whole.
    pub jobs: u64,
    /// Their kept results, each of which was read.
    pub results: u64,
    /// Plugins that are whole.
    pub plugins: u64,
    /// What is damaged, a line each.
    pub problems: Vec<String>,
}

/// Something that may be damaged.
enum Subject {
    Plugin(PluginRecord),
    Job(JobId),
}

/// Reads everything in a folder, beside the coordinator that may have it.
///
/// # Errors
/// There is no state, or none that this build can read.
pub fn check(folder: &Path) -> Result<Checked, StoreError> {
    let mut source = Source::open(folder)?;
    let mut checked = Checked { format: source.format(), ..Checked::default() };
    checked.problems = source.complaints()?;
    if let Err(error) = Authority::files(&folder.join(AUTHORITY)) {
        checked.problems.push(error.to_string());
    }
    if !source.is_of_this_format() {
        checked.is_older = true;
        return Ok(checked);
    }
    let plugins = source.plugins().unwrap_or_else(|error| note(&mut checked, &error));
    let jobs = source.jobs().unwrap_or_else(|error| note(&mut checked, &error));
    let subjects = plugins.into_iter().map(Subject::Plugin).chain(jobs.into_iter().map(Subject::Job));
    let suspects = checked.look_at(&source, subjects.collect())?;
    // A coordinator removes a file once nothing names it; what this has read before may still do. As it is now:
    source.renew()?;
    let still = |(subject, _): &(Subject, String)| match subject {
        Subject::Plugin(plugin) => source.files().is_ok_and(|files| files.contains(&plugin.digest)),
        Subject::Job(_) => true,
    };
    let suspects = suspects.into_iter().filter(still).map(|(subject, _)| subject).collect();
    let damaged = checked.look_at(&source, suspects)?;
    checked.problems.extend(damaged.into_iter().map(|(_, problem)| problem));
    Ok(checked)
}

fn note<T: Default>(checked: &mut Checked, error: &StoreError) -> T {
    checked.problems.push(error.to_string());
    T::default()
}

impl Checked {
    /// Counts what is whole, and gives back what is not, with the reason.
    fn look_at(
        &mut self,
        source: &Source,
        subjects: Vec<Subject>,
    ) -> Result<Vec<(Subject, String)>, StoreError> {
        let mut driver = trial()?;
        let mut suspects = Vec::new();
        for subject in subjects {
            let found = match &subject {
                Subject::Plugin(plugin) => plugin_is_whole(source, plugin).map(|()| self.plugins += 1),
                Subject::Job(job) => job_is_whole(source, &mut driver, *job).map(|results| {
                    self.jobs += 1;
                    self.results += results;
                }),
            };
            if let Err(problem) = found {
                suspects.push((subject, problem));
            }
        }
        Ok(suspects)
    }
}

fn plugin_is_whole(source: &Source, plugin: &PluginRecord) -> Result<(), String> {
    file_is_whole(source, &plugin.digest)
        .map_err(|problem| format!("plugin {}@{}: {problem}", plugin.name, plugin.version))
}

fn file_is_whole(source: &Source, digest: &Digest) -> Result<(), String> {
    match source.blobs().is_whole(digest) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("the file blobs/{} was changed", hex(digest))),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a job can be taken up and its kept results are those that were committed: how many they are.
fn job_is_whole(source: &Source, driver: &mut Driver, job: JobId) -> Result<u64, String> {
    let of_job = |problem: String| format!("job {}: {problem}", job.0);
    let told = |error: StoreError| of_job(error.to_string());
    for digest in source.files_of(job).map_err(told)? {
        file_is_whole(source, &digest).map_err(of_job)?;
    }
    let records = source.records_of(job).map_err(told)?;
    if records.is_empty() {
        return Ok(0);
    }
    let reduced = records.iter().find_map(|record| match record {
        Record::Reduced { data, .. } => Some(checksum::of_task(0, data)),
        _ => None,
    });
    let expected = driver.examine(job, records).map_err(told)?;
    if let (Some(found), Some(told)) = (reduced, expected.reduced)
        && found != told
    {
        return Err(of_job("its output is not the one that it ended with".to_owned()));
    }
    let Some((committed, sum)) = expected.results else { return Ok(0) };
    let (mut there, mut found) = (RangeSet::new(), 0u64);
    source
        .each_result(job, |piece| {
            there.insert(piece.range);
            found = found.wrapping_add(checksum::of_items(piece.range, &piece.items));
        })
        .map_err(told)?;
    if there != committed {
        let (there, committed) = (there.len(), committed.len());
        return Err(of_job(format!("{there} results are kept of {committed} tasks that have one")));
    }
    if found != sum {
        return Err(of_job(
            "its results are not those that were committed (their checksum is another one)".to_owned(),
        ));
    }
    Ok(there.len())
}
