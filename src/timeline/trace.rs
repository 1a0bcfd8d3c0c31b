//! Recordings as one trace: which tracks there are, and what is on them.

use super::event::{Event, Flow, Track};
use super::lanes::lanes;
use super::recording::{End, Recording, TaskRun, Worker};
use crate::summary::number;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a trace of muster has near its beginning.
pub const MARK: &str = "\"producer\":\"muster ";
/// A worker with more executors has them in lanes, one after another: a process for each task would bury everything.
const EXECUTORS_MAX: usize = 32;

/// A trace.
#[derive(Debug, Default)]
pub struct Trace {
    events: Vec<Event>,
    pids: u32,
    tids: u32,
    flows: u64,
    about: Vec<Value>,
}

impl Trace {
    /// Draws recordings beside each other, all from their own beginnings.
    pub fn new(recordings: &[Recording]) -> Self {
        let mut trace = Self::default();
        for recording in recordings {
            trace.draw(recording);
        }
        trace
    }

    /// How many events it has.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// The file. `source`: what it is of.
    pub fn to_json(&self, source: &str) -> Result<Vec<u8>, serde_json::Error> {
        // The mark is near the beginning: no part of it is in a map, which would sort it.
        let about = json!({
            "source": source,
            "recordings": self.about,
            "times": "since the job was submitted, by the clock of the coordinator; see docs/trace.md",
        });
        let mut file =
            format!("{{\"displayTimeUnit\":\"ns\",\"otherData\":{{{MARK}{}\",", env!("CARGO_PKG_VERSION"));
        file.push_str("\"about\":");
        let mut file = file.into_bytes();
        serde_json::to_writer(&mut file, &about)?;
        file.extend_from_slice(b"},\"traceEvents\":[");
        for (at, event) in self.events.iter().enumerate() {
            file.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
            serde_json::to_writer(&mut file, event)?;
        }
        file.extend_from_slice(b"\n]}\n");
        Ok(file)
    }

    fn draw(&mut self, recording: &Recording) {
        let (seen, share) = (recording.seen(), recording.share());
        let is_sampled = seen < recording.tasks;
        self.about.push(json!({
            "name": recording.name, "tasks": recording.tasks, "tasks_shown": seen, "sampled": is_sampled,
            "runs_shown": recording.runs.len(), "shown": share,
        }));
        let first_ns = recording.runs.iter().map(|run| run.at_ns).min().unwrap_or(recording.wall_ns);
        let job = self.process(&recording.name, &share);
        let job = self.thread(job, "job", 0);
        let args = object(json!({"tasks": recording.tasks, "tasks shown": seen, "sampled": is_sampled}));
        self.events.push(Event::slice(&recording.name, "job", job, (0, recording.wall_ns), args));
        let before = first_ns.min(recording.wall_ns);
        self.events.push(Event::slice("submitted", "job", job, (0, before), Map::new()));
        let mut tracks = BTreeMap::new();
        for worker in workers(recording) {
            let its = recording.runs.iter().enumerate().filter(|(_, run)| run.worker == worker.number);
            let mut its: Vec<(usize, &TaskRun)> = its.collect();
            its.sort_by_key(|(_, run)| (run.at_ns, run.index));
            self.draw_worker(recording, &worker, &its, &mut tracks);
        }
        self.draw_flows(recording, job, &tracks);
    }

