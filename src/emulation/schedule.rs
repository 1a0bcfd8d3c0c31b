//! What happens when: events in their order, found to make sense one after the other.

use super::experiment::{Event, Experiment, Fault};
use crate::exit::Failure;
use muster_worker::emulation::Cut;
use muster_worker::page::SLOTS_MAX;
use std::collections::BTreeSet;
use std::time::Duration;

/// What is done to a process, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub at: Duration,
    pub worker: usize,
    pub action: Action,
}

/// What is done to processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Kill,
    Stop,
    Continue,
    Start,
    Leave,
}

/// A checked schedule.
#[derive(Debug)]
pub(super) struct Schedule {
    steps: Vec<Step>,
    /// Of each worker.
    cuts: Vec<Vec<Cut>>,
}

/// A worker's process while events are looked through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Absent,
    Runs,
    Stands,
}

impl Schedule {
    /// Sorts the events and checks them with the workers.
    pub fn new(experiment: &Experiment) -> Result<Self, Failure> {
        let workers = &experiment.workers;
        if workers.is_empty() {
            return Err(Failure::usage("an emulation needs at least one worker"));
        }
        let mut names = BTreeSet::new();
        for worker in workers {
            if worker.name.is_empty() || worker.name.contains('/') || !names.insert(&worker.name) {
                return Err(Failure::usage(format_args!(
                    "worker {:?}: names are unique, without /",
                    worker.name
                )));
            }
            if worker.slots == 0 || worker.slots > SLOTS_MAX {
                let (name, slots) = (&worker.name, worker.slots);
                return Err(Failure::usage(format_args!(
                    "worker {name}: {slots} slots; 1 to {SLOTS_MAX} are possible"
                )));
            }
        }
        let there = |is_present| if is_present { Process::Runs } else { Process::Absent };
        let mut processes: Vec<Process> = workers.iter().map(|worker| there(worker.is_present)).collect();
        let (mut steps, mut cuts) = (Vec::new(), vec![Vec::new(); workers.len()]);
        let mut events: Vec<&Event> = experiment.events.iter().collect();
        events.sort_by_key(|event| event.at);
        for &&Event { at, worker, fault } in &events {
            let Some(process) = processes.get_mut(worker) else {
                return Err(Failure::usage(format_args!(
                    "an event is for worker {worker}, which is not there"
                )));
            };
            let action = match fault {
                Fault::Kill => Action::Kill,
                Fault::Stop => Action::Stop,
                Fault::Continue => Action::Continue,
                Fault::Start => Action::Start,
                Fault::Leave => Action::Leave,
                Fault::Cut { length, direction } => {
                    cuts[worker].push(Cut { at, length, direction });
                    continue;
                }
            };
            *process = process.after(action).ok_or_else(|| {
                let (name, state) = (&workers[worker].name, process.words());
                Failure::usage(format_args!("worker {name} cannot {} at {at:?}: it {state}", action.word()))
            })?;
            steps.push(Step { at, worker, action });
        }
        Ok(Self { steps, cuts })
    }

    /// What is done, in its order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// When the link of a worker is cut.
    pub fn cuts(&self, worker: usize) -> &[Cut] {
        &self.cuts[worker]
    }
}

impl Process {
    const fn after(self, action: Action) -> Option<Self> {
        match (self, action) {
            (Self::Runs | Self::Stands, Action::Kill) => Some(Self::Absent),
            (Self::Runs, Action::Stop) => Some(Self::Stands),
            (Self::Stands, Action::Continue) | (Self::Absent, Action::Start) => Some(Self::Runs),
            // It still runs until it has finished what it has.
            (Self::Runs | Self::Stands, Action::Leave) => Some(self),
            (Self::Absent, Action::Kill | Action::Stop | Action::Continue | Action::Leave)
            | (Self::Runs, Action::Continue | Action::Start)
            | (Self::Stands, Action::Stop | Action::Start) => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Absent => "is not there then",
            Self::Runs => "runs then",
            Self::Stands => "is stopped then",
        }
    }
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Self::Kill => "be killed",
            Self::Stop => "be stopped",
            Self::Continue => "go on",
            Self::Start => "start",
            Self::Leave => "leave",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::experiment::Worker;
    use super::*;
    use muster_worker::emulation::Direction;

    fn schedule(events: &[(u64, usize, Fault)]) -> Result<Schedule, Failure> {
        let late = Worker { is_present: false, ..Worker::new("late", 1) };
        let events = events.iter().map(|&(ms, worker, fault)| {
            let at = Duration::from_millis(ms);
            Event { at, worker, fault }
        });
        let workers = vec![Worker::new("first", 1), late];
        Schedule::new(&Experiment { workers, events: events.collect(), ..Experiment::default() })
    }

    #[test]
    fn events_are_sorted_and_cuts_are_left_to_the_workers() {
        let cut = Fault::Cut { length: Duration::from_secs(1), direction: Direction::ToWorker };
        let schedule =
            schedule(&[(30, 0, Fault::Start), (10, 0, Fault::Kill), (20, 1, cut), (5, 1, Fault::Start)])
                .unwrap();
        let order: Vec<_> = schedule.steps().iter().map(|step| (step.worker, step.action)).collect();
        assert_eq!(order, [(1, Action::Start), (0, Action::Kill), (0, Action::Start)]);
        assert_eq!((schedule.cuts(0).len(), schedule.cuts(1).len()), (0, 1));
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        for (events, words) in [
            (&[(1, 2, Fault::Kill)][..], "worker 2"),
            (&[(1, 0, Fault::Start)], "first cannot start at 1ms: it runs then"),
            (&[(1, 1, Fault::Kill)], "late cannot be killed at 1ms: it is not there then"),
            (&[(1, 0, Fault::Stop), (2, 0, Fault::Stop)], "be stopped at 2ms: it is stopped"),
            (&[(1, 0, Fault::Continue)], "go on"),
            (&[(1, 1, Fault::Leave)], "late cannot leave at 1ms: it is not there then"),
            (&[(1, 0, Fault::Kill), (2, 0, Fault::Continue)], "go on"),
        ] {
            let failure = schedule(events).unwrap_err();
            assert!(failure.to_string().contains(words), "{failure}");
            assert_eq!(failure.exit, crate::exit::Exit::Usage);
        }
        for workers in [vec![], vec![Worker::new("a", 0)], vec![Worker::new("a", 1), Worker::new("a", 1)]] {
            assert!(Schedule::new(&Experiment { workers, ..Experiment::default() }).is_err());
        }
    }
}
