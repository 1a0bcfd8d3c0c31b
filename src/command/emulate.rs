//! `muster emulate`: a scenario with real processes on this machine.

use crate::cli::EmulateArgs;
use crate::emulation::{
    Beside, Experiment, Folder, Job, Planned, Report, Simulated, Spread, experiment, has_lasting_faults,
    run_each, unusable,
};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{Located, PluginFailure, PluginFile, Searched, bundled, locate};
use crate::summary::{counted, number, pairs, seconds};
use crate::terminal::{self, note};
use muster_core::time::Span;
use muster_sim::scenario::{self, Override, Scenario};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Faults that come again and again are planned for so many times the simulated makespan, and this on top.
const PLANNED_FACTOR: u64 = 3;
const PLANNED_MORE: Span = Span::from_millis(10_000);
/// What `plugin_bytes` may be off by, as a part: builds differ.
const PLUGIN_BYTES_TOLERANCE: f64 = 0.05;

/// Emulates a scenario.
pub async fn emulate(args: &EmulateArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let mut changes = args.set.clone();
    changes.extend(args.seed.map(|seed| Override { key: "seed".to_owned(), value: seed.to_string() }));
    let scenario = Scenario::read(&args.scenario, &changes).map_err(|error| unusable(&error))?;
    let text = Scenario::text(&args.scenario, &changes).map_err(|error| unusable(&error))?;
    // What cannot be emulated is said before anything takes time.
    let lasting = has_lasting_faults(&scenario);
    let mut planned = experiment(&scenario, if lasting { Span::ZERO } else { scenario.until })?;
    let folder = args.out.as_deref().map(|path| Folder::create(path, &text)).transpose()?;
    let mut simulated = None;
    if args.simulate || lasting {
        let found = simulate(&scenario, &mut interrupt).await?;
        if lasting {
            let makespan = Span((found.makespan_s * 1e9) as u64);
            let end =
                first_submit(&scenario) + Span(makespan.0.saturating_mul(PLANNED_FACTOR)) + PLANNED_MORE;
            planned = experiment(&scenario, end.min(scenario.until))?;
        }
        simulated = args.simulate.then_some(found);
    }
    let Planned { mut experiment, slowed, planned_until } = planned;
    let named = experiment.jobs.clone();
    for (number, job) in experiment.jobs.iter_mut().enumerate() {
        let plugin = plugin(&job.plugin, &args.plugins, &mut interrupt).await?;
        check_size(&scenario.jobs[number], &plugin)?;
        job.plugin = plugin.path().to_string_lossy().into_owned();
    }
    experiment.repeats = args.repeats;
    scenario.notes.iter().for_each(note);
    note(what_runs(&scenario, &experiment, slowed, &named));
    let repeated = run_each(&experiment, &mut interrupt, |number, run| {
        if args.repeats > 1 {
            note(format_args!("run {number} of {}: {}", args.repeats, seconds(run.makespan_s)));
        }
    });
    let repeated = Box::pin(repeated).await?;
    experiment.jobs = named;
    let report = Report::new(
        &scenario,
        &experiment,
        slowed,
        planned_until.map(|until| until.as_secs_f64()),
        &repeated,
    );
    warn(&report, first_submit(&scenario));
    let exit = if report.is_complete() { Exit::Ok } else { Exit::TasksFailed };
    let (json, table) = match simulated {
        Some(simulated) => {
            let both = Beside::new(report.clone(), simulated);
            (both.to_json(), Some(both.table()))
        }
        None => (serde_json::json!(report), None),
    };
    // A full folder costs no number.
    let written = folder.map_or(Ok(()), |folder| folder.write(&json));
    if args.json {
        super::printed(terminal::print_json(&json))?;
    } else {
        let table = table.map_or_else(String::new, |table| format!("\n\n{table}"));
        super::printed(terminal::print(format_args!("{}{table}", summary(&report))))?;
    }
    written?;
    Ok(exit)
}

/// The scenario in virtual time, on a thread of its own, so that a signal is heard.
async fn simulate(scenario: &Scenario, interrupt: &mut Interrupt) -> Result<Simulated, Failure> {
    let (scenario, stop) = (scenario.clone(), Arc::new(AtomicBool::new(false)));
    let asked = Arc::clone(&stop);
    let work =
        tokio::task::spawn_blocking(move || Simulated::of(&scenario, || asked.load(Ordering::Relaxed)));
    let done = async { work.await.map_err(|error| Failure::new(Exit::Job, error)) };
    let outcome = interrupt.or(done).await;
    stop.store(true, Ordering::Relaxed);
    outcome
}

