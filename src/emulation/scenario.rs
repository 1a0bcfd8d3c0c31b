//! From a scenario to what can be run on this machine. What cannot be emulated is refused, never left out.

use super::experiment::{Experiment, Job, Worker};
use super::room::Room;
use super::strikes::Strikes;
use crate::exit::{Exit, Failure};
use muster_core::time::Span;
use muster_sim::scenario::{
    self, FaultKind, Link, Scenario, ScenarioError, TaskTime, Unreliable, When, WorkerGroup,
};
use muster_worker::emulation::{LinkModel, Speed};
use std::path::Path;
use std::time::Duration;

/// The longest latency with its jitter that a worker takes.
const LATENCY_MAX: Span = Span::from_millis(2_000);
/// The slowest link that a worker takes.
const BANDWIDTH_MIN: u64 = 2_000;
/// What stands for tasks that no plugin was named for.
pub const STAND_IN: &str = "sleep";
/// The sharpest and the flattest distributions that it draws from.
const SIGMA_MAX: f64 = 5.0;
const SHAPE_MIN: f64 = 1.01;
const SHAPE_MAX: f64 = 100.0;

/// An experiment, and what is to be known of how it came about.
#[derive(Debug)]
pub struct Planned {
    /// What is run. Plugins are names yet.
    pub experiment: Experiment,
    /// Workers that stragglers slow down from the start, without an event.
    pub slowed: usize,
    /// Faults that come again and again are planned up to here; none: there are none.
    pub planned_until: Option<Duration>,
}

/// The experiment that a scenario describes; faults that come again and again are planned up to `end`.
///
/// # Errors
/// The first thing that cannot be emulated, in one line.
pub fn experiment(scenario: &Scenario, end: Span) -> Result<Planned, Failure> {
    scheduling(scenario)?;
    costs(scenario)?;
    let jobs = jobs(scenario)?;
    links(scenario)?;
    faults(scenario)?;
    room(scenario, scenario.workers.iter().map(|group| (group, u64::from(group.count))))?;
    let strikes = Strikes::until(end, scenario, scenario.seed);
    room(scenario, strikes.groups.iter().map(|&group| (&scenario.workers[group], 1)))?;
    if strikes.too_many {
        let max = super::strikes::EVENTS_MAX;
        return refused(format_args!(
            "faults that strike more than {max} times cannot be emulated: make them rarer"
        ));
    }
    let present: usize = scenario.workers.iter().map(|group| group.count as usize).sum();
    let mut places = vec![0; scenario.workers.len()];
    let mut workers = Vec::with_capacity(strikes.groups.len());
    for (number, &group) in strikes.groups.iter().enumerate() {
        places[group] += 1;
        let worker = worker(scenario, &scenario.workers[group], places[group], strikes.factors[number])?;
        workers.push(Worker { is_present: number < present, ..worker });
    }
    let scheduling = &scenario.scheduling;
    let coordinator = muster_coordinator::Config {
        lease: scheduling.lease.into(),
        policy: scheduling.policy.clone(),
        credit_tasks: scheduling.credit_tasks,
        credit: scheduling.credit.into(),
        ..muster_coordinator::Config::default()
    };
    let slowed = strikes.factors.iter().filter(|factor| **factor > 1.0).count();
    let experiment = Experiment {
        coordinator,
        workers,
        events: strikes.events,
        jobs,
        seed: scenario.seed,
        limit: scenario.until.into(),
        ..Experiment::default()
    };
    Ok(Planned { experiment, slowed, planned_until: strikes.go_on.then(|| end.into()) })
}

/// Why a scenario cannot be read: wrong usage when the command line made it so.
pub fn unusable(error: &ScenarioError) -> Failure {
    match error {
        ScenarioError::Unreadable { path, error } => Failure::io(Exit::Job, "read", path, error),
        _ if error.overridden().is_some() => Failure::usage(error),
        _ => Failure::new(Exit::Job, error),
    }
}

/// Whether faults come again and again.
pub fn has_lasting_faults(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|fault| matches!(fault.when, When::Every(_)))
}

