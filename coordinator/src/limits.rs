//! How much a coordinator takes: one table, of which `--limit` changes the values, refusals quote the names, and
//! docs/limits.md shows everything.

use crate::driver::Refusal;
use crate::plugin::PLUGIN_MAX_BYTES;
use crate::quantity::{duration, in_words, size};
use muster_core::quantity::size_text;
use muster_core::spelling::nearest;
use muster_proto::convert::{PARAMS_MAX_BYTES, RESULT_DEFAULT_BYTES, RESULT_MAX_BYTES, TASKS_MAX};
use muster_proto::link::{Capacity, PAGE_CLIENTS_MAX};
use std::time::Duration;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Jobs that have not ended.
    Jobs,
    /// Tasks of one job.
    Tasks,
    /// Bytes of a job's parameters.
    Params,
    /// Bytes of one result that a job may ask for.
    Output,
    /// Bytes of the inputs of a job's unfinished tasks.
    Inputs,
    /// Feeds of one job that wait for room.
    Feeds,
    /// Registered plugins.
    Plugins,
    /// Bytes of a plugin's file.
    Plugin,
    /// Plugin files that are received at the same time.
    Uploads,
    /// How long who sends a plugin's file may send nothing.
    UploadIdle,
    /// Workers that are attached.
    Workers,
    /// Questions for the log of one worker that are not answered yet.
    LogQueries,
    /// Open live pages. Well below the connections that their server takes, so that scrapes and probes find a place.
    Pages,
    /// Tokens that are not revoked.
    Tokens,
    /// Connections of one identity.
    Connections,
    /// Calls that are open on one connection.
    Streams,
    /// Bytes of the headers of one call.
    Headers,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Time,
}

/// A limit's row in the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is limited.
    pub limit: Limit,
    /// Its name, for `--limit` and in refusals.
    pub name: &'static str,
    /// What it limits, as the subject of a sentence.
    pub what: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What holds unless it is set.
    pub default: u64,
    /// The least that it can be set to.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// What happens beyond it.
    pub beyond: &'static str,
}

const REFUSED: &str = "refused";
const LINK: Capacity = Capacity::DEFAULT;

/// All limits, in the order of [`Limit`].
#[rustfmt::skip]
pub const ROWS: [Row; 17] = {
    use Limit::*;
    use Unit::{Bytes, Count, Time};
    const fn row(limit: Limit, name: &'static str, what: &'static str, unit: Unit, default: u64, range: (u64, u64), beyond: &'static str) -> Row {
        Row { limit, name, what, unit, default, least: range.0, most: range.1, beyond }
    }
    [
        row(Jobs, "jobs", "the number of unfinished jobs", Count, 10_000, (1, 1_000_000), REFUSED),
        row(Tasks, "tasks", "the number of a job's tasks", Count, TASKS_MAX, (1, TASKS_MAX), REFUSED),
        row(Params, "params", "the size of a job's parameters", Bytes, PARAMS_MAX_BYTES as u64, (1, PARAMS_MAX_BYTES as u64), REFUSED),
        row(Output, "output", "the largest result that a job asks for (--output-max)", Bytes, RESULT_MAX_BYTES, (RESULT_DEFAULT_BYTES, RESULT_MAX_BYTES), REFUSED),
        row(Inputs, "inputs", "the inputs of a job's unfinished tasks", Bytes, 256 << 20, (1 << 20, 1 << 40), "the client waits"),
        row(Feeds, "feeds", "the number of a job's feeds that wait for room", Count, 64, (1, 10_000), REFUSED),
        row(Plugins, "plugins", "the number of registered plugins", Count, 10_000, (1, 1_000_000), REFUSED),
        row(Plugin, "plugin", "the size of a plugin's file", Bytes, PLUGIN_MAX_BYTES, (1 << 10, PLUGIN_MAX_BYTES), REFUSED),
        row(Uploads, "uploads", "the number of plugins that are received at the same time", Count, 2, (1, 64), "the next one waits"),
        row(UploadIdle, "upload-idle", "the time in which nothing more came of a plugin's file", Time, 60_000, (1_000, 86_400_000), REFUSED),
        row(Workers, "workers", "the number of workers", Count, 20_000, (1, 100_000), REFUSED),
        row(LogQueries, "log-queries", "the number of questions for a worker's logs that it has not answered", Count, 64, (1, 10_000), REFUSED),
        row(Pages, "pages", "the number of open pages", Count, 64, (1, PAGE_CLIENTS_MAX as u64 * 3 / 4), REFUSED),
        row(Tokens, "tokens", "the number of tokens that are not revoked", Count, LINK.tokens as u64, (1, LINK.tokens as u64), REFUSED),
        row(Connections, "connections", "the number of connections of one identity", Count, LINK.connections as u64, (1, 100_000), REFUSED),
        row(Streams, "streams", "the number of open calls on one connection", Count, LINK.streams as u64, (8, 100_000), "the next call waits"),
        row(Headers, "headers", "the size of a call's headers", Bytes, LINK.headers as u64, (4 << 10, 1 << 20), "refused (HTTP status 431)"),
    ]
};

