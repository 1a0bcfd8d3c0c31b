//! Who reads a job's results, and holding back jobs whose results nobody fetches.

use super::command::{Reply, ResultsAsk};
use super::ended::check_kept;
use super::report::Subject;
use super::{Driver, Page, Refusal};
use crate::store::Record;
use muster_core::id::JobId;
use muster_core::range::IndexRange;
use muster_core::scheduler::Input;
use muster_proto::convert::ConvertError;

/// A job whose results are streamed is held back above this, until half of it was acknowledged.
const UNDELIVERED_MAX_BYTES: u64 = 256 << 20;

impl Driver {
    /// Answers with what can be read, at once or when there is something.
    pub(super) fn results(&mut self, ask: ResultsAsk, reply: Reply<Page>) {
        if let Err(refusal) = self.check_reader(ask) {
            self.count_rejected(&refusal);
            let _ = reply.send(Err(refusal));
            return;
        }
        if let Some(ended) = self.ended.get(&ask.job) {
            let answer = ended.page(ask);
            self.answer(reply, answer);
            return;
        }
        if let Some(job) = self.jobs.get_mut(&ask.job) {
            job.results.waiting.push((ask, reply));
            self.changed_jobs.insert(ask.job);
        }
    }

    /// Whether these results can be had, and by this reader.
    fn check_reader(&mut self, ask: ResultsAsk) -> Result<(), Refusal> {
        let Some(job) = self.jobs.get_mut(&ask.job) else {
            return if self.ended.contains_key(&ask.job) { Ok(()) } else { Err(self.no_job(ask.job)) };
        };
        if !job.reduces() {
            check_kept(ask.job, job.submission.outputs)?;
        }
        if !job.streams() {
            return Ok(());
        }
        let results = &mut job.results;
        // A reader that is waiting and still there has the stream; one that went away gave it up.
        let other = results.taker.is_some_and(|taker| taker != ask.reader)
            && results.waiting.iter().any(|(_, reply)| !reply.is_closed());
        if other {
            return Err(Refusal::BeingTaken(ask.job));
        }
        if ask.from < results.taken {
            return Err(Refusal::Taken { job: ask.job, from: ask.from, taken: results.taken });
        }
        results.read_on(ask);
        Ok(())
    }

    /// The reader has all results below an index: streamed ones may go.
    pub(super) fn acknowledge(&mut self, id: JobId, below: u64) -> Result<(), Refusal> {
        let (taken, sent) = match (self.jobs.get_mut(&id), self.ended.get_mut(&id)) {
            (Some(job), _) if job.streams() => {
                let frontier = job.frontier();
                if below <= frontier {
                    job.results.acknowledge(below);
                }
                (&mut job.results.taken, frontier)
            }
            (None, Some(ended)) if ended.streams() => {
                let tasks = ended.status.tasks;
                (&mut ended.status.results_from, tasks)
            }
            (None, None) => return Err(self.no_job(id)),
            _ => return Ok(()),
        };
        if below > sent {
            return Err(ConvertError::wrong(
                "below",
                below,
                format_args!("job {} has sent results below {sent}", id.0),
            )
            .into());
        }
        if below > *taken {
            *taken = below;
            self.write(Record::Taken { job: id, below });
            self.changed_jobs.insert(id);
        }
        Ok(())
    }

    /// Answers readers for whom there is something now, and holds a job back or lets it go.
    pub(super) fn serve_readers(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let frontier = job.frontier();
        let reduces = job.reduces();
        let waiting = std::mem::take(&mut job.results.waiting);
        for (ask, reply) in waiting {
            let some = !reduces && ask.from < frontier;
            if some || !ask.follow {
                let range = IndexRange::new(ask.from.min(frontier), frontier);
                let _ = reply.send(Ok(Page { range, last: !some, reduced: false }));
            } else if !reply.is_closed() {
                job.results.waiting.push((ask, reply));
            }
        }
        if job.streams() {
            self.update_hold(id, frontier);
        }
    }

    /// A reader that has everything up to the frontier waits for a task. When no lease is out, that task can
    /// only come from a new one: then the job must go on however much lies behind it, but not before the reader
    /// has put away what it was sent.
    fn update_hold(&mut self, id: JobId, frontier: u64) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.over) else { return };
        let results = &mut job.results;
        let starved = results.waiting.iter().any(|(ask, _)| ask.from == frontier)
            && results.sent_bytes() <= UNDELIVERED_MAX_BYTES
            && self.scheduler.job(id).is_some_and(|view| view.leased == 0);
        let limit = if results.held { UNDELIVERED_MAX_BYTES / 2 } else { UNDELIVERED_MAX_BYTES };
        let held = results.undelivered_bytes > limit && !starved;
        if held != results.held {
            results.held = held;
            if held {
                self.held_jobs.insert(id);
            } else {
                self.held_jobs.remove(&id);
            }
            self.tell(Input::Hold { job: id, held }, Subject::Nothing);
        }
    }
}
