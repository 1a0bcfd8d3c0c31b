//! A scenario file that is run several times with different changes, and written down as it was run.

use super::error::ScenarioError;
use super::overrides::{self, Override};
use super::read::{FILE_BYTES_MAX, read_text};
use super::tree::{Entry, Node, Value};
use super::{Scenario, TaskTime};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The text of a scenario file and where it came from.
#[derive(Clone, Debug)]
pub struct Source {
    text: String,
    path: PathBuf,
}

impl Source {
    /// Reads a file once; nothing in it is checked yet.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than any scenario.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        Ok(Self { text: read_text(path, FILE_BYTES_MAX)?, path: path.to_owned() })
    }

    /// The scenario with these changes.
    ///
    /// # Errors
    /// As [`Scenario::read`].
    pub fn scenario(&self, changes: &[Override]) -> Result<Scenario, ScenarioError> {
        Scenario::parse(&self.text, &self.path.to_string_lossy(), self.base(), changes)
    }

    /// One scenario for each list of changes. Equal recorded times are kept once.
    ///
    /// # Errors
    /// As [`Scenario::read`].
    pub fn scenarios(&self, points: &[Vec<Override>]) -> Result<Vec<Scenario>, ScenarioError> {
        let mut scenarios: Vec<Scenario> = Vec::with_capacity(points.len());
        for changes in points {
            let mut scenario = self.scenario(changes)?;
            if let Some(last) = scenarios.last() {
                share_recorded(&mut scenario, last);
            }
            scenarios.push(scenario);
        }
        Ok(scenarios)
    }

    /// A scenario file that says what [`Source::scenario`] makes of these changes, wherever it is put.
    ///
    /// # Errors
    /// As [`Scenario::read`].
    pub fn written(&self, changes: &[Override]) -> Result<String, ScenarioError> {
        let scenario = self.scenario(changes)?;
        let mut root = Node::parse(&self.text, &Arc::from(self.path.to_string_lossy()))?;
        for change in changes {
            overrides::apply(&mut root, change)?;
        }
        // What follows from the name and the folder of the file would be another at another place.
        set(&mut root, "name", Value::Text(scenario.name));
        set(&mut root, "seed", Value::Whole(scenario.seed.to_string(), scenario.seed.into()));
        make_absolute(&mut root, self.base());
        let mut text = String::new();
        table(&mut text, "", &root);
        Ok(text)
    }

    fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

fn share_recorded(scenario: &mut Scenario, last: &Scenario) {
    for (job, other) in scenario.jobs.iter_mut().zip(&last.jobs) {
        if let (TaskTime::Recorded(times), TaskTime::Recorded(same)) = (&mut job.time, &other.time)
            && times == same
        {
            *times = Arc::clone(same);
        }
    }
}

fn set(root: &mut Node, key: &str, value: Value) {
    let place = root.place.clone();
    let Value::Table(entries) = &mut root.value else { return };
    let node = Node { place: place.clone(), value };
    match entries.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => entry.node = node,
        None => entries.insert(0, Entry { key: key.to_owned(), place, node }),
    }
}

/// Files of recorded times are named from the root.
fn make_absolute(node: &mut Node, base: &Path) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| make_absolute(item, base)),
        Value::Table(entries) => {
            for Entry { key, node, .. } in entries {
                match &mut node.value {
                    Value::Text(file) if key == "recorded" => {
                        let path = base.join(&*file);
                        let path = std::path::absolute(&path).unwrap_or(path);
                        *file = path.to_string_lossy().into_owned();
                    }
                    _ if key == "params" => {}
                    _ => make_absolute(node, base),
                }
            }
        }
        _ => {}
    }
}

/// The keys of a table, then the tables in it, as TOML wants them. `path` is its own name.
fn table(text: &mut String, path: &str, node: &Node) {
    let Value::Table(entries) = &node.value else { return };
    let is_apart = |node: &Node| match &node.value {
        Value::Table(_) => path.is_empty(),
        Value::List(items) => {
            path.is_empty()
                && !items.is_empty()
                && items.iter().all(|item| matches!(item.value, Value::Table(_)))
        }
        _ => false,
    };
    for entry in entries.iter().filter(|entry| !is_apart(&entry.node)) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{} = {}", key(&entry.key), inline(&entry.node));
    }
    for entry in entries.iter().filter(|entry| is_apart(&entry.node)) {
        let name = key(&entry.key);
        match &entry.node.value {
            Value::List(items) => {
                for item in items {
                    let _ = writeln!(text, "\n[[{name}]]");
                    table(text, &name, item);
                }
            }
            _ => {
                let _ = writeln!(text, "\n[{name}]");
                table(text, &name, &entry.node);
            }
        }
    }
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => quoted(text),
        Value::Whole(written, number) => {
            if written.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-') {
                number.to_string()
            } else {
                written.clone()
            }
        }
        Value::Number(written, _) => written.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(entries) => {
            let pair = |entry: &Entry| format!("{} = {}", key(&entry.key), inline(&entry.node));
            format!("{{ {} }}", entries.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("first.toml");
        std::fs::write(&path, text).unwrap();
        (folder, Source::read(&path).unwrap())
    }

    fn changes(words: &[&str]) -> Vec<Override> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    /// Read again, at another place, it is the same scenario.
    #[track_caller]
    fn reads_the_same(source: &Source, changes: &[Override]) -> String {
        let written = source.written(changes).unwrap();
        let again = Scenario::parse(&written, "other.toml", Path::new("/nowhere"), &[]);
        assert_eq!(again.unwrap(), source.scenario(changes).unwrap(), "{written}");
        written
    }

    #[test]
    fn all_kept_scenarios_are_written_as_they_are_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let source = Source::read(&file.unwrap().path()).unwrap();
            reads_the_same(&source, &[]);
            reads_the_same(&source, &changes(&["seed=7", "workers=3", "jobs.0.time.exp=2s"]));
            seen += 1;
        }
        assert!(seen >= 5);
    }

    #[test]
    fn names_files_and_odd_texts_survive() {
        let (folder, source) = source(
            "[[workers]]\ncount = 0x10\n[[jobs]]\ntasks = 1e3\nplugin = \"sleep\"\n\
             params = { ms = 10, \"odd key\" = \"a\\\"b\\\\c\\u0001\", recorded = \"not a file\" }\n\
             [jobs.time]\nrecorded = \"times.csv\"\n",
        );
        std::fs::write(folder.path().join("times.csv"), "1ms\n2ms\n").unwrap();
        let written = reads_the_same(&source, &changes(&["coordinator.commit=1ms"]));
        assert!(written.contains("name = \"first\"") && written.contains("count = 16"), "{written}");
    }

    #[test]
    fn recorded_times_are_kept_once() {
        let (folder, source) =
            source("[[workers]]\ncount = 1\n[[jobs]]\ntasks = 1\ntime = { recorded = \"times.csv\" }\n");
        std::fs::write(folder.path().join("times.csv"), "1ms\n").unwrap();
        let scenarios = source.scenarios(&[changes(&["workers=1"]), changes(&["workers=2"])]).unwrap();
        let times = |at: usize| match &scenarios[at].jobs[0].time {
            TaskTime::Recorded(times) => Arc::as_ptr(times),
            other => panic!("{other:?}"),
        };
        assert!(std::ptr::eq(times(0), times(1)));
        assert_eq!(scenarios[1].workers[0].count, 2);
    }
}
