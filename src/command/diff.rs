//! `muster diff`: what takes longer in one comparison than in another.

use crate::cli::DiffArgs;
use crate::compare::{Measure, Spread, with_interval};
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::{self, Bundle, Comparison, Row, RunFolder};
use crate::statistics::unpaired_ratio;
use crate::summary::{Column, list, paragraph};
use crate::terminal::{self, note};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The whole.
#[derive(Debug, Serialize)]
struct Diff {
    first: u64,
    second: u64,
    /// What was compared in both.
    measure: Measure,
    rows: Vec<RatioOf>,
    /// Configurations that the other run does not have.
    only_first: Vec<String>,
    only_second: Vec<String>,
    /// What is not the same in both, so that the times say less.
    differences: Vec<String>,
}

/// How a configuration that is in both changed.
#[derive(Debug, Serialize)]
struct RatioOf {
    name: String,
    /// How many times as long it takes in the second; `null` with fewer than 5 blocks.
    ratio: Option<Spread>,
    valid: bool,
}

impl RatioOf {
    fn is_known(&self) -> bool {
        self.valid && self.ratio.is_some()
    }
}

/// Compares and judges.
pub fn diff(args: &DiffArgs) -> Outcome {
    let (first, second) = (kept::find(args.first)?, kept::find(args.second)?);
    let diff = of(&first, &second)?;
    if args.json {
        super::printed(terminal::print_json(&diff))?;
    } else {
        super::printed(terminal::print(text(&diff)))?;
        for note_of in notes(&diff) {
            note(format_args!("note: {note_of}"));
        }
    }
    let Some(most) = args.fail_if else { return Ok(Exit::Ok) };
    let unknown = diff.rows.iter().filter(|row| !row.is_known()).map(|row| &row.name);
    // What is not measured any more has not become as fast as it was.
    let unknown: Vec<&str> = unknown.chain(&diff.only_first).map(String::as_str).collect();
    let slower: Vec<String> = diff.rows.iter().filter_map(|row| slower(row, most)).collect();
    if slower.is_empty() && unknown.is_empty() {
        return Ok(Exit::Ok);
    }
    if slower.is_empty() {
        let rows = unknown.join(", ");
        return Err(Failure::new(Exit::Invalid, format_args!("whether it is slower is not known of {rows}"))
            .hint("compare the same configurations again on a quiet machine, with at least 5 blocks"));
    }
    let (most, slower) = (share(most), slower.join("; "));
    Err(Failure::new(Exit::Regression, format_args!("slower by more than {most}: {slower}")))
}

fn of(first: &RunFolder, second: &RunFolder) -> Outcome<Diff> {
    let (before, after) = (Bundle::read(first)?, Bundle::read(second)?);
    check_measures(&before, &after)?;
    let mut rows = Vec::new();
    for row in &after.comparison.rows {
        let Some(earlier) = partner(row, &before) else { continue };
        rows.push(RatioOf {
            name: row.full_name(),
            ratio: unpaired_ratio(&after.values(row), &before.values(earlier)).map(Into::into),
            valid: row.valid && earlier.valid,
        });
    }
    if rows.is_empty() {
        return Err(nothing_in_common([&before, &after]));
    }
    let (a, b) = (&before.comparison, &after.comparison);
    Ok(Diff {
        first: first.number,
        second: second.number,
        measure: b.measure,
        rows,
        only_first: without_partner(&before, &after),
        only_second: without_partner(&after, &before),
        differences: [workloads(a, b), circumstances(a, b)].concat(),
    })
}

/// Times and latencies cannot be compared with each other.
fn check_measures(before: &Bundle, after: &Bundle) -> Outcome<()> {
    let (of_first, of_second) = (before.comparison.measure, after.comparison.measure);
    if of_first == of_second {
        return Ok(());
    }
    let (first, second) = (before.run.number, after.run.number);
    let (of_first, of_second) = (of_first.name(), of_second.name());
    Err(Failure::new(
        Exit::Job,
        format_args!(
            "run {first} compared the {of_first}, run {second} the {of_second}: they have nothing in common"
        ),
    )
    .hint("compare both with --rate, or both without it"))
}

/// The same configuration in another run.
fn partner<'a>(row: &Row, other: &'a Bundle) -> Option<&'a Row> {
    other.comparison.rows.iter().find(|found| (&found.group, &found.name) == (&row.group, &row.name))
}

fn without_partner(of: &Bundle, other: &Bundle) -> Vec<String> {
    let alone = of.comparison.rows.iter().filter(|row| partner(row, other).is_none());
    alone.map(Row::full_name).collect()
}

