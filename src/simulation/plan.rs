//! Which runs a command line asks for, checked before the first one starts.

use crate::cli::{RUNS_MAX, SimulateArgs};
use crate::emulation::unusable;
use crate::exit::{Exit, Failure, Outcome};
use crate::shell::quoted;
use muster_core::scheduler::PolicySpec;
use muster_sim::scenario::{Override, SEED_MAX, Scenario, ScenarioError, Source, Sweep, points};
use std::fmt::Write as _;
use std::path::Path;

/// Every run: each point of the sweeps with each seed, the seeds changing fastest.
#[derive(Debug)]
pub struct Plan {
    source: Source,
    /// What holds for all points.
    changes: Vec<Override>,
    /// The keys that differ between points; the policy comes last.
    pub axes: Vec<Sweep>,
    /// At least one.
    pub points: Vec<Point>,
    /// Runs of each point.
    pub replicas: usize,
    /// When and where each task ran is kept.
    pub task_times: bool,
    /// The command line that does all of it again.
    pub again: String,
}

/// What is run with different seeds.
#[derive(Debug)]
pub struct Point {
    /// Its value of each axis.
    pub values: Vec<String>,
    /// What is run.
    pub scenario: Scenario,
    /// The first seed.
    pub seed: u64,
}

impl Plan {
    /// Reads and checks everything.
    pub fn new(args: &SimulateArgs) -> Outcome<Self> {
        let axes = axes(args)?;
        check_keys(args, &axes)?;
        let mut changes = args.set.clone();
        if let [policy] = &args.policy[..] {
            changes.push(Override { key: "policy".to_owned(), value: policy.clone() });
        }
        if let Some(seed) = args.seed {
            changes.push(Override { key: "seed".to_owned(), value: seed.to_string() });
        }
        let swept = points(&axes).map_err(|error| Failure::usage(format_args!("--sweep: {error}")))?;
        let replicas = args.replicas as usize;
        let runs = swept.len().saturating_mul(replicas);
        if runs > RUNS_MAX {
            return Err(Failure::usage(format_args!(
                "{} points with {replicas} replicas each are {runs} runs: at most {RUNS_MAX}",
                swept.len()
            ))
            .hint("use fewer --replicas, or fewer values in --sweep"));
        }
        let source = Source::read(file(args)).map_err(|error| failure(&error, args))?;
        let all = |point: &Vec<Override>| changes.iter().chain(point).cloned().collect();
        let overrides: Vec<Vec<Override>> = swept.iter().map(all).collect();
        let scenarios = source.scenarios(&overrides).map_err(|error| failure(&error, args))?;
        let points: Vec<Point> = swept
            .into_iter()
            .zip(scenarios)
            .map(|(point, scenario)| Point {
                values: point.into_iter().map(|change| change.value).collect(),
                seed: scenario.seed,
                scenario,
            })
            .collect();
        for point in &points {
            check_seeds(point.seed, replicas)?;
        }
        let again = again(args, points[0].seed);
        Ok(Self { source, changes, axes, points, replicas, task_times: args.task_times, again })
    }

    /// How many runs there are.
    pub const fn runs(&self) -> usize {
        self.points.len() * self.replicas
    }

    /// Whether there is only one run.
    pub const fn is_single(&self) -> bool {
        self.runs() == 1
    }

    /// The point and the seed of a run.
    pub fn run(&self, index: usize) -> (&Point, u64) {
        let point = &self.points[index / self.replicas];
        (point, point.seed + (index % self.replicas) as u64)
    }

    /// The first scenario's title.
    pub fn name(&self) -> &str {
        &self.points[0].scenario.name
    }

