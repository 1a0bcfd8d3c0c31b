//! Who feeds an open job, and what becomes of one whose inputs broke off.

use super::job::Job;
use super::report::Subject;
use super::{Driver, Refusal};
use crate::quantity::in_words;
use muster_core::id::JobId;
use muster_core::scheduler::{Input, JobView};
use muster_core::time::{Span, Time};
use std::sync::Arc;
use std::time::Duration;

/// Jobs are looked at so often within the time that they wait for inputs.
const CHECKS_PER_WAIT: u32 = 10;

/// Held by a stream of inputs for as long as it may bring some.
pub type Feeder = Arc<()>;

/// The streams of inputs of a job.
#[derive(Debug, Default)]
pub struct Feeding {
    feeder: Feeder,
    /// One brought something, perhaps in an earlier life of the coordinator.
    pub begun: bool,
    /// When it was first seen that there is none any more.
    since: Option<Time>,
}

impl Feeding {
    fn begin(&mut self) -> Feeder {
        self.since = None;
        Arc::clone(&self.feeder)
    }

    fn is_on(&self) -> bool {
        Arc::strong_count(&self.feeder) > 1
    }

    /// There was a stream of inputs that were taken, and it is gone.
    pub fn broke_off(&self) -> bool {
        self.begun && !self.is_on()
    }

    /// How long nobody has fed it, as far as that was seen.
    fn idle(&mut self, now: Time) -> Span {
        if self.is_on() {
            self.since = None;
            return Span::ZERO;
        }
        now.since(*self.since.get_or_insert(now))
    }
}

impl Driver {
    /// A stream of inputs for a job, and whether its tasks have inputs.
    pub(super) fn begin_feed(&mut self, id: JobId) -> Result<(bool, Feeder), Refusal> {
        let has_inputs = self.feed_to(id)?;
        let job = self.jobs.get_mut(&id).ok_or(Refusal::NoJob(id))?;
        Ok((has_inputs, job.feeding.begin()))
    }

    /// How often to look for jobs whose inputs broke off.
    pub(super) fn feed_check(&self) -> Duration {
        self.settings.feed_wait / CHECKS_PER_WAIT
    }

    /// Cancels open jobs that nobody has fed for long and that have nothing left to do: whoever knew the rest of
    /// their inputs is gone.
    pub(super) fn cancel_unfed(&mut self) {
        let (now, wait) = (self.clock.now(), Span(self.settings.feed_wait.as_nanos() as u64));
        let scheduler = &self.scheduler;
        let unfed: Vec<JobId> = self
            .jobs
            .iter_mut()
            .filter(|(_, job)| !job.sealed && !job.over)
            .filter_map(|(&id, job)| {
                let idle = job.feeding.idle(now);
                (idle >= wait && scheduler.job(id).is_some_and(|view| rests(job, view))).then_some(id)
            })
            .collect();
        for id in unfed {
            let wait = in_words(self.settings.feed_wait);
            if let Some(job) = self.jobs.get_mut(&id) {
                job.unfed = Some(format!("its inputs broke off, and no more came within {wait}"));
            }
            self.tell(Input::Cancel { job: id }, Subject::Nothing);
        }
    }
}

/// Nothing of it runs or will run as things are.
fn rests(job: &Job, view: JobView) -> bool {
    // One that is paused waits for a person, not for inputs.
    let rests = view.leased == 0 && (view.held || view.ready == 0);
    rests && !view.paused && (view.held || job.parked_feeds.is_empty())
}
