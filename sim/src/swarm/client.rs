//! What clients do: they submit, add, seal, hold, retry and cancel, one thing after the other, and do again what the
//! coordinator had not acknowledged before it ended. They let a paused job go on some times, and then cancel it.

use super::disk::Entry;
use super::setting::Step;
use super::world::{Event, World};
use muster_core::id::{JobId, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::Input;
use muster_core::time::Span;

/// A client with one job.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub id: Option<JobId>,
    /// The next thing to do.
    next: usize,
    /// What was acknowledged: here it starts again after a crash.
    acknowledged: usize,
    /// It waits for an acknowledgement.
    waiting: bool,
    /// How often it let its job go on after a pause.
    resumed: u32,
    pub done: bool,
}

/// How long a client waits for a coordinator that is not there.
const RETRY: Span = Span::from_millis(50);
/// How often a client lets a paused job go on.
pub(super) const RESUMES_MAX: u32 = 2;
/// The longest that it thinks about that, in microseconds.
pub(super) const THINKS_MAX_US: u64 = 300_000;

fn all() -> RangeSet {
    RangeSet::from(IndexRange::new(0, u64::MAX))
}

impl World {
    pub(super) fn act_as_client(&mut self, job: usize) {
        if !self.up {
            self.queue.push(self.now + RETRY, Event::Client { job });
            return;
        }
        while !self.clients[job].waiting && !self.clients[job].done {
            let client = &self.clients[job];
            let Some(&(at, step)) = self.setting.jobs[job].script.get(client.next) else { return };
            if at > self.now {
                self.queue.push(at, Event::Client { job });
                return;
            }
            self.take_step(job, step);
        }
    }

    fn take_step(&mut self, job: usize, step: Step) {
        let lasts = !matches!(step, Step::Hold(_) | Step::Retry);
        let client = &mut self.clients[job];
        if lasts {
            client.waiting = true;
        } else {
            client.next += 1;
        }
        let id = match (step, client.id) {
            (Step::Submit, _) => {
                let id = JobId(self.next_job);
                self.next_job += 1;
                client.id = Some(id);
                id
            }
            (_, Some(id)) => id,
            (_, None) => return,
        };
        if step == Step::Submit {
            self.tell_whom_it_does_not_suit(job, id);
        }
        let input = match step {
            Step::Submit => Input::Submit { job: id, spec: self.setting.jobs[job].spec.clone() },
            Step::Extend(tasks) => Input::Extend { job: id, tasks, bytes: tasks * 16 },
            Step::Seal => Input::Seal { job: id },
            Step::Hold(held) => Input::Hold { job: id, held },
            Step::Retry => Input::Retry { job: id, tasks: all() },
            Step::Cancel => Input::Cancel { job: id },
        };
        self.tell(input, None);
    }

    /// Who must not run a job: the scheduler knows before it is there.
    fn tell_whom_it_does_not_suit(&mut self, job: usize, id: JobId) {
        let there: Vec<(WorkerId, usize)> =
            self.sessions.iter().map(|(&worker, &at)| (worker, self.connections[at].machine)).collect();
        for (worker, machine) in there {
            if self.scheduler.worker_tasks(worker).is_some() && self.is_unfit(machine, job) {
                self.tell(Input::Unfit { worker, job: id }, None);
            }
        }
    }

    /// A job may be paused: its client lets it go on, or has enough of it.
    pub(super) fn resume(&mut self, job: usize) {
        let client = &self.clients[job];
        if client.done {
            return;
        }
        if !self.up {
            return self.queue.push(self.now + RETRY, Event::Resume { job });
        }
        let paused = client.id.filter(|&id| self.scheduler.job(id).is_some_and(|view| view.paused));
        let Some(id) = paused else { return };
        if client.resumed == RESUMES_MAX {
            return self.tell(Input::Cancel { job: id }, None);
        }
        self.clients[job].resumed += 1;
        // Some want a part of the failed tasks only.
        let tasks = match self.luck.below(3) {
            0 => RangeSet::new(),
            1 => RangeSet::from(IndexRange::new(0, self.luck.between(1, self.params.tasks.max(1)))),
            _ => all(),
        };
        self.tell(Input::Retry { job: id, tasks }, None);
    }

    fn resume_later(&mut self, job: usize) {
        let at = self.now + self.luck.micros(1_000, THINKS_MAX_US);
        self.queue.push(at, Event::Resume { job });
    }

    /// An entry is durable, and whoever waits for it is told.
    pub(super) fn acknowledge(&mut self, entry: &Entry) {
        let id = entry.job();
        let Some(job) = self.clients.iter().position(|client| client.id == Some(id)) else { return };
        let client = &mut self.clients[job];
        match entry {
            Entry::Accepted { .. } | Entry::Extended { .. } | Entry::Sealed { .. } => {
                client.next += 1;
                (client.acknowledged, client.waiting) = (client.next, false);
                self.queue.push(self.now, Event::Client { job });
            }
            Entry::Paused { .. } => self.resume_later(job),
            Entry::Ended { .. } if !client.done => {
                client.done = true;
                self.check_done();
            }
            _ => {}
        }
    }

    /// The coordinator ended: what it did not acknowledge is done again.
    pub(super) fn begin_again(&mut self) {
        for job in 0..self.clients.len() {
            let client = &mut self.clients[job];
            (client.next, client.waiting) = (client.acknowledged, false);
            if client.acknowledged == 0 {
                client.id = None;
            }
            if !client.done {
                self.queue.push(self.now + RETRY, Event::Client { job });
                // It may have been paused before anybody was told.
                if client.id.is_some_and(|id| self.scheduler.job(id).is_some_and(|view| view.paused)) {
                    self.resume_later(job);
                }
            }
        }
    }
}
