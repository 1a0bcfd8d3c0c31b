//! `muster simulate`: a scenario in virtual time, once or many times.

use crate::cli::SimulateArgs;
use crate::emulation::Beside;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::simulation::Progress;
use crate::simulation::{Finished, Folder, Plan, Report, Running, apart, not_ended, summary};
use crate::terminal::{self, note};
use muster_sim::scenario::Override;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Simulates.
pub async fn simulate(args: SimulateArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    if let Some(run) = args.beside.clone() {
        return beside(run, args, &mut interrupt).await;
    }
    let threads = args.threads.unwrap_or_else(muster_worker::usable_cpus) as usize;
    let (json, out) = (args.json, args.out.clone());
    let plan = interrupt.or(apart(move || Plan::new(&args))).await?;
    let folder = out.as_deref().map(Folder::claim).transpose()?;
    let plan = Arc::new(plan);
    terminal::show(first_lines(&plan));
    notes(&plan).into_iter().for_each(note);
    let mut progress = Progress::new(terminal::watched(), plan.runs() as u64, tasks_of_only_run(&plan));
    let began = Instant::now();
    let running = Running::start(Arc::clone(&plan), threads)?;
    let finished = running.finish(&mut interrupt, &mut progress).await?;
    let wall_s = began.elapsed().as_secs_f64();
    let Some(report) = Report::new(&plan, &finished, wall_s) else {
        let signal = finished.stopped_by.unwrap_or("a signal");
        return Err(Failure::new(
            Exit::Interrupted,
            format_args!("cancelled by {signal} before a run had ended"),
        ));
    };
    // What takes long to write must not hold up who wants to leave.
    let work = move || show(&plan, &finished, &report, json, folder.as_ref());
    interrupt.or(apart(work)).await
}

/// What was emulated, beside its simulation.
async fn beside(run: PathBuf, args: SimulateArgs, interrupt: &mut Interrupt) -> Outcome {
    let mut changes = args.set;
    changes.extend(args.seed.map(|seed| Override { key: "seed".to_owned(), value: seed.to_string() }));
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let work = move || Beside::of_folder(&run, &changes, || asked.load(Ordering::Relaxed));
    let both = interrupt.or(apart(work)).await;
    stop.store(true, Ordering::Relaxed);
    let both = both?;
    if args.json {
        super::printed(terminal::print_json(&both.to_json()))?;
    } else {
        super::printed(terminal::print(both.table()))?;
    }
    Ok(Exit::Ok)
}

/// The seed, and the command that does the same again.
fn first_lines(plan: &Plan) -> String {
    let first = plan.points[0].seed;
    let seeds = match plan.replicas as u64 {
        1 => format!("seed {first}"),
        replicas => format!("seeds {first} to {}", first + replicas - 1),
    };
    let line = format!("{seeds}; the same again: {}", plan.again);
    // What is to be copied is not broken.
    if line.chars().count() > terminal::columns() {
        format!("{seeds}; the same again:\n{}", plan.again)
    } else {
        line
    }
}

/// What is probably not meant, once for all points; of many only the first.
fn notes(plan: &Plan) -> Vec<&String> {
    const SHOWN_MAX: usize = 3;
    let mut notes: Vec<&String> = plan.points.iter().flat_map(|point| &point.scenario.notes).collect();
    notes.sort();
    notes.dedup();
    notes.truncate(SHOWN_MAX);
    notes
}

fn tasks_of_only_run(plan: &Plan) -> Option<u64> {
    plan.is_single().then(|| plan.points[0].scenario.jobs.iter().map(|job| job.spec.tasks).sum())
}

fn show(plan: &Plan, finished: &Finished, report: &Report, json: bool, folder: Option<&Folder>) -> Outcome {
    // Beside an object on stdout people still read how it went.
    let colours = if json { terminal::colours() } else { terminal::colours_on_stdout() };
    let text = summary(plan, finished, report, colours);
    note("");
    // Where stdout is full, the folder gets everything all the same.
    let printed = if json {
        terminal::show(text);
        Ok(Exit::Ok)
    } else {
        super::printed(terminal::print(text))
    };
    if let Some(signal) = finished.stopped_by {
        let (came, planned) = (report.runs().len(), plan.runs());
        let how_far = if plan.is_single() {
            "the numbers are those up to then".to_owned()
        } else {
            format!("{came} of {planned} runs had ended")
        };
        note(format_args!("cancelled by {signal}; {how_far}"));
    } else {
        not_ended(plan, finished, report).into_iter().for_each(note);
    }
    let written = folder.map_or(Ok(()), |folder| -> Outcome<()> {
        folder.write(plan, finished, report)?;
        note(format_args!("written to {}", folder.path().display()));
        Ok(())
    });
    printed?;
    // A full folder costs no number.
    if json {
        super::printed(terminal::print_json(report))?;
    }
    written?;
    let runs = report.runs();
    Ok(if finished.stopped_by.is_some() {
        Exit::Interrupted
    } else if runs.iter().any(|run| !run.ended || run.failed > 0) {
        Exit::TasksFailed
    } else {
        Exit::Ok
    })
}
