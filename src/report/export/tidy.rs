//! The table: which columns there are, and what stands in them.

use crate::compare::TASKS;
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::{Bundle, MORE, Plugin, Row, Sample, TaskSample};
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

/// Columns of equal length.
#[derive(Clone, Debug, Default)]
pub struct Tidy {
    pub columns: Vec<Column>,
}

/// One variable.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub values: Values,
}

/// Its values; `None`: not known.
#[derive(Clone, Debug)]
pub enum Values {
    Text(Vec<Option<Rc<str>>>),
    Whole(Vec<Option<u64>>),
    Number(Vec<Option<f64>>),
    Flag(Vec<Option<bool>>),
}

/// An observation with what it was an observation of.
struct Observed<'a, T> {
    bundle: &'a Bundle,
    row: Option<&'a Row>,
    of: T,
}

/// A line for each run of a configuration.
pub fn samples(bundles: &[Bundle]) -> Tidy {
    let mut lines: Vec<Observed<'_, &Sample>> = Vec::new();
    for bundle in bundles {
        for sample in &bundle.samples {
            let row = row(bundle, &sample.configuration, sample.group.as_deref());
            lines.push(Observed { bundle, row, of: sample });
        }
    }
    let mut table = Tidy::default();
    identity(&mut table, &lines, |sample| &sample.configuration);
    table.whole("block", lines.iter().map(|line| Some(line.of.block)));
    table.flag("again", lines.iter().map(|line| Some(line.of.again)));
    table.number("time_s", lines.iter().map(|line| Some(line.of.time_s)));
    for (at, name) in MORE.into_iter().enumerate() {
        table.number(name, lines.iter().map(|line| line.of.more[at]));
    }
    table
}

/// A line for each task.
pub fn tasks(bundles: &[Bundle]) -> Outcome<Tidy> {
    let mut kept: Vec<(&Bundle, Vec<TaskSample>)> = Vec::new();
    for bundle in bundles {
        let tasks = bundle.tasks()?.ok_or_else(|| {
            Failure::new(Exit::Job, format_args!("run {} kept no times of single tasks", bundle.run.number))
                .hint(format_args!(
                    "those that did have a {TASKS} in their folder; leave out --tasks, or the run"
                ))
        })?;
        kept.push((bundle, tasks));
    }
    let mut lines: Vec<Observed<'_, &TaskSample>> = Vec::new();
    for (bundle, tasks) in &kept {
        for task in tasks {
            let row = row(bundle, &task.configuration, task.group.as_deref());
            lines.push(Observed { bundle, row, of: task });
        }
    }
    let mut table = Tidy::default();
    identity(&mut table, &lines, |task| &task.configuration);
    table.whole("block", lines.iter().map(|line| Some(line.of.block)));
    table.flag("again", lines.iter().map(|line| Some(line.of.again)));
    table.whole("task", lines.iter().map(|line| Some(line.of.task)));
    table.number("start_s", lines.iter().map(|line| line.of.start_s));
    table.number("run_s", lines.iter().map(|line| line.of.run_s));
    table.number("latency_s", lines.iter().map(|line| line.of.latency_s));
    Ok(table)
}

/// The row that a sample belongs to.
fn row<'a>(bundle: &'a Bundle, configuration: &str, group: Option<&str>) -> Option<&'a Row> {
    let mut named = bundle.comparison.rows.iter().filter(|row| row.name == configuration);
    match group {
        Some(_) => named.find(|row| row.group.as_deref() == group),
        None => named.next(),
    }
}

