//! How often a task is tried again, and how long it waits before that.

use super::io::{FailureClass, JobSpec};
use crate::id::JobId;
use crate::random::Stream;
use crate::time::Span;

/// The classes that have a budget.
pub const BUDGETED: [FailureClass; 5] = [
    FailureClass::Transient,
    FailureClass::Crashed,
    FailureClass::Panicked,
    FailureClass::Timeout,
    FailureClass::Memory,
];

/// How often a task is tried, by why its attempts failed, and the time between two of them.
///
/// A task fails for good when the failures of one class that were charged to it reach that class's attempts, or all of
/// them together reach the largest number of attempts of any class: whatever its failures are, it is never tried more
/// often than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts when they fail for now; `None`: the job's `max_attempts`.
    pub transient: Option<u32>,
    /// Attempts when they crash; `None`: the job's `max_attempts`.
    pub crashed: Option<u32>,
    /// Attempts when they panic.
    pub panicked: u32,
    /// Attempts when they take too long.
    pub timeout: u32,
    /// Attempts when they need too much memory.
    pub memory: u32,
    /// The longest wait before the second attempt; it doubles with each further one.
    pub backoff: Span,
    /// No wait is longer.
    pub backoff_max: Span,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            transient: None,
            crashed: None,
            panicked: 1,
            timeout: 1,
            memory: 1,
            backoff: Span::from_millis(100),
            backoff_max: Span::from_millis(10_000),
        }
    }
}

impl RetryPolicy {
    /// The wait of a task that failed `charged` times: between half of the whole wait and all of it, drawn by job, index
    /// and count alone. Tasks that failed together do not come back together.
    #[must_use]
    pub fn wait(&self, job: JobId, index: u64, charged: u32) -> Span {
        let doubled = self.backoff.0.saturating_mul(1 << charged.saturating_sub(1).min(62));
        let whole = doubled.min(self.backoff_max.0);
        let half = whole / 2;
        let bits = Stream::new(Stream::new(job.0).bits(index)).bits(charged.into());
        let part = (u128::from(bits) * u128::from(whole - half + 1)) >> 64;
        Span(half + part as u64)
    }
}

impl JobSpec {
    /// How often a task is tried whose attempts fail in this way.
    #[must_use]
    pub fn attempts(&self, class: FailureClass) -> u32 {
        let RetryPolicy { transient, crashed, panicked, timeout, memory, .. } = self.retry;
        match class {
            FailureClass::Transient => transient.unwrap_or(self.max_attempts),
            FailureClass::Crashed => crashed.unwrap_or(self.max_attempts),
            FailureClass::Panicked => panicked,
            FailureClass::Timeout => timeout,
            FailureClass::Memory => memory,
            FailureClass::Failed | FailureClass::Cancelled | FailureClass::Limit => 1,
        }
        .max(1)
    }

    /// How often a task is tried at the most.
    #[must_use]
    pub fn attempts_max(&self) -> u32 {
        BUDGETED.iter().map(|&class| self.attempts(class)).max().unwrap_or(1)
    }
}

/// The failures that were charged to a task, by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charges([u32; BUDGETED.len()]);

impl Charges {
    /// Failures of a class; none of those that have no budget.
    #[must_use]
    pub fn of(&self, class: FailureClass) -> u32 {
        place(class).map_or(0, |at| self.0[at])
    }

    /// Says how many failures of a class there were.
    pub fn set(&mut self, class: FailureClass, count: u32) {
        if let Some(at) = place(class) {
            self.0[at] = count;
        }
    }

    /// All failures.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Whether one of them ended an executor.
    #[must_use]
    pub fn ended_executor(&self) -> bool {
        self.iter().any(|(class, _)| class.ends_executor())
    }

    /// The classes with failures, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (FailureClass, u32)> + '_ {
        BUDGETED.into_iter().zip(self.0).filter(|&(_, count)| count > 0)
    }
}

fn place(class: FailureClass) -> Option<usize> {
    BUDGETED.iter().position(|&other| other == class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn waits_double_up_to_the_longest_and_are_never_shorter_than_half() {
        let policy = RetryPolicy::default();
        let wholes = [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000];
        for (charged, whole) in (1..).zip(wholes) {
            let waits: Vec<u64> = (0..200).map(|index| policy.wait(JobId(7), index, charged).0).collect();
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            let whole = whole * 1_000_000;
            assert!(*least >= whole / 2 && *most <= whole, "{charged}: {least} to {most}");
            assert!(most - least > whole / 3, "they are spread");
        }
        assert_eq!(policy.wait(JobId(1), 5, 2), policy.wait(JobId(1), 5, 2));
        assert_ne!(policy.wait(JobId(1), 5, 2), policy.wait(JobId(2), 5, 2));
        assert!(policy.wait(JobId(1), 1, u32::MAX) <= policy.backoff_max);
        let none = RetryPolicy { backoff: Span::ZERO, ..policy };
        assert_eq!(none.wait(JobId(1), 1, 9), Span::ZERO);
    }

    #[test]
    fn each_class_has_its_attempts_and_all_of_them_the_most() {
        let retry = RetryPolicy { panicked: 2, memory: 0, ..RetryPolicy::default() };
        let spec = JobSpec { retry, ..JobSpec::default() };
        use FailureClass::{Cancelled, Crashed, Failed, Limit, Memory, Panicked, Timeout, Transient};
        let attempts = [Transient, Crashed, Panicked, Timeout, Memory, Failed, Limit, Cancelled]
            .map(|class| spec.attempts(class));
        assert_eq!(attempts, [3, 3, 2, 1, 1, 1, 1, 1]);
        assert_eq!(spec.attempts_max(), 3);
        assert_eq!(JobSpec { max_attempts: 7, ..spec }.attempts_max(), 7);
        let mut charges = Charges::default();
        [(Transient, 2), (Panicked, 1), (Failed, 9)]
            .iter()
            .for_each(|&(class, count)| charges.set(class, count));
        assert_eq!((charges.of(Transient), charges.of(Failed), charges.total()), (2, 0, 3));
        assert_eq!(charges.iter().count(), 2);
    }
}
