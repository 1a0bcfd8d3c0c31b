//! Messages on their way, and connections that come and go.

use super::connection::{Connection, Down, Up};
use super::fault::Fault;
use super::machine::Machine;
use super::world::{Event, World};
use muster_core::agent;
use muster_core::id::{LeaseId, WorkerId};
use muster_core::scheduler::{Input, Loss};
use muster_core::time::{Span, Time};
use std::collections::VecDeque;

/// What happens to a message.
enum Fate {
    Arrives,
    Lost,
    Twice,
    Overtakes,
}

impl World {
    /// A new machine, which connects.
    pub(super) fn add_machine(&mut self, slots: u32) {
        let machine = self.machines.len();
        // The last one to come.
        self.machines.push(Machine { fits_all: self.healed, ..Machine::new(slots) });
        self.take_guarantee_of(machine);
        self.check(&super::checker::Fact::Born { machine });
        self.seek(machine, Span::ZERO);
    }

    /// A machine without a connection looks for the coordinator.
    pub(super) fn seek(&mut self, machine: usize, wait: Span) {
        let view = &mut self.machines[machine];
        if view.up && !view.connecting && view.connection.is_none() {
            view.connecting = true;
            let life = view.life;
            let at = self.now + wait + self.travel();
            self.queue.push(at, Event::Connect { machine, life });
        }
    }

    pub(super) fn connect(&mut self, machine: usize, life: u32) {
        let view = &self.machines[machine];
        if view.life != life || !view.up {
            return;
        }
        let blocked = [view.cut_up, view.cut_down, view.paused_until].into_iter().max();
        let blocked = blocked.filter(|&until| until > self.now);
        if blocked.is_some() || !self.up {
            let at = blocked.unwrap_or(self.now) + self.net.micros(10_000, 300_000);
            self.queue.push(at, Event::Connect { machine, life });
            return;
        }
        let session = WorkerId(self.next_worker);
        self.next_worker += 1;
        let connection = self.connections.len();
        self.connections.push(Connection {
            machine,
            session,
            epoch: self.epoch,
            open: true,
            harmed: false,
            down: VecDeque::new(),
            up: VecDeque::new(),
            last_down: self.now,
            last_up: self.now,
        });
        self.sessions.insert(session, connection);
        let view = &mut self.machines[machine];
        (view.connection, view.attached, view.connecting) = (Some(connection), false, false);
        let slots = view.slots;
        self.send_down(connection, Down::Welcome);
        self.tell_what_does_not_fit(machine, session);
        self.tell(Input::Joined { worker: session, slots }, None);
        self.queue.push(self.now + self.beats(), Event::Beat { machine, life, connection });
    }

    /// Which jobs a machine must not run: the scheduler knows before it is there.
    fn tell_what_does_not_fit(&mut self, machine: usize, worker: WorkerId) {
        for job in 0..self.clients.len() {
            if let Some(id) = self.clients[job].id.filter(|&id| self.scheduler.job(id).is_some())
                && self.is_unfit(machine, job)
            {
                self.tell(Input::Unfit { worker, job: id }, None);
            }
        }
    }

    /// Whether a machine must not run a job.
    pub(super) fn is_unfit(&self, machine: usize, job: usize) -> bool {
        !self.machines[machine].fits_all && self.setting.jobs[job].is_unfit(machine)
    }

    /// From one sign of life to the next.
    fn beats(&self) -> Span {
        Span(self.setting.config.lease.0 / 10)
    }

    pub(super) fn beat(&mut self, machine: usize, life: u32, connection: usize) {
        if !self.is_awake(machine, life, Event::Beat { machine, life, connection }) {
            return;
        }
        if self.machines[machine].connection != Some(connection) {
            return;
        }
        if self.machines[machine].attached {
            let worker = self.connections[connection].session;
            self.send_up(connection, (Input::Heartbeat { worker }, None));
            self.look_for_quiet(machine);
        }
        self.queue.push(self.now + self.beats(), Event::Beat { machine, life, connection });
    }

    /// Whether a machine lives this life and does not stand still; then what was to happen happens later.
    pub(super) fn is_awake(&mut self, machine: usize, life: u32, event: Event) -> bool {
        let view = &self.machines[machine];
        if view.life != life || !view.up {
            return false;
        }
        if view.paused_until > self.now {
            let at = view.paused_until;
            self.queue.push(at, event);
            return false;
        }
        true
    }

    fn travel(&mut self) -> Span {
        self.setting.latency + Span(self.net.below(self.setting.jitter.0 + 1))
    }

    fn fate(&mut self, can_be_lost: bool, can_overtake: bool) -> Fate {
        let kinds = [Fault::Drop, Fault::Duplicate, Fault::Reorder];
        if !kinds.iter().any(|&fault| self.may(fault)) || !self.net.once_in(self.setting.harmed) {
            return Fate::Arrives;
        }
        let fault = self.net.pick(&kinds);
        let fate = match fault {
            Fault::Drop if can_be_lost => Fate::Lost,
            Fault::Duplicate => Fate::Twice,
            Fault::Reorder if can_overtake => Fate::Overtakes,
            _ => return Fate::Arrives,
        };
        if !self.may(fault) {
            return Fate::Arrives;
        }
        self.struck.count(fault);
        self.note(|| format!("fault: {}", fault.name()));
        fate
    }

