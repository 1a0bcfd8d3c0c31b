//! Letting a paused job go on, and trying failed tasks again, also of a job that has ended.

use super::command::Reply;
use super::effect::Effect;
use super::ended::Ended;
use super::job::{Accepted, Job};
use super::report::Subject;
use super::{Driver, Refusal};
use crate::limits::Limit;
use crate::store::Record;
use crate::store::blobs::hex;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{Input, RecoveredJob};
use muster_proto::convert::{ConvertError, RetryAsk, Submission};
use muster_proto::v1::{self, JobState};
use std::collections::BTreeMap;

const COMBINED: &str = "its results are combined, and the output leaves failed tasks out; submit it again";
const NO_INPUTS: &str = "the inputs of tasks that have ended are gone; submit those again";
const STREAMED: &str = "what failed was told to who ran it and takes its results; submit it again";
const NOTHING: &str = "none of its tasks has failed, and it is not paused";

impl Driver {
    /// Lets a job go on and tries tasks of it again; answers when that is durable.
    pub(super) fn retry(&mut self, ask: RetryAsk, reply: Reply<(JobId, u64)>) {
        let id = match self.resolve(ask.job) {
            Ok(id) => id,
            Err(refusal) => return self.refuse(reply, refusal),
        };
        if self.jobs.get(&id).is_some_and(|job| job.over) {
            return self.when_durable(Effect::RetryEnded(RetryAsk { job: id, ..ask }, reply));
        }
        let released = match self.jobs.get(&id) {
            Some(job) => released_of_live(id, job, ask.tasks.as_ref()),
            None => self.released_of_ended(id, ask.tasks.as_ref()),
        };
        let tasks = match released {
            Ok(tasks) => tasks,
            Err(refusal) => return self.refuse(reply, refusal),
        };
        let count = tasks.len();
        if self.jobs.contains_key(&id) {
            self.tell(Input::Retry { job: id, tasks }, Subject::Nothing);
        } else if let Err(refusal) = self.revive(id, tasks) {
            return self.refuse(reply, refusal);
        }
        self.when_durable(Effect::Retried(reply, id, count));
    }

    fn released_of_ended(&self, id: JobId, asked: Option<&RangeSet>) -> Result<RangeSet, Refusal> {
        let ended = self.ended.get(&id).ok_or_else(|| self.no_job(id))?;
        let no = |why| Err(Refusal::NoRetry { job: id, why });
        let spec = ended.status.spec.as_ref();
        match ended.status.state() {
            JobState::Cancelled => return no("it was cancelled; submit it again"),
            JobState::Failed => return no("it could not run; submit it again"),
            _ if ended.failed.is_empty() => return no(NOTHING),
            _ if ended.reduces() => return no(COMBINED),
            _ if spec.is_some_and(|spec| spec.has_inputs) => return no(NO_INPUTS),
            _ if ended.streams() => return no(STREAMED),
            _ => {}
        }
        self.settings.limits.check(Limit::Jobs, self.jobs.len() as u64 + 1)?;
        asked_of(id, &ended.failed, ended.status.tasks, asked)
    }

    /// A job that has ended runs again, with what it had.
    fn revive(&mut self, id: JobId, released: RangeSet) -> Result<(), Refusal> {
        let unreadable = || Refusal::NoRetry { job: id, why: "its description cannot be read" };
        let status = self.ended.get(&id).map(|ended| ended.status.clone()).ok_or_else(unreadable)?;
        let request = self.requests.iter().find(|(_, job)| **job == id);
        let request_id = request.map(|(request, _)| request.clone()).ok_or_else(unreadable)?;
        let wire = v1::SubmitRequest { request_id, spec: status.spec.clone() };
        let submission = Submission::try_from(wire).map_err(|_| unreadable())?;
        let plugin = &submission.plugin;
        if self.plugins.get(&plugin.digest).is_none() {
            return Err(Refusal::NoPlugin(format!("{} with digest {}", plugin.name, hex(&plugin.digest))));
        }
        let Some(Ended { kept_bytes, failed, quarantined, last_attempt, hosts, samples, .. }) =
            self.ended.remove(&id)
        else {
            return Err(unreadable());
        };
        let now = self.clock.now();
        let submitted = (status.submitted_s * 1e9) as u64;
        let mut job = Job::new(submission, submitted, now, Accepted::Durable);
        (job.tasks, job.sealed, job.kept_bytes) = (status.tasks, true, kept_bytes);
        job.arrivals.clear();
        job.settled = RangeSet::from(IndexRange::new(0, status.tasks));
        released.iter().for_each(|range| _ = job.settled.remove(range));
        (job.hosts, job.samples) = (hosts, samples);
        (job.failed, job.quarantined, job.last_attempt) = (failed, quarantined, last_attempt);
        job.numbers.take_up(&status, now);
        job.take_failures_back(&released);
        let mut committed = job.settled.clone();
        job.failed.iter().for_each(|range| _ = committed.remove(range));
        let recovered = RecoveredJob {
            job: id,
            spec: job.submission.spec.clone(),
            tasks: job.tasks,
            bytes: 0,
            sealed: true,
            committed,
            failed: job.failed.clone(),
            charged: BTreeMap::new(),
            last_attempt,
            paused: false,
            blocks: Vec::new(),
        };
        tracing::info!(job = id.0, tasks = released.len(), "job runs again");
        self.write(Record::Released { job: id, tasks: released });
        self.jobs.insert(id, job);
        self.tell_whom_it_does_not_suit(id);
        self.scheduler.recover(recovered);
        self.act_on_outputs(&Subject::Nothing);
        Ok(())
    }
}

/// Which failed tasks of a job that has not ended are tried again; none when it is paused and just goes on.
fn released_of_live(id: JobId, job: &Job, asked: Option<&RangeSet>) -> Result<RangeSet, Refusal> {
    let frontier = job.frontier();
    let mut free = job.failed.clone();
    let mut why = NOTHING;
    if job.reduces() {
        (free, why) = (RangeSet::new(), COMBINED);
    } else if job.submission.has_inputs {
        (free, why) = (RangeSet::new(), NO_INPUTS);
    } else if job.streams() {
        free.remove(IndexRange::new(0, frontier));
        why = STREAMED;
    }
    let kept = job.failed.len() > free.len();
    match asked {
        Some(asked) => {
            let tasks = asked_of(id, &job.failed, job.tasks, Some(asked))?;
            let all_free = tasks.iter().all(|range| free.covers(range));
            if all_free { Ok(tasks) } else { Err(Refusal::NoRetry { job: id, why }) }
        }
        None if free.is_empty() && job.paused.is_none() => {
            Err(Refusal::NoRetry { job: id, why: if kept { why } else { NOTHING } })
        }
        None => Ok(free),
    }
}

/// The failed tasks that were asked for: all, when none were named.
fn asked_of(id: JobId, failed: &RangeSet, tasks: u64, asked: Option<&RangeSet>) -> Result<RangeSet, Refusal> {
    let Some(asked) = asked else { return Ok(failed.clone()) };
    for range in asked.iter() {
        if range.end > tasks {
            let limit = format!("job {} has {tasks} tasks", id.0);
            return Err(ConvertError::wrong("indexes", range.end - 1, limit).into());
        }
        let inside = failed.overlap(range).next().unwrap_or_default();
        if inside != range {
            let index =
                if inside.start == range.start && !inside.is_empty() { inside.end } else { range.start };
            return Err(Refusal::NotFailed { job: id, index });
        }
    }
    Ok(asked.clone())
}
