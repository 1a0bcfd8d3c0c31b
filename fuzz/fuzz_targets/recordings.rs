//! What earlier runs left: kept comparisons, failed and traced runs, what plugins said.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster::exit::Outcome;
use muster_fuzz::{assert_one_line, split};
use muster_worker::log::{Query, read};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

/// Parts of an input are apart by this.
const SEPARATOR: &[u8] = b"\n====\n";

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room"));

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = split(input, 4) else { return };
    match kind {
        0 => kept_run(bytes),
        1 => job_log(bytes),
        2 => one_line(muster::fuzzing::failed_run(bytes)),
        _ => one_line(muster::fuzzing::traced_run(bytes)),
    }
});

/// `comparison.json`, `samples.csv` and `tasks.csv`, one behind the other; what is empty is not there.
fn kept_run(bytes: &[u8]) {
    let mut parts = parts(bytes);
    for name in ["comparison.json", "samples.csv", "tasks.csv"] {
        put(&FOLDER.path().join(name), parts.next().unwrap_or_default());
    }
    one_line(muster::fuzzing::kept_run(FOLDER.path()));
}

fn one_line(outcome: Outcome<()>) {
    if let Err(failure) = outcome {
        assert_one_line(failure.message());
    }
}

/// An index and texts, read from the start, from the end, and of one task.
fn job_log(bytes: &[u8]) {
    let folder = FOLDER.path().join("log");
    fs::create_dir_all(&folder).expect("there is room");
    let mut parts = parts(bytes);
    for name in ["00000000.index", "00000000.data"] {
        put(&folder.join(name), parts.next().unwrap_or_default());
    }
    let query = Query { bytes_max: 1 << 20, ..Query::default() };
    let one_task = Query { tasks: Some([0].into()), last: 2, ..query.clone() };
    for query in [Query { last: 1, ..query.clone() }, Query { after: 1, ..query.clone() }, query, one_task] {
        match read(&folder, &query) {
            Ok(reply) => assert!(reply.next >= query.after, "it goes back"),
            Err(error) => assert_one_line(error),
        }
    }
}

fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let all = rest?;
        let at = all.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        rest = at.map(|at| &all[at + SEPARATOR.len()..]);
        Some(&all[..at.unwrap_or(all.len())])
    })
}

fn put(path: &Path, bytes: &[u8]) {
    if bytes.is_empty() {
        let _ = fs::remove_file(path);
    } else {
        fs::write(path, bytes).expect("there is room");
    }
}
