//! The table as comma-separated values (RFC 4180), empty where something is not known.

use super::tidy::{Tidy, Values};
use std::io::Write;

/// Header and lines.
pub fn csv(table: &Tidy, out: impl Write) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(table.columns.iter().map(|column| &column.name))?;
    for line in 0..table.len() {
        writer.write_record(table.columns.iter().map(|column| text(&column.values, line)))?;
    }
    writer.flush()
}

fn text(values: &Values, line: usize) -> String {
    match values {
        Values::Text(values) => values[line].as_deref().map(str::to_owned),
        Values::Whole(values) => values[line].map(|value| value.to_string()),
        Values::Number(values) => values[line].map(|value| value.to_string()),
        Values::Flag(values) => values[line].map(|value| value.to_string()),
    }
    .unwrap_or_default()
}
