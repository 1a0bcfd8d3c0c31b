//! Changes from the command line: `--set key=value`, and the points of a sweep.

use super::error::{Place, ScenarioError};
use super::keys::{self, Kind, Section};
use super::nearest::{names_hint, suggestion};
use super::tree::{Entry, Node, Value};
use std::str::FromStr;
use std::sync::Arc;

/// Short keys and what they stand for in the first entry of a list.
const ALIASES: &[(&str, [&str; 2])] =
    &[("workers", ["workers", "count"]), ("tasks", ["jobs", "tasks"]), ("latency", ["links", "latency"])];

/// Parts of a key; none of a scenario has more.
const PARTS_MAX: usize = 8;

/// A change of one key: `workers.count=500`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Names, keys and places, with dots between.
    pub key: String,
    /// As TOML writes it; what is not TOML is text.
    pub value: String,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if is_key(key) && !value.trim().is_empty() => {
                Ok(Self { key: key.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err("is not key=value, as in workers.count=500".to_owned()),
        }
    }
}

/// Whether it can be a key: it is told in messages as it is.
pub(super) fn is_key(text: &str) -> bool {
    !text.trim().is_empty() && !text.trim().contains(char::is_control)
}

/// Writes a change into what the file says.
pub(super) fn apply(root: &mut Node, change: &Override) -> Result<(), ScenarioError> {
    let key: Arc<str> = change.key.as_str().into();
    let mut path: Vec<&str> = change.key.split('.').map(str::trim).collect();
    if let [alone] = path[..]
        && let Some((_, long)) = ALIASES.iter().find(|(short, _)| *short == alone)
    {
        path = long.to_vec();
    }
    let change = Change { value: Node::from_override(&change.value, &key), key };
    if path.len() > PARTS_MAX {
        return Err(change.wrong("the key", format!("has {} parts: at most {PARTS_MAX}", path.len())));
    }
    match path[..] {
        [list, ref rest @ ..] if section_of(list).is_some() => change.in_list(root, list, rest),
        [_, ..] => change.in_table(root, &path),
        [] => Ok(()),
    }
}

/// What the values of a key are; none when its last part is no key of any table.
pub(super) fn kind_of(key: &str) -> Option<Kind> {
    let alias = ALIASES.iter().find(|(short, _)| *short == key).map(|(_, long)| long[1]);
    let last = alias.unwrap_or_else(|| key.rsplit('.').next().unwrap_or(key));
    let in_params = key.split('.').any(|part| part == "params");
    let mut keys = keys::SECTIONS.iter().flat_map(|section| section.keys);
    keys.find(|(known, _)| *known == last && !in_params).map(|found| found.1)
}

/// The tables of which there are lists.
fn section_of(list: &str) -> Option<&'static Section> {
    match list {
        "workers" => Some(&keys::WORKERS),
        "links" => Some(&keys::LINKS),
        "jobs" => Some(&keys::JOBS),
        "faults" => Some(&keys::FAULTS),
        _ => None,
    }
}

/// What the first entry of a list has to say, or what it does without a word.
fn needs(list: &str) -> &'static str {
    match list {
        "links" => ", which all workers then use",
        "faults" => ", as in kind = \"worker_crash\" and every = \"1h\"",
        "jobs" => " with tasks = 1000 and time = { exp = \"1s\" }",
        _ => " with count = 100",
    }
}

struct Change {
    key: Arc<str>,
    value: Node,
}

impl Change {
    fn wrong(&self, subject: impl Into<String>, problem: impl Into<String>) -> ScenarioError {
        ScenarioError::Structure { place: self.place(), subject: subject.into(), problem: problem.into() }
    }

    fn place(&self) -> Place {
        Place::Set { key: Arc::clone(&self.key) }
    }

    /// Refuses what another change has said, perhaps by another key for the same.
    fn is_first(&self, found: &Place) -> Result<(), ScenarioError> {
        let Place::Set { key } = found else { return Ok(()) };
        let problem = if *key == self.key {
            "is there twice: keep one of them".to_owned()
        } else {
            format!("says what {key} says already: keep one of them")
        };
        Err(self.wrong(self.key.to_string(), problem))
    }

