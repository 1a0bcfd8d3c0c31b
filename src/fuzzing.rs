//! For the fuzz targets: the readers of what people write and of what runs left, which are nobody's outside of this crate.

use crate::cli::{self, quantity};
use crate::compare;
use crate::exit::{Failure, Outcome};
use crate::input;
use crate::kept::{Bundle, RunFolder};
use crate::leftover;
use crate::postmortem::Saved;
use crate::report;
use crate::timeline::{self, Last, Trace};
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::Path;

/// Reads a comparison file; gives what it says, as text.
///
/// # Errors
/// What is wrong with it.
///
/// # Panics
/// The command line that is not given is wrong.
pub fn comparison(text: &str) -> Outcome<String> {
    let words = ["muster", "compare", "nowhere/file.toml"].map(OsString::from);
    let cli = cli::parse(words)?;
    let Some(cli::Cli { command: cli::Command::Compare(args) }) = cli else {
        unreachable!("it says compare")
    };
    compare::parse_file(&args, Path::new("nowhere/file.toml"), text).map(|read| format!("{read:?}"))
}

/// Reads a command line; gives what it says, as text.
///
/// # Errors
/// What is wrong with it.
pub fn command_line(words: &[&str]) -> Outcome<String> {
    let is_help = |word: &&str| matches!(*word, "help" | "-h" | "--help" | "-V" | "--version");
    if words.iter().any(|word| is_help(word) || (word.starts_with('-') && word.contains(['h', 'V']))) {
        // Help is printed.
        return Ok(String::new());
    }
    let words = std::iter::once("muster").chain(words.iter().copied()).map(OsString::from);
    cli::parse(words).map(|cli| format!("{cli:?}"))
}

/// Reads one word as each kind of number that flags take; gives the first complaint.
///
/// # Errors
/// What is wrong with it.
pub fn quantities(text: &str) -> Result<(), String> {
    let all = [
        quantity::tasks(text).map(drop),
        quantity::lines(text).map(drop),
        quantity::attempts(text).map(drop),
        quantity::whole(text).map(drop),
        quantity::in_flight(text).map(drop),
        quantity::traced(text).map(drop),
        quantity::address(text).map(drop),
        quantity::percent(text).map(drop),
        quantity::rate(text).map(drop),
        quantity::pair(text).map(drop),
        quantity::duration(text).map(drop),
        quantity::size(text).map(drop),
    ];
    all.into_iter().collect()
}

/// Reads a word as the life and the uses of a token.
///
/// # Errors
/// What is wrong with it.
pub fn token_words(text: &str) -> Result<(), Failure> {
    let flags = [format!("--ttl={text}"), format!("--uses={text}"), format!("--role={text}")];
    let new = ["token", "new", "--role", "worker"];
    flags.iter().try_for_each(|flag| command_line(&[&new[..], &[flag]].concat()).map(drop))
}

/// Whether a pattern of `--files` matches a name; `None`: it is no pattern.
#[must_use]
pub fn pattern(pattern: &str, name: &str) -> Option<bool> {
    input::pattern_matches(pattern, name)
}

/// Reads and draws a kept run, in all the ways there are.
///
/// # Errors
/// The first that is wrong with it.
pub fn kept_run(folder: &Path) -> Outcome<()> {
    let bundle = Bundle::read(&RunFolder { number: 1, path: folder.to_owned() })?;
    let bundles = [bundle];
    for row in &bundles[0].comparison.rows {
        drop((bundles[0].values(row), row.compared(), row.full_name()));
    }
    drop(report::export::samples(&bundles));
    let page = report::page(&bundles).map(drop);
    let tasks = report::export::tasks(&bundles).map(drop);
    let traced = timeline::recordings(&bundles[0], None).map(|found| drawn(&found));
    page.and(tasks).and(traced)
}

/// Reads what a failed run left.
///
/// # Errors
/// What is wrong with it.
pub fn failed_run(text: &[u8]) -> Outcome<()> {
    let saved: Saved = leftover::parse(Path::new("/nowhere/run.json"), text)?;
    said(&saved);
    for task in [0, 1, saved.tasks] {
        said(&saved.cases.get(saved.job, saved.tasks, task));
    }
    Ok(())
}

/// Reads and draws what a traced run left.
///
/// # Errors
/// What is wrong with it.
pub fn traced_run(text: &[u8]) -> Outcome<()> {
    let last: Last = leftover::parse(Path::new("/nowhere/trace.json"), text)?;
    drawn(&[last.recording]);
    Ok(())
}

/// What is told of an error at the end: a message in one line.
#[must_use]
pub fn told(error: impl std::fmt::Display) -> String {
    Failure::usage(error).message().to_owned()
}

fn drawn(recordings: &[timeline::Recording]) {
    recordings.iter().for_each(|recording| drop(recording.share()));
    drop(Trace::new(recordings).to_json("fuzzing"));
}

fn said(what: &impl Debug) {
    drop(format!("{what:?}"));
}
