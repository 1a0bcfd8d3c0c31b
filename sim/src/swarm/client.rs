//! What clients do: they submit, add, seal, hold and cancel, one thing after the other, and do again what the
//! coordinator had not acknowledged before it ended.

use super::disk::Entry;
use super::setting::Step;
use super::world::{Event, World};
use muster_core::id::JobId;
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
    pub done: bool,
}

/// How long a client waits for a coordinator that is not there.
const RETRY: Span = Span::from_millis(50);

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
        let lasts = !matches!(step, Step::Hold(_));
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
        let input = match step {
            Step::Submit => Input::Submit { job: id, spec: self.setting.jobs[job].spec.clone() },
            Step::Extend(tasks) => Input::Extend { job: id, tasks, bytes: tasks * 16 },
            Step::Seal => Input::Seal { job: id },
            Step::Hold(held) => Input::Hold { job: id, held },
            Step::Cancel => Input::Cancel { job: id },
        };
        self.tell(input, None);
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
            }
        }
    }
}