/// What tells one line from another, beside the observation itself.
fn identity<'a, T>(table: &mut Tidy, lines: &[Observed<'a, &'a T>], configuration: fn(&T) -> &String) {
    let plugin = |line: &Observed<'a, &'a T>| -> Option<&'a Plugin> {
        let group = line.row.and_then(|row| row.group.as_ref());
        let comparison = &line.bundle.comparison;
        let of_group = comparison.groups.iter().find(|found| Some(&found.name) == group);
        of_group.and_then(|found| found.plugin.as_ref()).or(comparison.plugin.as_ref())
    };
    let of_plugin = |of: fn(&Plugin) -> String| lines.iter().map(move |line| plugin(line).map(of));
    let of_row = |of: fn(&Row) -> u32| lines.iter().map(move |line| line.row.map(|row| u64::from(of(row))));
    table.whole("run", lines.iter().map(|line| Some(line.bundle.run.number)));
    table.text("experiment", lines.iter().map(|line| line.bundle.comparison.experiment.clone()));
    table.text("plugin", of_plugin(|plugin| plugin.name.clone()));
    table.text("version", of_plugin(|plugin| plugin.version.clone()));
    table.text("digest", of_plugin(|plugin| plugin.digest.clone()));
    table.text("params", of_plugin(|plugin| plugin.params.to_string()));
    table.text("group", lines.iter().map(|line| line.row.and_then(|row| row.group.clone())));
    factors(table, lines);
    table.text("configuration", lines.iter().map(|line| Some(configuration(line.of).clone())));
    table.text("model", lines.iter().map(|line| line.row.map(|row| row.model.clone())));
    table.whole("processes", of_row(|row| row.processes));
    table.whole("threads", of_row(|row| row.threads));
    table.whole("in_flight", of_row(|row| row.in_flight));
    table.flag("gil", lines.iter().map(|line| line.row.map(|row| row.gil)));
    table.flag("valid", lines.iter().map(|line| line.row.map(|row| row.valid)));
    table.whole("tasks", lines.iter().map(|line| tasks_of(line)));
}

fn tasks_of<T>(line: &Observed<'_, T>) -> Option<u64> {
    let group = line.row.and_then(|row| row.group.as_ref());
    let comparison = &line.bundle.comparison;
    let of_group = comparison.groups.iter().find(|found| Some(&found.name) == group);
    of_group.and_then(|found| found.tasks).or(comparison.tasks)
}

/// A column for each factor of any row: numbers where all its values are some.
fn factors<T>(table: &mut Tidy, lines: &[Observed<'_, T>]) {
    let rows = || lines.iter().map(|line| line.row);
    let names: BTreeSet<&String> = rows().flatten().flat_map(|row| row.factors.keys()).collect();
    for name in names {
        let values: Vec<_> = rows().map(|row| row?.factors.get(name)).collect();
        let column = format!("factor_{name}");
        if values.iter().flatten().all(|value| value.is_number()) {
            table.number(&column, values.iter().map(|value| value.and_then(|value| value.as_f64())));
        } else {
            let words =
                |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            table.text(&column, values.iter().map(|value| value.map(words)));
        }
    }
}

impl Tidy {
    fn push(&mut self, name: &str, values: Values) {
        self.columns.push(Column { name: name.to_owned(), values });
    }

    fn text(&mut self, name: &str, values: impl Iterator<Item = Option<String>>) {
        // A digest or a name stands in as many lines as there are tasks, and in memory once.
        let mut known: HashSet<Rc<str>> = HashSet::new();
        let mut shared = |text: String| match known.get(text.as_str()) {
            Some(text) => Rc::clone(text),
            None => {
                let text: Rc<str> = text.into();
                known.insert(Rc::clone(&text));
                text
            }
        };
        self.push(name, Values::Text(values.map(|text| text.map(&mut shared)).collect()));
    }

    fn whole(&mut self, name: &str, values: impl Iterator<Item = Option<u64>>) {
        self.push(name, Values::Whole(values.collect()));
    }

    fn number(&mut self, name: &str, values: impl Iterator<Item = Option<f64>>) {
        self.push(name, Values::Number(values.collect()));
    }

    fn flag(&mut self, name: &str, values: impl Iterator<Item = Option<bool>>) {
        self.push(name, Values::Flag(values.collect()));
    }

    /// How many observations there are.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |column| match &column.values {
            Values::Text(values) => values.len(),
            Values::Whole(values) => values.len(),
            Values::Number(values) => values.len(),
            Values::Flag(values) => values.len(),
        })
    }
}