    /// Draws the runs of one worker, in the order of their begins, and says on which track each is.
    fn draw_worker(
        &mut self,
        recording: &Recording,
        worker: &Worker,
        runs: &[(usize, &TaskRun)],
        tracks: &mut BTreeMap<usize, Track>,
    ) {
        let name = prefixed(recording, &worker.name);
        let pid = self.process(&name, &worker.host);
        self.draw_counters(Track { pid, tid: 0 }, runs.iter().map(|(_, run)| *run));
        let mut places: BTreeMap<usize, Vec<(usize, &TaskRun)>> = BTreeMap::new();
        let executors = executors(runs);
        for (at, run) in runs {
            places.entry(executors[&run.executor]).or_default().push((*at, *run));
        }
        let is_merged = places.len() < executors.len();
        for (place, runs) in places {
            let number = runs.first().map_or(0, |(_, run)| run.executor);
            let what = if is_merged {
                format!("{name} > executors in turn ({place})")
            } else {
                format!("{name} > executor {number}")
            };
            let pid = self.process(&what, &worker.host);
            let mut threads: BTreeMap<u32, Vec<(usize, &TaskRun)>> = BTreeMap::new();
            for (at, run) in runs {
                threads.entry(run.thread).or_default().push((at, run));
            }
            for (thread, runs) in threads {
                self.draw_thread(pid, thread, &runs, tracks);
            }
        }
    }

    fn draw_thread(
        &mut self,
        pid: u32,
        thread: u32,
        runs: &[(usize, &TaskRun)],
        tracks: &mut BTreeMap<usize, Track>,
    ) {
        let lanes = lanes(runs.iter().map(|(_, run)| (run.at_ns, run.ended_ns())));
        let mut of_lanes: Vec<Track> = Vec::new();
        for ((at, run), lane) in runs.iter().zip(lanes) {
            if lane == of_lanes.len() {
                let name = match lane {
                    0 => format!("thread {thread}"),
                    lane => format!("thread {thread}, {} in flight", lane + 1),
                };
                let sort = thread.saturating_mul(1_000).saturating_add(lane as u32);
                of_lanes.push(self.thread(pid, &name, sort));
            }
            tracks.insert(*at, of_lanes[lane]);
            self.draw_run(of_lanes[lane], run);
        }
    }

    fn draw_run(&mut self, track: Track, run: &TaskRun) {
        let slice = Event::slice(name(run), "task", track, (run.at_ns, run.run_ns), facts(run));
        self.events.push(if run.end == End::Ok { slice } else { slice.wrong() });
        for &(start_ns, wait_ns) in &run.lock_waits {
            let start_ns = start_ns.min(run.run_ns);
            let times = (run.at_ns.saturating_add(start_ns), wait_ns.min(run.run_ns - start_ns));
            self.events.push(Event::slice("lock wait", "gil", track, times, Map::new()));
        }
    }

    /// How many of the runs wait on the worker and how many go, over time.
    fn draw_counters<'a>(&mut self, track: Track, runs: impl Iterator<Item = &'a TaskRun>) {
        let mut changes: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
        for run in runs {
            changes.entry(run.at_ns.saturating_sub(run.queued_ns)).or_default().0 += 1;
            let begun = changes.entry(run.at_ns).or_default();
            (begun.0, begun.1) = (begun.0 - 1, begun.1 + 1);
            changes.entry(run.ended_ns()).or_default().1 -= 1;
        }
        let (mut queued, mut running) = (0, 0);
        for (at_ns, change) in changes {
            (queued, running) = (queued + change.0, running + change.1);
            self.events.push(Event::counter("queue depth", track, at_ns, &[("queued", queued)]));
            self.events.push(Event::counter("running", track, at_ns, &[("running", running)]));
        }
    }

    /// From the submit to the first run of each task, and from there to its next ones.
    fn draw_flows(&mut self, recording: &Recording, job: Track, tracks: &BTreeMap<usize, Track>) {
        let mut by_task: BTreeMap<u64, Vec<(u64, Track)>> = BTreeMap::new();
        for (at, run) in recording.runs.iter().enumerate() {
            if let Some(&track) = tracks.get(&at) {
                by_task.entry(run.index).or_default().push((run.at_ns, track));
            }
        }
        for mut runs in by_task.into_values() {
            runs.sort_unstable();
            self.flows += 1;
            self.events.push(Event::flow(Flow::Start, self.flows, job, 0));
            let last = runs.len() - 1;
            for (number, (at_ns, track)) in runs.into_iter().enumerate() {
                let part = if number == last { Flow::Finish } else { Flow::Step };
                self.events.push(Event::flow(part, self.flows, track, at_ns));
            }
        }
    }

    /// A new process below those that there are; `label` is shown beside its name.
    fn process(&mut self, name: &str, label: &str) -> u32 {
        self.pids += 1;
        let track = Track { pid: self.pids, tid: 0 };
        self.events.push(Event::metadata("process_name", track, "name", name));
        if !label.is_empty() {
            self.events.push(Event::metadata("process_labels", track, "labels", label));
        }
        self.events.push(Event::metadata("process_sort_index", track, "sort_index", self.pids));
        self.pids
    }

    /// A new thread of a process.
    fn thread(&mut self, pid: u32, name: &str, sort: u32) -> Track {
        self.tids += 1;
        // Some readers take threads of the same number for the same thread, whatever their processes.
        let track = Track { pid, tid: self.tids };
        self.events.push(Event::metadata("thread_name", track, "name", name));
        self.events.push(Event::metadata("thread_sort_index", track, "sort_index", sort));
        track
    }
}