fn nothing_in_common(runs: [&Bundle; 2]) -> Failure {
    if let Some(found) = runs.into_iter().find(|found| found.comparison.rows.is_empty()) {
        let (number, what) = (found.run.number, found.comparison.experiment.as_deref().unwrap_or("it"));
        return Failure::new(Exit::Job, format_args!("run {number}: {what} compared no times of a workload"))
            .hint("its tables are in: muster report");
    }
    let [first, second] = runs.map(|found| found.run.number);
    Failure::new(Exit::Job, format_args!("runs {first} and {second} have no configuration in common"))
        .hint("compare the same models in both")
}

fn workloads(a: &Comparison, b: &Comparison) -> Vec<String> {
    // That of the first row; experiments that compare no times have none.
    let plugin = |run: &Comparison| run.plugin.clone().unwrap_or_default();
    let digest = |run: &Comparison| plugin(run).digest.get(..12).unwrap_or_default().to_owned();
    let params = |run: &Comparison| plugin(run).params.to_string();
    let arrivals = |run: &Comparison| {
        let load = run.open_loop.as_ref();
        load.map(|load| format!("{}/s, {}", load.rate_per_s, load.arrivals)).unwrap_or_default()
    };
    let tasks = |run: &Comparison| known(run.tasks);
    let found = [
        differing("plugins", plugin(a).name, plugin(b).name),
        differing("plugin files", digest(a), digest(b)),
        differing("parameters", params(a), params(b)),
        differing("arrivals", arrivals(a), arrivals(b)),
        differing("tasks of a run", tasks(a), tasks(b)),
    ];
    found.into_iter().flatten().collect()
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

fn circumstances(a: &Comparison, b: &Comparison) -> Vec<String> {
    let place = |run: &Comparison| {
        run.cluster
            .as_ref()
            .map_or_else(|| "private clusters".to_owned(), |it| format!("cluster {}", it.name))
    };
    let seed = |run: &Comparison| known(run.seed);
    let value = |run: &Comparison, key: &str| match run.machine.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) => "none".to_owned(),
        Some(other) => other.to_string(),
        None => "unknown".to_owned(),
    };
    let keys: BTreeSet<&String> = a.machine.keys().chain(b.machine.keys()).collect();
    let of_machine = |key: &String| {
        differing(&format!("machine, {}", key.replace('_', " ")), value(a, key), value(b, key))
    };
    let others = [differing("where", place(a), place(b)), differing("seeds", seed(a), seed(b))];
    others.into_iter().chain(keys.into_iter().map(of_machine)).flatten().collect()
}

fn differing(what: &str, a: String, b: String) -> Option<String> {
    (a != b).then(|| format!("{what}: {a} and {b}"))
}

/// All that makes the times say less.
fn notes(diff: &Diff) -> Vec<String> {
    let mut notes = diff.differences.clone();
    for (number, names) in [(diff.first, &diff.only_first), (diff.second, &diff.only_second)] {
        if !names.is_empty() {
            notes.push(format!("only in run {number}: {}", names.join(", ")));
        }
    }
    notes
}

/// `7 %`: 0.07 times 100 is a little more than 7.
fn share(of: f64) -> String {
    format!("{} %", (of * 1e8).round() / 1e6)
}

/// A configuration that is slower by more than that, for sure.
fn slower(row: &RatioOf, most: f64) -> Option<String> {
    let ratio = row.ratio.filter(|ratio| row.valid && ratio.lo > 1.0 + most)?;
    Some(format!("{} {}", row.name, with_interval(&ratio)))
}

fn text(diff: &Diff) -> String {
    let head = match diff.measure {
        Measure::Time => "SECOND / FIRST (95 %)",
        Measure::LatencyP95 => "P95 LATENCY, SECOND / FIRST (95 %)",
    };
    let columns = [Column::text("CONFIGURATION"), Column::number(head), Column::text("")];
    let row = |row: &RatioOf| {
        let words = match (row.valid, &row.ratio) {
            (false, _) => "invalid",
            (true, None) => "too few blocks",
            (true, Some(ratio)) if ratio.lo > 1.0 => diff.measure.more(),
            (true, Some(ratio)) if ratio.hi < 1.0 => diff.measure.less(),
            (true, Some(_)) => "no difference seen",
        };
        vec![
            row.name.clone(),
            row.ratio.as_ref().map_or_else(|| "-".to_owned(), with_interval),
            words.to_owned(),
        ]
    };
    let table = list(&columns, diff.rows.iter().map(row).collect());
    let caution = paragraph(
        "Between two runs the machine may have become faster or slower; the intervals do not know that. Compare on a quiet \
         machine, one soon after the other.",
    );
    format!("{table}\n\n{caution}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_as_they_were_written() {
        for (of, text) in
            [(0.07, "7 %"), (0.05, "5 %"), (0.125, "12.5 %"), (1.0, "100 %"), (0.0001, "0.01 %")]
        {
            assert_eq!(share(of), text);
        }
    }
}
