//! Events of the Trace Event Format: those phases (`ph`) that muster writes.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A track: a thread of a process. Neither is one of the system: they are numbered as they are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Track {
    pub pid: u32,
    pub tid: u32,
}

/// Nanoseconds, written as the microseconds that the format counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Micros(pub u64);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1e3)
    }
}

/// One event.
#[derive(Debug, Serialize)]
pub struct Event {
    name: String,
    ph: &'static str,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// Where a flow ends: `e`, in the slice that is there, and not in the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    /// A colour of `about:tracing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cname: Option<&'static str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    args: Map<String, Value>,
}

/// A part of a flow, from one slice to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Start,
    Step,
    Finish,
}

impl Event {
    fn new(name: impl Into<String>, ph: &'static str, track: Track) -> Self {
        Self {
            name: name.into(),
            ph,
            pid: track.pid,
            tid: track.tid,
            ts: None,
            dur: None,
            cat: None,
            id: None,
            bp: None,
            cname: None,
            args: Map::new(),
        }
    }

    /// What the format calls metadata: `process_name`, `thread_name` and the like.
    pub fn metadata(name: &'static str, track: Track, key: &'static str, value: impl Into<Value>) -> Self {
        Self { args: Map::from_iter([(key.to_owned(), value.into())]), ..Self::new(name, "M", track) }
    }

    /// A slice: something that took time.
    pub fn slice(
        name: impl Into<String>,
        cat: &'static str,
        track: Track,
        (at_ns, ns): (u64, u64),
        args: Map<String, Value>,
    ) -> Self {
        let (ts, dur) = (Some(Micros(at_ns)), Some(Micros(ns)));
        Self { ts, dur, cat: Some(cat), args, ..Self::new(name, "X", track) }
    }

    /// The same in the colour of what went wrong.
    pub fn wrong(self) -> Self {
        Self { cname: Some("terrible"), ..self }
    }

    /// Numbers from here on.
    pub fn counter(name: impl Into<String>, track: Track, at_ns: u64, numbers: &[(&str, i64)]) -> Self {
        let args = numbers.iter().map(|&(name, number)| (name.to_owned(), json!(number))).collect();
        Self { ts: Some(Micros(at_ns)), args, ..Self::new(name, "C", track) }
    }

    /// A part of flow `id`, in the slice that is on the track then.
    pub fn flow(part: Flow, id: u64, track: Track, at_ns: u64) -> Self {
        let (ph, bp) = match part {
            Flow::Start => ("s", None),
            Flow::Step => ("t", None),
            Flow::Finish => ("f", Some("e")),
        };
        Self { ts: Some(Micros(at_ns)), id: Some(id), bp, cat: Some("task"), ..Self::new("task", ph, track) }
    }
}
