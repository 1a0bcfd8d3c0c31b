//! What is kept of how tasks failed: the attempts of the failed tasks with the lowest indexes.

use super::Driver;
use super::report::Subject;
use crate::store::Record;
use bytes::Bytes;
use muster_core::id::JobId;
use muster_core::range::RangeSet;
use muster_core::scheduler::FailureClass;
use muster_proto::convert::{attempt_report, evidence_to_wire, failure_class_to_wire};
use muster_proto::v1::{AttemptReport, PostMortem, TaskInput};
use prost::Message;
use std::collections::BTreeMap;

/// Tasks of a job of which attempts are kept.
const TASKS_MAX: usize = 100;
/// Attempts of a task that are kept, the last ones.
const ATTEMPTS_MAX: usize = 5;
/// Bytes of all of it in one job, without inputs.
const BYTES_MAX: usize = 4 << 20;
/// Bytes of an input that is kept with a failed task, and of all of them in one job.
const INPUT_MAX_BYTES: usize = 1 << 20;
const INPUTS_MAX_BYTES: usize = 8 << 20;

/// How tasks of a job failed.
#[derive(Debug, Default)]
pub struct PostMortems {
    tasks: BTreeMap<u64, PostMortem>,
    bytes: usize,
    input_bytes: usize,
}

/// What a post-mortem says, in bytes, and what it has of the task's input.
fn weight(report: &PostMortem) -> (usize, usize) {
    let input = report.input.as_ref().map_or(0, |input| input.data.len());
    (report.encoded_len() - input, input)
}

impl PostMortems {
    /// Adds what the store kept.
    pub fn restore(&mut self, report: PostMortem) {
        self.count(&report);
        if let Some(before) = self.tasks.insert(report.index, report) {
            self.discount(&before);
        }
    }

    fn count(&mut self, report: &PostMortem) {
        let (words, input) = weight(report);
        (self.bytes, self.input_bytes) = (self.bytes + words, self.input_bytes + input);
    }

    fn discount(&mut self, report: &PostMortem) {
        let (words, input) = weight(report);
        (self.bytes, self.input_bytes) = (self.bytes - words, self.input_bytes - input);
    }

    /// All that is kept, in bytes.
    const fn weight(&self) -> usize {
        self.bytes + self.input_bytes
    }

    /// As much of an input as is kept with a failed task.
    fn kept_input(&self, input: Bytes) -> TaskInput {
        let bytes = input.len();
        let kept = bytes <= INPUT_MAX_BYTES && self.input_bytes + bytes <= INPUTS_MAX_BYTES;
        TaskInput { bytes: bytes as u64, kept, data: if kept { input } else { Bytes::new() } }
    }

    /// Adds an attempt; gives the tasks whose reports changed: what is to be stored, or nothing for those that had to go.
    pub fn add(
        &mut self,
        index: u64,
        is_final: bool,
        attempt: AttemptReport,
        input: Option<Bytes>,
    ) -> BTreeMap<u64, Option<Bytes>> {
        let number = attempt.attempt;
        let fresh = || PostMortem { index, forgotten: number.saturating_sub(1), ..PostMortem::default() };
        let known = self.tasks.remove(&index);
        if let Some(report) = &known {
            self.discount(report);
        }
        let mut report = known.unwrap_or_else(fresh);
        report.r#final |= is_final;
        report.attempts.push(attempt);
        while report.attempts.len() > ATTEMPTS_MAX
            || (report.attempts.len() > 1 && weight(&report).0 > BYTES_MAX)
        {
            report.attempts.remove(0);
            report.forgotten += 1;
        }
        if let Some(input) = input {
            report.input = Some(self.kept_input(input));
        }
        self.count(&report);
        let mut changed = BTreeMap::from([(index, Some(Bytes::from(report.encode_to_vec())))]);
        self.tasks.insert(index, report);
        while (self.tasks.len() > TASKS_MAX || self.bytes > BYTES_MAX)
            && self.tasks.len() > 1
            && let Some(gone) = self.least()
            && let Some(report) = self.tasks.remove(&gone)
        {
            self.discount(&report);
            changed.insert(gone, None);
        }
        changed
    }

    /// What the next failure of a task counts as. `charged`: how many of its kind there were, with it.
    fn number(&self, index: u64, charged: u32) -> u32 {
        let last = self.tasks.get(&index).and_then(|report| report.attempts.last());
        last.map_or(charged, |last| charged.max(last.attempt.saturating_add(1)))
    }

