//! What a scheduler is free to choose: whose turn it is, how long a lease is, and when a task is worth a second
//! lease. Everything else (fencing, retries, recalls, credit) is the same under every policy.

mod spec;

pub use spec::{Chunking, Order, PolicyError, PolicySpec, Speculation};

use super::chunk::{self, Batch, Outlook};
use crate::id::JobId;
use crate::random::Stream;
use crate::time::Span;
use core::fmt::Debug;

/// The choices of a scheduler. A policy is a pure function of what it is asked: it keeps nothing between two
/// questions, so the same run gets the same answers.
///
/// [`PolicySpec::build`] makes the known ones; [`crate::scheduler::Scheduler::with_policy`] takes any.
pub trait Policy: Debug + Send + Sync {
    /// Where a job stands in the queue for lease number `turn`. Of the jobs that have something to lease out and fit
    /// the worker, the one with the lowest rank is served; of equals the oldest.
    fn rank(&self, turn: u64, job: &Candidate) -> Rank;

    /// How many tasks the next lease of a job should have. The scheduler makes whole leaves of it and keeps it to what
    /// is ready and to the limits of tasks and bytes. `batch` is the job's, for policies that cut several leases at
    /// once.
    fn lease_tasks(&self, outlook: &Outlook, batch: &mut Batch) -> u64;

    /// How long a lease may be out before its last tasks are leased to a second worker, when by the job's measured
    /// task time it should take `expected`; `None`, as unless a policy says otherwise: for ever. Must not fall when
    /// `expected` rises, and be `None` always or never: the scheduler asks for [`Span::ZERO`] first, and wakes no
    /// sooner than that for a new lease.
    fn patience(&self, expected: Span) -> Option<Span> {
        let _ = expected;
        None
    }
}

/// A job that could be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The job; ids rise with each submit.
    pub id: JobId,
    /// Higher is more urgent.
    pub priority: i32,
    /// Its share of the workers against others, at least 1.
    pub weight: u32,
    /// The thread time it was given so far divided by its weight, in nanoseconds; newcomers start with that of the job
    /// served last.
    pub served_ns: u64,
    /// Its tasks that nobody has.
    pub ready: u64,
}

/// A place in the queue: the lowest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub i64, pub u64);

/// A policy made of named parts.
#[derive(Clone, Debug)]
struct Composed {
    spec: PolicySpec,
    seed: u64,
}

impl PolicySpec {
    /// The policy that this describes. `seed` is what [`Order::Random`] draws from.
    #[must_use]
    pub fn build(&self, seed: u64) -> alloc::boxed::Box<dyn Policy> {
        alloc::boxed::Box::new(Composed { spec: self.clone(), seed })
    }
}

impl Policy for Composed {
    fn rank(&self, turn: u64, job: &Candidate) -> Rank {
        let urgency = -i64::from(job.priority);
        match self.spec.order {
            Order::Fifo => Rank(0, 0),
            Order::Fair => Rank(urgency, job.served_ns),
            Order::Priority => Rank(urgency, 0),
            Order::Random => Rank(0, drawn(self.seed, turn, job.id.0)),
        }
    }

    fn lease_tasks(&self, outlook: &Outlook, batch: &mut Batch) -> u64 {
        match self.spec.chunking {
            Chunking::Fixed(tasks) => tasks,
            Chunking::Guided => chunk::guided(outlook),
            Chunking::Factoring => chunk::factoring(outlook, batch),
            Chunking::Adaptive { target } => chunk::adaptive(target, outlook),
        }
    }

    fn patience(&self, expected: Span) -> Option<Span> {
        let Speculation { factor, wait_min } = self.spec.speculation?;
        Some(Span(expected.0.saturating_mul(u64::from(factor))).max(wait_min))
    }
}

/// The number that a job draws in a turn: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014) at a place that the seed, the turn and the job give. Whoever draws the lowest is served,
/// so all have the same chance, and no generator has to be kept.
const fn drawn(seed: u64, turn: u64, job: u64) -> u64 {
    Stream::new(Stream::new(seed).bits(turn)).bits(job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn job(id: u64, priority: i32, served_ns: u64) -> Candidate {
        Candidate { id: JobId(id), priority, weight: 1, served_ns, ready: 1 }
    }

    /// The order in which jobs are served in one turn.
    fn order(policy: &str, jobs: &[Candidate]) -> Vec<u64> {
        let policy = policy.parse::<PolicySpec>().unwrap().build(0);
        let mut order: Vec<&Candidate> = jobs.iter().collect();
        order.sort_by_key(|job| (policy.rank(7, job), job.id));
        order.into_iter().map(|job| job.id.0).collect()
    }

    #[test]
    fn each_order_looks_at_what_its_name_says() {
        let jobs = [job(1, 0, 50), job(2, 5, 90), job(3, 5, 10), job(4, -1, 0)];
        assert_eq!(order("fifo", &jobs), [1, 2, 3, 4]);
        assert_eq!(order("priority", &jobs), [2, 3, 1, 4]);
        assert_eq!(order("fair", &jobs), [3, 2, 1, 4]);
    }

    #[test]
    fn random_gives_all_the_same_chance_and_repeats_itself() {
        let served = |seed: u64| -> Vec<u64> {
            let policy = PolicySpec { order: Order::Random, ..PolicySpec::default() }.build(seed);
            let first = |turn| (1..=5u64).min_by_key(|&id| policy.rank(turn, &job(id, id as i32, id)));
            (0..10_000).filter_map(first).collect()
        };
        let one = served(1);
        assert_eq!(one, served(1));
        assert_ne!(one, served(2));
        for id in 1..=5u64 {
            let count = one.iter().filter(|&&served| served == id).count();
            assert!((1_850..2_150).contains(&count), "job {id} was served {count} times of 10,000");
        }
    }

    #[test]
    fn only_speculation_runs_out_of_patience() {
        let patience =
            |policy: &str, ms| policy.parse::<PolicySpec>().unwrap().build(0).patience(Span::from_millis(ms));
        assert_eq!(patience("fair", 1_000), None);
        assert_eq!(patience("speculation", 1_000), Some(Span::from_millis(2_000)));
        assert_eq!(patience("speculation", 1), Some(Speculation::default().wait_min));
    }
}