/// A plugin as `muster run` takes it, or one of muster's own by its name.
async fn plugin(name: &str, folder: &Path, interrupt: &mut Interrupt) -> Result<PluginFile, Failure> {
    match locate(name, interrupt).await? {
        Located::Here(plugin) => Ok(*plugin),
        Located::Registered(query) if query.contains(['@', '.', '+']) => {
            Err(PluginFailure::not_found(query, Searched::FilesWithoutCluster).into())
        }
        Located::Registered(query) => bundled(folder, &query, interrupt).await,
    }
}

/// What workers fetch through their links is the plugin as it is.
fn check_size(job: &scenario::Job, plugin: &PluginFile) -> Result<(), Failure> {
    let said = job.plugin_bytes;
    let bytes = std::fs::metadata(plugin.path()).map_or(0, |facts| facts.len());
    if said == 0 || (said as f64 / bytes as f64 - 1.0).abs() <= PLUGIN_BYTES_TOLERANCE {
        return Ok(());
    }
    let (said, found) = (number(said), number(bytes));
    let message = format_args!(
        "plugin_bytes of {said} B of job {:?} cannot be emulated: the plugin has {found} B; write \"{bytes}B\", or leave it out for \
         workers that have the plugin",
        job.name
    )
    .to_string();
    Err(Failure::new(Exit::Job, message))
}

/// When the makespan begins.
fn first_submit(scenario: &Scenario) -> Span {
    scenario.jobs.iter().map(|job| job.submit_at).min().unwrap_or_default()
}

fn what_runs(scenario: &Scenario, experiment: &Experiment, slowed: usize, jobs: &[Job]) -> String {
    let present = experiment.workers.iter().filter(|worker| worker.is_present).count();
    let slots: u64 = experiment
        .workers
        .iter()
        .filter(|worker| worker.is_present)
        .map(|worker| u64::from(worker.slots))
        .sum();
    let tasks = number(jobs.iter().map(|job| job.tasks).sum());
    let work = match jobs {
        [job] => {
            let params: Vec<String> =
                job.params.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{tasks} tasks of {} {}", job.plugin, params.join(" "))
        }
        jobs => format!("{tasks} tasks of {} jobs", jobs.len()),
    };
    format!(
        "emulating {}: seed {}, {} on {} with {}, policy {}, {} of faults, {}",
        scenario.name,
        scenario.seed,
        work.trim_end(),
        counted(present as u32, "worker", "workers"),
        counted(u32::try_from(slots).unwrap_or(u32::MAX), "slot", "slots"),
        scenario.scheduling.policy,
        counted((experiment.events.len() + slowed) as u32, "event", "events"),
        counted(experiment.repeats, "run", "runs"),
    )
}

/// What makes a run less than it was to be.
fn warn(report: &Report, first_submit: Span) {
    if let Some(until) = report.planned_until_s
        && report.makespan_s.iter().any(|&makespan| first_submit.as_secs_f64() + makespan > until)
    {
        note(format_args!("warning: faults were planned for {} only, and a run took longer", seconds(until)));
    }
}

fn summary(report: &Report) -> String {
    let timed = |times: Spread| {
        if report.makespan_s.len() == 1 {
            return seconds(times.median);
        }
        let (min, max) = (seconds(times.min), seconds(times.max));
        format!("{} (median; {min} to {max}, {:.1} %)", seconds(times.median), 100.0 * times.relative())
    };
    let task = Spread::of(report.task_s.clone());
    let each = |counts: &[u64]| {
        let is_same = counts.windows(2).all(|pair| pair[0] == pair[1]);
        let shown = if is_same { &counts[..1] } else { counts };
        shown.iter().map(|&count| number(count)).collect::<Vec<_>>().join(", ")
    };
    let mut rows = vec![("seed", report.seed.to_string()), ("makespan", timed(report.makespan()))];
    let names: Vec<String> = report.jobs.iter().map(|job| format!("job {}", job.name)).collect();
    if let several @ [_, _, ..] = &report.jobs[..] {
        let times = several.iter().map(|job| timed(Spread::of(job.makespan_s.clone())));
        rows.extend(names.iter().map(String::as_str).zip(times));
    }
    rows.extend([
        ("tasks", format!("{} of {}", number(report.tasks), seconds(task.median))),
        ("ok", each(&report.ok)),
        ("leased again", each(&report.leased_again)),
        ("workers lost", each(&report.lost_workers)),
    ]);
    if report.failed.iter().any(|&failed| failed > 0) {
        rows.push(("failed", each(&report.failed)));
    }
    pairs(&rows)
}