fn prefixed(recording: &Recording, worker: &str) -> String {
    format!("{} > {worker}", recording.name)
}

/// The workers of all runs, also those of which nothing else is known.
fn workers(recording: &Recording) -> Vec<Worker> {
    let mut found: BTreeMap<u64, Worker> = BTreeMap::new();
    for run in &recording.runs {
        let name = format!("worker {}", run.worker);
        found.entry(run.worker).or_insert(Worker { number: run.worker, name, host: String::new() });
    }
    for worker in recording.workers.iter().filter(|worker| !worker.name.is_empty()) {
        if let Some(found) = found.get_mut(&worker.number) {
            found.clone_from(worker);
        }
    }
    found.into_values().collect()
}

/// The place of each executor of a worker; of too many those that follow one another share one.
fn executors(runs: &[(usize, &TaskRun)]) -> BTreeMap<u64, usize> {
    let mut lives: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (_, run) in runs {
        let life = lives.entry(run.executor).or_insert((run.at_ns, run.ended_ns()));
        *life = (life.0.min(run.at_ns), life.1.max(run.ended_ns()));
    }
    if lives.len() <= EXECUTORS_MAX {
        return lives.into_keys().enumerate().map(|(place, executor)| (executor, place)).collect();
    }
    let mut lives: Vec<(u64, (u64, u64))> = lives.into_iter().collect();
    lives.sort_by_key(|&(executor, life)| (life, executor));
    let places = lanes(lives.iter().map(|&(_, life)| life));
    lives.into_iter().map(|(executor, _)| executor).zip(places).collect()
}

fn name(run: &TaskRun) -> String {
    match run.end {
        End::Ok if run.attempt <= 1 => format!("task {}", run.index),
        End::Ok => format!("task {} (attempt {})", run.index, run.attempt),
        end => format!("task {} (attempt {} {})", run.index, run.attempt.max(1), end.name()),
    }
}

