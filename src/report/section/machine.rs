//! The machine and the versions that something was measured with.

use crate::kept::Comparison;
use crate::report::html::Table;
use crate::summary::{bytes, plain};
use serde_json::Value;

/// What names of the file mean; what is not in here is shown under its own name.
const NAMES: [(&str, &str); 8] = [
    ("cpu", "Processor"),
    ("cpus", "Processors that could be used"),
    ("memory_bytes", "Memory"),
    ("kernel", "Linux kernel"),
    ("governor", "Frequency governor"),
    ("cpu_limit", "Processors that the cgroup allows"),
    ("memory_limit_bytes", "Memory that the cgroup allows"),
    ("muster", "muster"),
];

/// A table of all that is known.
pub fn of(comparison: &Comparison) -> String {
    if comparison.machine.is_empty() {
        return String::new();
    }
    let mut table = Table::new("Where it was measured");
    table.text("What").text("Value");
    let known = NAMES.iter().filter_map(|(key, name)| Some((*key, *name, comparison.machine.get(*key)?)));
    for (key, name, value) in known {
        table.row(vec![name.to_owned(), words(key, value)]);
    }
    for (key, value) in
        comparison.machine.iter().filter(|(key, _)| NAMES.iter().all(|(known, _)| known != key))
    {
        table.row(vec![key.replace('_', " "), words(key, value)]);
    }
    let digests = comparison.groups.iter().filter_map(|group| Some((&group.name, group.plugin.as_ref()?)));
    let all = comparison.plugin.iter().map(|plugin| (&plugin.name, plugin)).chain(digests);
    for (_, plugin) in all {
        table.row(vec![format!("Plugin {} {}", plugin.name, plugin.version), plugin.digest.clone()]);
    }
    table.html()
}

fn words(key: &str, value: &Value) -> String {
    match value {
        Value::Null if key.contains("limit") => "no limit".to_owned(),
        Value::Null => "not known, or not there".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if key.ends_with("_bytes") => {
            number.as_u64().map_or_else(|| number.to_string(), bytes)
        }
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), plain),
        other => other.to_string(),
    }
}
