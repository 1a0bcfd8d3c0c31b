//! The Trace Event Format (Duca and Sinclair, the Chromium project), as strictly as a reader could take it: fields that a phase
//! must and may have, slices that nest, flows that begin once and end once inside slices, counters that go forward.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A thread of a process.
type Place = (u64, u64);

/// A slice, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Slice {
    pub name: String,
    pub cat: String,
    pub place: Place,
    pub begin: u64,
    pub end: u64,
    pub args: Map<String, Value>,
}

/// A trace that was found correct.
#[derive(Debug, Default)]
pub struct TraceFile {
    pub other: Value,
    pub slices: Vec<Slice>,
    pub processes: BTreeMap<u64, String>,
    pub threads: BTreeMap<Place, String>,
    /// Flows by their id: the places that they go through.
    pub flows: BTreeMap<u64, Vec<Place>>,
    /// Values of each counter as they follow one another.
    pub counters: BTreeMap<(u64, String), Vec<(u64, f64)>>,
}

impl TraceFile {
    /// Checks everything.
    #[track_caller]
    pub fn parse(bytes: &[u8]) -> Self {
        let file: Value = serde_json::from_slice(bytes).unwrap();
        let file = file.as_object().expect("the JSON object format");
        assert!(
            file.keys().all(|key| ["traceEvents", "displayTimeUnit", "otherData"].contains(&key.as_str()))
        );
        assert!(["ms", "ns"].contains(&file["displayTimeUnit"].as_str().unwrap()));
        assert!(file["otherData"].is_object());
        let mut found = Self { other: file["otherData"].clone(), ..Self::default() };
        let mut sorted: BTreeSet<(String, Place)> = BTreeSet::new();
        let mut flows: BTreeMap<u64, Vec<(String, u64, Place)>> = BTreeMap::new();
        for event in file["traceEvents"].as_array().unwrap() {
            let event = event.as_object().expect("an event is an object");
            match text(event, "ph") {
                "M" => found.metadata(event, &mut sorted),
                "X" => found.slice(event),
                "C" => found.counter(event),
                "s" | "t" | "f" => {
                    let (id, part) = flow(event);
                    flows.entry(id).or_default().push(part);
                }
                other => panic!("phase {other} is not written by muster"),
            }
        }
        found.check_names();
        found.check_nesting();
        found.check_flows(flows);
        found
    }

    /// Slices of tasks.
    pub fn tasks(&self) -> Vec<&Slice> {
        self.slices.iter().filter(|slice| slice.cat == "task").collect()
    }

    /// The slices of each task, by its index and as they begin.
    pub fn by_task(&self) -> BTreeMap<u64, Vec<&Slice>> {
        let mut found: BTreeMap<u64, Vec<&Slice>> = BTreeMap::new();
        for slice in self.tasks() {
            found.entry(slice.args["task"].as_u64().unwrap()).or_default().push(slice);
        }
        found.values_mut().for_each(|slices| slices.sort_by_key(|slice| slice.begin));
        found
    }

    /// Waits for a lock.
    pub fn lock_waits(&self) -> Vec<&Slice> {
        self.slices.iter().filter(|slice| slice.cat == "gil").collect()
    }

    /// The slice of this kind that is on a place then.
    pub fn around(&self, inner: &Slice, cat: &str) -> Option<&Slice> {
        let holds = |it: &&Slice| {
            it.cat == cat && it.place == inner.place && it.begin <= inner.begin && inner.end <= it.end
        };
        self.slices.iter().find(holds)
    }

    fn metadata(&mut self, event: &Map<String, Value>, sorted: &mut BTreeSet<(String, Place)>) {
        only(event, &["name", "ph", "pid", "tid", "args"], &[]);
        let (name, place) = (text(event, "name"), place(event));
        let args = event["args"].as_object().unwrap();
        assert_eq!(args.len(), 1, "{event:?}");
        match name {
            "process_name" => {
                let name = args["name"].as_str().unwrap().to_owned();
                assert!(self.processes.insert(place.0, name).is_none(), "named twice: {event:?}");
            }
            "thread_name" => {
                let name = args["name"].as_str().unwrap().to_owned();
                assert!(self.threads.insert(place, name).is_none(), "named twice: {event:?}");
            }
            "process_labels" => assert!(args["labels"].is_string(), "{event:?}"),
            "process_sort_index" | "thread_sort_index" => {
                assert!(args["sort_index"].is_i64() || args["sort_index"].is_u64(), "{event:?}");
                assert!(sorted.insert((name.to_owned(), place)), "sorted twice: {event:?}");
            }
            other => panic!("metadata {other}"),
        }
    }

    fn slice(&mut self, event: &Map<String, Value>) {
        only(event, &["name", "ph", "pid", "tid", "ts", "dur", "cat"], &["args", "cname"]);
        let begin = nanoseconds(event, "ts");
        let args = event.get("args").map(|args| args.as_object().unwrap().clone()).unwrap_or_default();
        self.slices.push(Slice {
            name: text(event, "name").to_owned(),
            cat: text(event, "cat").to_owned(),
            place: place(event),
            begin,
            end: begin + nanoseconds(event, "dur"),
            args,
        });
    }

