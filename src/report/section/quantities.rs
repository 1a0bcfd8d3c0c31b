//! Tables of quantities that were measured beside times of runs.

use crate::kept::{Comparison, Table as Found};
use crate::report::html::{Table, bullets};
use crate::report::words::{cell, head};

/// All of them.
pub fn of(comparison: &Comparison) -> String {
    comparison.tables.iter().map(table).collect()
}

fn table(found: &Found) -> String {
    let mut table = Table::new(found.title.as_str());
    table.text(found.of.as_str());
    for column in &found.columns {
        table.number(head(&column.name, &column.unit));
    }
    for row in &found.rows {
        let cells = found.columns.iter().enumerate().map(|(at, column)| {
            let found = row.cells.get(at).and_then(Option::as_ref);
            cell(found, &column.unit)
        });
        table.row(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    table.html() + &bullets("notes", &found.notes)
}
