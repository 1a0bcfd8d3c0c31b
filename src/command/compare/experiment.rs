//! One of the named experiments.

use super::{Asked, EXPERIMENT_BUDGET, Kept, limits};
use crate::cli::CompareArgs;
use crate::exit::{Failure, Outcome};
use crate::experiment::{Evidence, Name, Workloads};
use crate::interrupt::Interrupt;
use clap::ValueEnum as _;

/// Measures it.
pub async fn run(args: &CompareArgs, name: Name, interrupt: &mut Interrupt) -> Outcome<Kept> {
    check(args, name)?;
    let mut workloads = Workloads::new(&args.plugins, args.seed(), interrupt);
    let groups = name.groups(args.slots(), args.with_python, &mut workloads).await?;
    let null = Some(workloads.subject("null", serde_json::Value::Null).await?);
    let _surroundings = workloads.into_surroundings();
    let limits = limits(args, EXPERIMENT_BUDGET);
    let asked = Asked { experiment: name.word(), null, seed: args.seed(), limits };
    let slots = args.slots();
    asked
        .measure(&groups, interrupt, |comparison, measured| {
            comparison.claims = name.claims(slots, args.with_python, Evidence { groups: &groups, measured });
        })
        .await
}

/// Refuses what an experiment says itself.
fn check(args: &CompareArgs, name: Name) -> Outcome<()> {
    for (is_given, flag) in [
        (!args.params.is_empty(), "KEY=VALUE"),
        (args.tasks.is_some(), "-n"),
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
    Name::value_variants().iter().map(|name| name.word()).collect()
}
