//! `muster tour`: the article's claims in its order, each held against a short measurement.

use super::{Asked, Taken, keep};
use crate::cli::TourArgs;
use crate::command::printed;
use crate::compare::{Comparison, Limits};
use crate::exit::{Exit, Failure, Outcome};
use crate::experiment::{Claim, Evidence, Findings, Name, Setting, Workloads, tour};
use crate::interrupt::Interrupt;
use crate::statistics::TARGET;
use crate::summary::{paragraph, seconds};
use crate::terminal::{self, note};
use std::time::{Duration, Instant};

/// Of the time, what the comparisons of times may take.
const TIMES_SHARE: f64 = 0.6;

/// Takes the tour.
pub async fn tour(args: &TourArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let mut workloads = Workloads::new(&args.plugins, args.seed, &mut interrupt);
    let python = workloads.python().is_ok();
    let groups = tour::groups(args.slots, python, &mut workloads).await?;
    // What is built takes no time of the tour.
    for name in ["null", "sleep", "loop", "chaos"] {
        workloads.plugin(name).await?;
    }
    let _surroundings = workloads.into_surroundings();
    let (began, end) = (Instant::now(), Instant::now() + args.budget);
    let limits = Limits { budget: args.budget.mul_f64(TIMES_SHARE), blocks: None, target: TARGET };
    let asked = Asked { experiment: "tour", null: None, seed: args.seed, limits };
    let Taken { run, measured, mut comparison, mut failure } = asked.take(&groups, &mut interrupt).await?;
    let mut found = Vec::new();
    if failure.is_none() {
        (found, failure) = tables(args, end, &mut interrupt).await;
    }
    let evidence = Evidence::of(&groups, &measured, &comparison.rows);
    comparison.claims = tour::claims(args.slots, python, evidence, &found);
    for (_, findings) in found {
        comparison.tables.extend(findings.tables);
        comparison.notes.extend(findings.notes);
    }
    comparison.verdict = vec![summary(&comparison, python, began.elapsed())];
    let kept = keep(run, comparison, failure);
    if args.json {
        printed(terminal::print_json(&kept.comparison))?;
    } else {
        printed(terminal::print(text(&kept.comparison)))?;
        if let Some(run) = &kept.comparison.run {
            note(format_args!("\nsaved: {run}; all numbers: muster report"));
        }
    }
    kept.end(false)
}

/// What compares no times of workloads; with what ended it early.
async fn tables(
    args: &TourArgs,
    end: Instant,
    interrupt: &mut Interrupt,
) -> (Vec<(Name, Findings)>, Option<Failure>) {
    let (mut found, mut left) = (Vec::new(), 1.0);
    for (name, share) in tour::OF_TABLES {
        let time = end.saturating_duration_since(Instant::now());
        // What one does not need the others get.
        let mine = time.mul_f64((share / left).min(1.0));
        left -= share;
        let setting = Setting {
            plugins: args.plugins.clone(),
            slots: args.slots,
            seed: args.seed,
            end: Instant::now() + mine,
        };
        let mut findings = Findings::default();
        let ended = Box::pin(name.find(&setting, interrupt, &mut findings)).await;
        found.push((name, findings));
        match ended {
            // There was no time for it: its claim is left out.
            Ok(()) => {}
            Err(failure) if failure.exit == Exit::Limit => {}
            Err(failure) => return (found, Some(failure)),
        }
    }
    (found, None)
}

fn summary(comparison: &Comparison, python: bool, took: Duration) -> String {
    let asked = if python { "" } else { " There is no python3 here, so CPython was not asked." };
    let (claims, took) = (comparison.claims.len(), seconds(took.as_secs_f64()));
    format!("{claims} claims in {took}, {} blocks.{asked}", comparison.blocks)
}

/// Claim by claim.
fn text(comparison: &Comparison) -> String {
    let mut parts = Vec::new();
    for (number, claim) in (1..).zip(&comparison.claims) {
        let Claim { topic, claim, measured, verdict, command } = claim;
        parts.push(format!(
            "{number}. {topic}\n{}\n{}\nrepeat: {command}",
            paragraph(&format!("\"{claim}\"")),
            paragraph(&format!("{}: {measured}.", verdict.words()))
        ));
    }
    let invalid = comparison.rows.iter().filter(|row| !row.valid).count();
    if invalid > 0 {
        let all = comparison.rows.len();
        parts.push(paragraph(&format!(
            "note: {invalid} of {all} rows are invalid, because something else used the machine; claims allow for the share that it \
             used, and what is not known may be when it is quiet (muster doctor)"
        )));
    }
    parts.push(comparison.verdict.join("\n"));
    parts.join("\n\n")
}
