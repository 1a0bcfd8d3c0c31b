//! `muster compare`: which way to run a workload is the best one here; and the named experiments.

mod experiment;
mod of_plugin;
mod teller;
mod tour;

use crate::cli::CompareArgs;
use crate::compare::{
    self, Comparison, End, Failed, Group, Limits, Machine, Measured, Row, Run, Subject, Written, measure,
};
use crate::exit::{Exit, Failure, Outcome};
use crate::experiment::Name;
use crate::interrupt::Interrupt;
use crate::statistics::TARGET;
use crate::terminal::{self, note};
use clap::ValueEnum as _;
use of_plugin::{compared, of_plugin};
use std::rc::Rc;
use std::time::Duration;
use teller::Teller;
pub use tour::tour;

/// Time for a comparison.
const BUDGET: Duration = Duration::from_secs(40);
/// The same, where tasks arrive at a rate: a run takes two seconds.
const RATE_BUDGET: Duration = Duration::from_secs(240);
/// Time for an experiment.
const EXPERIMENT_BUDGET: Duration = Duration::from_secs(110);
const COMPARE: &str = "compare";
/// All experiments, one after the other.
const ALL: &str = "all";

/// Compares and says what came of it.
pub async fn compare(args: &CompareArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    if args.what == ALL {
        return experiment::all(args, &mut interrupt).await;
    }
    if let Ok(name) = Name::from_str(&args.what, false) {
        let kept = experiment::run(args, name, &mut interrupt).await?;
        show(args, &kept.comparison)?;
        return kept.end(args.strict);
    }
    let (args, written) = if compare::is_file(&args.what) {
        compare::read_file(args)?
    } else {
        (args.clone(), Written::default())
    };
    let work = compared(&args, &written, &mut interrupt).await;
    let work = work.map_err(|failure| written.failure(failure))?;
    let kept = of_plugin(&args, work, &mut interrupt).await?;
    show(&args, &kept.comparison)?;
    let failed = compare::failed(&written.fail, &kept.comparison);
    kept.end(args.strict)?;
    end(&failed)
}

/// Whether the conditions of a file let it pass.
fn end(found: &Failed) -> Outcome {
    if !found.failed.is_empty() {
        return Err(Failure::new(Exit::Regression, format_args!("failed: {}", found.failed.join("; "))));
    }
    if !found.unknown.is_empty() {
        let rows = found.unknown.join("; ");
        return Err(Failure::new(Exit::Invalid, format_args!("whether it fails is not known of {rows}"))
            .hint("compare again on a quiet machine, with as many blocks as the verdict asks for"));
    }
    Ok(Exit::Ok)
}

fn limits(args: &CompareArgs, budget: Duration) -> Limits {
    Limits {
        budget: args.budget.unwrap_or(budget),
        blocks: args.blocks.map(|blocks| blocks as usize),
        target: args.target.unwrap_or(TARGET),
    }
}

/// A comparison to be made.
struct Asked {
    experiment: &'static str,
    null: Option<Rc<Subject>>,
    seed: u64,
    limits: Limits,
}

impl Asked {
    /// Measures, lets `add` put in what it finds in it, and keeps it.
    async fn measure(
        &self,
        groups: &[Group],
        interrupt: &mut Interrupt,
        add: impl FnOnce(&mut Comparison, &Measured),
    ) -> Outcome<Kept> {
        let Taken { run, measured, mut comparison, failure } = self.take(groups, interrupt).await?;
        add(&mut comparison, &measured);
        Ok(keep(run, comparison, failure))
    }

    /// Measures.
    async fn take(&self, groups: &[Group], interrupt: &mut Interrupt) -> Outcome<Taken> {
        let mut teller = Teller::new(self.limits, Run::claim(groups)?);
        let measuring = measure(groups, self.null.as_deref(), self.seed, self.limits, interrupt, &mut teller);
        let measured = Box::pin(measuring).await;
        let run = teller.end();
        let measured = match measured {
            Ok(measured) => measured,
            Err(failure) => {
                run.abandon();
                return Err(failure);
            }
        };
        let comparison = compare::assemble(self.experiment, self.seed, groups, &measured, Machine::here());
        let failure = match measured.end {
            End::Interrupted(signal) => Some(Failure::new(
                Exit::Interrupted,
                format_args!("cancelled by {signal}: the numbers are those of the blocks that were complete"),
            )),
            End::Target | End::Blocks | End::Budget => None,
        };
        Ok(Taken { run, measured, comparison, failure })
    }
}

/// What was measured, before it is kept.
struct Taken {
    run: Run,
    measured: Measured,
    comparison: Comparison,
    /// What ended it early.
    failure: Option<Failure>,
}

/// Keeps what came of it. What was measured is shown in any case.
fn keep(run: Run, mut comparison: Comparison, failure: Option<Failure>) -> Kept {
    comparison.run = run.folder();
    let kept = run.finish(&comparison);
    if kept.is_err() {
        comparison.run = None;
    }
    Kept { comparison, kept, failure }
}

/// What came of it, and whether it could be kept.
struct Kept {
    comparison: Comparison,
    kept: Outcome<()>,
    /// What ended it early.
    failure: Option<Failure>,
}

impl Kept {
    /// How the command ends.
    fn end(self, strict: bool) -> Outcome {
        self.kept?;
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let rows = &self.comparison.rows;
        let why = |row: &Row| format!("{} ({})", row.full_name(), row.invalid_because.join("; "));
        let invalid: Vec<String> = rows.iter().filter(|row| !row.valid).map(why).collect();
        if strict && !invalid.is_empty() {
            return Err(Failure::new(Exit::Invalid, format_args!("invalid: {}", invalid.join(", "))));
        }
        Ok(Exit::Ok)
    }
}

fn show(args: &CompareArgs, comparison: &Comparison) -> Outcome<()> {
    if args.json {
        super::printed(terminal::print_json(comparison))?;
        return Ok(());
    }
    super::printed(terminal::print(compare::text(comparison)))?;
    if let Some(run) = &comparison.run {
        note(format_args!("\nsaved: {run}"));
    }
    Ok(())
}