    /// `workers.count`, `workers.fast.count`, `workers.0.count`.
    fn in_list(self, root: &mut Node, list: &str, path: &[&str]) -> Result<(), ScenarioError> {
        let Some(section) = section_of(list) else { return self.in_table(root, path) };
        let Some((first, rest)) = path.split_first() else {
            return Err(
                self.wrong(list, format!("is a list: say which key, as in {list}.{}", section.keys[1].0))
            );
        };
        let entry = entry_mut(root, list);
        let items = match entry.map(|entry| &mut entry.node) {
            Some(Node { value: Value::List(items), .. }) if !items.is_empty() => items,
            // What is no list is refused later, where it stands.
            Some(Node { value: Value::Text(_) | Value::Table(_), .. }) => return Ok(()),
            _ => {
                let problem = format!("is not in the scenario: add {} to it{}", section.title, needs(list));
                return Err(self.wrong(section.title, problem));
            }
        };
        let names: Vec<String> =
            items.iter().enumerate().map(|(index, item)| name_of(item, section, index)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let place = match first.parse::<usize>() {
            Ok(index) if index < items.len() => Some(index),
            Ok(index) => {
                return Err(self.wrong(
                    format!("{list}.{index}"),
                    format!("is not there: {list} has the places 0 to {}", items.len() - 1),
                ));
            }
            Err(_) => names.iter().position(|name| name == first),
        };
        match place {
            Some(_) if rest.is_empty() => Err(self.wrong(
                format!("{list}.{first}"),
                format!("is a table: say which key, as in {list}.{first}.{}", section.keys[1].0),
            )),
            Some(index) => self.in_table(&mut items[index], rest),
            None if section.has(first) => self.in_table(&mut items[0], path),
            None if rest.is_empty() => {
                let hint = suggestion(first, "its keys are", section.keys.iter().map(|(key, _)| *key));
                Err(self.wrong(
                    format!("{first:?}"),
                    format!("is neither a key of {} ({hint}) nor a name", section.title),
                ))
            }
            None => {
                let hint = names_hint(first, &names);
                Err(self.wrong(format!("{first:?}"), format!("is no name in {}: {hint}", section.title)))
            }
        }
    }

    fn in_table(self, node: &mut Node, path: &[&str]) -> Result<(), ScenarioError> {
        let Some((first, rest)) = path.split_first() else {
            self.is_first(&node.place)?;
            *node = self.value;
            return Ok(());
        };
        if first.is_empty() {
            return Err(
                self.wrong("a part of the key", "is empty: write names and keys with one dot between")
            );
        }
        match &mut node.value {
            Value::List(items) => {
                let last = items.len();
                match first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    Some(item) => self.in_table(item, rest),
                    None => Err(self.wrong(
                        format!("{first:?}"),
                        format!("is no place in a list of {last}: they count from 0"),
                    )),
                }
            }
            Value::Table(entries) => {
                if !self.key.split('.').any(|part| part == "params") {
                    for place in make_room(entries, first) {
                        self.is_first(&place)?;
                    }
                }
                match entries.iter_mut().find(|entry| entry.key == *first) {
                    Some(entry) => {
                        entry.place = self.place();
                        self.in_table(&mut entry.node, rest)
                    }
                    None => {
                        let place = self.place();
                        let key = (*first).to_owned();
                        let node = if rest.is_empty() {
                            self.value
                        } else {
                            let mut table = Node { place: place.clone(), value: Value::Table(Vec::new()) };
                            self.in_table(&mut table, rest)?;
                            table
                        };
                        entries.push(Entry { key, place, node });
                        Ok(())
                    }
                }
            }
            _ => {
                // A single value makes way for a table: `time.exp` where `time` was text.
                *node = Node { place: self.place(), value: Value::Table(Vec::new()) };
                self.in_table(node, path)
            }
        }
    }
}

/// Of some keys there is only one at a time: a new distribution replaces the old one, and so on. Where the old ones
/// stood.
fn make_room(entries: &mut Vec<Entry>, key: &str) -> Vec<Place> {
    const ALONE: &[&[&str]] = &[
        &["const", "uniform", "exp", "lognormal", "pareto", "bimodal", "recorded"],
        &["at", "every"],
        &["count", "share"],
    ];
    let mut gone = Vec::new();
    for group in ALONE.iter().filter(|group| group.contains(&key)) {
        let is_other = |entry: &mut Entry| entry.key != key && group.contains(&entry.key.as_str());
        gone.extend(entries.extract_if(.., is_other).map(|entry| entry.node.place));
    }
    gone
}

fn entry_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Entry> {
    match &mut node.value {
        Value::Table(entries) => entries.iter_mut().find(|entry| entry.key == key),
        _ => None,
    }
}

fn name_of(item: &Node, section: &Section, index: usize) -> String {
    item.get("name").and_then(Node::scalar).unwrap_or_else(|| section.default_name(index))
}
