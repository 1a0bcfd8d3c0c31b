//! What clients ask about jobs.

use super::command::{Reply, Snapshot};
use super::effect::Effect;
use super::job::{Accepted, Job};
use super::report::Subject;
use super::{Driver, Refusal};
use crate::limits::Limit;
use crate::store::Record;
use crate::store::blobs::hex;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::Input;
use muster_proto::convert::{ConvertError, Feed, PluginRef, Submission, job_spec_to_wire};
use muster_proto::v1::JobStatus;
use prost::Message;

impl Driver {
    /// A new job, or the one that this request made before.
    pub(super) fn submit(&mut self, mut submission: Submission, reply: Reply<JobId>) {
        if let Some(&known) = self.requests.get(&submission.request_id) {
            match self.jobs.get_mut(&known).map(|job| &mut job.accepted) {
                Some(Accepted::Waiting(replies)) => replies.push(reply),
                Some(Accepted::Durable) | None => drop(reply.send(Ok(known))),
            }
            return;
        }
        if let Err(refusal) = self.check_submission(&mut submission) {
            self.refuse(reply, refusal);
            return;
        }
        let now = self.clock.now();
        let (id, at_unix_ns) = (self.next_job, self.clock.unix_ns(now));
        self.next_job = JobId(id.0 + 1);
        self.requests.insert(submission.request_id.clone(), id);
        let request_id = submission.request_id.clone();
        let spec = submission.spec.clone();
        let wire = job_spec_to_wire(&submission).encode_to_vec().into();
        tracing::info!(job = id.0, plugin = submission.plugin.name, tasks = spec.tasks, "job submitted");
        self.write(Record::Submitted { job: id, request_id, at_unix_ns, spec: wire });
        let job = Job::new(submission, at_unix_ns, now, Accepted::Waiting(vec![reply]));
        self.jobs.insert(id, job);
        self.when_durable(Effect::Accepted(id));
        self.tell_whom_it_does_not_suit(id);
        if !self.begin_only_task(id) {
            self.tell(Input::Submit { job: id, spec }, Subject::Nothing);
        }
    }

    fn check_submission(&self, submission: &mut Submission) -> Result<(), Refusal> {
        let limits = &self.settings.limits;
        limits.check(Limit::Jobs, self.jobs.len() as u64 + 1)?;
        limits.check(Limit::Tasks, submission.spec.tasks)?;
        limits.check(Limit::Params, submission.params.len() as u64)?;
        limits.check(Limit::Output, submission.result_max_bytes)?;
        let asked = &submission.plugin;
        let (plugin, abilities) = self
            .plugins
            .known(&asked.digest)
            .ok_or_else(|| Refusal::NoPlugin(format!("{} with digest {}", asked.name, hex(&asked.digest))))?;
        let cannot = |field, why| Refusal::PluginCannot { field, plugin: plugin.name.clone(), why };
        if abilities.is_chaos() && !self.settings.allow_chaos {
            return Err(Refusal::Chaos(plugin.name.clone()));
        }
        if submission.spec.reduce && !abilities.reduce {
            return Err(cannot("reduce", "cannot combine results"));
        }
        match (submission.has_inputs, abilities.input.as_str()) {
            (true, "none") => return Err(cannot("has_inputs", "takes no inputs")),
            (false, "required") => return Err(cannot("has_inputs", "needs an input per task")),
            _ => {}
        }
        self.check_workers(submission)?;
        submission.plugin = PluginRef {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            digest: plugin.digest,
            size: plugin.size,
        };
        Ok(())
    }

    /// Whether a job takes tasks, and whether they have inputs.
    pub(super) fn feed_to(&self, id: JobId) -> Result<bool, Refusal> {
        let Some(job) = self.jobs.get(&id) else {
            return Err(match self.ended.get(&id) {
                Some(_) => Refusal::Closed { job: id, why: "it has ended" },
                None => self.no_job(id),
            });
        };
        if job.over {
            return Err(Refusal::Closed { job: id, why: "it has ended" });
        }
        if !job.submission.spec.open {
            return Err(Refusal::Closed { job: id, why: "it was submitted with all of its tasks" });
        }
        Ok(job.submission.has_inputs)
    }

    /// More tasks for a job, now or when there is room.
    pub(super) fn feed(&mut self, id: JobId, feed: Feed, reply: Reply<u64>) {
        if let Err(refusal) = self.check_feed(id, &feed) {
            self.refuse(reply, refusal);
            return;
        }
        let most = self.settings.limits.get(Limit::Inputs);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if is_there(job, &feed) || (job.parked_feeds.is_empty() && has_room(job, &feed, most)) {
            self.take_in(id, feed, reply);
        } else {
            job.parked_feeds.push_back((feed, reply));
        }
    }

    fn check_feed(&self, id: JobId, feed: &Feed) -> Result<(), Refusal> {
        self.feed_to(id)?;
        let Some(job) = self.jobs.get(&id) else { return Err(Refusal::NoJob(id)) };
        if is_there(job, feed) {
            return Ok(());
        }
        if job.sealed {
            return Err(Refusal::Closed { job: id, why: "it was sealed" });
        }
        let limits = &self.settings.limits;
        limits.check(Limit::Tasks, job.tasks.saturating_add(feed.count))?;
        limits.check(Limit::Feeds, job.parked_feeds.len() as u64 + 1)
    }

