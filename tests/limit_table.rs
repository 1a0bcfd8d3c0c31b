//! docs/limits.md has every limit with its value, as the code has it (`MUSTER_REGENERATE=1` writes it anew), and limits are
//! set by flags.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use muster_coordinator::config::{FEED_WAIT, KEEP_JOBS, KEEP_JOBS_IN_MEMORY, RESULTS_MEMORY_BYTES};
use muster_coordinator::limits::{ROWS, Unit};
use muster_core::quantity::size_text;
use muster_core::trust::TRUSTED_MAX;
use muster_proto::convert::{
    LOG_DEFAULT_BYTES, LOG_LAST_MAX, LOG_MAX_BYTES, LOG_TASKS_MAX, NAME_MAX_BYTES, RESULT_DEFAULT_BYTES,
    RESULT_MAX_BYTES, SLOTS_MAX, WORDS_MAX_BYTES,
};
use muster_proto::link::{
    CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, NOTE_BYTES_MAX, PAGE_CLIENTS_MAX, PREFACE_TIMEOUT,
    READ_TIMEOUT, REQUEST_TIMEOUT, STRANGERS_PER_ADDRESS_MAX,
};
use muster_proto::{INPUT_MAX_BYTES, MESSAGE_MAX_BYTES, PARTIAL_MAX_BYTES};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const PAGE: &str = "docs/limits.md";
const AGAIN: &str = "run MUSTER_REGENERATE=1 cargo test --test limit_table";

