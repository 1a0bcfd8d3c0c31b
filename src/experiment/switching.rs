//! `switch`: what it costs to pass the turn to another thread or process, and what becomes of the same work when more of
//! them share the processors.

use super::bare::{Between, Means, Turns, ask};
use super::rounds::{Rounds, said};
use super::versus::longer;
use super::{Cell, Findings, Setting, Table};
use super::{crowd, passing};
use crate::exit::{Exit, Failure, Outcome, reason};
use crate::interrupt::Interrupt;
use crate::statistics::{block_order, median};
use muster_worker::os::affinity;

const NAME: &str = "switch";
/// Round trips of a round.
const TRIPS: u32 = 2_000;
const ROUNDS: usize = 10;
/// Of the time, what round trips may take.
const TURNS_SHARE: f64 = 0.3;
/// Of what is left then, what tasks of muster may take that do the same.
const PASSING_SHARE: f64 = 0.3;

/// Measures.
pub async fn run(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    turns(setting, interrupt, findings).await?;
    Box::pin(passing::run(NAME, PASSING_SHARE, setting, interrupt, findings)).await?;
    crowd::run(NAME, setting, interrupt, findings).await
}

/// Two that pass the turn to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    means: Means,
    between: Between,
    /// They share a processor.
    shares: bool,
}

impl Pair {
    fn all(has_two: bool) -> Vec<Self> {
        let mut all = Vec::new();
        for shares in [true, false] {
            for means in Means::ALL {
                for between in [Between::Threads, Between::Processes] {
                    let pair = Self { means, between, shares };
                    if pair.why_not(has_two).is_none() {
                        all.push(pair);
                    }
                }
            }
        }
        all
    }

    /// Why it is not measured.
    fn why_not(self, has_two: bool) -> Option<&'static str> {
        match self {
            Self { means: Means::Channel, between: Between::Processes, .. } => Some("threads only"),
            Self { means: Means::Spin, shares: true, .. } => Some("cannot"),
            Self { shares: false, .. } if !has_two => Some("needs two processors"),
            _ => None,
        }
    }
}

async fn turns(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    let cpus = affinity::allowed().map_err(|error| {
        Failure::new(
            Exit::Limit,
            format_args!("cannot read which processors may be used: {}", reason(&error)),
        )
    })?;
    let first = cpus.first().copied().unwrap_or(0);
    let pairs = Pair::all(cpus.len() > 1);
    let part = Rounds::part(NAME, setting, TURNS_SHARE, ROUNDS);
    let rounds = part
        .run(interrupt, async |round| {
            let mut times = vec![Vec::new(); pairs.len()];
            for place in block_order(setting.seed, round, pairs.len()) {
                let Pair { means, between, shares } = pairs[place];
                let second = if shares { first } else { cpus.get(1).copied().unwrap_or(first) };
                let question = Turns { means, between, cpus: [first, second], trips: TRIPS };
                let trips = ask(question, part.end).await?.ok_or_else(|| part.too_small())?;
                // Half of a round trip is one switch.
                times[place] = trips.into_iter().map(|ns| ns as f64 / 2e9).collect();
            }
            Ok(times)
        })
        .await?;
    let of = |pair: Pair| pairs.iter().position(|&one| one == pair);
    // The median of a round is one value: trips of a round are alike.
    let medians =
        |place: usize| -> Vec<f64> { rounds.iter().filter_map(|round| median(&round[place])).collect() };
    for shares in [true, false] {
        let where_ = if shares { "both on one processor" } else { "on two processors" };
        let columns = [("p50", "s"), ("p95", "s"), ("p99", "s"), ("trips", "")];
        let mut table = Table::new(format!("One switch, {where_}"), "by", &columns);
        for means in Means::ALL {
            for between in [Between::Threads, Between::Processes] {
                let pair = Pair { means, between, shares };
                let cells = match (of(pair), pair.why_not(cpus.len() > 1)) {
                    (Some(place), _) => {
                        let all: Vec<f64> =
                            rounds.iter().flat_map(|round| round[place].iter().copied()).collect();
                        let count = Cell::number(Some(all.len() as f64));
                        [
                            Cell::of(&medians(place)),
                            Cell::quantile(&all, 0.95),
                            Cell::quantile(&all, 0.99),
                            count,
                        ]
                    }
                    (None, why) => {
                        [Cell::text(why.unwrap_or_default()), Cell::Unknown, Cell::Unknown, Cell::Unknown]
                    }
                };
                table.row(format!("{}, {}", means.name(), between.name()), cells);
            }
        }
        findings.tables.push(table);
    }
    for (shares, where_) in [(true, "on one processor"), (false, "on two processors")] {
        let of = |between| of(Pair { means: Means::Futex, between, shares }).map(medians);
        if let (Some(threads), Some(processes)) = (of(Between::Threads), of(Between::Processes)) {
            let said = longer(("threads", &threads), ("processes", &processes));
            findings.verdict.push(format!("A switch by a futex {where_}: {said}."));
        }
    }
    findings.notes.push(format!(
        "Switches: half of a round trip between two that do nothing else, outside of muster, {}. The interval of p50 is that \
         of the rounds' medians; p95 and p99 are of all round trips. Two that spin on one processor never let each other run.",
        said(rounds.len(), &format!("{TRIPS} round trips"))
    ));
    Ok(())
}
