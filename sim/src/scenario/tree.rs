//! A scenario as it was written: values with the place of each, so that what is wrong later can be pointed at.

use super::bare;
use super::error::{Place, ScenarioError};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// A value and where it is.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// What TOML can say.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// As written, and its number; what does not fit into 128 bits is the largest that does.
    Whole(String, i128),
    /// As written, and its number.
    Number(String, f64),
    Flag(bool),
    List(Vec<Node>),
    /// In the order in which it was written.
    Table(Vec<Entry>),
}

/// A key of a table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    /// Reads a whole file.
    pub(super) fn parse(text: &str, file: &Arc<str>) -> Result<Self, ScenarioError> {
        let lines = Lines::new(text, file);
        match DeTable::parse(text) {
            Ok(table) => Ok(Self {
                place: lines.place(0),
                value: table_value(table.into_inner(), &|at| lines.place(at)),
            }),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let place = lines.place(offset);
                let reason = one_line(error.message());
                Err(bare::explained(text, offset, &place).unwrap_or(ScenarioError::Syntax { place, reason }))
            }
        }
    }

    /// A value from the command line: TOML, and text where it is none.
    pub(super) fn from_override(text: &str, key: &Arc<str>) -> Self {
        let place = Place::Set { key: Arc::clone(key) };
        let value = match DeValue::parse(text).map(toml::Spanned::into_inner) {
            Ok(DeValue::Datetime(_)) | Err(_) => Value::Text(text.to_owned()),
            Ok(value) => value_of(value, &|_| place.clone()),
        };
        Self { place, value }
    }

    /// The value in messages.
    pub(super) fn shown(&self) -> String {
        let text = match &self.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Whole(text, _) | Value::Number(text, _) => text.clone(),
            Value::Flag(flag) => flag.to_string(),
            Value::List(_) => "[...]".to_owned(),
            Value::Table(_) => "{...}".to_owned(),
        };
        shortened(&text)
    }

    /// The value without quotes, when it is a single one.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Whole(text, _) | Value::Number(text, _) => Some(text.clone()),
            Value::Flag(flag) => Some(flag.to_string()),
            Value::List(_) | Value::Table(_) => None,
        }
    }

    /// What a table has under this key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Table(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
            }
            _ => None,
        }
    }
}

/// What was written, or its start when that is long.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Where lines end.
struct Lines<'a> {
    ends: Vec<usize>,
    file: &'a Arc<str>,
}

impl<'a> Lines<'a> {
    fn new(text: &str, file: &'a Arc<str>) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { ends, file }
    }

    fn place(&self, offset: usize) -> Place {
        let line = 1 + self.ends.partition_point(|end| *end < offset);
        Place::Line { file: Arc::clone(self.file), line }
    }
}

fn table_value(table: DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<_>)| Entry {
        place: place(key.span().start),
        key: String::from(key.into_inner()),
        node: Node { place: place(value.span().start), value: value_of(value.into_inner(), place) },
    };
    Value::Table(entries.into_iter().map(entry).collect())
}

fn value_of(value: DeValue<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(whole) => {
            let number = i128::from_str_radix(whole.as_str(), whole.radix());
            Value::Whole(whole.to_string(), number.unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse();
            Value::Number(number.as_str().to_owned(), parsed.unwrap_or(f64::NAN))
        }
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Array(items) => {
            let item = |item: toml::Spanned<DeValue<'_>>| Node {
                place: place(item.span().start),
                value: value_of(item.into_inner(), place),
            };
            Value::List(items.into_iter().map(item).collect())
        }
        DeValue::Table(table) => table_value(table, place),
    }
}

/// Parsers write over several lines.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}
