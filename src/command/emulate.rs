//! `muster emulate`: a scenario with real processes on this machine.

use crate::cli::EmulateArgs;
use crate::emulation::{
    Beside, Experiment, Folder, Planned, Report, Simulated, Spread, experiment, has_lasting_faults, run_each,
};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{Located, PluginFailure, PluginFile, Searched, bundled, locate};
use crate::summary::{counted, number, pairs, seconds};
use crate::terminal::{self, note};
use muster_core::time::Span;
use muster_sim::scenario::{Override, Scenario};
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
    let mut changes = args.changes.clone();
    changes.extend(args.seed.map(|seed| Override { key: "seed".to_owned(), value: seed.to_string() }));
    let wrong = |error| Failure::new(Exit::Job, error);
    let scenario = Scenario::read(&args.scenario, &changes).map_err(wrong)?;
    let text = Scenario::text(&args.scenario, &changes).map_err(wrong)?;
    // What cannot be emulated is said before anything takes time.
    let mut planned = experiment(&scenario, Span::ZERO)?;
    let mut simulated = None;
    if args.simulate || has_lasting_faults(&scenario) {
        let found = simulate(&scenario, &mut interrupt).await?;
        let makespan = Span((found.makespan_s * 1e9) as u64);
        let end = Span(makespan.0.saturating_mul(PLANNED_FACTOR)) + PLANNED_MORE;
        planned = experiment(&scenario, end.min(scenario.until))?;
        simulated = args.simulate.then_some(found);
    }
    let Planned { mut experiment, planned_until } = planned;
    let name = experiment.job.plugin.clone();
    let plugin = plugin(&name, &args.plugins, &mut interrupt).await?;
    check_size(&scenario, &plugin)?;
    experiment.job.plugin = plugin.path().to_string_lossy().into_owned();
    experiment.repeats = args.repeats;
    let folder = args.output.as_deref().map(|path| Folder::create(path, &text)).transpose()?;
    note(what_runs(&scenario, &experiment, &name));
    let repeated = run_each(&experiment, &mut interrupt, |number, run| {
        if args.repeats > 1 {
            note(format_args!("run {number} of {}: {}", args.repeats, seconds(run.makespan_s)));
        }
    });
    let repeated = Box::pin(repeated).await?;
    experiment.job.plugin = name;
    let report =
        Report::new(&scenario, &experiment, planned_until.map(|until| until.as_secs_f64()), &repeated);
    warn(&report);
    let exit = if report.is_complete() { Exit::Ok } else { Exit::TasksFailed };
    let (json, table) = match simulated {
        Some(simulated) => {
            let both = Beside::new(report.clone(), simulated);
            (both.to_json(), Some(both.table()))
        }
        None => (serde_json::json!(report), None),
    };
    if let Some(folder) = &folder {
        folder.write(&json)?;
    }
    if args.json {
        super::printed(terminal::print_json(&json))?;
    } else {
        let table = table.map_or_else(String::new, |table| format!("\n\n{table}"));
        super::printed(terminal::print(format_args!("{}{table}", summary(&report))))?;
    }
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
fn check_size(scenario: &Scenario, plugin: &PluginFile) -> Result<(), Failure> {
    let said = scenario.jobs[0].plugin_bytes;
    let bytes = std::fs::metadata(plugin.path()).map_or(0, |facts| facts.len());
    if said == 0 || (said as f64 / bytes as f64 - 1.0).abs() <= PLUGIN_BYTES_TOLERANCE {
        return Ok(());
    }
    let (said, found) = (number(said), number(bytes));
    let message = format_args!(
        "plugin_bytes of {said} B cannot be emulated: the plugin has {found} B; write \"{bytes}B\", or leave it out for \
         workers that have the plugin"
    )
    .to_string();
    Err(Failure::new(Exit::Job, message))
}

fn what_runs(scenario: &Scenario, experiment: &Experiment, plugin: &str) -> String {
    let present = experiment.workers.iter().filter(|worker| worker.is_present).count();
    let slots: u64 = experiment
        .workers
        .iter()
        .filter(|worker| worker.is_present)
        .map(|worker| u64::from(worker.slots))
        .sum();
    let params: Vec<String> =
        experiment.job.params.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!(
        "emulating {}: seed {}, {} tasks of {plugin} {} on {} with {}, policy {}, {} of faults, {}",
        scenario.name,
        scenario.seed,
        number(experiment.job.tasks),
        params.join(" "),
        counted(present as u32, "worker", "workers"),
        counted(u32::try_from(slots).unwrap_or(u32::MAX), "slot", "slots"),
        scenario.scheduling.policy,
        counted(experiment.events.len() as u32, "event", "events"),
        counted(experiment.repeats, "run", "runs"),
    )
}

/// What makes a run less than it was to be.
fn warn(report: &Report) {
    if let Some(until) = report.planned_until_s
        && report.makespan_s.iter().any(|&makespan| makespan > until)
    {
        note(format_args!("warning: faults were planned for {} only, and a run took longer", seconds(until)));
    }
}

fn summary(report: &Report) -> String {
    let makespan = report.makespan();
    let shown = if report.makespan_s.len() == 1 {
        seconds(makespan.median)
    } else {
        let (min, max) = (seconds(makespan.min), seconds(makespan.max));
        format!("{} (median; {min} to {max}, {:.1} %)", seconds(makespan.median), 100.0 * makespan.relative())
    };
    let task = Spread::of(report.task_s.clone());
    let each = |counts: &[u64]| {
        let is_same = counts.windows(2).all(|pair| pair[0] == pair[1]);
        let shown = if is_same { &counts[..1] } else { counts };
        shown.iter().map(|&count| number(count)).collect::<Vec<_>>().join(", ")
    };
    let mut rows = vec![
        ("seed", report.seed.to_string()),
        ("makespan", shown),
        ("tasks", format!("{} of {}", number(report.tasks), seconds(task.median))),
        ("committed", each(&report.committed)),
        ("repeated attempts", each(&report.repeated)),
        ("workers lost", each(&report.lost_workers)),
    ];
    if report.failed.iter().any(|&failed| failed > 0) {
        rows.push(("failed", each(&report.failed)));
    }
    pairs(&rows)
}
