//! Real CPython as a check of the models: the article's scripts, run by python3 itself with its own pools, against the same
//! functions in the plugin `python` under muster's thread and process.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin, python};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const TASKS: u64 = 4;
const NUMBERS: u64 = 3_000_000;
const INCREMENTS: u64 = 100_000;
/// Rounds of the comparison in which nobody else computed.
const ROUNDS: usize = 7;
/// How long quiet rounds are waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// A round in which others used more than this of a core that was needed is not counted: processes would lose what threads
/// leave to them.
const FOREIGN_CORES_MAX: f64 = 0.3;
/// What makespans of a quarter of a second cannot tell from nothing: tasks that meet leave within a millisecond or two.
const NOISE_MIN: f64 = 0.05;
/// With more noise nothing is shown: two processes on two cores are 1.6 to 2 times as fast as a lock, 0.5 to 0.7 in logarithms.
const NOISE_MAX: f64 = 0.3;
/// A race that loses something does so almost every time; so often it may not.
const RACES: usize = 10;
/// Where nothing is lost, this often.
const QUIET_RACES: usize = 3;

/// Who runs the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// The script, with its own threads and processes.
    Script,
    Embedded,
    Child,
}

const SIDES: [Side; 3] = [Side::Script, Side::Embedded, Side::Child];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    Thread,
    Process,
}

impl Model {
    /// Whether others who use so many cores leave it what it can use.
    fn has_room(self, foreign: f64) -> bool {
        let cores = std::thread::available_parallelism().unwrap().get() as f64;
        let needed = if self == Self::Thread { 1.0 } else { cores.min(TASKS as f64) };
        foreign < cores - needed + FOREIGN_CORES_MAX
    }

    fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
        }
    }

    /// Four slots, so that all tasks meet.
    fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Thread => ["--model", "thread", "-t", "4"],
            Self::Process => ["--model", "process", "-p", "4"],
        }
    }
}

/// Four tasks of which all have begun before one computes.
#[derive(Clone, Copy, Debug)]
struct Computed {
    /// Seconds from the first one's beginning to the last one's end.
    makespan: f64,
    /// Cores that it used.
    cores: f64,
    /// Cores that others used meanwhile.
    foreign: f64,
}

/// The article's scripts and an interpreter for them.
struct Article {
    muster: Muster,
    python: String,
}

impl Article {
    fn new() -> Option<Self> {
        let python = python()?;
        let muster = Muster::new();
        muster.write("article.py", include_str!("fixtures/python/article.py"));
        Some(Self { muster, python })
    }

    fn script(&self, arguments: [&str; 2]) -> Value {
        self.begin();
        let mut command = self.muster.program(Path::new(&self.python));
        command.arg("article.py").args(arguments);
        fixture::Started::new(command).finish().ok().json()
    }

    /// Runs a function of the script four times at once in the plugin; what each returns.
    fn workload(&self, function: &str, side: Side, model: Model) -> Vec<Value> {
        self.begin();
        let mode = if side == Side::Embedded { "mode=embedded" } else { "mode=child" };
        let (function, python) = (format!("function={function}"), format!("python={}", self.python));
        let run = ["run", &plugin("python"), "file=article.py", &function, &python, mode, "-n", "4"];
        let more = ["--policy", "fixed:1", "--oversubscribe", "--out", "-"];
        let done = self.muster.run(&[&run[..], &more, &model.arguments()].concat()).ok();
        done.json_lines().into_iter().map(|mut line| line["output"].take()).collect()
    }

    /// Nobody is there yet, and nothing is counted.
    fn begin(&self) {
        self.muster.write("met", "");
        self.muster.write("shared", [0; 8]);
    }

    /// Runs the CPU-bound function for four numbers at once.
    fn compute(&self, side: Side, model: Model) -> Computed {
        let tasks = match side {
            Side::Script => self.script(["cpu", model.name()]).as_array().unwrap().clone(),
            Side::Embedded | Side::Child => self.workload("cpu", side, model),
        };
        let results: Vec<u64> = tasks.iter().map(|task| task["result"].as_u64().unwrap()).collect();
        let sums: Vec<u64> = (0..TASKS).map(|n| n * (NUMBERS * (NUMBERS - 1) / 2)).collect();
        assert_eq!(results, sums, "{side:?} {model:?}");
        let values = |of: fn(&Value) -> &Value| tasks.iter().map(move |task| of(task).as_f64().unwrap());
        let span = |from: fn(&Value) -> &Value, to: fn(&Value) -> &Value| {
            values(to).fold(f64::MIN, f64::max) - values(from).fold(f64::MAX, f64::min)
        };
        let makespan = span(|task| &task["begun"], |task| &task["ended"]);
        let machine = span(|task| &task["machine"][0], |task| &task["machine"][1]);
        let worked = values(|task| &task["worked"]).sum::<f64>();
        Computed { makespan, cores: worked / makespan, foreign: (machine - worked) / makespan }
    }

    /// How many of the additions were lost.
    fn lost(&self, side: Side, model: Model) -> u64 {
        let counted = match (side, model) {
            (Side::Script, _) => self.script(["count", model.name()]).as_u64().unwrap(),
            (_, Model::Thread) => last_seen(&self.workload("count_in_module", side, model)),
            (_, Model::Process) => {
                self.workload("count_in_file", side, model);
                u64::from_le_bytes(self.muster.read("shared").try_into().unwrap())
            }
        };
        (TASKS * INCREMENTS).checked_sub(counted).unwrap()
    }