    fn counter(&mut self, event: &Map<String, Value>) {
        only(event, &["name", "ph", "pid", "tid", "ts", "args"], &[]);
        let args = event["args"].as_object().unwrap();
        assert!(!args.is_empty() && args.values().all(Value::is_number), "{event:?}");
        let at = nanoseconds(event, "ts");
        for (name, number) in args {
            let values = self.counters.entry((place(event).0, name.clone())).or_default();
            assert!(values.last().is_none_or(|&(before, _)| before < at), "it goes back: {event:?}");
            values.push((at, number.as_f64().unwrap()));
        }
    }

    fn check_names(&self) {
        let tids: BTreeSet<u64> = self.threads.keys().map(|place| place.1).collect();
        assert_eq!(tids.len(), self.threads.len(), "two threads of different processes have one number");
        for slice in &self.slices {
            assert!(self.processes.contains_key(&slice.place.0), "a process without a name: {slice:?}");
            assert!(self.threads.contains_key(&slice.place), "a thread without a name: {slice:?}");
        }
        for (pid, _) in self.counters.keys() {
            assert!(self.processes.contains_key(pid), "a counter of process {pid}, which has no name");
        }
    }

    /// Two slices of a thread are one inside the other, or do not touch.
    fn check_nesting(&self) {
        let mut by_place: BTreeMap<Place, Vec<&Slice>> = BTreeMap::new();
        self.slices.iter().for_each(|slice| by_place.entry(slice.place).or_default().push(slice));
        for slices in by_place.values_mut() {
            slices.sort_by_key(|slice| (slice.begin, std::cmp::Reverse(slice.end)));
            let mut open: Vec<&Slice> = Vec::new();
            for slice in slices {
                while open.last().is_some_and(|outer| outer.end <= slice.begin) {
                    open.pop();
                }
                let fits = open.last().is_none_or(|outer| slice.end <= outer.end);
                assert!(fits, "{slice:?} begins inside {:?} and ends outside", open.last());
                open.push(slice);
            }
        }
    }

    fn check_flows(&mut self, flows: BTreeMap<u64, Vec<(String, u64, Place)>>) {
        for (id, mut parts) in flows {
            let order = |ph: &str| ["s", "t", "f"].iter().position(|it| *it == ph);
            parts.sort_by_key(|(ph, at, _)| (*at, order(ph)));
            let phases: Vec<&str> = parts.iter().map(|(ph, ..)| ph.as_str()).collect();
            let count = |ph: &str| phases.iter().filter(|it| **it == ph).count();
            assert_eq!((count("s"), count("f")), (1, 1), "flow {id}: {phases:?}");
            assert_eq!((phases[0], phases[phases.len() - 1]), ("s", "f"), "flow {id}: {phases:?}");
            for (_, at, place) in &parts {
                let is_bound = |it: &&Slice| it.place == *place && it.begin <= *at && *at <= it.end;
                assert!(self.slices.iter().any(|it| is_bound(&it)), "flow {id} is in no slice at {at}");
            }
            self.flows.insert(id, parts.into_iter().map(|(_, _, place)| place).collect());
        }
    }
}

/// A part of a flow: its id, and phase, time and place.
fn flow(event: &Map<String, Value>) -> (u64, (String, u64, Place)) {
    let ph = text(event, "ph");
    let bound: &[&str] = if ph == "f" { &["bp"] } else { &[] };
    only(event, &[&["name", "ph", "pid", "tid", "ts", "cat", "id"], bound].concat(), &[]);
    if ph == "f" {
        assert_eq!(text(event, "bp"), "e", "it would end in the next slice");
    }
    (event["id"].as_u64().unwrap(), (ph.to_owned(), nanoseconds(event, "ts"), place(event)))
}

fn only(event: &Map<String, Value>, must: &[&str], may: &[&str]) {
    assert!(must.iter().all(|key| event.contains_key(*key)), "{must:?} in {event:?}");
    assert!(event.keys().all(|key| must.contains(&key.as_str()) || may.contains(&key.as_str())), "{event:?}");
}

fn text<'a>(event: &'a Map<String, Value>, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_else(|| panic!("{key} in {event:?}"))
}

fn place(event: &Map<String, Value>) -> Place {
    (event["pid"].as_u64().expect("whole pid"), event["tid"].as_u64().expect("whole tid"))
}

/// The format counts in microseconds.
fn nanoseconds(event: &Map<String, Value>, key: &str) -> u64 {
    let micros = event[key].as_f64().unwrap_or_else(|| panic!("{key} in {event:?}"));
    assert!(micros.is_finite() && micros >= 0.0, "{event:?}");
    (micros * 1e3).round() as u64
}