/// What is limited, at most how much, what sets it, what happens beyond.
type Other = (&'static str, String, &'static str, &'static str);

fn bytes(value: usize) -> String {
    size_text(value as u64)
}

fn seconds(time: Duration) -> String {
    Unit::Time.text(time.as_millis() as u64)
}

/// Limits that `--limit` does not set.
fn others() -> Vec<Other> {
    let fixed = "fixed";
    vec![
        (
            "results of ended jobs in memory, without `--state`",
            size_text(RESULTS_MEMORY_BYTES),
            "`--results-memory`",
            "the oldest ended jobs are forgotten; a job with more fails",
        ),
        (
            "results of ended jobs in the state folder",
            "what the disk holds".into(),
            "`--keep-results`",
            "the oldest ended jobs are forgotten",
        ),
        (
            "ended jobs",
            format!("{KEEP_JOBS}, without `--state` {KEEP_JOBS_IN_MEMORY}"),
            "`--keep-jobs`",
            "the oldest are forgotten",
        ),
        ("age of ended jobs", "none".into(), "`--keep-for`", "they are forgotten"),
        (
            "time that an open job waits for inputs from nobody",
            seconds(FEED_WAIT),
            fixed,
            "it is cancelled, with the reason",
        ),
        (
            "result of one task",
            size_text(RESULT_DEFAULT_BYTES),
            "`--output-max` of the job",
            "the task fails",
        ),
        ("result that a job may ask for", size_text(RESULT_MAX_BYTES), fixed, "refused"),
        (
            "what is kept of what one task writes and logs",
            size_text(LOG_DEFAULT_BYTES),
            "`--log-max` of the job",
            "the middle is left out, and said",
        ),
        ("the same, that a job may ask for", size_text(LOG_MAX_BYTES), fixed, "refused"),
        (
            "logs of one worker",
            size_text(muster_worker::log::TOTAL_BYTES_MAX),
            fixed,
            "those of the oldest jobs go",
        ),
        ("lines of a log that are asked for at once", LOG_LAST_MAX.to_string(), fixed, "refused"),
        ("tasks whose lines are asked for by number", LOG_TASKS_MAX.to_string(), fixed, "refused"),
        (
            "plugins in a worker's cache",
            "4 GiB".into(),
            "the worker's `--cache-size`",
            "those that were not used for longest go",
        ),
        ("entries of a worker's `--trust`", TRUSTED_MAX.to_string(), fixed, "refused"),
        (
            "slots of one worker",
            muster_worker::page::SLOTS_MAX.to_string(),
            "the worker's `--slots`, up to this",
            "refused",
        ),
        ("slots that a coordinator believes of a worker", SLOTS_MAX.to_string(), fixed, "refused"),
        ("one message", bytes(MESSAGE_MAX_BYTES), fixed, "refused"),
        ("one input of a task", bytes(INPUT_MAX_BYTES), fixed, "refused"),
        ("one partial result of a reduction", bytes(PARTIAL_MAX_BYTES), fixed, "the task fails"),
        ("a name, label or request id", bytes(NAME_MAX_BYTES), fixed, "refused"),
        ("the words of one failure", bytes(WORDS_MAX_BYTES), fixed, "cut"),
        ("the note of a token", bytes(NOTE_BYTES_MAX), fixed, "refused"),
        ("nesting of parameters (JSON)", format!("{JSON_LEVELS} levels"), fixed, "refused"),
        (
            "strangers of one address that are looked after at once",
            STRANGERS_PER_ADDRESS_MAX.to_string(),
            fixed,
            "the next one waits (docs/security.md)",
        ),
        ("TLS handshakes at once", HANDSHAKES_MAX.to_string(), fixed, "the oldest makes room"),
        (
            "time for a TLS handshake, and from there to the first request",
            format!("{} each", seconds(HANDSHAKE_TIMEOUT)),
            fixed,
            "the connection is closed",
        ),
        ("time for opening a link", seconds(CONNECT_TIMEOUT), fixed, "tried again, or the command fails"),
        (
            "clients of the HTTP pages at once",
            PAGE_CLIENTS_MAX.to_string(),
            fixed,
            "the oldest that is served nothing makes room",
        ),
        (
            "time for a request to the HTTP pages, and for reading the answer",
            format!("{}, {}", seconds(REQUEST_TIMEOUT), seconds(READ_TIMEOUT)),
            fixed,
            "the connection is closed",
        ),
    ]
}

/// serde_json reads no deeper.
const JSON_LEVELS: usize = 127;

fn table() -> String {
    let mut table = "| what | at most | set by | from, to | beyond it |\n|---|---|---|---|---|\n".to_owned();
    for row in &ROWS {
        let text = |value| row.unit.text(value);
        let (most, least, highest) = (text(row.default), text(row.least), text(row.most));
        let (name, what, beyond) = (row.name, row.what, row.beyond);
        writeln!(table, "| {what} | {most} | `--limit {name}=N` | {least}, {highest} | {beyond} |").unwrap();
    }
    for (what, most, set_by, beyond) in others() {
        writeln!(table, "| {what} | {most} | {set_by} | | {beyond} |").unwrap();
    }
    table
}

#[test]
fn the_page_has_every_limit() {
    assert_eq!(HANDSHAKE_TIMEOUT, PREFACE_TIMEOUT, "they share a row");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let begin = page.find("<!-- limits:").unwrap();
    let begin = begin + page[begin..].find('\n').unwrap() + 1;
    let end = begin + page[begin..].find("<!-- end -->").unwrap();
    let table = table();
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        std::fs::write(path, [&page[..begin], &table, &page[end..]].concat()).unwrap();
        return;
    }
    assert!(page[begin..end] == table, "{PAGE} is stale: {AGAIN}");
}

#[test]
fn a_limit_is_set_where_a_coordinator_starts() {
    let muster = Muster::new();
    for (bad, words) in [
        ("jobs", ["jobs", "NAME=VALUE"]),
        ("jbs=5", ["jbs=5", "is it jobs?"]),
        ("jobs=0", ["jobs=0", "from 1 to 1000000"]),
        ("jobs=many", ["jobs=many", "whole number"]),
        ("params=1GiB", ["params=1GiB", "from 1 B to 1 MiB"]),
        ("upload-idle=5", ["upload-idle=5", "5s"]),
    ] {
        muster.run(&["coordinator", "start", "--limit", bad]).fails(2, &words);
    }
    let help = muster.run(&["worker", "start", "--help"]).ok().text();
    assert!(help.contains("[default: 4GiB]"), "of --cache-size, as the page says: {help}");
    let (coordinator, _) =
        fixture::joinable_with(&muster, &["--limit", "tasks=10", "--limit", "params=1KiB"]);
    let null = plugin("null");
    let words = ["the number of a job's tasks is 11", "at most 10", "--limit tasks=N"];
    muster.run(&["run", &null, "--cluster", "default", "--tasks", "11"]).fails(7, &words);
    fixture::end(coordinator);
}
