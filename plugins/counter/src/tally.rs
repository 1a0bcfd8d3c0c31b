//! What stood at a number when a task had ended, and the sum over all numbers.

use muster_sdk::Error;
use muster_sdk::serde_json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A number, as one task saw it when it had added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Which number: one per executor or per worker.
    pub counter: String,
    /// How many tasks had ended there.
    pub tasks: u64,
    /// Additions of those tasks.
    pub expected: u64,
    /// What the number was.
    pub counted: u64,
    /// Additions of tasks that had begun and not ended: they run, or died.
    pub unfinished: u64,
    /// Locks that were taken over from a process that had died.
    pub abandoned: u64,
}

/// The latest tally of each number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tallies(BTreeMap<String, Tally>);

/// The output of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Total {
    pub expected: u64,
    pub counted: u64,
    /// Additions that another one wrote over.
    pub lost: u64,
    /// Additions of tasks that did not come to their end there: some of them may be counted.
    pub unfinished: u64,
    pub abandoned: u64,
    /// Numbers that were added to.
    pub counters: usize,
}

/// Reads the result of a task.
pub fn read(bytes: &[u8]) -> Result<Tally, Error> {
    Ok(serde_json::from_slice(bytes)?)
}

impl Tallies {
    pub fn add(&mut self, tally: Tally) {
        match self.0.get_mut(&tally.counter) {
            Some(known) if known.tasks >= tally.tasks => {}
            Some(known) => *known = tally,
            None => drop(self.0.insert(tally.counter.clone(), tally)),
        }
    }

    pub fn merge(&mut self, other: Self) {
        other.0.into_values().for_each(|tally| self.add(tally));
    }

    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(serde_json::to_vec(self)?)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Ok(serde_json::from_slice(bytes)?)
    }

    pub fn total(&self) -> Total {
        let sum = |of: fn(&Tally) -> u64| self.0.values().map(of).sum();
        Total {
            expected: sum(|tally| tally.expected),
            counted: sum(|tally| tally.counted),
            lost: sum(|tally| tally.expected.saturating_sub(tally.counted)),
            unfinished: sum(|tally| tally.unfinished),
            abandoned: sum(|tally| tally.abandoned),
            counters: self.0.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(counter: &str, tasks: u64, expected: u64, counted: u64) -> Tally {
        Tally { counter: counter.to_owned(), tasks, expected, counted, unfinished: 0, abandoned: 0 }
    }

    #[test]
    fn the_latest_of_each_number_counts_in_any_order() {
        let all = [tally("a", 1, 10, 10), tally("b", 2, 20, 15), tally("a", 2, 20, 19), tally("b", 1, 10, 9)];
        let (mut forwards, mut backwards) = (Tallies::default(), Tallies::default());
        all.iter().cloned().for_each(|tally| forwards.add(tally));
        let (left, right) = all.split_at(1);
        right.iter().rev().cloned().for_each(|tally| backwards.add(tally));
        let mut rest = Tallies::default();
        left.iter().cloned().for_each(|tally| rest.add(tally));
        backwards.merge(Tallies::decode(&rest.encode().unwrap()).unwrap());
        assert_eq!(forwards, backwards);
        let total = forwards.total();
        assert_eq!((total.expected, total.counted, total.lost, total.counters), (40, 34, 6, 2));
    }
}