    pub(super) fn send_down(&mut self, connection: usize, what: Down) {
        let waiting = self.connections[connection].down.len();
        let fate = self.fate(true, waiting > 0);
        let at = self.now + self.travel();
        let link = &mut self.connections[connection];
        link.last_down = link.last_down.max(at);
        let at = link.last_down;
        link.harmed |= !matches!(fate, Fate::Arrives);
        match fate {
            Fate::Arrives => link.down.push_back(what),
            Fate::Lost => return,
            Fate::Twice => {
                link.down.push_back(what.clone());
                link.down.push_back(what);
                self.queue.push(at, Event::Down { connection });
            }
            Fate::Overtakes => link.down.insert(waiting - 1, what),
        }
        self.queue.push(at, Event::Down { connection });
    }

    pub(super) fn send_up(&mut self, connection: usize, what: Up) {
        // What is said of one lease keeps its order, and no failure goes missing in front of the block that leaves its
        // task out: that much a stream promises, and reductions rely on it.
        let can_be_lost = !matches!(what.0, Input::Failed { .. });
        let link = &self.connections[connection];
        let waiting = link.up.len();
        let can_overtake = link.up.back().is_some_and(|last| lease_of(&last.0) != lease_of(&what.0));
        let fate = self.fate(can_be_lost, can_overtake);
        let at = self.now + self.travel();
        let link = &mut self.connections[connection];
        link.last_up = link.last_up.max(at);
        let at = link.last_up;
        link.harmed |= !matches!(fate, Fate::Arrives);
        match fate {
            Fate::Arrives => link.up.push_back(what),
            Fate::Lost => return,
            Fate::Twice => {
                link.up.push_back(what.clone());
                link.up.push_back(what);
                self.queue.push(at, Event::Up { connection });
            }
            Fate::Overtakes => link.up.insert(waiting - 1, what),
        }
        self.queue.push(at, Event::Up { connection });
    }

    /// Holds something back that a cut link does not let through.
    fn is_cut(&mut self, until: Time, event: Event) -> bool {
        let cut = until > self.now;
        if cut {
            self.queue.push(until, event);
        }
        cut
    }

    pub(super) fn arrive_up(&mut self, connection: usize) {
        let machine = self.connections[connection].machine;
        if self.is_cut(self.machines[machine].cut_up, Event::Up { connection }) {
            return;
        }
        let link = &mut self.connections[connection];
        let Some((input, subject)) = link.up.pop_front() else { return };
        // What a closed connection still brings is handed on: late messages are the scheduler's to refuse.
        if self.up && link.epoch == self.epoch {
            self.tell(input, subject.as_ref());
        }
    }

    pub(super) fn arrive_down(&mut self, connection: usize) {
        let machine = self.connections[connection].machine;
        if self.is_cut(self.machines[machine].cut_down, Event::Down { connection }) {
            return;
        }
        let life = self.machines[machine].life;
        if !self.is_awake(machine, life, Event::Down { connection }) {
            return;
        }
        let Some(what) = self.connections[connection].down.pop_front() else { return };
        if self.machines[machine].connection == Some(connection) {
            self.receive(machine, what);
        }
    }

    /// Both ends of a connection notice that it is gone.
    pub(super) fn reset(&mut self, connection: usize) {
        let (at, later) = (self.now + self.travel(), self.now + self.travel());
        self.queue.push(at, Event::Closed { connection });
        self.queue.push(later, Event::Gone { connection });
    }

    /// The coordinator closes a worker's connection; the worker notices later.
    pub(super) fn close_session(&mut self, worker: WorkerId) {
        let Some(connection) = self.sessions.remove(&worker) else { return };
        self.connections[connection].open = false;
        let at = self.now + self.travel();
        self.queue.push(at, Event::Closed { connection });
    }

    pub(super) fn closed(&mut self, connection: usize) {
        let machine = self.connections[connection].machine;
        if self.machines[machine].connection != Some(connection)
            || self.is_cut(self.machines[machine].cut_down, Event::Closed { connection })
        {
            return;
        }
        let life = self.machines[machine].life;
        if !self.is_awake(machine, life, Event::Closed { connection }) {
            return;
        }
        let view = &mut self.machines[machine];
        (view.connection, view.attached) = (None, false);
        let wait = self.net.micros(0, 200_000);
        self.seek(machine, wait);
    }

    pub(super) fn gone(&mut self, connection: usize) {
        let link = &self.connections[connection];
        let (machine, worker) = (link.machine, link.session);
        if !link.open || link.epoch != self.epoch || !self.up {
            return;
        }
        if self.is_cut(self.machines[machine].cut_up, Event::Gone { connection }) {
            return;
        }
        self.connections[connection].open = false;
        self.sessions.remove(&worker);
        self.tell(Input::Left { worker, reason: Loss::Disconnected }, None);
    }

    /// A machine comes back with nothing.
    pub(super) fn machine_up(&mut self, machine: usize) {
        let view = &mut self.machines[machine];
        if view.up || view.gone {
            return;
        }
        view.up = true;
        view.agent = agent::Agent::new(view.slots);
        self.take_guarantee_of(machine);
        self.check(&super::checker::Fact::Born { machine });
        self.seek(machine, Span::ZERO);
    }
}

const fn lease_of(input: &Input) -> Option<LeaseId> {
    match input {
        Input::Done { lease, .. } | Input::Failed { lease, .. } | Input::Returned { lease, .. } => {
            Some(*lease)
        }
        _ => None,
    }
}
