//! `muster experiment`: what people believe about threads and processes, measured here.

use crate::cli::{Experiment, ExperimentArgs};
use crate::compare::Machine;
use crate::exit::Outcome;
use crate::experiment::{self, Findings, Setting};
use crate::interrupt::Interrupt;
use crate::terminal;
use clap::ValueEnum as _;
use serde::Serialize;
use std::time::Instant;

/// With `--json`.
#[derive(Debug, Serialize)]
struct Object<'a> {
    experiment: &'a str,
    machine: Machine,
    #[serde(flatten)]
    findings: &'a Findings,
}

/// Measures, and shows what was complete whatever ended it.
pub async fn experiment(args: &ExperimentArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let setting = Setting {
        plugins: args.plugins.clone(),
        slots: args.slots,
        seed: args.seed,
        end: Instant::now() + args.budget,
    };
    let mut findings = Findings::default();
    let (setting, interrupt, into) = (&setting, &mut interrupt, &mut findings);
    let ended = match args.experiment {
        Experiment::Lifecycle => experiment::lifecycle(setting, interrupt, into).await,
        Experiment::Switch => experiment::switching(setting, interrupt, into).await,
        Experiment::Memory => experiment::memory(setting, interrupt, into).await,
        Experiment::Isolate => experiment::isolation(setting, interrupt, into).await,
        Experiment::Interrupt => experiment::interruption(setting, interrupt, into).await,
        Experiment::Overhead => experiment::overhead(setting, interrupt, into).await,
    };
    if ended.is_err() && findings.tables.is_empty() {
        return ended.map(|()| crate::exit::Exit::Ok);
    }
    let value = args.experiment.to_possible_value();
    let name = value.as_ref().map_or("", |value| value.get_name());
    let shown = if args.json {
        super::printed(terminal::print_json(&Object {
            experiment: name,
            machine: Machine::here(),
            findings: &findings,
        }))
    } else {
        super::printed(terminal::print(experiment::text(&findings)))
    };
    ended.and(shown)
}
