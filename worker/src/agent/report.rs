//! What the next message to the coordinator holds. Everything that arrives between two turns of the driver
//! goes into one.

use super::inquest::Charge;
use muster_core::agent::ExitCause;
use muster_core::id::{JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_proto::convert::{Phases, RanOn, failure_class_to_wire, phases_to_wire};
use muster_proto::v1;
use muster_proto::v1::Packed;

/// A report that has about this many bytes is sent before more is added.
const REPORT_BYTES: usize = 1 << 20;
/// What a block or failure takes beside its bytes, roughly.
const ENTRY_BYTES: usize = 32;

/// The report being written.
#[derive(Debug, Default)]
pub(super) struct ReportBuilder {
    report: v1::Report,
    bytes: usize,
    /// When the tasks of each block ended, and how many they are: for the time until the report is sent.
    ended: Vec<(JobId, u64, u64)>,
}

/// Results that go to the coordinator.
#[derive(Debug)]
pub(super) struct Results {
    pub job: JobId,
    pub lease: LeaseId,
    pub range: IndexRange,
    pub packed: Packed,
    pub busy_ns: u64,
    pub ended_ns: u64,
    pub ran_on: RanOn,
    pub skipped: Vec<u64>,
    /// One partial result for the whole range.
    pub combined: bool,
}

impl ReportBuilder {
    /// Adds results. Results without bytes join those before them of the same thread.
    pub fn results(&mut self, results: Results) {
        let Results { job, lease, range, packed, busy_ns, ended_ns, ran_on, skipped, combined } = results;
        self.ended.push((job, ended_ns, if combined { 1 } else { range.len() }));
        let is_bare = packed.data.is_empty() && packed.lengths.is_empty() && packed.width == 0;
        if is_bare
            && !combined
            && let Some(last) = self.report.blocks.last_mut()
            && last.lease == lease.0
            && last.start + last.count == range.start
            && last.results.is_none()
            && let Some(before) = &mut last.ran_on
            && (before.executor, before.thread) == (ran_on.executor, ran_on.thread)
        {
            last.count += range.len();
            last.busy_ns += busy_ns;
            before.ended_ns = before.ended_ns.max(ran_on.ended.0);
            return;
        }
        self.bytes += ENTRY_BYTES + packed.data.len() + packed.lengths.len() * 2;
        self.report.blocks.push(v1::ResultBlock {
            lease: lease.0,
            start: range.start,
            count: range.len(),
            results: (!is_bare).then_some(packed),
            busy_ns,
            skipped,
            ran_on: Some(ran_on.into()),
        });
    }

    /// Adds a failed attempt, with what is known of it and the bytes that this takes.
    pub fn failure(&mut self, charge: Charge, message: String, evidence: Option<(v1::Evidence, usize)>) {
        let Charge { lease, index, class, busy_ns, ran_on } = charge;
        let (evidence, bytes) = evidence.map_or((None, 0), |(evidence, bytes)| (Some(evidence), bytes));
        self.bytes += ENTRY_BYTES + message.len() + bytes;
        let class = failure_class_to_wire(class).into();
        self.report.failures.push(v1::TaskFailure {
            lease: lease.0,
            index,
            class,
            message,
            busy_ns,
            evidence,
            ran_on: ran_on.map(Into::into),
        });
    }

    /// Gives tasks back.
    pub fn returned(&mut self, lease: LeaseId, range: IndexRange) {
        self.bytes += ENTRY_BYTES;
        self.report.returned.push(v1::Returned { lease: lease.0, start: range.start, count: range.len() });
    }

    /// Says that a job cannot run here.
    pub fn trouble(&mut self, job: JobId, message: String) {
        self.bytes += ENTRY_BYTES + message.len();
        self.report.troubles.push(v1::JobTrouble { job: job.0, message });
    }

    /// Says that an executor ended, with what is known of that and the bytes that this takes.
    pub fn exit(
        &mut self,
        job: JobId,
        cause: ExitCause,
        detail: String,
        (evidence, bytes): (v1::Evidence, usize),
        lost_tasks: u64,
    ) {
        self.bytes += ENTRY_BYTES + detail.len() + bytes;
        self.report.exits.push(v1::ExecutorExit {
            job: job.0,
            cause: cause.name().to_owned(),
            detail,
            evidence: Some(evidence),
            lost_tasks,
        });
    }

    /// Says that nothing of a cancelled job runs any more.
    pub fn stopped(&mut self, stopped: v1::JobStopped) {
        self.bytes += ENTRY_BYTES;
        self.report.stopped.push(stopped);
    }

    /// Says what the user of a job should know.
    pub fn notice(&mut self, job: JobId, text: String) {
        self.bytes += ENTRY_BYTES + text.len();
        self.report.notices.push(v1::JobNotice { job: job.0, text });
    }

    /// Adds where the time went.
    pub fn phases(&mut self, phases: &Phases) {
        self.report.phases.push(phases_to_wire(phases));
    }

    /// Whether it should be sent before more is added.
    pub const fn is_full(&self) -> bool {
        self.bytes >= REPORT_BYTES
    }

    /// Whether there is something to send.
    pub fn is_empty(&self) -> bool {
        let v1::Report {
            epoch: _,
            blocks,
            failures,
            returned,
            troubles,
            phases,
            exits,
            stopped,
            notices,
            sent_ns: _,
            number: _,
        } = &self.report;
        blocks.is_empty()
            && failures.is_empty()
            && returned.is_empty()
            && troubles.is_empty()
            && phases.is_empty()
            && exits.is_empty()
            && stopped.is_empty()
            && notices.is_empty()
    }

    /// Jobs, when their tasks ended and how many: once for each.
    pub fn take_ended(&mut self) -> impl Iterator<Item = (JobId, u64, u64)> + use<> {
        std::mem::take(&mut self.ended).into_iter()
    }

    /// The report; the next one is empty.
    pub fn take(&mut self) -> v1::Report {
        self.bytes = 0;
        std::mem::take(&mut self.report)
    }

    /// Tasks whose results wait to be sent, by lease; those of blocks that leave some out are not among them.
    pub fn leases_of_results(&self) -> impl Iterator<Item = (LeaseId, IndexRange)> + '_ {
        let whole = self.report.blocks.iter().filter(|block| block.skipped.is_empty());
        whole.map(|block| (LeaseId(block.lease), IndexRange::from_count(block.start, block.count)))
    }

    /// Another link stands: what was to be given back was taken away instead, and what else was said beside results and
    /// failures was about the old one.
    pub fn forget_asides(&mut self) {
        super::outbox::forget_asides(&mut self.report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(start: u64, end: u64, packed: Packed) -> Results {
        let ran_on = RanOn { executor: 1, thread: 0, ended: muster_core::time::Time(end) };
        Results {
            job: JobId(1),
            lease: LeaseId(5),
            range: IndexRange::new(start, end),
            packed,
            busy_ns: 10,
            ended_ns: 1,
            ran_on,
            skipped: vec![],
            combined: false,
        }
    }

    #[test]
    fn bare_neighbours_become_one_block() {
        let mut builder = ReportBuilder::default();
        assert!(builder.is_empty());
        builder.results(results(0, 10, Packed::default()));
        builder.results(results(10, 30, Packed::default()));
        builder.results(results(31, 32, Packed::default()));
        let bytes = Packed { width: 1, lengths: vec![], data: b"x".as_slice().into() };
        builder.results(results(32, 33, bytes));
        builder.results(results(33, 34, Packed::default()));
        let mut other = results(34, 35, Packed::default());
        other.ran_on.thread = 1;
        builder.results(other);
        assert_eq!(builder.take_ended().count(), 6);
        let report = builder.take();
        let blocks: Vec<_> =
            report.blocks.iter().map(|block| (block.start, block.count, block.busy_ns)).collect();
        assert_eq!(blocks, [(0, 30, 20), (31, 1, 10), (32, 1, 10), (33, 1, 10), (34, 1, 10)]);
        let ended: Vec<_> = report.blocks.iter().map(|block| block.ran_on.unwrap().ended_ns).collect();
        assert_eq!(ended, [30, 32, 33, 34, 35]);
        assert!(builder.is_empty());
    }
}
