//! What plugins say is kept within its limits and found by task, whatever they do.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_worker::log::{
    Line, Log, LogSettings, Query, Reply, SEGMENT_BYTES, TASK_BYTES, TaskRef, Who, read,
};
use std::path::Path;
use std::process::Command;

fn start(base: &Path, total_bytes_max: u64) -> Log {
    let settings = LogSettings { total_bytes_max, ..LogSettings::new(base.to_owned(), 7, true) };
    Log::start(settings).unwrap()
}

fn who(executor: u64, job: u64) -> Who {
    Who { executor, job, plugin: "test".into() }
}

fn of(index: u64) -> Option<(u32, TaskRef)> {
    Some((0, TaskRef { index, attempt: 1 }))
}

fn all() -> Query {
    Query { bytes_max: usize::MAX, ..Query::default() }
}

async fn reply(log: &Log, job: u64, query: &Query) -> Reply {
    // An answer about what waits comes when what was said before is written.
    log.waiting(job).await;
    read(&log.of_job(job).unwrap(), query).unwrap()
}

fn texts(lines: &[(Line, u64)]) -> Vec<String> {
    lines.iter().map(|(line, _)| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

fn bytes_of(folder: &Path) -> u64 {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    listed
        .map(|entry| match entry.metadata().unwrap() {
            data if data.is_dir() => bytes_of(&entry.path()),
            data => data.len(),
        })
        .sum()
}

#[tokio::test]
async fn lines_are_found_by_task_and_by_place() {
    let folder = tempfile::tempdir().unwrap();
    let log = start(folder.path(), u64::MAX);
    log.open_job(1, 0);
    for index in 0..5_000 {
        log.text(who(1, 1), of(index % 10), format!("line {index}\n").into(), true).await;
        // A disk that stands still for a while costs lines when the queue is full.
        if index % 50 == 0 {
            log.waiting(1).await;
        }
    }
    log.call(who(1, 1), None, 2, "two\nlines".to_owned());
    let everything = reply(&log, 1, &all()).await;
    assert_eq!((everything.lines.len(), everything.end), (5_002, true));
    assert_eq!(texts(&everything.lines[5_000..]), ["two", "lines"]);
    let of_three = Query { tasks: Some([3].into()), ..all() };
    let three = reply(&log, 1, &of_three).await;
    assert_eq!(three.lines.len(), 500);
    assert!(three.lines.iter().all(|(line, _)| line.task.unwrap().index == 3));
    let last = Query { tasks: Some([3, 4].into()), last: 3, ..all() };
    assert_eq!(texts(&reply(&log, 1, &last).await.lines), ["line 4984", "line 4993", "line 4994"]);
    // In small answers, each from where the one before ended.
    let (mut found, mut query) = (Vec::new(), Query { bytes_max: 1_000, ..of_three });
    loop {
        let part = reply(&log, 1, &query).await;
        assert!(part.lines.len() <= 1_000 / 64, "{}", part.lines.len());
        query.after = part.next;
        found.extend(texts(&part.lines));
        if part.end {
            break;
        }
    }
    assert_eq!(found, texts(&three.lines));
    assert_eq!(reply(&log, 1, &query).await.lines, [], "nothing comes twice");
    assert_eq!(reply(&log, 2, &all()).await.lines, [], "another job has said nothing");
    log.finish().await;
    assert_eq!(bytes_of(folder.path()), 0, "the logs go with their worker");
}

/// A task that writes a gibibyte leaves its first and its last lines, on disk and in memory, and holds up nobody.
#[tokio::test]
async fn a_gibibyte_of_one_task_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let log = start(folder.path(), u64::MAX);
    let piece =
        bytes::Bytes::from("sixty-three letters of no meaning are what each of these holds.\n".repeat(1_024));
    // Without optimisation the same takes half a minute.
    let bytes = if cfg!(debug_assertions) { 1 << 27 } else { 1 << 30 };
    let pieces = bytes / piece.len();
    let before = resident_bytes();
    for _ in 0..pieces {
        log.text(who(1, 1), of(3), piece.clone(), false).await;
    }
    log.text(who(1, 1), of(3), "the very last".into(), true).await;
    let last = log.ended(1).await;
    assert_eq!(last.last().unwrap(), "the very last");
    assert!(resident_bytes().saturating_sub(before) < 64 << 20);
    let kept = reply(&log, 1, &all()).await;
    let bytes: usize = kept.lines.iter().map(|(line, _)| line.text.len()).sum();
    assert!(bytes as u64 <= TASK_BYTES + 10_000, "{bytes}");
    let texts = texts(&kept.lines);
    assert!(texts[0].starts_with("sixty-three"));
    assert!(texts.iter().any(|text| text.contains("are left out here")), "{texts:?}");
    assert_eq!(texts.last().unwrap(), "the very last");
    log.finish().await;
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

#[tokio::test]
async fn the_oldest_jobs_go_first_and_then_the_oldest_lines() {
    let folder = tempfile::tempdir().unwrap();
    let total = 3 * SEGMENT_BYTES;
    let log = start(folder.path(), total);
    let line = format!("{}\n", "x".repeat(4_000));
    let mut index = 0;
    // Job 1 has less than a segment, job 2 more than there is room for.
    for (job, bytes) in [(1, SEGMENT_BYTES / 2), (2, 5 * SEGMENT_BYTES)] {
        let mut written = 0;
        while written < bytes {
            // Another task each time, so that no limit of a task counts.
            log.text(who(job, job), of(index), line.clone().into(), true).await;
            index += 1;
            written += line.len() as u64;
        }
        log.waiting(job).await;
        assert_eq!(reply(&log, 1, &Query { last: 1, ..all() }).await.lines.len(), usize::from(job == 1));
    }
    assert!(bytes_of(folder.path()) <= total);
    let left = reply(&log, 2, &all()).await;
    assert!(left.lines.len() as u64 * 4_000 > SEGMENT_BYTES, "{}", left.lines.len());
    assert_eq!(left.lines.last().unwrap().0.task.unwrap().index, index - 1, "the newest are there");
    log.finish().await;
}

#[tokio::test]
async fn a_disk_that_takes_nothing_stops_the_log_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let log = start(folder.path(), u64::MAX);
    // Where the job's folder should be is a file.
    std::fs::write(log.of_job(1).unwrap(), "").unwrap();
    for _ in 0..1_000 {
        log.text(who(1, 1), of(1), "said\n".into(), false).await;
    }
    assert_eq!(log.waiting(1).await, []);
    assert_eq!(log.ended(1).await.len(), 50, "the last lines are remembered all the same");
    log.finish().await;
}

/// On a file system of its own that is really full.
#[tokio::test]
async fn a_full_disk_stops_the_log_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "a file system cannot be mounted");
        eprintln!("SKIPPED: a file system cannot be mounted");
        return;
    }
    let log = start(folder.path(), u64::MAX);
    let line = bytes::Bytes::from(format!("{}\n", "x".repeat(8_000)));
    for index in 0..1_000 {
        log.text(who(1, 1), of(index), line.clone(), true).await;
    }
    log.waiting(1).await;
    assert_eq!(log.ended(1).await.len(), 50);
    let kept = read(&log.of_job(1).unwrap(), &all()).unwrap();
    assert!((1..300).contains(&kept.lines.len()), "{}", kept.lines.len());
    log.finish().await;
    assert!(Command::new("umount").arg(folder.path()).status().unwrap().success());
}
