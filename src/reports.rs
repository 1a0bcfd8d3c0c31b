//! Kept runs for the coordinator's live page.

use crate::compare::{COMPARISON, SAMPLES};
use crate::exit::Failure;
use crate::kept::{Bundle, Line, RunFolder, all_in};
use crate::report::page;
use muster_coordinator::page::{Report, Reports};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// When a run's files were written, as far as they are there.
type Stamp = [Option<SystemTime>; 2];

/// A folder of kept runs. A run is read again when its files have changed.
#[derive(Debug)]
pub struct KeptReports {
    folder: PathBuf,
    lines: Mutex<BTreeMap<u64, (Stamp, Report)>>,
}

impl KeptReports {
    /// The runs of a folder, which need not be there yet.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, lines: Mutex::new(BTreeMap::new()) }
    }
}

impl Reports for KeptReports {
    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    fn list(&self, max: usize) -> Result<(Vec<Report>, usize), String> {
        let runs = all_in(&self.folder).map_err(|failure| words(&failure))?;
        let (all, newest) = (runs.len(), runs.into_iter().take(max));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *lines);
        let listed = newest.map(|run| {
            let stamp = stamp(&run);
            // What could not be read may be readable now.
            let known = known.remove(&run.number);
            let known = known.filter(|(before, report)| *before == stamp && report.problem.is_none());
            let report = known.map_or_else(|| read(&run, stamp), |(_, report)| report);
            lines.insert(run.number, (stamp, report.clone()));
            report
        });
        Ok((listed.collect(), all))
    }

    fn page(&self, run: u64) -> Result<Option<String>, String> {
        let runs = all_in(&self.folder).map_err(|failure| words(&failure))?;
        let Some(run) = runs.iter().find(|known| known.number == run) else { return Ok(None) };
        let drawn = Bundle::read(run).and_then(|bundle| page(&[bundle]));
        drawn.map(Some).map_err(|failure| words(&failure))
    }
}

fn words(failure: &Failure) -> String {
    failure.message().to_owned()
}

fn stamp(run: &RunFolder) -> Stamp {
    [COMPARISON, SAMPLES].map(|name| std::fs::metadata(run.path.join(name)).and_then(|it| it.modified()).ok())
}

fn read(run: &RunFolder, stamp: Stamp) -> Report {
    let line = Line::read(run);
    let written = stamp.iter().flatten().max().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    Report {
        run: run.number,
        written_s: written.map(|since| since.as_secs_f64().round()),
        what: line.what().map(str::to_owned),
        tasks: line.tasks,
        blocks: line.blocks,
        verdict: line.verdict,
        problem: line.problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_listed_and_read_again_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptReports::new(folder.path().join("runs"));
        assert_eq!(kept.list(5), Ok((Vec::new(), 0)), "the folder is not there yet");
        assert_eq!(kept.page(1), Ok(None));
        for run in ["1", "2", "3", "007", "notes"] {
            std::fs::create_dir_all(folder.path().join("runs").join(run)).unwrap();
        }
        let (listed, all) = kept.list(2).unwrap();
        assert_eq!((listed.iter().map(|it| it.run).collect::<Vec<_>>(), all), (vec![3, 2], 3));
        let before = listed[0].problem.clone().unwrap();
        assert_eq!(kept.page(3), Err(before.clone()), "a run without files cannot be drawn");
        std::fs::write(folder.path().join("runs/3").join(COMPARISON), "{").unwrap();
        let (listed, _) = kept.list(2).unwrap();
        assert_ne!(listed[0].problem, Some(before));
        assert!(listed[0].written_s.is_some());
        // What is there no more is forgotten.
        std::fs::remove_dir_all(folder.path().join("runs/3")).unwrap();
        assert_eq!(kept.list(1).unwrap().0[0].run, 2);
        assert_eq!(kept.lines.lock().unwrap().len(), 1);
    }
}