fn refused<T>(message: impl std::fmt::Display) -> Result<T, Failure> {
    Err(Failure::new(Exit::Job, message))
}

/// A scenario in which nothing is said that need not be: its values are the defaults.
fn usual() -> Result<Scenario, Failure> {
    let text = "workers = [{ count = 1 }]\njobs = [{ tasks = 1, time = { const = \"1ms\" } }]";
    Scenario::parse(text, "defaults", Path::new(""), &[]).map_err(|error| unusable(&error))
}

/// Executors do not take orders about how they claim and hold.
fn scheduling(scenario: &Scenario) -> Result<(), Failure> {
    let (found, usual) = (&scenario.scheduling, usual()?.scheduling);
    for (key, found, usual) in [("claim", found.claim, usual.claim), ("hold", found.hold, usual.hold)] {
        if found != usual {
            let usual = Duration::from(usual);
            return refused(format_args!(
                "{key} cannot be emulated: real executors always have {usual:?}; leave it out, or simulate"
            ));
        }
    }
    Ok(())
}

/// What real processes cost is what they cost.
fn costs(scenario: &Scenario) -> Result<(), Failure> {
    let usual = usual()?;
    let (found, none) = (&scenario.coordinator, &usual.coordinator);
    for (key, differs) in [
        ("per_message", found.per_message != none.per_message),
        ("per_byte", found.per_byte_ps != none.per_byte_ps),
        ("commit", found.commit != none.commit),
        ("bandwidth", found.bandwidth != none.bandwidth),
    ] {
        if differs {
            return refused(format_args!(
                "{key} in [coordinator] cannot be emulated: the real one takes the time that it takes; leave it out, or \
                 simulate"
            ));
        }
    }
    let usual = &usual.workers[0];
    for group in &scenario.workers {
        for (key, differs) in [
            ("executor_start", group.executor_start != usual.executor_start),
            ("plugin_load", group.plugin_load != usual.plugin_load),
        ] {
            if differs {
                return refused(format_args!(
                    "{key} of workers {:?} cannot be emulated: real executors take the time that they take; leave it \
                     out, or simulate",
                    group.name
                ));
            }
        }
    }
    Ok(())
}

fn jobs(scenario: &Scenario) -> Result<Vec<Job>, Failure> {
    let jobs: Vec<Job> =
        (0..scenario.jobs.len()).map(|number| job(scenario, number)).collect::<Result<_, _>>()?;
    for (number, job) in jobs.iter().enumerate() {
        let other = jobs[..number].iter().find(|other| other.plugin == job.plugin);
        if let Some(other) = other.filter(|other| other.has_plugin != job.has_plugin) {
            return refused(format_args!(
                "plugin_bytes of jobs {:?} and {:?} cannot be emulated: both run plugin {}, which workers have or fetch \
                 once; write the same for both",
                other.name, job.name, job.plugin
            ));
        }
    }
    Ok(jobs)
}

/// The job at a place of the list.
fn job(scenario: &Scenario, number: usize) -> Result<Job, Failure> {
    let job = &scenario.jobs[number];
    let name = &job.name;
    if job.input_bytes > 0 {
        return refused(format_args!(
            "input_bytes of job {name:?} cannot be emulated: its tasks have no inputs"
        ));
    }
    let (plugin, params) = match &job.plugin {
        Some(plugin) => (plugin.name.clone(), plugin.params.clone()),
        None => {
            if job.result_bytes > 0 {
                return refused(format_args!(
                    "result_bytes of job {name:?} cannot be emulated without a plugin that has such results: add \
                     plugin = \"...\""
                ));
            }
            (STAND_IN.to_owned(), stand_in(scenario, job)?)
        }
    };
    let spec = &job.spec;
    Ok(Job {
        name: name.clone(),
        submit_at: job.submit_at.into(),
        plugin,
        has_plugin: job.plugin_bytes == 0,
        params,
        tasks: spec.tasks,
        shape: spec.shape,
        // Jobs of the same plugin draw numbers of their own.
        seed: scenario.seed.wrapping_add(number as u64),
        max_attempts: spec.max_attempts,
        backoff: Some(spec.retry.backoff.into()),
        priority: spec.priority,
        weight: spec.weight,
        ..Job::default()
    })
}

