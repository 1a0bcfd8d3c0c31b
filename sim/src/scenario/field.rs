//! Tables with known keys, and single values with their checks.

use super::error::{Place, ScenarioError};
use super::keys::{FAULT_KINDS, FAULTS, Kind, SECTIONS, Section};
use super::nearest::{names_hint, suggestion};
use super::tree::{Entry, Node, Value, shortened};
use muster_core::quantity::{self, QuantityError};
use muster_core::spelling::nearest;
use muster_core::time::Span;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Tables in one list.
const TABLES_MAX: usize = 10_000;

/// A table of which every key is known.
pub(super) struct Table<'a> {
    pub section: &'static Section,
    pub place: &'a Place,
    entries: &'a [Entry],
}

impl<'a> Table<'a> {
    /// Refuses what is no table, and keys that the section does not have.
    pub(super) fn open(node: &'a Node, section: &'static Section, key: &str) -> Result<Self, ScenarioError> {
        let Value::Table(entries) = &node.value else {
            let problem = match (&node.value, section.title.starts_with("[c")) {
                (Value::List(_), true) => format!("is a list: write {}, with single brackets", section.title),
                _ => format!("is {}, and should be a table", node.shown()),
            };
            return Err(ScenarioError::Structure {
                place: node.place.clone(),
                subject: key.to_owned(),
                problem,
            });
        };
        match entries.iter().find(|entry| !section.has(&entry.key)) {
            Some(entry) => Err(unknown_key(entry, section, node)),
            None => Ok(Self { section, place: &node.place, entries }),
        }
    }

    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        debug_assert!(self.section.has(key), "{key} is not a key of {}", self.section.title);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let kind =
            self.section.keys.iter().find(|(known, _)| *known == key).map_or(Kind::Text, |found| found.1);
        Some(Field { section: self.section, key, kind, node: &entry.node })
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &'static str, example: &'static str) -> Result<Field<'a>, ScenarioError> {
        self.get(key).ok_or_else(|| ScenarioError::Missing {
            place: self.place.clone(),
            key,
            section: self.section.title,
            example,
        })
    }

    /// The tables of a list, `[[key]]`; none when it is not there.
    pub(super) fn tables(
        &self,
        key: &'static str,
        section: &'static Section,
    ) -> Result<Vec<Table<'a>>, ScenarioError> {
        let Some(field) = self.get(key) else { return Ok(Vec::new()) };
        let Value::List(items) = &field.node.value else {
            let problem = match field.node.value {
                Value::Table(_) => {
                    format!("is a single table: write {}, with double brackets", section.title)
                }
                _ => format!("is {}: write it as a table {}", field.node.shown(), section.title),
            };
            return Err(ScenarioError::Structure {
                place: field.node.place.clone(),
                subject: key.to_owned(),
                problem,
            });
        };
        if let Some(item) = items.get(TABLES_MAX) {
            let problem = format!("is there too often: at most {TABLES_MAX} times");
            let (place, subject) = (item.place.clone(), section.title.to_owned());
            return Err(ScenarioError::Structure { place, subject, problem });
        }
        items.iter().map(|item| Table::open(item, section, key)).collect()
    }

    pub(super) fn duration(&self, key: &'static str, default: Span) -> Result<Span, ScenarioError> {
        self.get(key).map_or(Ok(default), |field| field.duration())
    }

    pub(super) fn size(&self, key: &'static str) -> Result<u64, ScenarioError> {
        self.get(key).map_or(Ok(0), |field| field.size())
    }

    pub(super) fn rate(&self, key: &'static str) -> Result<Option<u64>, ScenarioError> {
        self.get(key).map(|field| field.rate()).transpose()
    }

    pub(super) fn share(&self, key: &'static str) -> Result<f64, ScenarioError> {
        self.get(key).map_or(Ok(0.0), |field| field.share())
    }

    pub(super) fn whole<T>(
        &self,
        key: &'static str,
        range: RangeInclusive<T>,
        default: T,
    ) -> Result<T, ScenarioError>
    where
        T: Copy + Into<i128> + TryFrom<i128>,
    {
        self.get(key).map_or(Ok(default), |field| field.whole(range))
    }
}

