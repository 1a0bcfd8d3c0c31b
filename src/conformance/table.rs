//! What came of all checks, for people and for programs.

use super::check::{Check, Verdict};
use super::subject::Subject;
use crate::summary::{Column, hex, list};
use serde_json::{Value, json};

/// A row for each check.
pub fn table(checks: &[Check]) -> String {
    let columns = [
        Column::text("CHECK"),
        Column::text("RESULT"),
        Column::text("MEASURED"),
        Column::text("WHAT TO CHANGE"),
    ];
    let row = |check: &Check| {
        let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        vec![
            check.name.clone(),
            check.verdict.name().to_owned(),
            clean(&check.measured),
            clean(&check.advice),
        ]
    };
    list(&columns, checks.iter().map(row).collect())
}

/// The same as one object.
pub fn json(subject: &Subject, checks: &[Check]) -> Value {
    let reference = subject.file.reference();
    let rows: Vec<Value> = checks.iter().map(Check::to_json).collect();
    json!({
        "plugin": reference.name, "version": reference.version, "digest": hex(&reference.digest),
        "passed": !checks.iter().any(|check| check.verdict == Verdict::Fail),
        "checks": rows,
    })
}