/// The limits of a coordinator, as they were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits([u64; ROWS.len()]);

/// A limit that was set, as `--limit NAME=VALUE` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting(Limit, u64);

impl Limit {
    /// Its row in the table.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// What a refusal says about it.
    #[must_use]
    pub fn setting(self) -> String {
        format!("the coordinator's --limit {}=N sets it", self.row().name)
    }
}

impl Unit {
    /// A value, to read.
    #[must_use]
    pub fn text(self, value: u64) -> String {
        match self {
            Self::Count => value.to_string(),
            Self::Bytes => size_text(value),
            Self::Time => in_words(Duration::from_millis(value)),
        }
    }

    /// A value that is as much or more than a limit, to its last byte.
    #[must_use]
    pub fn exactly(self, value: u64) -> String {
        if self == Self::Bytes { format!("{value} bytes") } else { self.text(value) }
    }

    fn parse(self, text: &str) -> Result<u64, String> {
        match self {
            Self::Count => text.parse().map_err(|_| "must be a whole number".to_owned()),
            Self::Bytes => size(text),
            Self::Time => Ok(duration(text)?.as_millis() as u64),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self(ROWS.map(|row| row.default))
    }
}

impl Limits {
    /// These, with some set; the last one of a name holds.
    #[must_use]
    pub fn with(mut self, settings: &[Setting]) -> Self {
        for Setting(limit, value) in settings {
            self.0[*limit as usize] = *value;
        }
        self
    }

    /// What holds.
    #[must_use]
    pub const fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// What holds, of something that is counted or measured in memory.
    #[must_use]
    pub fn count(&self, limit: Limit) -> usize {
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX)
    }

    /// How long who sends may send nothing.
    #[must_use]
    pub fn upload_idle(&self) -> Duration {
        Duration::from_millis(self.get(Limit::UploadIdle))
    }

    /// What listeners and identities may have.
    #[must_use]
    pub fn link(&self) -> Capacity {
        Capacity {
            tokens: self.count(Limit::Tokens),
            connections: self.count(Limit::Connections),
            streams: u32::try_from(self.get(Limit::Streams)).unwrap_or(u32::MAX),
            headers: u32::try_from(self.get(Limit::Headers)).unwrap_or(u32::MAX),
        }
    }

    /// Takes a value that is within a limit.
    ///
    /// # Errors
    /// It is beyond; says which limit that is and what sets it.
    pub fn check(&self, limit: Limit, value: u64) -> Result<(), Refusal> {
        let max = self.get(limit);
        if value > max { Err(Refusal::Limit { limit, value, max }) } else { Ok(()) }
    }
}

/// `NAME=VALUE`.
///
/// # Errors
/// Says which names there are, or what the value may be.
pub fn parse_limit(text: &str) -> Result<Setting, String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| "not NAME=VALUE, for example jobs=20000".to_owned())?;
    let names = || ROWS.iter().map(|row| row.name);
    let row = ROWS.iter().find(|row| row.name == name).ok_or_else(|| match nearest(name, names()) {
        Some(near) => format!("there is no limit of that name: is it {near}?"),
        None => format!("there is no limit of that name: {}", names().collect::<Vec<_>>().join(", ")),
    })?;
    let value = row.unit.parse(value).map_err(|error| format!("{name}: {error}"))?;
    if !(row.least..=row.most).contains(&value) {
        let (least, most) = (row.unit.text(row.least), row.unit.text(row.most));
        return Err(format!("{name}: must be from {least} to {most}"));
    }
    Ok(Setting(row.limit, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_have_values_that_can_be_set() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.limit as usize, index, "{}", row.name);
            assert!(row.least <= row.default && row.default <= row.most, "{}", row.name);
        }
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn limits_are_set_by_name_in_their_unit() {
        let settings =
            ["jobs=5", "params=2KiB", "upload-idle=1500ms", "jobs=7"].map(|text| parse_limit(text).unwrap());
        let limits = Limits::default().with(&settings);
        assert_eq!(limits.get(Limit::Jobs), 7);
        assert_eq!(limits.get(Limit::Params), 2_048);
        assert_eq!(limits.upload_idle(), Duration::from_millis(1_500));
        assert_eq!(limits.get(Limit::Plugins), 10_000);
        for (bad, says) in [
            ("jobs", "NAME=VALUE"),
            ("job=5", "is it jobs?"),
            ("zzz=5", "jobs, tasks, params"),
            ("jobs=", "jobs: must be a whole number"),
            ("jobs=0", "jobs: must be from 1 to 1000000"),
            ("jobs=-1", "jobs: must be a whole number"),
            ("params=7", "params: "),
            ("params=2MiB", "params: must be from 1 B to 1 MiB"),
            ("upload-idle=1ms", "upload-idle: must be from 1 s to"),
        ] {
            let error = parse_limit(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
