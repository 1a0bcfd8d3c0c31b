//! A scenario file with the changes of the command line written into it, so that the same can be run again.

use super::error::ScenarioError;
use super::overrides::{self, Override};
use super::read::{FILE_BYTES_MAX, read_text};
use super::tree::{Node, Value};
use super::{Scenario, times};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

impl Scenario {
    /// The text of a scenario file, with changes made in it: as it is when there are none, else without its comments.
    /// Files of recorded times are named so that they are found from anywhere.
    ///
    /// # Errors
    /// As [`Scenario::read`], but for what is wrong only with values.
    pub fn text(path: &Path, changes: &[Override]) -> Result<String, ScenarioError> {
        let text = read_text(path, FILE_BYTES_MAX)?;
        let mut root = Node::parse(&text, &Arc::from(&*path.to_string_lossy()))?;
        for change in changes {
            overrides::apply(&mut root, change)?;
        }
        let base = path.parent().unwrap_or(Path::new(""));
        let named = times::name_from_anywhere(&mut root, base);
        Ok(if changes.is_empty() && !named { text } else { written(&root) })
    }
}

/// The tree as TOML: values, then tables, then lists of tables.
fn written(root: &Node) -> String {
    let Value::Table(entries) = &root.value else { return String::new() };
    let mut text = String::new();
    let is_table = |node: &Node| matches!(node.value, Value::Table(_));
    let is_tables = |node: &Node| match &node.value {
        Value::List(items) => !items.is_empty() && items.iter().all(is_table),
        _ => false,
    };
    for entry in entries.iter().filter(|entry| !is_table(&entry.node) && !is_tables(&entry.node)) {
        line(&mut text, &entry.key, &entry.node);
    }
    for entry in entries {
        let parts: &[Node] = match &entry.node.value {
            Value::Table(_) => std::slice::from_ref(&entry.node),
            Value::List(items) if is_tables(&entry.node) => items,
            _ => continue,
        };
        let (open, close) = if is_table(&entry.node) { ("[", "]") } else { ("[[", "]]") };
        for part in parts {
            let Value::Table(inner) = &part.value else { continue };
            text.push_str(if text.is_empty() { "" } else { "\n" });
            let _ = writeln!(text, "{open}{}{close}", key(&entry.key));
            inner.iter().for_each(|entry| line(&mut text, &entry.key, &entry.node));
        }
    }
    text
}

fn line(text: &mut String, name: &str, node: &Node) {
    let _ = writeln!(text, "{} = {}", key(name), inline(node));
}

fn inline(node: &Node) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match &node.value {
        Value::Text(text) => quoted(text),
        Value::Whole(_, number) => number.to_string(),
        Value::Number(text, _) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => format!("[{}]", joined(items.iter().map(inline).collect())),
        Value::Table(entries) => {
            let pair = |entry: &super::tree::Entry| format!("{} = {}", key(&entry.key), inline(&entry.node));
            format!("{{ {} }}", joined(entries.iter().map(pair).collect()))
        }
    }
}

fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Override {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> =
            std::fs::read_dir(folder.join("scenarios")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.push(folder.join("src/scenario/full.toml"));
        let changes = ["seed=77", "name=\"a \\\"b\\\" \\\\ \u{e4}\"", "latency=7ms", "jobs.0.time.const=3ms"];
        let changes = changes.map(change);
        for file in files {
            // Only scenarios with a link have a latency to change.
            let changes: Vec<_> = changes.to_vec();
            let changes =
                if Scenario::read(&file, &changes).is_ok() { changes } else { changes[..2].to_vec() };
            let Ok(expected) = Scenario::read(&file, &changes) else {
                panic!("{}: {}", file.display(), Scenario::read(&file, &changes).unwrap_err())
            };
            let text = Scenario::text(&file, &changes).unwrap();
            let found = Scenario::parse(&text, "again.toml", Path::new("/nowhere"), &[]).unwrap();
            assert_eq!(found, expected, "{}:\n{text}", file.display());
        }
    }

    #[test]
    fn without_changes_a_file_stays_as_it_is() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/losses.toml");
        assert_eq!(Scenario::text(&file, &[]).unwrap(), std::fs::read_to_string(&file).unwrap());
    }

    #[test]
    fn files_of_recorded_times_are_named_for_everywhere() {
        let folder = std::env::temp_dir().join(format!("muster-sim-text-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("times.csv"), "10ms\n20ms\n").unwrap();
        let file = folder.join("recorded.toml");
        let scenario = "[[workers]]\ncount = 1\n[[jobs]]\ntasks = 2\ntime = { recorded = \"times.csv\" }\n";
        std::fs::write(&file, scenario).unwrap();
        let text = Scenario::text(&file, &[]).unwrap();
        let found = Scenario::parse(&text, "recorded.toml", Path::new("/nowhere"), &[]);
        let expected = Scenario::read(&file, &[]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.unwrap(), expected.unwrap());
    }
}