    /// Whether anything is lost: tried until something is. Where nothing should be, it is tried less often.
    fn loses(&self, side: Side, model: Model, races: usize) -> bool {
        let lost: Vec<u64> = std::iter::repeat_with(|| self.lost(side, model)).take(races).collect();
        eprintln!("{side:?} {model:?}: lost {lost:?} of {}", TASKS * INCREMENTS);
        lost.iter().any(|&lost| lost > 0)
    }
}

/// What the task saw that ended last.
fn last_seen(tasks: &[Value]) -> u64 {
    let ended = |task: &&Value| task[0].as_f64().unwrap();
    let last = tasks.iter().max_by(|one, other| ended(one).total_cmp(&ended(other))).unwrap();
    last[1].as_u64().unwrap()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Three standard errors of the difference between the medians of two such samples, from the median distance of two values of
/// one, which is 0.954 standard deviations where they scatter normally. Outliers do not move it.
fn noise(ratios: &[f64]) -> f64 {
    let pairs = ratios.iter().enumerate();
    let distances = pairs.flat_map(|(at, one)| ratios[..at].iter().map(move |other| (one - other).abs()));
    let deviation = median(distances) / 0.954;
    let of_median = 1.2533 * deviation / (ratios.len() as f64).sqrt();
    3.0 * std::f64::consts::SQRT_2 * of_median
}

/// What was measured of a side.
#[derive(Debug, Default)]
struct Rounds {
    /// Logarithms of how many times as long threads take as processes, measured one after the other.
    ratios: Vec<f64>,
    /// Cores that threads used.
    cores: Vec<f64>,
}

impl Rounds {
    /// One more; every other one begins with processes. It counts when others left both what they could use.
    fn measure(&mut self, article: &Article, side: Side, round: usize) {
        let mut order = [Model::Thread, Model::Process];
        order.rotate_left(round % 2);
        let mut computed = order.map(|model| (model, article.compute(side, model)));
        computed.rotate_left(round % 2);
        let counts = computed.iter().all(|(model, computed)| model.has_room(computed.foreign));
        let [(_, thread), (_, process)] = computed;
        let note = if counts { "" } else { ": others left too little" };
        eprintln!("{side:?}: threads {thread:.2?}, processes {process:.2?}{note}");
        if counts {
            self.ratios.push((thread.makespan / process.makespan).ln());
        }
        self.cores.push(thread.cores);
    }
}

/// Measures the sides in turns, until each has enough rounds; gives the noise, or none when others computed for too long.
fn measure_all(article: &Article, rounds: &mut [Rounds; SIDES.len()]) -> Option<f64> {
    let begun = Instant::now();
    let mut round = 0;
    while begun.elapsed() < PATIENCE {
        for turn in 0..SIDES.len() {
            let at = (round + turn) % SIDES.len();
            rounds[at].measure(article, SIDES[at], round);
        }
        round += 1;
        if rounds.iter().all(|side| side.ratios.len() >= ROUNDS) {
            let worst = rounds.iter().map(|side| noise(&side.ratios)).fold(NOISE_MIN, f64::max);
            if worst <= NOISE_MAX {
                return Some(worst);
            }
        }
    }
    None
}

/// The difference between the medians of script and workload must be within what differs between rounds of the same side.
#[test]
fn the_ratio_of_threads_to_processes_is_that_of_the_script() {
    let Some(article) = Article::new() else { return };
    let mut rounds = SIDES.map(|_| Rounds::default());
    let worst = measure_all(&article, &mut rounds);
    for (side, Rounds { cores, .. }) in SIDES.iter().zip(&rounds) {
        let cores = median(cores.iter().copied());
        assert!(cores < 1.1, "{side:?}: threads of an interpreter with a lock used {cores:.2} cores");
    }
    let Some(worst) = worst else {
        assert!(
            std::env::var_os("MUSTER_REQUIRE_ALL").is_none(),
            "others compute here: ratios cannot be compared"
        );
        eprintln!("SKIPPED: others compute here: ratios cannot be compared");
        return;
    };
    let medians = rounds.each_ref().map(|side| median(side.ratios.iter().copied()));
    for ((side, rounds), ratio) in SIDES.iter().zip(&rounds).zip(medians) {
        let (difference, own) = (ratio - medians[0], noise(&rounds.ratios) * 100.0);
        eprintln!(
            "{side:?}: threads take {:.2} times as long as processes, {own:.1} % noise; {:+.1} % against the script",
            ratio.exp(),
            difference * 100.0
        );
        assert!(difference.abs() <= worst, "{side:?}: {difference:+.3}, noise {worst:.3}: {rounds:?}");
    }
}

/// Which additions are lost depends on the version: from 3.10 on threads hand the lock over only between whole statements like
/// this one, and lose none. Processes have no lock in common.
#[test]
fn additions_are_lost_where_the_script_loses_them() {
    let Some(article) = Article::new() else { return };
    let threads = article.loses(Side::Script, Model::Thread, RACES);
    let races = if threads { RACES } else { QUIET_RACES };
    for side in [Side::Embedded, Side::Child] {
        assert_eq!(article.loses(side, Model::Thread, races), threads, "{side:?} threads");
    }
    for side in SIDES {
        assert!(
            (0..RACES).any(|_| article.loses(side, Model::Process, 1)),
            "{side:?}: processes lost nothing"
        );
    }
}
