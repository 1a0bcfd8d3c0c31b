//! A comparison written down in a TOML file.

use super::fail::Condition;
use crate::cli::{ArrivalArgs, Axis, CompareArgs, Spread, compare_model, quantity};
use crate::exit::{Exit, Failure, Outcome};
use clap::ValueEnum as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// More than anybody writes by hand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file says beside what flags can say.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The file; `None`: there is none.
    pub path: Option<PathBuf>,
    pub params: Map<String, Value>,
    /// A group for each combination of values.
    pub matrix: BTreeMap<String, Vec<Value>>,
    /// Rows that match all of one of these are left out.
    pub excludes: Vec<Map<String, Value>>,
    /// The row that is first in each group.
    pub baseline: Option<String>,
    pub fail: Vec<Condition>,
}

impl Written {
    /// A mistake that shows only beside the plugin: whose it is, and no longer the command line's.
    pub fn failure(&self, found: Failure) -> Failure {
        match &self.path {
            Some(path) if matches!(found.exit, Exit::Usage | Exit::Job) => {
                found.after(format_args!("{}: ", path.display())).ends_with(Exit::Job)
            }
            Some(_) | None => found,
        }
    }
}

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    plugin: String,
    tasks: Option<u64>,
    lines: Option<PathBuf>,
    #[serde(default)]
    files: Vec<String>,
    chunk: Option<String>,
    rate: Option<String>,
    arrivals: Option<String>,
    seed: Option<u64>,
    slots: Option<u32>,
    in_flight: Option<u32>,
    budget: Option<String>,
    blocks: Option<u32>,
    target: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    grid: Option<Grid>,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    matrix: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    exclude: Vec<Map<String, Value>>,
    baseline: Option<String>,
    #[serde(default)]
    fail: Vec<Condition>,
    #[serde(default)]
    strict: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    #[serde(default)]
    p: Vec<u32>,
    #[serde(default)]
    t: Vec<u32>,
}

/// Whether this is such a file, and not a plugin.
pub fn is_file(what: &str) -> bool {
    Path::new(what).extension().is_some_and(|ending| ending == "toml")
}

