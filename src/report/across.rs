//! Several runs of the same workload: how the times of each configuration changed from the first to the others.

use super::chart::{Drawing as _, Intervals, Lane, Unit, can_show};
use super::html::{Table, paragraph};
use super::row::what_is_compared;
use super::section::about;
use crate::compare::{Spread, with_interval};
use crate::kept::{Bundle, Row};
use crate::statistics::unpaired_ratio;

/// What may be said when an interval holds 1.
const SEEN: &str = "no difference seen";

/// A chart and a table for each workload that was run more than once.
pub fn section(bundles: &[Bundle]) -> String {
    let mut html = String::new();
    let mut seen: Vec<&Bundle> = Vec::new();
    for first in bundles {
        if seen.iter().any(|bundle| is_same(bundle, first)) {
            continue;
        }
        seen.push(first);
        let others: Vec<&Bundle> =
            bundles.iter().filter(|other| !std::ptr::eq(*other, first) && is_same(other, first)).collect();
        html.push_str(&workload(first, &others));
    }
    if html.is_empty() {
        return html;
    }
    let caution = "Between runs a machine may have become faster or slower; the intervals do not know that.";
    format!("<h2 id=\"across\">From run to run</h2>\n{html}{}", paragraph("note", caution))
}

/// The same plugin with the same parameters, as many tasks and the same arrivals.
fn is_same(a: &Bundle, b: &Bundle) -> bool {
    let (a, b) = (&a.comparison, &b.comparison);
    let same_plugin = match (&a.plugin, &b.plugin) {
        (Some(a), Some(b)) => (&a.name, &a.params) == (&b.name, &b.params),
        _ => false,
    };
    same_plugin && (a.tasks, a.measure, &a.open_loop) == (b.tasks, b.measure, &b.open_loop)
}

fn workload(first: &Bundle, others: &[&Bundle]) -> String {
    let mut lanes = Vec::new();
    let (title, label) = what_is_compared(&first.comparison.rows);
    let measure = first.comparison.measure;
    let mut table = Table::new(format!("{title} in other runs by that in run {}", first.run.number));
    table.text("Configuration").number("Run").number("Ratio (95 %)").text("");
    for (series, row) in first.comparison.rows.iter().enumerate() {
        for other in others {
            let same = |found: &&Row| (&found.name, &found.group) == (&row.name, &row.group);
            let Some(found) = other.comparison.rows.iter().find(same) else { continue };
            let ratio = unpaired_ratio(&other.values(found), &first.values(row)).map(Spread::from);
            let is_shown =
                |it: &Spread| [it.lo, it.median, it.hi].into_iter().all(|it| it > 0.0 && can_show(it));
            let Some(ratio) = ratio.filter(is_shown) else { continue };
            let counts = row.valid && found.valid;
            let words = match (counts, ratio) {
                (false, _) => "invalid",
                (true, ratio) if ratio.lo > 1.0 => measure.more(),
                (true, ratio) if ratio.hi < 1.0 => measure.less(),
                (true, _) => SEEN,
            };
            let (run, ratio_words) = (other.run.number.to_string(), with_interval(&ratio));
            let name = row.full_name();
            table.row_if(counts, vec![name.clone(), run.clone(), ratio_words.clone(), words.to_owned()]);
            lanes.push(Lane {
                name: format!("{name}, run {run}"),
                spread: ratio,
                // What is usual is said by the table below.
                words: if words == SEEN { ratio_words } else { format!("{ratio_words}, {words}") },
                counts,
                series,
            });
        }
    }
    if lanes.is_empty() {
        return String::new();
    }
    let chart = Intervals {
        title: format!("{}: {label} by that of run {}", about(first), first.run.number),
        label: format!("times the {label} of run {}", first.run.number),
        unit: Unit::Plain,
        lanes,
        band: None,
        reference: Some(1.0),
    };
    chart.figure() + &table.html()
}