/// What is said of a run when it is looked at.
fn facts(run: &TaskRun) -> Map<String, Value> {
    let micros = |ns: u64| ns as f64 / 1e3;
    let mut facts = object(json!({
        "task": run.index, "attempt": run.attempt, "end": run.end.name(), "executor": run.executor,
        "queued_us": micros(run.queued_ns),
    }));
    if let Some(latency_ns) = run.latency_ns {
        facts.insert("latency_us".to_owned(), json!(micros(latency_ns)));
    }
    if run.lock_wait_ns > 0 {
        facts.insert("lock_wait_us".to_owned(), json!(micros(run.lock_wait_ns)));
        let shown_ns: u64 = run.lock_waits.iter().map(|&(_, wait_ns)| wait_ns).sum();
        if shown_ns < run.lock_wait_ns {
            let rest = format!("the first {} are drawn", number(run.lock_waits.len() as u64));
            facts.insert("lock waits".to_owned(), json!(rest));
        }
    }
    facts
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(index: u64, executor: u64, at_ns: u64, run_ns: u64) -> TaskRun {
        TaskRun { index, executor, attempt: 1, worker: 1, at_ns, run_ns, queued_ns: 5, ..TaskRun::default() }
    }

    fn drawn(runs: Vec<TaskRun>) -> Vec<Value> {
        let recording =
            Recording { name: "job 1: x".to_owned(), tasks: 1_000, wall_ns: 1_000, runs, workers: vec![] };
        let file = Trace::new(&[recording]).to_json("a test").unwrap();
        assert!(String::from_utf8_lossy(&file[..200]).contains(MARK));
        let file: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(file["otherData"]["about"]["recordings"][0]["sampled"], true);
        file["traceEvents"].as_array().unwrap().clone()
    }

    fn of(events: &[Value], ph: &str) -> Vec<Value> {
        events.iter().filter(|event| event["ph"] == ph).cloned().collect()
    }

    #[test]
    fn a_task_that_ran_twice_has_two_slices_and_one_flow() {
        let failed = TaskRun { end: End::Failed, ..run(3, 1, 100, 50) };
        let again = TaskRun { attempt: 2, ..run(3, 1, 400, 50) };
        let events = drawn(vec![failed, again, run(4, 1, 200, 100)]);
        let slices = of(&events, "X");
        let names: Vec<&str> = slices.iter().map(|slice| slice["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["job 1: x", "submitted", "task 3 (attempt 1 failed)", "task 4", "task 3 (attempt 2)"]
        );
        let parts = ["s", "t", "f"].map(|ph| of(&events, ph).len());
        assert_eq!(parts, [2, 1, 2]);
        assert_eq!((&slices[2]["ts"], &slices[2]["dur"]), (&json!(0.1), &json!(0.05)));
        assert_eq!((&slices[2]["cname"], &slices[3]["cname"]), (&json!("terrible"), &Value::Null));
    }

    #[test]
    fn the_queue_ends_empty_and_lock_waits_stay_inside_their_task() {
        let waits = TaskRun { lock_wait_ns: 900, lock_waits: vec![(0, 10), (40, 800)], ..run(0, 1, 100, 50) };
        let events = drawn(vec![waits, run(1, 1, 150, 50)]);
        let counters = of(&events, "C");
        let numbers: Vec<i64> =
            counters.iter().filter_map(|event| event["args"]["queued"].as_i64()).collect();
        assert_eq!(numbers, [1, 0, 1, 0, 0]);
        let waits: Vec<Value> = of(&events, "X").into_iter().filter(|it| it["name"] == "lock wait").collect();
        assert_eq!((&waits[1]["ts"], &waits[1]["dur"]), (&json!(0.14), &json!(0.01)));
    }

    #[test]
    fn times_that_no_clock_shows_are_drawn() {
        let last = TaskRun { lock_waits: vec![(40, 800)], ..run(0, 1, u64::MAX, 50) };
        assert_eq!(of(&drawn(vec![last, run(1, 1, 0, u64::MAX)]), "X").len(), 5);
    }

    #[test]
    fn tasks_in_flight_and_executors_of_one_task_share_tracks_when_they_can() {
        let threads =
            |events: &[Value]| of(events, "M").iter().filter(|event| event["name"] == "thread_name").count();
        assert_eq!(threads(&drawn(vec![run(0, 1, 0, 100), run(1, 1, 50, 100), run(2, 1, 100, 10)])), 1 + 2);
        let spawned: Vec<TaskRun> = (0..100).map(|it| run(it, it, 10 * it, 10)).collect();
        assert_eq!(threads(&drawn(spawned)), 1 + 1);
    }
}
