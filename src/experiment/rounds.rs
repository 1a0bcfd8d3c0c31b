//! As many rounds of a measurement as there is time for.

use super::Setting;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use std::time::{Duration, Instant};

/// A round may take so much longer than the longest before it.
const LONGER: f64 = 1.2;

/// What the rounds of a part of an experiment may take.
#[derive(Clone, Copy, Debug)]
pub struct Rounds<'a> {
    /// The experiment, for words.
    pub name: &'a str,
    pub end: Instant,
    /// Enough.
    pub most: usize,
}

impl<'a> Rounds<'a> {
    /// Of an experiment that does nothing else.
    pub fn new(name: &'a str, setting: &Setting, most: usize) -> Self {
        Self { name, end: setting.end, most }
    }

    /// Of a part of it, that may take this share of the time that is left.
    pub fn part(name: &'a str, setting: &Setting, share: f64, most: usize) -> Self {
        Self { name, end: Instant::now() + setting.left().mul_f64(share), most }
    }

    /// Runs rounds, given their numbers. Those that were complete in time count; one must be.
    pub async fn run<T>(
        &self,
        interrupt: &mut Interrupt,
        mut round: impl AsyncFnMut(u64) -> Outcome<T>,
    ) -> Outcome<Vec<T>> {
        let (mut done, mut longest) = (Vec::new(), Duration::ZERO);
        while done.len() < self.most {
            let began = Instant::now();
            if !done.is_empty() && began + longest.mul_f64(LONGER) > self.end {
                break;
            }
            tokio::select! {
                one = interrupt.or(round(done.len() as u64)) => done.push(one?),
                () = tokio::time::sleep_until(self.end.into()) => break,
            }
            longest = longest.max(began.elapsed());
        }
        if done.is_empty() { Err(self.too_small()) } else { Ok(done) }
    }

    /// What must be there before the first round.
    pub async fn prepared<T>(
        &self,
        interrupt: &mut Interrupt,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        tokio::select! {
            done = interrupt.or(work) => done,
            () = tokio::time::sleep_until(self.end.into()) => Err(self.too_small()),
        }
    }

    /// Not even one round was complete.
    pub fn too_small(&self) -> Failure {
        let name = self.name;
        Failure::new(Exit::Limit, format_args!("the budget is too small for one round of {name}"))
            .hint("give a larger --budget")
    }
}

/// What a note says about the number of rounds.
pub fn said(rounds: usize, of: &str) -> String {
    let counted = if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
    let of = if of.is_empty() { String::new() } else { format!(" of {of}") };
    let order = if rounds == 1 { "" } else { " in random order" };
    format!("{counted}{of}{order}")
}
