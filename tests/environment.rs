//! The table of environment variables is complete.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;

/// Every variable that a line of the sources reads has its place in docs/environment.md.
#[test]
fn environment_variables_are_documented() {
    let table = include_str!("../docs/environment.md");
    let mut folders: Vec<_> = ["src", "coordinator/src", "worker/src", "proto/src", "plugins/sdk/src"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .into();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            if entry.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&entry).unwrap();
            let shipped = text.split("#[cfg(test)]").next().unwrap();
            for read in ["env = \"", "env::var(\"", "var_os(\"", "from_env(\"", "absolute(\""] {
                let names = shipped.split(read).skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(
                    names
                        .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
                        .map(str::to_owned),
                );
            }
        }
    }
    assert!(found.contains("MUSTER_CACHE") && found.contains("MUSTER_LOG") && found.len() >= 14, "{found:?}");
    for name in found {
        assert!(table.contains(&format!("`{name}`")), "{name} is not in docs/environment.md");
    }
}
