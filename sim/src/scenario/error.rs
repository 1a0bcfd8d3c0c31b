//! Why a scenario cannot be run: one line each, with the place, the value and what to do.

use super::keys::TOP;
use super::nearest::suggestion;
use muster_core::spelling::nearest;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    Line {
        /// The file as it was named.
        file: Arc<str>,
        /// Counted from 1.
        line: usize,
    },
    /// On the command line.
    Set {
        /// The key of the override.
        key: Arc<str>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::Set { key } => write!(f, "--set {key}"),
        }
    }
}

/// Why a scenario cannot be read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// A file cannot be opened or read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is larger than any that a person or a recorder writes.
    #[error("{}: is too large: at most {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// Not TOML.
    #[error("{place}: not TOML: {reason}")]
    Syntax {
        /// Where.
        place: Place,
        /// In the words of the TOML parser.
        reason: String,
    },
    /// A key that means nothing where it stands.
    #[error("{place}: unknown key {key:?} in {section}: {}", key_hint(place, key, section, *home, known))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The table it is in.
        section: &'static str,
        /// The table where there is such a key.
        home: Option<&'static str>,
        /// The keys that this table has.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    #[error("{place}: {section} has no {key}: add {example}")]
    Missing {
        /// Where the table starts.
        place: Place,
        /// The key.
        key: &'static str,
        /// The table.
        section: &'static str,
        /// How it could read.
        example: &'static str,
    },
    /// A value that cannot be run.
    #[error("{place}: {key} = {value}{} {problem}", in_table(section))]
    Value {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The value as it was written.
        value: String,
        /// The table.
        section: &'static str,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A table or list where there should be another kind of thing, or things that do not fit together.
    #[error("{place}: {subject} {problem}")]
    Structure {
        /// Where.
        place: Place,
        /// What.
        subject: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

impl ScenarioError {
    /// The key on the command line that is to blame; none when it is the file.
    #[must_use]
    pub fn overridden(&self) -> Option<&str> {
        match self {
            Self::Unreadable { .. } | Self::TooLarge { .. } => None,
            Self::Syntax { place, .. }
            | Self::UnknownKey { place, .. }
            | Self::Missing { place, .. }
            | Self::Value { place, .. }
            | Self::Structure { place, .. } => match place {
                Place::Set { key } => Some(key),
                Place::Line { .. } => None,
            },
        }
    }
}

/// What stands outside of tables needs no more words.
fn in_table(section: &str) -> String {
    if section == TOP.title { String::new() } else { format!(" in {section}") }
}

fn key_hint(place: &Place, key: &str, section: &str, home: Option<&str>, known: &[&'static str]) -> String {
    if let Some(list) = list_meant(key).filter(|_| section == TOP.title) {
        return match place {
            Place::Line { .. } => format!("did you mean [[{list}]]?"),
            Place::Set { .. } => format!("did you mean {list:?}?"),
        };
    }
    match home {
        Some(home) if home == TOP.title => "it belongs at the top, before the first [table]".to_owned(),
        Some(home) => format!("it belongs in {home}"),
        None => suggestion(key, "its keys are", known.iter().copied()),
    }
}

/// The list of tables that somebody calls otherwise, or means one entry of.
fn list_meant(key: &str) -> Option<&'static str> {
    const ALSO: &[(&str, &str)] = &[
        ("cluster", "workers"),
        ("machine", "workers"),
        ("machines", "workers"),
        ("node", "workers"),
        ("nodes", "workers"),
        ("network", "links"),
        ("task", "jobs"),
    ];
    let also = ALSO.iter().find(|(word, _)| *word == key).map(|(_, list)| *list);
    also.or_else(|| nearest(key, ["workers", "links", "jobs", "faults"]))
}