/// Reads a file; flags go before what it says.
pub fn read(args: &CompareArgs) -> Outcome<(CompareArgs, Written)> {
    let path = Path::new(&args.what);
    for (is_given, flag, instead) in [
        (!args.params.is_empty(), "KEY=VALUE", "[params]"),
        (args.tasks.is_some(), "-n", "tasks"),
        (args.arrivals.rate.is_some(), "--rate", "rate"),
        (!args.models.is_empty(), "--models", "models"),
        (!args.grid.is_empty(), "--grid", "[grid]"),
        (args.in_flight.is_some(), "--in-flight", "in_flight"),
        (args.lines.is_some(), "--lines", "lines"),
        (!args.files.is_empty(), "--files", "files"),
    ] {
        if is_given {
            let file = path.display();
            return Err(Failure::usage(format_args!("{flag} is for a plugin, and {file} is a file"))
                .hint(format_args!("write it into the file: {instead}")));
        }
    }
    // Opening a pipe would wait for somebody who writes.
    let meta = std::fs::metadata(path).map_err(|error| Failure::io(Exit::Job, "read", path, &error))?;
    if !meta.is_file() {
        return Err(wrong(path, "it is not a file"));
    }
    if meta.len() > FILE_BYTES_MAX {
        let size = meta.len();
        return Err(wrong(path, &format!("{size} bytes are too much: at most {FILE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io(Exit::Job, "read", path, &error))?;
    parse(args, path, &text)
}

/// Reads the text of the file at `path`.
pub fn parse(args: &CompareArgs, path: &Path, text: &str) -> Outcome<(CompareArgs, Written)> {
    let read: Text = toml::from_str(text).map_err(|error| at(path, text, &error))?;
    read.with(args, path)
}

impl Text {
    fn with(self, args: &CompareArgs, path: &Path) -> Outcome<(CompareArgs, Written)> {
        let said =
            |what: &str, text: &Option<String>| text.as_ref().map(|text| (what.to_owned(), text.clone()));
        let parsed = |found: Option<(String, String)>,
                      parse: fn(&str) -> Result<std::time::Duration, String>| {
            found
                .map(|(what, text)| {
                    parse(&text).map_err(|error| wrong(path, &format!("{what} {text:?}: {error}")))
                })
                .transpose()
        };
        let budget = parsed(said("budget", &self.budget), quantity::duration)?;
        let read = |what: &str, text: &str, error: String| wrong(path, &format!("{what} {text:?}: {error}"));
        let chunk = self.chunk.as_deref();
        let chunk =
            chunk.map(|text| quantity::size(text).map_err(|error| read("chunk", text, error))).transpose()?;
        let target = self.target.as_deref();
        let target = target
            .map(|text| quantity::percent(text).map_err(|error| read("target", text, error)))
            .transpose()?;
        let arrivals = self.arrivals(path)?;
        let models =
            self.models.iter().map(|text| compare_model(text).map_err(|error| read("model", text, error)));
        let models = models.collect::<Outcome<Vec<_>>>()?;
        for (what, number) in [("slots", self.slots), ("blocks", self.blocks), ("in_flight", self.in_flight)]
        {
            if number == Some(0) {
                return Err(wrong(path, &format!("{what} = 0: must be at least 1")));
            }
        }
        for (one, is_one, other, is_other) in [
            ("blocks", self.blocks.is_some(), "budget", self.budget.is_some()),
            ("tasks", self.tasks.is_some(), "lines", self.lines.is_some()),
            ("tasks", self.tasks.is_some(), "files", !self.files.is_empty()),
            ("lines", self.lines.is_some(), "files", !self.files.is_empty()),
        ] {
            if is_one && is_other {
                return Err(wrong(path, &format!("{one} and {other} contradict each other: leave one out")));
            }
        }
        if self.chunk.is_some() && self.files.is_empty() {
            return Err(wrong(path, "chunk is for files, and there are none"));
        }
        if self.tasks == Some(0) {
            return Err(wrong(path, "tasks = 0: must be at least 1"));
        }
        let grid = self.grid.map(|grid| [("p", grid.p), ("t", grid.t)]);
        let mut axes = Vec::new();
        for (name, numbers) in grid.into_iter().flatten().filter(|(_, numbers)| !numbers.is_empty()) {
            if numbers.contains(&0) {
                return Err(wrong(path, &format!("grid.{name} has a 0: must be at least 1")));
            }
            axes.push(if name == "p" { Axis::Processes(numbers) } else { Axis::Threads(numbers) });
        }
        if let Some((name, _)) = self.matrix.iter().find(|(_, values)| values.is_empty()) {
            return Err(wrong(path, &format!("matrix.{name} is empty: there is nothing to compare")));
        }
        let defaults = args.clone();
        let args = CompareArgs {
            what: plugin_of(&self.plugin, path),
            tasks: self.tasks,
            arrivals,
            lines: self.lines,
            files: self.files,
            chunk,
            models,
            grid: axes,
            slots: defaults.slots.or(self.slots),
            in_flight: self.in_flight,
            budget: defaults.budget.or(budget),
            target: defaults.target.or(target),
            blocks: defaults.blocks.or(self.blocks),
            seed: defaults.seed.or(self.seed),
            strict: defaults.strict || self.strict,
            ..defaults
        };
        let written = Written {
            path: Some(path.to_owned()),
            params: self.params,
            matrix: self.matrix,
            excludes: self.exclude,
            baseline: self.baseline,
            fail: self.fail,
        };
        Ok((args, written))
    }
}

impl Text {
    /// When tasks start.
    fn arrivals(&self, path: &Path) -> Outcome<ArrivalArgs> {
        let read = |what: &str, text: &str, error: String| wrong(path, &format!("{what} {text:?}: {error}"));
        let rate = self.rate.as_deref();
        let rate =
            rate.map(|text| quantity::rate(text).map_err(|error| read("rate", text, error))).transpose()?;
        let spread = self.arrivals.as_deref();
        let spread = spread.map(|text| spread_of(text).map_err(|error| read("arrivals", text, error)));
        let arrivals = spread.transpose()?;
        if arrivals.is_some() && rate.is_none() {
            return Err(wrong(path, "arrivals without a rate: write rate = \"200/s\", too"));
        }
        Ok(ArrivalArgs { rate, arrivals })
    }
}

fn spread_of(text: &str) -> Result<Spread, String> {
    Spread::from_str(text, false).map_err(|_| "not constant or poisson".to_owned())
}

/// A path is relative to the file that says it.
fn plugin_of(plugin: &str, file: &Path) -> String {
    let beside = file.parent().map(|folder| folder.join(plugin));
    match beside {
        Some(path) if Path::new(plugin).is_relative() && path.exists() => path.to_string_lossy().into_owned(),
        Some(_) | None => plugin.to_owned(),
    }
}

/// A mistake with its line.
fn at(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    // What is about a whole table has no line of its own.
    let span =
        error.span().filter(|span| !text.get(span.clone()).unwrap_or_default().trim_end().contains('\n'));
    let line = span.map(|span| text.get(..span.end).unwrap_or_default().lines().count().max(1));
    let said =
        line.and_then(|line| text.lines().nth(line - 1)).map(str::trim).filter(|said| !said.is_empty());
    let line = match (line, said) {
        (Some(line), Some(said)) => format!("line {line}, {said}: "),
        (Some(line), None) => format!("line {line}: "),
        (None, _) => String::new(),
    };
    let message: Vec<&str> = error.message().lines().map(str::trim).collect();
    wrong(path, &format!("{line}{}", message.join("; ")))
}

fn wrong(path: &Path, what: &str) -> Failure {
    Failure::new(Exit::Job, format_args!("{}: {what}", path.display()))
        .hint("docs/compare.md describes the file")
}
