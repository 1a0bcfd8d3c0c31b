//! A file that says what each attempt did, also for those whose process did not survive it.

use muster_sdk::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a line is about.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// An attempt begins.
    Begin,
    /// Its fault is about to strike.
    Strike,
    /// Its work is done.
    End,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Strike => "strike",
            Self::End => "end",
        }
    }
}

/// The file, opened for appending by every process.
#[derive(Debug)]
pub struct Trace {
    file: File,
    path: String,
}

impl Trace {
    /// Opens it; no name is no file.
    pub fn open(path: &str) -> Result<Option<Self>, Error> {
        if path.is_empty() {
            return Ok(None);
        }
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|error| {
            Error::params(format_args!(
                "trace={path} cannot be opened: {error}; name a file in a folder that is there"
            ))
        })?;
        Ok(Some(Self { file, path: path.to_owned() }))
    }

    /// Appends a line, in one write, so that those of other processes do not get between.
    pub fn write(&self, event: Event, index: u64, attempt: u32, slot: u32) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let (event, process) = (event.name(), std::process::id());
        let line = format!(
            "{{\"event\":\"{event}\",\"index\":{index},\"attempt\":{attempt},\"pid\":{process},\"slot\":{slot},\"unix_ns\":{now}}}\n"
        );
        (&self.file)
            .write_all(line.as_bytes())
            .map_err(|error| Error::from(error).context(format_args!("trace={}", self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_writers_are_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        let path = path.to_str().unwrap();
        let traces = [Trace::open(path).unwrap().unwrap(), Trace::open(path).unwrap().unwrap()];
        for (number, trace) in (0..).zip(&traces) {
            trace.write(Event::Begin, number, 1, 3).unwrap();
            trace.write(Event::Strike, number, 1, 3).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<muster_sdk::serde_json::Value> =
            text.lines().map(|line| muster_sdk::serde_json::from_str(line).unwrap()).collect();
        let events: Vec<_> =
            lines.iter().map(|line| (line["event"].as_str().unwrap(), &line["index"])).collect();
        assert_eq!(events.len(), 4);
        assert_eq!((events[1].0, events[3].0, events[3].1), ("strike", "strike", &1.into()));
        assert!(lines.iter().all(|line| line["pid"] == std::process::id() && line["slot"] == 3));
    }

    #[test]
    fn no_name_is_no_file_and_a_bad_one_is_said() {
        assert!(Trace::open("").unwrap().is_none());
        let error = Trace::open("/nowhere/at/all").unwrap_err();
        assert!(error.message().contains("trace=/nowhere/at/all"), "{error}");
    }
}
