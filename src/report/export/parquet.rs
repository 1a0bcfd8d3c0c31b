//! The table as Apache Parquet, one row group, all columns optional.

use super::tidy::{Column, Tidy, Values};
use crate::exit::{Exit, Failure, Outcome};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;

/// The whole file.
pub fn parquet(table: &Tidy) -> Outcome<Vec<u8>> {
    write(table).map_err(|error| Failure::new(Exit::Storage, format_args!("cannot write Parquet: {error}")))
}

fn write(table: &Tidy) -> Result<Vec<u8>, ParquetError> {
    let fields = table.columns.iter().map(field).collect::<Result<Vec<TypePtr>, _>>()?;
    let schema = Type::group_type_builder("samples").with_fields(fields).build()?;
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties)?;
    let mut rows = writer.next_row_group()?;
    for column in &table.columns {
        let mut out =
            rows.next_column()?.ok_or_else(|| ParquetError::General("a column too few".to_owned()))?;
        match &column.values {
            Values::Text(values) => {
                put::<ByteArrayType, _>(&mut out, values, |text| ByteArray::from(&**text))?;
            }
            // Counts are far below the half of 64 bits.
            Values::Whole(values) => put::<Int64Type, _>(&mut out, values, |whole| whole.cast_signed())?,
            Values::Number(values) => put::<DoubleType, _>(&mut out, values, |number| *number)?,
            Values::Flag(values) => put::<BoolType, _>(&mut out, values, |flag| *flag)?,
        }
        out.close()?;
    }
    rows.close()?;
    writer.into_inner()
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.values {
        Values::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Values::Whole(_) => (Physical::INT64, None),
        Values::Number(_) => (Physical::DOUBLE, None),
        Values::Flag(_) => (Physical::BOOLEAN, None),
    };
    let field = Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    field.build().map(Arc::new)
}

/// What is known, and for each line whether it is.
fn put<T: DataType, V>(
    out: &mut SerializedColumnWriter<'_>,
    values: &[Option<V>],
    of: impl Fn(&V) -> T::T,
) -> Result<(), ParquetError> {
    let known: Vec<T::T> = values.iter().flatten().map(of).collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    out.typed::<T>().write_batch(&known, Some(&levels), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    #[test]
    fn what_is_written_is_read_again() {
        let column = |name: &str, values: Values| Column { name: name.to_owned(), values };
        let table = Tidy {
            columns: vec![
                column("text", Values::Text(vec![Some("a \"b\"".into()), None])),
                column("whole", Values::Whole(vec![None, Some(7)])),
                column("number", Values::Number(vec![Some(0.1), Some(f64::MAX)])),
                column("flag", Values::Flag(vec![Some(true), Some(false)])),
            ],
        };
        let bytes = bytes::Bytes::from(parquet(&table).unwrap());
        let reader = SerializedFileReader::new(bytes).unwrap();
        let rows: Vec<String> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0], "{text: \"a \"b\"\", whole: null, number: 0.1, flag: true}");
        assert!(rows[1].starts_with("{text: null, whole: 7, number: 1.797"), "{}", rows[1]);
    }
}