fn unknown_key(entry: &Entry, section: &'static Section, table: &Node) -> ScenarioError {
    let mut known: Vec<&'static str> = section.keys.iter().map(|(key, _)| *key).collect();
    if section.title == FAULTS.title
        && let Some(kind) = table.get("kind").and_then(Node::scalar)
        && let Some((_, keys)) = FAULT_KINDS.iter().find(|(known, _)| *known == kind)
    {
        known = [&["kind"], *keys].concat();
    }
    let is_near = nearest(&entry.key, known.iter().copied()).is_some();
    let homes: Vec<_> = SECTIONS.iter().filter(|home| home.has(&entry.key)).collect();
    let home = match homes[..] {
        [home] if !is_near => Some(home.title),
        _ => None,
    };
    ScenarioError::UnknownKey {
        place: entry.place.clone(),
        key: shortened(&entry.key),
        section: section.title,
        home,
        known,
    }
}

/// The value of a key.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub section: &'static Section,
    pub key: &'a str,
    pub kind: Kind,
    pub node: &'a Node,
}

impl<'a> Field<'a> {
    pub(super) fn wrong(&self, problem: impl Into<String>) -> ScenarioError {
        ScenarioError::Value {
            place: self.node.place.clone(),
            key: self.key.to_owned(),
            value: self.node.shown(),
            section: self.section.title,
            problem: problem.into(),
        }
    }

    /// Text of one line. The command line needs no quotes.
    pub(super) fn text(&self) -> Result<String, ScenarioError> {
        let text = match (&self.node.value, &self.node.place) {
            (Value::Text(text), _) => text.clone(),
            (_, Place::Set { .. }) => {
                self.node.scalar().ok_or_else(|| self.wrong("is not text: write it in quotes"))?
            }
            (Value::Whole(text, _) | Value::Number(text, _), _) => {
                return Err(self.wrong(format!("is not text: write it in quotes, {text:?}")));
            }
            _ => return Err(self.wrong("is not text: write it in quotes")),
        };
        const TEXT_CHARS_MAX: usize = 4096;
        if text.trim().is_empty() {
            return Err(self.wrong("is empty: write something, or leave it out"));
        }
        if text.chars().any(char::is_control) {
            return Err(self.wrong("has characters that cannot be shown: use one line of plain text"));
        }
        if text.chars().count() > TEXT_CHARS_MAX {
            return Err(self.wrong(format!("is too long: at most {TEXT_CHARS_MAX} characters")));
        }
        Ok(text)
    }

