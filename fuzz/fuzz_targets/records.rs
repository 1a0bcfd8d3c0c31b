//! What a coordinator's state folder holds: rows of its database, and the messages in them. Damaged rows are an error
//! and never the end of a coordinator; what makes sense is taken up, and a worker may come for it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_coordinator::fuzzing::{Database, TABLES, take_up};
use muster_core::id::JobId;
use muster_core::range::IndexRange;
use muster_fuzz::assert_one_line;
use rusqlite::types::Value;
use std::cell::RefCell;

/// Rows of one input.
const ROWS_MAX: usize = 40;
/// The job that most rows are of.
const JOB: i64 = 1;

thread_local! {
    static DATABASE: RefCell<Database> = RefCell::new(Database::new().expect("memory is enough"));
}

fuzz_target!(|input: &[u8]| DATABASE.with_borrow_mut(|database| run(database, input)));

fn run(database: &mut Database, input: &[u8]) {
    database.clear().expect("rows can be removed");
    let mut rest = input;
    for _ in 0..ROWS_MAX {
        let Some((table, row)) = row(&mut rest) else { break };
        database.add(table, &row);
    }
    match database.records().and_then(take_up) {
        Ok(()) => {}
        Err(error) => assert_one_line(error),
    }
    for within in [IndexRange::new(0, u64::MAX), IndexRange::new(1, 3)] {
        if let Err(error) = database.outputs(JobId(JOB.cast_unsigned()), within) {
            assert_one_line(error);
        }
    }
}

/// A row: the number of its table, and a value for each column. A column behind the end of the input is null.
fn row(rest: &mut &[u8]) -> Option<(&'static str, Vec<Value>)> {
    let (table, columns) = TABLES[usize::from(take(rest, 1)?[0]) % TABLES.len()];
    Some((table, (0..columns).map(|_| value(rest).unwrap_or(Value::Null)).collect()))
}

/// A value: its kind, and a small or a whole number, or bytes behind their length.
fn value(rest: &mut &[u8]) -> Option<Value> {
    Some(match take(rest, 1)?[0] % 8 {
        0 => Value::Null,
        1 => Value::Integer(JOB),
        2 => Value::Integer(i64::from(take(rest, 1)?[0])),
        3 => Value::Integer(i64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        4 => Value::Real(f64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        5 => Value::Text(String::from_utf8_lossy(bytes(rest)?).into_owned()),
        6 => Value::Blob(bytes(rest)?.to_vec()),
        _ => Value::Blob(blob_of_32(take(rest, 1)?[0])),
    })
}

fn blob_of_32(byte: u8) -> Vec<u8> {
    vec![byte; 32]
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_le_bytes(take(rest, 2)?.try_into().ok()?);
    take(rest, usize::from(length))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}
