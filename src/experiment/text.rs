//! Tables as people read them.

use super::{Cell, Quantity, Table};
use crate::summary::{Column, list, quantity};

/// Each with its title.
pub fn tables(tables: &[Table]) -> impl Iterator<Item = String> {
    tables.iter().map(|table| format!("{}\n{}", table.title, rows(table)))
}

fn rows(table: &Table) -> String {
    // Names of columns are few, and the command ends when they were shown.
    let name = |name: &str| &*name.to_uppercase().leak();
    let mut columns = vec![Column::text(name(&table.of))];
    columns.extend(table.columns.iter().map(|column| Column::number(name(&column.name))));
    let rows = table.rows.iter().map(|row| {
        let cells = row.cells.iter().zip(&table.columns).map(|(cell, column)| words(cell, column));
        std::iter::once(row.name.clone()).chain(cells).collect()
    });
    list(&columns, rows.collect())
}

fn words(cell: &Cell, column: &Quantity) -> String {
    match cell {
        Cell::Measured { median, lo, hi, .. } => {
            let half = (hi - lo) / 2.0 / median.abs().max(f64::MIN_POSITIVE);
            let [median, lo, hi] = [*median, *lo, *hi].map(|value| quantity(value, column.unit));
            // With two ways to go, as of threads that sometimes meet on one processor, the ends say more.
            if half > 1.0 {
                format!("{median} ({lo} to {hi})")
            } else {
                format!("{median} ±{:.0} %", half * 100.0)
            }
        }
        Cell::Number { number } => quantity(*number, column.unit),
        Cell::Text { text } => text.clone(),
        Cell::Unknown => "-".to_owned(),
    }
}