    /// What makes a point differ from the others.
    pub fn point_name(&self, point: usize) -> String {
        let pairs = self.axes.iter().zip(&self.points[point].values);
        let words = pairs.map(|(axis, value)| match axis.key.as_str() {
            "policy" => value.clone(),
            key => format!("{key}={value}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The scenario as a file, with everything in it that was changed for all points.
    pub fn written(&self) -> Outcome<String> {
        self.source.written(&self.changes).map_err(|error| Failure::new(Exit::Job, error))
    }
}

/// Sweeps, and several policies as one more.
fn axes(args: &SimulateArgs) -> Outcome<Vec<Sweep>> {
    let mut axes = args.sweep.clone();
    if args.policy.len() > 1 {
        axes.push(Sweep { key: "policy".to_owned(), values: args.policy.clone() });
    }
    Ok(axes)
}

/// One key is said in one place.
fn check_keys(args: &SimulateArgs, axes: &[Sweep]) -> Outcome<()> {
    let mut said: Vec<(String, &str)> = args.set.iter().map(|set| ("--set".to_owned(), &*set.key)).collect();
    for (at, (_, key)) in said.iter().enumerate() {
        if said[..at].iter().any(|(_, other)| other == key) {
            return Err(Failure::usage(format_args!("--set {key} is there twice: keep one of them")));
        }
    }
    said.extend(args.sweep.iter().map(|sweep| ("--sweep".to_owned(), &*sweep.key)));
    said.extend(args.seed.map(|_| ("--seed".to_owned(), "seed")));
    said.extend((!args.policy.is_empty()).then(|| ("--policy".to_owned(), "policy")));
    for (at, (flag, key)) in said.iter().enumerate() {
        if let Some((other, _)) = said[..at].iter().find(|(other, same)| same == key && other != flag) {
            return Err(Failure::usage(format_args!("{other} and {flag} both say {key}: keep one of them")));
        }
    }
    for (at, axis) in axes.iter().enumerate() {
        let (key, values) = (&axis.key, &axis.values);
        for (at, value) in values.iter().enumerate() {
            if let Some(other) = values[..at].iter().find(|other| is_same(key, other, value)) {
                let also =
                    if other == value { String::new() } else { format!(", as {other} and as {value}") };
                return Err(Failure::usage(format_args!(
                    "{} {key} has {value} twice{also}: keep one of them",
                    flag_of(args, key)
                )));
            }
        }
        if axes[..at].iter().any(|other| other.key == axis.key) {
            let key = &axis.key;
            return Err(Failure::usage(format_args!(
                "{key} is swept twice: put all its values into one --sweep"
            )));
        }
    }
    Ok(())
}

/// Whether two values of a key mean the same.
fn is_same(key: &str, one: &str, other: &str) -> bool {
    let policy = |text: &str| text.parse::<PolicySpec>().ok();
    let number = |text: &str| text.parse::<f64>().ok();
    one == other
        || (key == "policy" && policy(one).is_some_and(|one| Some(one) == policy(other)))
        || number(one).is_some_and(|one| Some(one) == number(other))
}

/// The flag that says a key.
fn flag_of(args: &SimulateArgs, key: &str) -> &'static str {
    if key == "policy" && !args.policy.is_empty() {
        "--policy"
    } else if args.sweep.iter().any(|sweep| sweep.key == key) {
        "--sweep"
    } else {
        "--set"
    }
}

fn check_seeds(first: u64, replicas: usize) -> Outcome<()> {
    if first > SEED_MAX - (replicas as u64 - 1) {
        return Err(Failure::usage(format_args!(
            "the seeds of {replicas} replicas from {first} on go beyond {SEED_MAX}: use a smaller --seed"
        )));
    }
    Ok(())
}

/// A scenario that cannot be run: wrong usage when the command line made it so.
fn failure(error: &ScenarioError, args: &SimulateArgs) -> Failure {
    match error.overridden() {
        Some(key) => Failure::usage(error.to_string().replacen("--set", flag_of(args, key), 1)),
        None => unusable(error),
    }
}

/// The command that repeats all runs.
fn again(args: &SimulateArgs, seed: u64) -> String {
    let name = file(args).to_string_lossy();
    let dot = if name.starts_with('-') { "./" } else { "" };
    let mut command = format!("muster simulate {}", quoted(&format!("{dot}{name}")));
    // Writing to a String cannot fail.
    let mut add = |flag: &str, value: &str| {
        let _ = write!(command, " {flag} {}", quoted(value));
    };
    if !args.set.iter().any(|set| set.key == "seed") && !args.sweep.iter().any(|sweep| sweep.key == "seed") {
        add("--seed", &seed.to_string());
    }
    args.set.iter().for_each(|set| add("--set", &format!("{}={}", set.key, set.value)));
    if args.replicas > 1 {
        add("--replicas", &args.replicas.to_string());
    }
    args.sweep.iter().for_each(|sweep| add("--sweep", &format!("{}={}", sweep.key, sweep.values.join(","))));
    if !args.policy.is_empty() {
        add("--policy", &args.policy.join(","));
    }
    command
}

/// The scenario's file: it is there unless a kept emulation is held against its simulation.
fn file(args: &SimulateArgs) -> &Path {
    args.scenario.as_deref().unwrap_or(Path::new(""))
}

/// Does something that takes a while on a thread of its own, which ends with the process.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().spawn(move || {
        // Nobody waits any more when a signal came.
        let _ = sender.send(work());
    });
    started.map_err(|error| Failure::new(Exit::Limit, format_args!("cannot start a thread: {error}")))?;
    let died = |_| Failure::new(Exit::Job, "the scenario could not be read: this is a bug in muster");
    receiver.await.map_err(died)?
}
