//! Every promise in docs/guarantees.md names tests that are there.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

/// The tests that follow a promise: all that stands between backquotes and has the form `FILE: TEST`.
fn named(promise: &str) -> Vec<(&str, &str)> {
    let quoted = promise.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once(".rs: ")).collect()
}

#[test]
fn each_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let (promised, rest) = text.split_once("## What is not promised").unwrap();
    assert!(named(rest).is_empty());
    let promises: Vec<&str> = promised.split("\n- ").skip(1).collect();
    assert!(promises.len() > 20, "the file has another form");
    for promise in promises {
        let tests = named(promise);
        assert!(!tests.is_empty(), "no test shows this: {promise}");
        for (file, name) in tests {
            let source = std::fs::read_to_string(root.join(format!("{file}.rs")));
            let source = source.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
            let head = format!("fn {name}(");
            let (before, _) = source.split_once(&head).unwrap_or_else(|| panic!("{file}.rs has no {name}"));
            let attributes = before.lines().rev().skip_while(|line| !line.trim_start().starts_with("#["));
            let attributes: Vec<&str> =
                attributes.take_while(|line| line.trim_start().starts_with(['#', '/'])).collect();
            assert!(attributes.iter().any(|line| line.contains("test")), "{file}.rs: {name} is no test");
            assert!(!attributes.iter().any(|line| line.contains("ignore")), "{file}.rs: {name} is ignored");
        }
    }
}
