//! `muster compare`: which way to run a workload is the best one here.

use crate::cli::CompareArgs;
use crate::compare::{
    self, End, Group, Limits, Machine, Measured, Run, Subject, Tell, configurations, measure, tasks_text,
};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{Located, PluginFailure, Searched, locate};
use crate::summary::{counted, seconds};
use crate::terminal::{self, note};
use indicatif::{ProgressBar, ProgressStyle};
use muster_plugin_host::{InputKind, from_pairs};

/// Compares and says what came of it.
pub async fn compare(args: &CompareArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let file = match locate(&args.plugin, &mut interrupt).await? {
        Located::Here(file) => file,
        Located::Registered(query) => return Err(PluginFailure::not_found(query, Searched::Files).into()),
    };
    let manifest = file.manifest();
    if manifest.input() == InputKind::Required {
        let name = manifest.name();
        return Err(Failure::usage(format_args!("every task of plugin {name} needs an input"))
            .hint("muster compare runs tasks that need nothing but their index"));
    }
    let params = from_pairs(manifest, &args.params)?;
    let params = serde_json::to_vec(&params).map_err(Failure::usage)?;
    let rows = configurations(args, manifest)?;
    if rows.len() < 2 {
        let only = rows.first().map_or_else(|| "no configuration".to_owned(), |row| row.name.clone());
        return Err(Failure::usage(format_args!("{only} alone: there is nothing to compare with"))
            .hint("give several --models, or a --grid"));
    }
    interrupt.or(async { Ok(file.try_out().await?) }).await?;
    let subject = Subject { file: (*file).into(), params, seed: args.seed, readings: Vec::new() };
    let groups = [Group::single(subject, rows, args.tasks)];
    let limits = Limits {
        budget: args.budget,
        blocks: args.blocks.map(|blocks| blocks as usize),
        target: args.target,
    };
    let mut teller = Teller::new(limits, Run::claim(&groups)?);
    let measured = measure(&groups, args.seed, limits, &mut interrupt, &mut teller).await;
    let run = teller.end();
    let measured = match measured {
        Ok(measured) => measured,
        Err(failure) => {
            run.abandon();
            return Err(failure);
        }
    };
    let mut comparison = compare::assemble("compare", args.seed, &groups, &measured, Machine::here());
    comparison.run = run.folder();
    // What was measured is shown in any case.
    let kept = run.finish(&comparison);
    if kept.is_err() {
        comparison.run = None;
    }
    if args.json {
        super::printed(terminal::print_json(&comparison))?;
    } else {
        super::printed(terminal::print(compare::text(&comparison)))?;
        if let Some(run) = &comparison.run {
            note(format_args!("\nsaved: {run}"));
        }
    }
    kept?;
    if let End::Interrupted(signal) = measured.end {
        return Err(Failure::new(
            Exit::Interrupted,
            format_args!("cancelled by {signal}: the numbers are those of the blocks that were complete"),
        ));
    }
    let invalid: Vec<&str> =
        comparison.rows.iter().filter(|row| !row.valid).map(|row| row.name.as_str()).collect();
    if args.strict && !invalid.is_empty() {
        return Err(Failure::new(Exit::Invalid, format_args!("invalid: {}", invalid.join(", "))));
    }
    Ok(Exit::Ok)
}

/// Says what happens, to whoever watches, and keeps what was measured.
struct Teller {
    limits: Limits,
    run: Run,
    bar: Option<ProgressBar>,
}

impl Teller {
    fn new(limits: Limits, run: Run) -> Self {
        let bar = terminal::watched().then(ProgressBar::new_spinner);
        let style = ProgressStyle::with_template("{msg}").ok();
        let bar = bar.zip(style).map(|(bar, style)| bar.with_style(style));
        Self { limits, run, bar }
    }

    fn say(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }

    fn end(self) -> Run {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.run
    }
}

impl Tell for Teller {
    fn calibrated(&mut self, measured: &Measured) {
        let Limits { budget, blocks, .. } = self.limits;
        let until = match blocks {
            Some(blocks) => counted(blocks as u32, "block", "blocks"),
            None => format!("up to {}", seconds(budget.as_secs_f64())),
        };
        match measured.groups.as_slice() {
            [only] => note(format_args!("{} a run, {until}", tasks_text(only.tasks))),
            several => note(format_args!("{} comparisons side by side, {until}", several.len())),
        }
    }

    fn block(&mut self, measured: &Measured, least: usize) {
        self.run.add(measured);
        self.say(format!("block {} of at least {least}", measured.blocks));
    }

    fn probes(&mut self, name: &str) {
        self.say(format!("memory, crash and cancel of {name}"));
    }
}