/// Parameters with which the plugin `sleep` takes the times of a job.
fn stand_in(scenario: &Scenario, job: &scenario::Job) -> Result<Vec<(String, String)>, Failure> {
    let name = &job.name;
    if job.io < 1.0 {
        let slots: u64 =
            scenario.workers.iter().map(|group| u64::from(group.count) * u64::from(group.slots)).sum();
        let cpus = muster_worker::usable_cpus();
        if slots > u64::from(cpus) {
            return refused(format_args!(
                "job {name:?} computes (io = {}) on {slots} slots, and this machine has {cpus} cores for an emulation: \
                 set io = 1.0 for tasks that wait, name a plugin, or simulate",
                job.io
            ));
        }
        if let Some(group) = scenario.workers.iter().find(|group| group.cores < group.slots) {
            return refused(format_args!(
                "cores of workers {:?} cannot be emulated: set as many as slots, io = 1.0 for tasks that wait, or \
                 simulate",
                group.name
            ));
        }
    }
    let milliseconds = |seconds: f64| ("ms".to_owned(), (seconds * 1e3).to_string());
    let word = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let needs_plugin = |what: &str| {
        refused(format_args!(
            "times of job {name:?} that are {what} cannot be emulated as they are: an emulation needs plugin = \"...\" \
             then, or simulate"
        ))
    };
    let mut params = match job.time {
        TaskTime::Const(time) => vec![milliseconds(time.as_secs_f64())],
        TaskTime::Exp { mean } => vec![milliseconds(mean.as_secs_f64()), word("dist", "exp")],
        TaskTime::Lognormal { median, sigma } if sigma <= SIGMA_MAX => {
            let mean = median.as_secs_f64() * (sigma * sigma / 2.0).exp();
            vec![milliseconds(mean), word("dist", "lognormal"), word("sigma", &sigma.to_string())]
        }
        TaskTime::Pareto { min, shape } if (SHAPE_MIN..=SHAPE_MAX).contains(&shape) => {
            let mean = min.as_secs_f64() * shape / (shape - 1.0);
            vec![milliseconds(mean), word("dist", "pareto"), word("alpha", &shape.to_string())]
        }
        TaskTime::Lognormal { .. } => return needs_plugin("lognormal with sigma above 5"),
        TaskTime::Pareto { .. } => return needs_plugin("pareto with a shape outside of 1.01 to 100"),
        TaskTime::Uniform { .. } => return needs_plugin("uniform"),
        TaskTime::Bimodal { .. } => return needs_plugin("bimodal"),
        TaskTime::Recorded(_) => return needs_plugin("recorded"),
    };
    if job.io < 1.0 {
        params.push(word("spin", &(1.0 - job.io).to_string()));
    }
    Ok(params)
}

fn links(scenario: &Scenario) -> Result<(), Failure> {
    for (number, link) in scenario.links.iter().enumerate() {
        let Link { name, unreliable, .. } = link;
        let users = scenario.workers.iter().filter(|group| group.link == Some(number));
        let users: u64 = users.map(|group| u64::from(group.count)).sum();
        if users == 0 {
            continue;
        }
        let Unreliable { drop, duplicate, reorder } = *unreliable;
        for (key, share) in [("drop", drop), ("duplicate", duplicate), ("reorder", reorder)] {
            if share > 0.0 {
                return refused(format_args!(
                    "{key} of link {name:?} cannot be emulated: TCP hides it; leave it out, take latency or jitter for \
                     the delay, or simulate"
                ));
            }
        }
        let grows = scenario.faults.iter().any(|fault| matches!(fault.kind, FaultKind::Join { .. }));
        if link.bandwidth.is_some() && (users > 1 || grows) {
            return refused(format_args!(
                "bandwidth of link {name:?} cannot be emulated: its workers would share it; set worker_bandwidth, or \
                 simulate"
            ));
        }
        if link.latency + link.jitter > LATENCY_MAX {
            return refused(format_args!(
                "latency and jitter of link {name:?} cannot be emulated: at most 2 s together can"
            ));
        }
        if bandwidth(link).is_some_and(|bandwidth| bandwidth < BANDWIDTH_MIN) {
            return refused(format_args!(
                "bandwidth of link {name:?} cannot be emulated: at least 2 kB/s can"
            ));
        }
    }
    Ok(())
}

