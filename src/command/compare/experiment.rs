//! One of the named experiments.

use super::{ALL, Asked, EXPERIMENT_BUDGET, Kept, keep, limits, show};
use crate::cli::CompareArgs;
use crate::command::printed;
use crate::compare::{Comparison, Machine, Run};
use crate::exit::{Exit, Failure, Outcome};
use crate::experiment::{Evidence, Findings, Name, Setting, Workloads, stated};
use crate::interrupt::Interrupt;
use crate::summary::seconds;
use crate::terminal::{self, note};
use clap::ValueEnum as _;
use std::time::Instant;

/// Measures it.
pub async fn run(args: &CompareArgs, name: Name, interrupt: &mut Interrupt) -> Outcome<Kept> {
    check(args, name)?;
    if name.is_of_times() { times(args, name, interrupt).await } else { tables(args, name, interrupt).await }
}

/// All of them, one after the other, each with its own time.
pub async fn all(args: &CompareArgs, interrupt: &mut Interrupt) -> Outcome {
    let (mut found, mut exit) = (Vec::new(), Ok(Exit::Ok));
    for name in Name::value_variants() {
        if !args.json {
            note(format_args!("\n== {}", name.word()));
        }
        let args = &CompareArgs { with_python: args.with_python && name.has_python(), ..args.clone() };
        let kept = run(args, *name, interrupt).await?;
        if !args.json {
            show(args, &kept.comparison)?;
        }
        found.push(kept.comparison.clone());
        let ended = kept.end(args.strict);
        // An invalid row is told at the end; what nobody can go on from, at once.
        match ended {
            Err(failure) if failure.exit == Exit::Invalid => exit = Err(failure),
            Err(failure) => {
                exit = Err(failure);
                break;
            }
            Ok(_) => {}
        }
    }
    if args.json {
        printed(terminal::print_json(&serde_json::json!({"experiment": ALL, "experiments": found})))?;
    }
    exit
}

async fn times(args: &CompareArgs, name: Name, interrupt: &mut Interrupt) -> Outcome<Kept> {
    let mut workloads = Workloads::new(&args.plugins, args.seed(), interrupt);
    let groups = name.groups(args.slots(), args.with_python, &mut workloads).await?;
    let null = Some(workloads.subject("null", serde_json::Value::Null).await?);
    let _surroundings = workloads.into_surroundings();
    let limits = limits(args, EXPERIMENT_BUDGET);
    let asked = Asked { experiment: name.word(), null, seed: args.seed(), limits };
    let slots = args.slots();
    asked
        .measure(&groups, interrupt, |comparison, measured| {
            let evidence = Evidence::of(&groups, measured, &comparison.rows);
            comparison.claims = name.claims(slots, args.with_python, evidence);
        })
        .await
}

async fn tables(args: &CompareArgs, name: Name, interrupt: &mut Interrupt) -> Outcome<Kept> {
    if args.blocks.is_some() || args.target.is_some() || args.with_python {
        let word = name.word();
        return Err(Failure::usage(format_args!(
            "experiment {word} measures in rounds of its own: --blocks, --target and --with-python are for others"
        ))
        .hint("leave them out; --budget says how long it may take"));
    }
    let budget = args.budget.unwrap_or(EXPERIMENT_BUDGET);
    let setting = Setting {
        plugins: args.plugins.clone(),
        slots: args.slots(),
        seed: args.seed(),
        end: Instant::now() + budget,
    };
    let run = Run::claim(&[])?;
    note(format_args!("up to {}", seconds(budget.as_secs_f64())));
    let mut findings = Findings::default();
    let ended = Box::pin(name.find(&setting, interrupt, &mut findings)).await;
    let failure = match ended {
        Err(failure) if findings.tables.is_empty() => {
            run.abandon();
            return Err(failure);
        }
        ended => ended.err(),
    };
    let claims = stated(name, &findings);
    let comparison = Comparison::of(name.word(), args.seed(), Machine::here(), findings, claims);
    Ok(keep(run, comparison, failure))
}

/// Refuses what an experiment says itself.
fn check(args: &CompareArgs, name: Name) -> Outcome<()> {
    for (is_given, flag) in [
        (!args.params.is_empty(), "KEY=VALUE"),
        (args.tasks.is_some(), "-n"),
        (args.arrivals.rate.is_some(), "--rate"),
        (!args.models.is_empty(), "--models"),
        (!args.grid.is_empty(), "--grid"),
        (args.in_flight.is_some(), "--in-flight"),
        (args.lines.is_some(), "--lines"),
        (!args.files.is_empty(), "--files"),
        (args.cancels.is_some(), "--cancels"),
        (args.no_probes, "--no-probes"),
        (
            args.cluster.as_deref().is_some_and(|name| name.trim() != "private"),
            "--cluster (or MUSTER_CLUSTER)",
        ),
    ] {
        if is_given {
            let name = name.word();
            return Err(Failure::usage(format_args!(
                "experiment {name} chooses that itself: {flag} is for a plugin"
            ))
            .hint("leave it out, or compare a plugin: muster compare PLUGIN"));
        }
    }
    Ok(())
}

/// The words that name experiments.
pub fn names() -> Vec<&'static str> {
    Name::value_variants().iter().map(|name| name.word()).chain([ALL]).collect()
}
