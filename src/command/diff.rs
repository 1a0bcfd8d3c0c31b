//! `muster diff`: what takes longer in one comparison than in another.

use crate::cli::DiffArgs;
use crate::compare::{self, Kept, KeptPlugin, KeptRow, Measure, RunFolder, Spread, with_interval};
use crate::exit::{Exit, Failure, Outcome};
use crate::statistics::unpaired_ratio;
use crate::summary::{Column, list, paragraph};
use crate::terminal::{self, note};
use serde::Serialize;

/// The whole.
#[derive(Debug, Serialize)]
struct Diff {
    first: u64,
    second: u64,
    /// What was compared in both.
    measure: Measure,
    rows: Vec<Row>,
    /// What is not the same in both, so that the times say less.
    differences: Vec<String>,
}

/// A configuration that is in both.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// How many times as long it takes in the second; `null` with fewer than 5 blocks.
    ratio: Option<Spread>,
    valid: bool,
}

impl Row {
    fn is_known(&self) -> bool {
        self.valid && self.ratio.is_some()
    }
}

/// Compares and judges.
pub fn diff(args: &DiffArgs) -> Outcome {
    let (first, second) = (compare::find(args.first)?, compare::find(args.second)?);
    let diff = of(&first, &second)?;
    if args.json {
        super::printed(terminal::print_json(&diff))?;
    } else {
        super::printed(terminal::print(text(&diff)))?;
        for difference in &diff.differences {
            note(format_args!("note: {difference}"));
        }
    }
    let Some(most) = args.fail_if else { return Ok(Exit::Ok) };
    let unknown: Vec<&str> =
        diff.rows.iter().filter(|row| !row.is_known()).map(|row| row.name.as_str()).collect();
    let slower: Vec<String> = diff.rows.iter().filter_map(|row| slower(row, most)).collect();
    if slower.is_empty() && unknown.is_empty() {
        return Ok(Exit::Ok);
    }
    if slower.is_empty() {
        let rows = unknown.join(", ");
        return Err(Failure::new(Exit::Invalid, format_args!("whether it is slower is not known of {rows}"))
            .hint("compare again on a quiet machine, with at least 5 blocks"));
    }
    let (most, slower) = (most * 100.0, slower.join("; "));
    Err(Failure::new(Exit::Regression, format_args!("slower by more than {most} %: {slower}")))
}

fn of(first: &RunFolder, second: &RunFolder) -> Outcome<Diff> {
    let (a, b) = (first.read()?, second.read()?);
    if a.measure != b.measure {
        let ((a, of_a), (b, of_b)) = ((first.number, a.measure.name()), (second.number, b.measure.name()));
        return Err(Failure::new(
            Exit::Job,
            format_args!("run {a} compared the {of_a}, run {b} the {of_b}: they have nothing in common"),
        )
        .hint("compare both with --rate, or both without it"));
    }
    let mut rows = Vec::new();
    for row in &b.rows {
        let is_same = |before: &&KeptRow| (&before.group, &before.name) == (&row.group, &row.name);
        let Some(before) = a.rows.iter().find(is_same) else { continue };
        let ratio = unpaired_ratio(&second.values(row, b.measure)?, &first.values(before, a.measure)?);
        let group = row.group.as_ref().map(|group| format!("{group}: ")).unwrap_or_default();
        rows.push(Row {
            name: format!("{group}{}", row.name),
            ratio: ratio.map(Into::into),
            valid: row.valid && before.valid,
        });
    }
    if rows.is_empty() {
        let (a, b) = (first.number, second.number);
        return Err(Failure::new(
            Exit::Job,
            format_args!("runs {a} and {b} have no configuration in common"),
        )
        .hint("compare the same models in both"));
    }
    let (measure, differences) = (a.measure, differences(&a, &b));
    Ok(Diff { first: first.number, second: second.number, measure, rows, differences })
}

/// That of the first row; experiments that compare no times have none.
fn plugin(kept: &Kept) -> KeptPlugin {
    kept.plugin.clone().unwrap_or_default()
}

fn differences(a: &Kept, b: &Kept) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{what}: {a} and {b}"));
        }
    };
    let digest = |kept: &Kept| plugin(kept).digest.get(..12).unwrap_or_default().to_owned();
    differ("plugins", plugin(a).name, plugin(b).name);
    differ("plugin files", digest(a), digest(b));
    differ("parameters", plugin(a).params.to_string(), plugin(b).params.to_string());
    let arrivals = |kept: &Kept| {
        let load = kept.open_loop.as_ref();
        load.map(|load| format!("{}/s, {}", load.rate_per_s, load.arrivals)).unwrap_or_default()
    };
    differ("arrivals", arrivals(a), arrivals(b));
    differ("tasks of a run", a.tasks.to_string(), b.tasks.to_string());
    found
}

/// A configuration that is slower by more than that, for sure.
fn slower(row: &Row, most: f64) -> Option<String> {
    let ratio = row.ratio.filter(|ratio| row.valid && ratio.lo > 1.0 + most)?;
    Some(format!("{} {}", row.name, with_interval(&ratio)))
}

fn text(diff: &Diff) -> String {
    let head = match diff.measure {
        Measure::Time => "SECOND / FIRST (95 %)",
        Measure::LatencyP95 => "P95 LATENCY, SECOND / FIRST (95 %)",
    };
    let columns = [Column::text("CONFIGURATION"), Column::number(head), Column::text("")];
    let row = |row: &Row| {
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
