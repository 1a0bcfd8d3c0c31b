//! The workers: agents and what they stand on.

use crate::scenario::{Scenario, WorkerGroup};
use muster_core::agent::Agent;
use muster_core::id::WorkerId;
use muster_core::time::Time;
use smallvec::SmallVec;

/// A session that does not stand.
pub(super) const NO_SESSION: WorkerId = WorkerId(0);

/// What a worker is apart from its agent.
#[derive(Debug)]
pub(super) struct Machine {
    pub group: u32,
    /// Its connection, as the coordinator knows it.
    pub session: WorkerId,
    /// The last connection over which it was greeted.
    pub greeted: WorkerId,
    /// It exists: not crashed, not gone.
    pub up: bool,
    /// Tasks take so many times as long as the scenario says.
    pub slowness: f64,
    /// It stands still until then.
    pub paused_until: Time,
    /// Messages to it, and from it, do not get through until then.
    pub cut_until: [Time; 2],
    /// Messages to it, and from it, arrive no earlier: they keep their order.
    pub arrival: [Time; 2],
    /// When the agent is called at the latest; the event for it is in the queue.
    pub agent_due: Time,
    /// Job and page.
    pub pages: SmallVec<[(u32, u32); 1]>,
    /// Rises with every crash.
    pub life: u32,
    /// Rises with every connection: which heartbeats are wanted.
    pub beats: u32,
    /// It goes when it has finished.
    pub leaving: bool,
    /// How much its clock is fast, in parts per million.
    pub drift_ppm: i64,
}

/// All workers.
#[derive(Debug)]
pub(super) struct Machines {
    pub agents: Vec<Agent>,
    pub states: Vec<Machine>,
}

impl Machines {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let count: usize = scenario.workers.iter().map(|group| group.count as usize).sum();
        let mut machines = Self { agents: Vec::with_capacity(count), states: Vec::with_capacity(count) };
        for (at, group) in scenario.workers.iter().enumerate() {
            for _ in 0..group.count {
                machines.add(at as u32, group);
            }
        }
        machines
    }

    /// One more worker; it is not connected.
    pub(super) fn add(&mut self, at: u32, group: &WorkerGroup) -> u32 {
        self.agents.push(Agent::new(group.slots));
        self.states.push(Machine {
            group: at,
            session: NO_SESSION,
            greeted: NO_SESSION,
            up: true,
            slowness: 1.0 / group.speed,
            paused_until: Time::ZERO,
            cut_until: [Time::ZERO; 2],
            arrival: [Time::ZERO; 2],
            agent_due: Time(u64::MAX),
            pages: SmallVec::new(),
            life: 0,
            beats: 0,
            leaving: false,
            drift_ppm: 0,
        });
        (self.states.len() - 1) as u32
    }

    pub(super) fn get(&self, worker: u32) -> &Machine {
        &self.states[worker as usize]
    }

    pub(super) fn get_mut(&mut self, worker: u32) -> &mut Machine {
        &mut self.states[worker as usize]
    }

    pub(super) fn agent(&mut self, worker: u32) -> &mut Agent {
        &mut self.agents[worker as usize]
    }

    /// The page of a job on a worker.
    pub(super) fn page(&self, worker: u32, job: u32) -> Option<u32> {
        self.get(worker).pages.iter().find(|(of, _)| *of == job).map(|&(_, page)| page)
    }
}
