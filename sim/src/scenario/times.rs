//! `time` of a job, and files of recorded times.

use super::error::{Place, ScenarioError};
use super::field::{Field, Table};
use super::read::read_text;
use super::tree::{Node, Value, shortened};
use super::{TaskTime, keys};
use muster_core::quantity::{self, QuantityError};
use muster_core::time::Span;
use std::path::Path;
use std::sync::Arc;

const RECORDED_BYTES_MAX: u64 = 1 << 30;
const SIGMA_MAX: f64 = 10.0;
const SHAPE_MAX: f64 = 1_000.0;
/// The column of a table of recorded times, in seconds.
const COLUMN: &str = "busy_s";

pub(super) fn time(field: Field<'_>, base: &Path) -> Result<TaskTime, ScenarioError> {
    if !matches!(field.node.value, Value::Table(_)) {
        return Err(
            field.wrong("names no distribution: write it as in { const = \"10ms\" } or { exp = \"1s\" }")
        );
    }
    let table = Table::open(field.node, &keys::TIME, "time")?;
    let kind = match table.entries() {
        [entry] => entry.key.as_str(),
        [] => return Err(field.wrong(format!("is empty: write one of {}", kinds()))),
        [first, second, ..] => {
            let both = format!("has both {} and {}: keep one of them", first.key, second.key);
            return Err(ScenarioError::Structure {
                place: second.place.clone(),
                subject: "time".to_owned(),
                problem: both,
            });
        }
    };
    match kind {
        "const" => Ok(TaskTime::Const(table.need("const", "")?.duration()?)),
        "uniform" => uniform(&table.need("uniform", "")?),
        "exp" => Ok(TaskTime::Exp { mean: table.need("exp", "")?.duration()? }),
        "lognormal" => lognormal(&table.need("lognormal", "")?),
        "pareto" => pareto(&table.need("pareto", "")?),
        "bimodal" => bimodal(&table.need("bimodal", "")?),
        _ => recorded(&table.need("recorded", "")?, base),
    }
}

fn kinds() -> String {
    keys::TIME.keys.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ")
}

fn uniform(field: &Field<'_>) -> Result<TaskTime, ScenarioError> {
    let Value::List(items) = &field.node.value else {
        return Err(field.wrong("is not two durations: write it as in [\"1ms\", \"3ms\"]"));
    };
    let [first, second] = items.as_slice() else {
        return Err(
            field.wrong(format!("has {} values, and should have two: [\"1ms\", \"3ms\"]", items.len()))
        );
    };
    let item = |node| Field { node, kind: keys::Kind::Duration("ms"), ..*field };
    let (min, max) = (item(first).duration()?, item(second).duration()?);
    if min > max {
        return Err(item(first).wrong(format!("is longer than the second, {}: swap them", second.shown())));
    }
    Ok(TaskTime::Uniform { min, max })
}

/// The table of a distribution that has more than one number.
fn parameters<'a>(
    field: &Field<'a>,
    section: &'static keys::Section,
    example: &str,
) -> Result<Table<'a>, ScenarioError> {
    match field.node.value {
        Value::Table(_) => Table::open(field.node, section, field.key),
        _ => Err(field.wrong(format!("is not a table: write it as in {example}"))),
    }
}

fn lognormal(field: &Field<'_>) -> Result<TaskTime, ScenarioError> {
    if let Some(node) = field.node.get("mean") {
        let mean = Field { section: &keys::LOGNORMAL, key: "mean", node, ..*field };
        return Err(mean.wrong("is not the median: write median = mean / exp(sigma\u{b2}/2)"));
    }
    let table = parameters(field, &keys::LOGNORMAL, "{ median = \"1s\", sigma = 0.5 }")?;
    let median = table.need("median", "median = \"1s\"")?.duration_above_zero()?;
    let sigma = table.need("sigma", "sigma = 0.5")?.number(0.0..=SIGMA_MAX)?;
    Ok(TaskTime::Lognormal { median, sigma })
}

fn pareto(field: &Field<'_>) -> Result<TaskTime, ScenarioError> {
    let table = parameters(field, &keys::PARETO, "{ min = \"1s\", shape = 1.5 }")?;
    let min = table.need("min", "min = \"1s\"")?.duration_above_zero()?;
    let shape_field = table.need("shape", "shape = 1.5")?;
    let shape = shape_field.number(f64::MIN..=SHAPE_MAX)?;
    if shape < 0.001 {
        return Err(shape_field.wrong("is out of range: above 0, and at least 0.001; usual is 1.1 to 3"));
    }
    Ok(TaskTime::Pareto { min, shape })
}