    /// A name by which other tables, `--set` and reports speak of an entry.
    pub(super) fn name(&self) -> Result<String, ScenarioError> {
        const NAME_CHARS_MAX: usize = 64;
        let name = self.text()?;
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !is_plain || name.len() > NAME_CHARS_MAX {
            return Err(self.wrong(format!(
                "is no name: use letters, digits, \"-\" and \"_\", at most {NAME_CHARS_MAX}"
            )));
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.wrong(format!(
                "is no name, but a place in a list: write \"{}-{name}\"",
                self.section.stem
            )));
        }
        if name == "none" {
            return Err(self.wrong("is no name: \"none\" means that there is no link"));
        }
        Ok(name)
    }

    /// One of several words.
    pub(super) fn choice(&self, words: &[&'static str]) -> Result<&'static str, ScenarioError> {
        let text = self.text()?;
        let found = words.iter().find(|word| **word == text);
        found.copied().ok_or_else(|| {
            let hint = suggestion(&text, "use one of", words.iter().copied());
            self.wrong(format!("is unknown: {hint}"))
        })
    }

    /// The place of a name among those there are.
    pub(super) fn reference(&self, what: &str, names: &[&str]) -> Result<usize, ScenarioError> {
        let text = self.text()?;
        let found = names.iter().position(|name| *name == text);
        found.ok_or_else(|| self.wrong(format!("names no {what}: {}", names_hint(&text, names))))
    }

    pub(super) fn flag(&self) -> Result<bool, ScenarioError> {
        match &self.node.value {
            Value::Flag(flag) => Ok(*flag),
            _ => Err(self.wrong("is neither true nor false: write one of them, without quotes")),
        }
    }

    /// A whole number; `1e7` is one.
    pub(super) fn whole<T>(&self, range: RangeInclusive<T>) -> Result<T, ScenarioError>
    where
        T: Copy + Into<i128> + TryFrom<i128>,
    {
        let number = match &self.node.value {
            Value::Whole(_, number) => *number,
            Value::Number(_, number) if !number.is_finite() => {
                return Err(self.wrong("is not a finite number"));
            }
            Value::Number(_, number) if number.fract() != 0.0 => {
                return Err(self.wrong(format!("is not a whole number: write {:.0}", number.round())));
            }
            Value::Number(_, number) => *number as i128,
            _ => return Err(self.not_a_number("whole number", "10")),
        };
        let (min, max): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
        if number < min && number < 0 && min >= 0 {
            return Err(self.wrong(format!(
                "is negative: write a whole number from {} to {}",
                Few(min),
                Few(max)
            )));
        }
        if number < min {
            return Err(self.wrong(format!("is too small: at least {}", Few(min))));
        }
        if number > max {
            return Err(self.wrong(format!("is too large: at most {}", Few(max))));
        }
        T::try_from(number).map_err(|_| self.wrong("is out of range"))
    }

    fn not_a_number(&self, what: &str, example: &str) -> ScenarioError {
        let written = match &self.node.value {
            Value::Text(text) => Some(text.trim()).filter(|text| text.parse::<f64>().is_ok()),
            _ => None,
        };
        match written {
            Some(text) => self.wrong(format!("is text: write it without quotes, {text}")),
            None => self.wrong(format!("is not a {what}: write it as in {example}")),
        }
    }

    /// A finite number, above or equal to `min` and at most `max`.
    pub(super) fn number(&self, range: RangeInclusive<f64>) -> Result<f64, ScenarioError> {
        let number = match &self.node.value {
            Value::Whole(_, number) => *number as f64,
            Value::Number(_, number) => *number,
            _ => return Err(self.not_a_number("number", "0.5")),
        };
        if !number.is_finite() {
            return Err(self.wrong("is not a finite number"));
        }
        if !range.contains(&number) {
            return Err(self.wrong(format!("is out of range: from {} to {}", range.start(), range.end())));
        }
        Ok(number)
    }

    /// A part of a whole.
    pub(super) fn share(&self) -> Result<f64, ScenarioError> {
        let number = self.number(f64::MIN..=f64::MAX)?;
        if (0.0..=1.0).contains(&number) {
            // -0.0 is 0.
            return Ok(number.abs());
        }
        if number > 1.0 && number <= 100.0 {
            return Err(
                self.wrong(format!("is not from 0 to 1: for {number} percent write {}", number / 100.0))
            );
        }
        Err(self.wrong("is not from 0 to 1"))
    }

    pub(super) fn duration(&self) -> Result<Span, ScenarioError> {
        self.quantity("a duration", quantity::duration)
    }

    /// A duration that is not zero.
    pub(super) fn duration_above_zero(&self) -> Result<Span, ScenarioError> {
        match self.duration()? {
            Span::ZERO => Err(self.wrong("must be longer than nothing: write at least \"1ns\"")),
            span => Ok(span),
        }
    }

    pub(super) fn size(&self) -> Result<u64, ScenarioError> {
        self.quantity("a size", quantity::size)
    }

    pub(super) fn rate(&self) -> Result<u64, ScenarioError> {
        self.quantity("a bandwidth", quantity::rate)
    }

    pub(super) fn per_byte_ps(&self) -> Result<u64, ScenarioError> {
        self.quantity("a time per byte", quantity::per_byte_ps)
    }

    fn quantity<T>(
        &self,
        what: &str,
        parse: impl Fn(&str) -> Result<T, QuantityError>,
    ) -> Result<T, ScenarioError> {
        let unit = match self.kind {
            Kind::Duration(unit) => unit,
            Kind::PerByte => "ns",
            Kind::Size => "B",
            Kind::Rate => "MB/s",
            _ => "ms",
        };
        let text = match &self.node.value {
            Value::Text(text) | Value::Whole(text, _) | Value::Number(text, _) => text.trim(),
            _ => return Err(self.wrong(format!("is not {what}: write it as in \"5{unit}\""))),
        };
        parse(text).map_err(|error| match error {
            QuantityError::NoUnit { .. } => {
                let digits: String = text.chars().filter(|c| *c != '_').collect();
                self.wrong(format!("has no unit: write \"{digits}{unit}\""))
            }
            QuantityError::NoNumber => self.wrong(format!("is not {what}: write it as in \"5{unit}\"")),
            QuantityError::UnknownUnit { unit, units } => {
                self.wrong(format!("has the unknown unit {unit:?}: use {units}"))
            }
            QuantityError::Negative | QuantityError::NotFinite => {
                self.wrong(format!("{error}: write it as in \"5{unit}\""))
            }
            error => self.wrong(error.to_string()),
        })
    }
}

/// A number with its short form, where that is easier to read.
struct Few(i128);

impl Display for Few {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut rest, mut zeros) = (self.0, 0);
        while rest >= 10 && rest % 10 == 0 {
            (rest, zeros) = (rest / 10, zeros + 1);
        }
        if zeros >= 5 { write!(f, "{rest}e{zeros}") } else { write!(f, "{}", self.0) }
    }
}