    /// The failures of these tasks are withdrawn, and what is known of them is, too.
    pub fn take_back(&mut self, tasks: &RangeSet) {
        self.tasks.retain(|&index, _| !tasks.contains(index));
        self.bytes = self.tasks.values().map(|report| weight(report).0).sum();
        self.input_bytes = self.tasks.values().map(|report| weight(report).1).sum();
    }

    /// The task that goes first: one that may still end well, and of several the last.
    fn least(&self) -> Option<u64> {
        let hopeful = self.tasks.iter().rev().find(|(_, report)| !report.r#final).map(|(&index, _)| index);
        hopeful.or_else(|| self.tasks.last_key_value().map(|(&index, _)| index))
    }
}

impl Driver {
    /// Keeps how an attempt failed.
    pub(super) fn keep_attempt(
        &mut self,
        id: JobId,
        index: u64,
        (charged, class, is_final): (u32, FailureClass, bool),
        subject: &Subject,
    ) {
        let Subject::Failure { worker, message, evidence } = subject else { return };
        let name = self.workers.get(worker).map(|worker| worker.hello.name.clone()).unwrap_or_default();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let report = attempt_report(AttemptReport {
            attempt: job.post_mortems.number(index, charged),
            worker: name,
            class: failure_class_to_wire(class).into(),
            message: message.clone(),
            evidence: evidence.as_ref().map(evidence_to_wire),
        });
        // Its input goes when it has ended.
        let input = if is_final { job.input(index) } else { None };
        let before = job.post_mortems.weight() as u64;
        let changed = job.post_mortems.add(index, is_final, report, input);
        let after = job.post_mortems.weight() as u64;
        job.kept_bytes = job.kept_bytes.saturating_sub(before);
        self.kept.forget(before);
        self.count_kept(id, after);
        for (index, data) in changed {
            self.write(Record::PostMortem { job: id, index, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::range::IndexRange;

    fn attempt(attempt: u32, bytes: usize) -> AttemptReport {
        AttemptReport { attempt, message: "x".repeat(bytes), ..AttemptReport::default() }
    }

    #[test]
    fn the_last_attempts_of_a_task_are_kept() {
        let mut reports = PostMortems::default();
        for number in 1..=9 {
            let changed = reports.add(3, number == 9, attempt(number, 1), None);
            assert!(changed.len() == 1 && changed[&3].is_some());
        }
        let report = &reports.tasks[&3];
        let kept: Vec<u32> = report.attempts.iter().map(|attempt| attempt.attempt).collect();
        assert_eq!((kept, report.forgotten, report.r#final), (vec![5, 6, 7, 8, 9], 4, true));
    }

    #[test]
    fn failures_of_all_kinds_are_numbered_together_until_they_are_withdrawn() {
        let mut reports = PostMortems::default();
        for (charged, number) in [(1, 1), (1, 2), (2, 3)] {
            assert_eq!(reports.number(3, charged), number);
            reports.add(3, false, attempt(number, 1), None);
        }
        reports.add(4, true, attempt(1, 1), None);
        let of_others = reports.tasks[&4].encoded_len();
        reports.take_back(&RangeSet::from(IndexRange::from_count(3, 1)));
        assert_eq!((reports.number(3, 1), reports.tasks.len(), reports.bytes), (1, 1, of_others));
    }

    #[test]
    fn tasks_that_failed_for_good_and_low_indexes_stay() {
        let mut reports = PostMortems::default();
        for index in 0..TASKS_MAX as u64 {
            assert_eq!(reports.add(1_000 + index, index % 2 == 0, attempt(1, 1), None).len(), 1);
        }
        let highest_hopeful = 1_000 + TASKS_MAX as u64 - 1;
        assert_eq!(reports.add(5, true, attempt(1, 1), None).get(&highest_hopeful), Some(&None));
        // Nothing is better than the newcomer: it goes itself.
        let mut full = PostMortems::default();
        (0..TASKS_MAX as u64).for_each(|index| drop(full.add(index, true, attempt(1, 1), None)));
        assert_eq!(full.add(500, true, attempt(1, 1), None), BTreeMap::from([(500, None)]));
    }

    #[test]
    fn long_words_do_not_fill_memory() {
        let mut reports = PostMortems::default();
        for index in 0..50 {
            reports.add(index, true, attempt(1, 1 << 20), None);
            assert!(reports.bytes <= BYTES_MAX, "{}", reports.bytes);
        }
        assert_eq!(reports.tasks.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
