//! What people claim about the models, held against this run.

use crate::kept::{Claim, Comparison};
use crate::report::html::escape;

/// A list; nothing where no claim was held against anything.
pub fn of(comparison: &Comparison) -> String {
    let items: String = comparison.claims.iter().map(item).collect();
    if items.is_empty() { items } else { format!("<ul class=\"claims\">\n{items}</ul>\n") }
}

fn item(found: &Claim) -> String {
    let words = match found.verdict.as_str() {
        "yes" => "holds",
        "no" => "does not hold",
        "depends" => "depends",
        _ => "not known",
    };
    let [claim, measured, command] = [&found.claim, &found.measured, &found.command].map(|text| escape(text));
    format!(
        "<li>\u{201c}{claim}\u{201d}: <strong>{words}</strong>. Here: {measured}. <code>{command}</code></li>\n"
    )
}