/// What one worker has.
fn bandwidth(link: &Link) -> Option<u64> {
    [link.bandwidth, link.worker_bandwidth].into_iter().flatten().min()
}

fn faults(scenario: &Scenario) -> Result<(), Failure> {
    for fault in &scenario.faults {
        let name = fault.kind.name();
        let why = match (&fault.kind, fault.when) {
            (FaultKind::Straggler { .. }, When::Every(_)) => {
                "speeds do not change while a worker runs; set at = \"0s\""
            }
            (FaultKind::Straggler { .. }, When::At(at)) if at > Span::ZERO => {
                "speeds do not change while a worker runs; set at = \"0s\""
            }
            (FaultKind::ExecutorCrash { .. }, _) => "take worker_crash, a plugin that crashes, or simulate",
            (FaultKind::CoordinatorCrash { .. }, _) => {
                "the coordinator is in the same process as its client; simulate"
            }
            (FaultKind::Poison { .. }, _) => "take a plugin with such tasks, or simulate",
            (FaultKind::ClockDrift { .. }, _) => "all processes have the clock of this machine; simulate",
            (
                FaultKind::WorkerCrash { .. }
                | FaultKind::Pause { .. }
                | FaultKind::Partition { .. }
                | FaultKind::Straggler { .. }
                | FaultKind::Join { .. }
                | FaultKind::Leave { .. },
                _,
            ) => continue,
        };
        return refused(format_args!("{name} as it is in [[faults]] cannot be emulated: {why}"));
    }
    Ok(())
}

/// Refuses more workers than this machine can run; says so before anything is made for each of them.
fn room<'a>(
    scenario: &Scenario,
    groups: impl Iterator<Item = (&'a WorkerGroup, u64)>,
) -> Result<(), Failure> {
    let (mut workers, mut slots, mut executors) = (0, 0, 0);
    for (group, count) in groups {
        workers += count;
        // At the worst all jobs are open at the same time.
        for job in &scenario.jobs {
            let shape = job.spec.shape.resolve(group.slots);
            slots += count * u64::from(shape.slots());
            executors += count * u64::from(shape.processes);
        }
    }
    Room::here().check(workers, slots, executors)
}

/// The worker at a place of its group, counted from 1.
fn worker(scenario: &Scenario, group: &WorkerGroup, place: u32, slower: f64) -> Result<Worker, Failure> {
    // Only computing depends on how fast a worker is.
    let mut takes = scenario.jobs.iter().map(|job| job.io + (1.0 - job.io) * slower / group.speed);
    let first = takes.next().unwrap_or(1.0);
    if takes.any(|other| (other / first - 1.0).abs() > 1e-9) {
        return refused(format_args!(
            "the speed of workers {:?} cannot be emulated for jobs of different io: a slow worker stretches all tasks \
             alike; give all jobs the same io, or simulate",
            group.name
        ));
    }
    let part = 1.0 / first;
    // Products of speeds and factors may be off by a last bit.
    let Some(speed) = Speed::new(if (1.0..1.0 + 1e-9).contains(&part) { 1.0 } else { part }) else {
        let why = if part > 1.0 {
            "no worker is faster than this machine: make 1.0 the fastest, and times shorter"
        } else {
            "tasks can take at most 1,000 times as long"
        };
        return refused(format_args!("the speed of workers {:?} cannot be emulated: {why}", group.name));
    };
    let link = group.link.map(|number| &scenario.links[number]).map_or_else(LinkModel::default, |link| {
        LinkModel { latency: link.latency.into(), jitter: link.jitter.into(), bandwidth: bandwidth(link) }
    });
    Ok(Worker { speed, link, ..Worker::new(format!("{}-{place}", group.name), group.slots) })
}
