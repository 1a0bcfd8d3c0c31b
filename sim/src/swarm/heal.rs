//! The end of the faults: from here on everything must end, within a time that follows from what is left to do.

use super::client::{RESUMES_MAX, THINKS_MAX_US};
use super::setting::{SLOTS_MAX, Step};
use super::world::{Event, World};
use muster_core::time::Span;

/// What a task that ends its executor without a trace may cost each time: three executors until tasks run alone, then
/// pieces cut into sixteen, twice, each with an executor of its own.
const EXECUTORS_PER_CULPRIT: u64 = 3 + 2 * 16 + 8;

impl World {
    /// Faults stop: links heal, machines and the coordinator come back, and a new worker joins, on which everything
    /// fits.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        for connection in 0..self.connections.len() {
            let link = &self.connections[connection];
            // A stream that lost something is not one that lives on.
            if link.harmed && link.epoch == self.epoch {
                self.reset(connection);
            }
        }
        for machine in 0..self.machines.len() {
            let now = self.now;
            let view = &mut self.machines[machine];
            (view.cut_up, view.cut_down, view.paused_until) = (now, now, now);
            if !view.up && !view.gone {
                self.queue.push(now + Span::from_millis(1), Event::MachineUp { machine });
            }
        }
        self.add_machine(SLOTS_MAX);
        self.patience = self.patience();
        self.queue.push(self.now + self.patience, Event::Deadline);
        self.check_done();
    }

    /// How long everything that is left may take, on one thread and with every retry.
    fn patience(&self) -> Span {
        let setting = &self.setting;
        let round_trip = 2 * (setting.latency.0 + setting.jitter.0);
        let (mut work, mut waits) = (0, 0);
        for (plan, client) in setting.jobs.iter().zip(&self.clients) {
            if client.done {
                continue;
            }
            let later = plan.script.iter().map(|(_, step)| match step {
                Step::Extend(tasks) => *tasks,
                _ => 0,
            });
            let tasks = plan.spec.tasks + later.sum::<u64>();
            // A client that lets a paused job go on, or has all that failed tried again, gives it fresh budgets.
            let rounds = u64::from(RESUMES_MAX) + 2;
            let tries = (u64::from(plan.spec.attempts_max()) + 1) * rounds;
            waits += tries * plan.spec.retry.backoff_max.0.min(plan.spec.retry.backoff.0 << 6);
            waits += rounds * (THINKS_MAX_US * 1_000 + round_trip + 2 * setting.commit.0);
            work += tasks * (plan.task.0 + 1_000) * tries;
            // A lease for each task, and combinations that halve what is left.
            work += 2 * tasks * (round_trip + setting.commit.0);
            let executor = 2 * setting.executor_start.0 + 3_000_000;
            let alone = executor + setting.config.lease.0 / 5;
            work += plan.poison(tasks) * tries * EXECUTORS_PER_CULPRIT * alone;
        }
        let last_step = setting.jobs.iter().flat_map(|plan| plan.script.last()).map(|(at, _)| *at).max();
        let script = last_step.map_or(Span::ZERO, |at| at.since(self.now));
        // Silence until it is noticed, what was held up until then, and executors that do not stop.
        Span(work + waits + script.0 + 8 * setting.config.lease.0) + Span::from_millis(20_000)
    }

    /// What everybody has, for people.
    pub(super) fn dump(&self) -> String {
        let mut text = format!("{:?}", self.scheduler.sizes());
        for (number, client) in self.clients.iter().enumerate() {
            let view = client.id.and_then(|id| self.scheduler.job(id));
            text += &format!("\n  client {number}: {client:?}, {view:?}");
        }
        for (number, machine) in self.machines.iter().enumerate() {
            let session = machine.connection.map(|connection| self.connections[connection].session);
            let tasks = session.and_then(|worker| self.scheduler.worker_tasks(worker));
            text += &format!(
                "\n  machine {number}: up {}, {session:?} with {tasks:?} tasks by the scheduler, {} owed by the agent, {:?}, {} of {} threads busy",
                machine.up,
                machine.agent.outstanding(),
                machine.agent.sizes(),
                machine.threads.iter().filter(|thread| thread.claim.is_some()).count(),
                machine.threads.len(),
            );
        }
        text
    }
}