    /// What was fed is there, or will be once everything before is durable.
    fn answer_fed(&mut self, id: JobId, reply: Reply<u64>) {
        let Some(job) = self.jobs.get(&id) else { return };
        let tasks = job.tasks;
        self.when_durable(Effect::Fed(reply, tasks));
    }

    fn take_in(&mut self, id: JobId, feed: Feed, reply: Reply<u64>) {
        let now = self.clock.now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if is_there(job, &feed) {
            return self.answer_fed(id, reply);
        }
        let Feed { count, inputs, seal, start } = feed;
        if let Some(start) = start.filter(|&start| start != job.tasks) {
            let has = format!("job {} has {} tasks", id.0, job.tasks);
            return self.refuse(reply, ConvertError::wrong("start", start, has).into());
        }
        job.feeding.begun |= count > 0;
        if count > 0 {
            let range = IndexRange::from_count(job.tasks, count);
            let bytes = inputs.as_ref().map_or(0, |inputs| inputs.data().len() as u64);
            job.tasks = range.end;
            job.arrivals.push_back((range.end, now));
            let packed = inputs.as_ref().map(|inputs| inputs.slice(0..inputs.len()));
            if let Some(inputs) = inputs {
                job.inputs.add(range.start, inputs, &RangeSet::new());
            }
            self.write(Record::Extended { job: id, range, inputs: packed });
            self.tell(Input::Extend { job: id, tasks: count, bytes }, Subject::Nothing);
        }
        if seal {
            let Some(job) = self.jobs.get_mut(&id) else { return };
            job.sealed = true;
            self.write(Record::Sealed { job: id });
        }
        self.answer_fed(id, reply);
        if seal {
            self.tell(Input::Seal { job: id }, Subject::Nothing);
        }
    }

    /// Takes in what waited for room, as far as there is some.
    pub(super) fn take_in_parked(&mut self, id: JobId) {
        let most = self.settings.limits.get(Limit::Inputs);
        while let Some(job) = self.jobs.get_mut(&id)
            && let Some((feed, _)) = job.parked_feeds.front()
            && has_room(job, feed, most)
            && let Some((feed, reply)) = job.parked_feeds.pop_front()
        {
            match self.check_feed(id, &feed) {
                Ok(()) => self.take_in(id, feed, reply),
                Err(refusal) => self.refuse(reply, refusal),
            }
        }
    }

    /// Stops a job; one that has ended stays as it is.
    pub(super) fn cancel(&mut self, id: JobId) -> Result<Snapshot, Refusal> {
        let id = self.resolve(id)?;
        if self.jobs.contains_key(&id) {
            self.tell(Input::Cancel { job: id }, Subject::Nothing);
        }
        self.snapshot(id)
    }

    /// What a job looks like; 0 is the newest.
    pub(super) fn snapshot(&self, id: JobId) -> Result<Snapshot, Refusal> {
        let id = self.resolve(id)?;
        if let Some(job) = self.jobs.get(&id) {
            let mut status = self.live_status(id, job);
            self.stopping.tell(id, &mut status);
            return Ok(Snapshot { status, state: Some(job.state.subscribe()) });
        }
        let ended = self.ended.get(&id).ok_or_else(|| self.no_job(id))?;
        let mut status = ended.status.clone();
        self.stopping.tell(id, &mut status);
        Ok(Snapshot { status, state: None })
    }

    /// What a job that has not ended looks like, with the reason when it waits because nobody runs it.
    fn live_status(&self, id: JobId, job: &Job) -> JobStatus {
        let view = self.scheduler.job(id);
        let waits_for_worker = view.is_some_and(|view| view.fitting == 0 && view.leased == 0);
        let why_nobody = if waits_for_worker { self.why_nobody(id) } else { String::new() };
        job.status(id, view, why_nobody, self.clock.now())
    }

    /// The newest jobs.
    pub(super) fn list(&self, limit: usize) -> Vec<JobStatus> {
        let mut ids: Vec<JobId> = self.jobs.keys().chain(self.ended.keys()).copied().collect();
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        ids.into_iter().take(limit).filter_map(|id| Some(self.snapshot(id).ok()?.status)).collect()
    }

    /// The job itself, or the newest for 0.
    pub(super) fn resolve(&self, id: JobId) -> Result<JobId, Refusal> {
        if id.0 != 0 {
            return Ok(id);
        }
        let live = self.jobs.last_key_value().map(|(id, _)| *id);
        let ended = self.ended.last_key_value().map(|(id, _)| *id);
        live.max(ended).ok_or(Refusal::NoJobs)
    }

    /// Why a job is not there.
    pub(super) fn no_job(&self, id: JobId) -> Refusal {
        if id.0 > 0 && id < self.next_job { Refusal::Forgotten(id) } else { Refusal::NoJob(id) }
    }
}

/// Whether a job has all of this: who feeds it sent it a second time, because he did not hear that it was taken.
fn is_there(job: &Job, feed: &Feed) -> bool {
    let end = feed.start.map(|start| start.saturating_add(feed.count));
    end.is_some_and(|end| end <= job.tasks) && (!feed.seal || job.sealed)
}

/// Whether the inputs of a job's unfinished tasks stay below a limit. Without any there is always room for one more block.
fn has_room(job: &Job, feed: &Feed, most: u64) -> bool {
    let bytes = feed.inputs.as_ref().map_or(0, |inputs| inputs.data().len() as u64 + 4 * feed.count);
    job.inputs.bytes() == 0 || job.inputs.bytes() + bytes <= most
}
