//! What people claim about the models, held against this run.

use crate::report::comparison::Comparison;
use crate::report::html::Table;

/// A table; nothing where no claim was held against anything.
pub fn of(comparison: &Comparison) -> String {
    if comparison.claims.is_empty() {
        return String::new();
    }
    let mut table = Table::new("Claims and what was measured");
    table.text("Claim").text("Here").text("Measured").text("Repeat it");
    for found in &comparison.claims {
        let words = match found.verdict.as_str() {
            "yes" => "holds",
            "no" => "does not hold",
            "depends" => "depends",
            _ => "not known",
        };
        table.row(vec![found.claim.clone(), words.to_owned(), found.measured.clone(), found.command.clone()]);
    }
    table.html()
}
