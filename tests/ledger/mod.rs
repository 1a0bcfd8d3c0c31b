//! A workload that writes down when a task begins, and what must hold of a job of it: looked at in what the tasks wrote, in
//! the results, and in the store's own records.

#![allow(dead_code, reason = "every test file uses its own part")]

use crate::fixture::{Muster, compile_c};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The workload, compiled for one test.
pub struct Ledger {
    pub plugin: PathBuf,
}

/// How a job was run, by what its tasks wrote themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// Tasks that began.
    pub tasks: u64,
    /// Starts beyond the first of each.
    pub again: u64,
}

/// What must be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub lost: u64,
    pub twice: u64,
    pub wrong: u64,
}

impl std::ops::AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.wrong += other.wrong;
    }
}

impl Ledger {
    pub fn new(muster: &Muster) -> Self {
        let plugin = compile_c(include_str!("../fixture/ledger.c"), &muster.path("ledger.so"), &["-O1"]);
        Self { plugin }
    }
}

/// The words that follow a command which gives a job to the cluster.
pub fn job(file: &Path, us: u64, tasks: u64) -> Vec<String> {
    let (file, us, tasks) = (format!("file={}", file.display()), format!("us={us}"), tasks.to_string());
    [file.as_str(), &us, "-n", &tasks].map(str::to_owned).to_vec()
}

/// Counts what the tasks wrote.
pub fn starts(file: &Path) -> Starts {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for line in text.lines() {
        *counts.entry(line.split(' ').next().unwrap().parse().unwrap()).or_default() += 1;
    }
    let all: u64 = counts.values().sum();
    Starts { tasks: counts.len() as u64, again: all - counts.len() as u64 }
}

/// What a task gives: only running this very index can give it.
const fn expected(index: u64) -> u64 {
    (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Compares printed results, one JSON object a line, with what they must be.
pub fn faults_in_results(text: &str, tasks: u64) -> Faults {
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    let mut wrong = 0;
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let index = line["index"].as_u64().unwrap();
        *seen.entry(index).or_default() += 1;
        wrong += u64::from(line["output"].as_u64() != Some(expected(index)));
    }
    let twice = seen.values().map(|count| count - 1).sum();
    Faults { lost: tasks - (seen.len() as u64).min(tasks), twice, wrong }
}

/// Looks into the store of a coordinator that does not run: each task of a job is in one commit, and in one range of
/// results.
pub fn faults_in_store(state: &Path, job: u64, tasks: u64) -> Faults {
    let database = rusqlite::Connection::open(state.join("muster.db")).unwrap();
    let mut faults = Faults::default();
    for table in ["commits", "results"] {
        let query = format!("SELECT start, count FROM {table} WHERE job = ?1 ORDER BY start");
        let mut rows = database.prepare(&query).unwrap();
        let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let ranges =
            rows.query_map([job.cast_signed()], |row| Ok((number(row, 0)?, number(row, 1)?))).unwrap();
        let mut next = 0;
        for range in ranges {
            let (start, count) = range.unwrap();
            faults.lost += start.saturating_sub(next);
            faults.twice += next.saturating_sub(start);
            next = next.max(start + count);
        }
        faults.lost += tasks - next.min(tasks);
    }
    faults
}