fn bimodal(field: &Field<'_>) -> Result<TaskTime, ScenarioError> {
    let example = "{ short = \"10ms\", long = \"1s\", share = 0.05 }";
    let table = parameters(field, &keys::BIMODAL, example)?;
    let short_field = table.need("short", "short = \"10ms\"")?;
    let short = short_field.duration()?;
    let long_field = table.need("long", "long = \"1s\"")?;
    let long = long_field.duration()?;
    let share = table.need("share", "share = 0.05")?.share()?;
    if short > long {
        return Err(short_field.wrong(format!("is longer than long, {}: swap them", long_field.node.shown())));
    }
    Ok(TaskTime::Bimodal { short, long, share })
}

fn recorded(field: &Field<'_>, base: &Path) -> Result<TaskTime, ScenarioError> {
    let path = base.join(field.text()?);
    let text = read_text(&path, RECORDED_BYTES_MAX).map_err(|error| match error {
        ScenarioError::Unreadable { path, error } => {
            field.wrong(format!("cannot be read as {}: {error}", path.display()))
        }
        error => error,
    })?;
    let mut times = recorded_times(&text, &path)?;
    // In order a larger random number gives a longer time, as with every other distribution.
    times.sort_unstable();
    Ok(TaskTime::Recorded(times.into()))
}

/// Names the files of recorded times by paths that do not depend on `base`; says whether there was one.
pub(super) fn name_from_anywhere(root: &mut Node, base: &Path) -> bool {
    let Some(Value::List(jobs)) = root.get_mut("jobs").map(|node| &mut node.value) else { return false };
    let mut named = false;
    for job in jobs {
        let Some(file) = job.get_mut("time").and_then(|time| time.get_mut("recorded")) else { continue };
        if let Value::Text(text) = &mut file.value
            && let Ok(path) = std::path::absolute(base.join(text.as_str()))
        {
            *text = path.to_string_lossy().into_owned();
            named = true;
        }
    }
    named
}

/// One duration a line, or the column `busy_s` of a table with a header. Empty lines and what follows `#` at the
/// start of a line do not count.
fn recorded_times(text: &str, path: &Path) -> Result<Vec<Span>, ScenarioError> {
    let file: Arc<str> = path.to_string_lossy().into();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let wrong = |line: usize, subject: String, problem: String| ScenarioError::Structure {
        place: Place::Line { file: Arc::clone(&file), line },
        subject,
        problem,
    };
    let counts = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| counts(line));
    let mut column = None;
    let mut times = Vec::new();
    for (index, line) in lines {
        let number = index + 1;
        if let Some(column) = column {
            let cells = cells(line);
            let Some(cell) = cells.get::<usize>(column) else {
                return Err(wrong(number, shown(line), format!("has no column {} ({COLUMN})", column + 1)));
            };
            times.push(
                seconds(cell)
                    .map_err(|problem| wrong(number, format!("{COLUMN} {}", shown(cell)), problem))?,
            );
        } else if times.is_empty() && is_header(line) {
            let position = cells(line).iter().position(|cell| cell == COLUMN);
            let missing = || {
                wrong(
                    number,
                    shown(line),
                    format!(
                        "has no column {COLUMN:?} (seconds): add it, or write one duration a line, as in 10ms"
                    ),
                )
            };
            column = Some(position.ok_or_else(missing)?);
        } else {
            times.push(
                quantity::duration(line).map_err(|error| wrong(number, shown(line), error.to_string()))?,
            );
        }
    }
    if times.is_empty() {
        let problem = "has no times: write one duration a line, as in 10ms".to_owned();
        return Err(wrong(1, "the file".to_owned(), problem));
    }
    Ok(times)
}

fn is_header(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '"' || c == '_')
        && !matches!(quantity::duration(line), Err(QuantityError::NotFinite))
}

/// The cells of a line, without the quotes around them.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::<String>::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

fn seconds(cell: &str) -> Result<Span, String> {
    match quantity::duration(&format!("{cell}s")) {
        Ok(span) => Ok(span),
        // Shorter than can be told from nothing.
        Err(QuantityError::TooSmall { .. }) => Ok(Span::ZERO),
        Err(QuantityError::NoNumber | QuantityError::UnknownUnit { .. }) => {
            Err("is not a number of seconds".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", shortened(text))
}
