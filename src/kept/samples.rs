//! `samples.csv` and `tasks.csv`: what was measured, a line each.

use super::folder::RunFolder;
use crate::compare::{Measure, SAMPLES, TASKS};
use crate::exit::{Failure, Outcome};
use csv::StringRecord;
use std::fs::File;

/// How the second run of the baseline in a block is called.
const AGAIN: &str = " (again)";

/// One run of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub block: u64,
    /// Without the mark of the second run.
    pub configuration: String,
    pub group: Option<String>,
    /// The second run of the baseline in its block.
    pub again: bool,
    pub time_s: f64,
    /// Where that was compared.
    pub latency_p95_s: Option<f64>,
    /// The numbers behind the time, in the order of [`MORE`].
    pub more: [Option<f64>; MORE.len()],
}

impl Sample {
    /// What was compared of it, in seconds.
    pub const fn value(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Time => Some(self.time_s),
            Measure::LatencyP95 => self.latency_p95_s,
        }
    }
}

/// Columns behind the time: seconds, a count, and shares of what all processors could do.
pub const MORE: [&str; 5] = ["cpu_s", "ctx_switches", "stolen", "throttled", "others"];

/// One task of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSample {
    pub block: u64,
    pub configuration: String,
    pub again: bool,
    pub group: Option<String>,
    pub task: u64,
    pub start_s: Option<f64>,
    pub run_s: Option<f64>,
    pub latency_s: Option<f64>,
    /// Where it ran: not known of what older versions kept.
    pub worker: Option<u64>,
    pub executor: Option<u64>,
    pub thread: Option<u32>,
    pub attempt: Option<u32>,
    pub queued_s: Option<f64>,
    pub lock_wait_s: Option<f64>,
}

/// All runs, in the order of the file; `None`: there is no such file. `measure`: what was compared, which each of them has.
pub fn samples(run: &RunFolder, measure: Measure) -> Outcome<Option<Vec<Sample>>> {
    let Some(lines) = Lines::open(run, SAMPLES)? else { return Ok(None) };
    let (block, name, time) =
        (lines.column("block")?, lines.column("configuration")?, lines.column("time_s")?);
    let latency = match measure {
        Measure::Time => None,
        Measure::LatencyP95 => Some(lines.column("latency_p95_s")?),
    };
    let (group, more) = (lines.find("group"), MORE.map(|column| lines.find(column)));
    let of = |line: Line<'_>| {
        let (configuration, again) = plain(line.text(name));
        Ok(Sample {
            block: line.whole(block)?,
            configuration,
            group: line.word(group),
            again,
            time_s: line.measured(time, Measure::Time)?,
            latency_p95_s: latency.map(|column| line.measured(column, measure)).transpose()?,
            more: {
                let mut numbers = [None; MORE.len()];
                for (number, column) in numbers.iter_mut().zip(more) {
                    *number = column.map_or(Ok(None), |column| line.number(column))?;
                }
                numbers
            },
        })
    };
    lines.each(of).map(Some)
}

/// All tasks, in the order of the file; `None`: there is no such file.
pub fn tasks(run: &RunFolder) -> Outcome<Option<Vec<TaskSample>>> {
    let Some(lines) = Lines::open(run, TASKS)? else { return Ok(None) };
    let (block, name, task) = (lines.column("block")?, lines.column("configuration")?, lines.column("task")?);
    let group = lines.find("group");
    let times = ["start_s", "run_s", "latency_s", "queued_s", "lock_wait_s"].map(|column| lines.find(column));
    let places = ["worker", "executor", "thread", "attempt"].map(|column| lines.find(column));
    let of = |line: Line<'_>| {
        let (configuration, again) = plain(line.text(name));
        let time = |at: usize| times[at].map_or(Ok(None), |column| line.number(column));
        let place = |at: usize| places[at].map(|column| line.whole(column)).transpose();
        let small = |at: usize| -> Outcome<Option<u32>> {
            Ok(place(at)?.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
        };
        Ok(TaskSample {
            block: line.whole(block)?,
            configuration,
            again,
            group: line.word(group),
            task: line.whole(task)?,
            start_s: time(0)?,
            run_s: time(1)?,
            latency_s: time(2)?,
            worker: place(0)?,
            executor: place(1)?,
            thread: small(2)?,
            attempt: small(3)?,
            queued_s: time(3)?,
            lock_wait_s: time(4)?,
        })
    };
    lines.each(of).map(Some)
}

/// The configuration, and whether it is the second run.
fn plain(name: &str) -> (String, bool) {
    match name.strip_suffix(AGAIN) {
        Some(name) => (name.to_owned(), true),
        None => (name.to_owned(), false),
    }
}

/// A file with a header, read line by line.
struct Lines<'a> {
    header: StringRecord,
    reader: csv::Reader<File>,
    run: &'a RunFolder,
    file: &'static str,
}

/// One of its lines.
struct Line<'a> {
    header: &'a StringRecord,
    record: &'a StringRecord,
    run: &'a RunFolder,
    file: &'static str,
}

impl<'a> Lines<'a> {
    fn open(run: &'a RunFolder, file: &'static str) -> Outcome<Option<Self>> {
        let Some(opened) = run.open(file)? else { return Ok(None) };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(opened);
        let header = reader.headers().map_err(|error| no_csv(run, file, &error))?.clone();
        Ok(Some(Self { header, reader, run, file }))
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    fn column(&self, name: &str) -> Outcome<usize> {
        let missing = || self.run.broken(format_args!("{} has no column {name}", self.file));
        self.find(name).ok_or_else(missing)
    }

    fn each<T>(mut self, of: impl Fn(Line<'_>) -> Outcome<T>) -> Outcome<Vec<T>> {
        let (mut record, mut found) = (StringRecord::new(), Vec::new());
        let (run, file) = (self.run, self.file);
        while self.reader.read_record(&mut record).map_err(|error| no_csv(run, file, &error))? {
            found.push(of(Line { header: &self.header, record: &record, run, file })?);
        }
        Ok(found)
    }
}

fn no_csv(run: &RunFolder, file: &str, error: &csv::Error) -> Failure {
    run.broken(format_args!("{file} is no CSV: {error}"))
}

impl Line<'_> {
    fn text(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }

    /// What is not empty.
    fn word(&self, column: Option<usize>) -> Option<String> {
        column.map(|column| self.text(column)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn whole(&self, column: usize) -> Outcome<u64> {
        let not_whole = || {
            let (name, text) = (self.name(column), self.text(column));
            self.broken(&format!("has {name} that is no whole number: {text:?}"))
        };
        self.text(column).parse().map_err(|_| not_whole())
    }

    /// `None`: empty.
    fn number(&self, column: usize) -> Outcome<Option<f64>> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.broken(&format!("has {} that is no number: {text:?}", self.name(column)))),
        }
    }

    /// What was measured of a run: it is there, and above 0.
    fn measured(&self, column: usize, measure: Measure) -> Outcome<f64> {
        match self.number(column)? {
            Some(value) if value > 0.0 => Ok(value),
            Some(value) => {
                Err(self.broken(&format!("has {} that is not above 0: {value}", self.name(column))))
            }
            None => Err(self.broken(&format!("has no {}", measure.name()))),
        }
    }

    fn name(&self, column: usize) -> &str {
        self.header.get(column).unwrap_or_default()
    }

    fn broken(&self, why: &str) -> Failure {
        let line = self.record.position().map_or(0, csv::Position::line);
        self.run.broken(format_args!("line {line} of {} {why}", self.file))
    }
}
