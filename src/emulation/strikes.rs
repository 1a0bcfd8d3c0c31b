//! The faults of a scenario as events: the same instants and the same workers as in its simulation.

use super::experiment::{Event, Fault};
use muster_core::time::Span;
use muster_sim::cluster::{Chance, SLOWNESS_MAX};
use muster_sim::scenario::{self, FaultKind, Scenario, Target, When};
use muster_worker::emulation::Direction;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events of one run; more would keep the runner from the rest of its work.
pub(super) const EVENTS_MAX: usize = 20_000;

/// What faults do to the workers of a scenario, up to a point in time.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    /// In the order in which they happen.
    pub events: Vec<Event>,
    /// The group of each worker; those behind the first ones join later.
    pub groups: Vec<usize>,
    /// What stragglers take longer from the start.
    pub factors: Vec<f64>,
    /// There were more than [`EVENTS_MAX`].
    pub too_many: bool,
    /// Faults that come again and again would go on.
    pub go_on: bool,
    members: Vec<Member>,
    due: BinaryHeap<Reverse<(Span, u64, Due)>>,
    numbers: u64,
}

#[derive(Debug)]
struct Member {
    group: usize,
    /// Faults may hit it.
    up: bool,
    stands_until: Option<Span>,
    /// Rises with every crash.
    life: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Strike { fault: usize, struck: u64 },
    Restart { worker: usize },
    GoOn { worker: usize, life: u32 },
}

impl Strikes {
    /// All that happens until `end`. Faults must be of kinds that can be emulated.
    pub fn until(end: Span, scenario: &Scenario, seed: u64) -> Self {
        let mut strikes = Self::default();
        for (group, workers) in scenario.workers.iter().enumerate() {
            (0..workers.count).for_each(|_| strikes.add(group));
        }
        for fault in 0..scenario.faults.len() {
            strikes.plan(Span::ZERO, scenario, seed, fault, 0);
        }
        while let Some(Reverse((at, _, due))) = strikes.due.pop() {
            if at > end || strikes.events.len() > EVENTS_MAX {
                strikes.go_on |= matches!(due, Due::Strike { .. });
                strikes.too_many |= at <= end;
                // What stands still goes on, however late.
                if matches!(due, Due::GoOn { .. }) {
                    strikes.happen(at, due, scenario, seed);
                }
                continue;
            }
            strikes.happen(at, due, scenario, seed);
        }
        strikes
    }

    fn happen(&mut self, at: Span, due: Due, scenario: &Scenario, seed: u64) {
        match due {
            Due::Strike { fault, struck } => {
                self.strike(at, scenario, seed, fault, struck);
                self.plan(at, scenario, seed, fault, struck + 1);
            }
            Due::Restart { worker } => {
                self.members[worker].up = true;
                self.note(at, worker, Fault::Start);
            }
            Due::GoOn { worker, life } => {
                let member = &mut self.members[worker];
                if member.life == life && member.stands_until == Some(at) {
                    member.stands_until = None;
                    self.note(at, worker, Fault::Continue);
                }
            }
        }
    }

    /// When a fault strikes next.
    fn plan(&mut self, now: Span, scenario: &Scenario, seed: u64, fault: usize, struck: u64) {
        let at = match scenario.faults[fault].when {
            When::At(at) if struck == 0 => at,
            When::At(_) => return,
            When::Every(mean) => {
                let target = scenario.faults[fault].kind.target();
                let hit = target.map_or(1, |target| self.candidates(target).len());
                // Nobody is there to be hit, nor ever will be.
                if hit == 0 && !self.somebody_comes(scenario) {
                    return;
                }
                now + Chance::of(seed, fault).gap(struck, mean, hit)
            }
        };
        self.push(at, Due::Strike { fault, struck });
    }

    /// Whether a worker that is not there may come.
    fn somebody_comes(&self, scenario: &Scenario) -> bool {
        self.due.iter().any(|Reverse((.., due))| match due {
            Due::Restart { .. } => true,
            Due::Strike { fault, .. } => matches!(scenario.faults[*fault].kind, FaultKind::Join { .. }),
            Due::GoOn { .. } => false,
        })
    }

    fn strike(&mut self, at: Span, scenario: &Scenario, seed: u64, fault: usize, struck: u64) {
        let scenario::Fault { kind, when } = &scenario.faults[fault];
        if let FaultKind::Join { group, count } = kind {
            for _ in 0..*count {
                self.add(*group);
                self.note(at, self.members.len() - 1, Fault::Start);
            }
        }
        let Some(target) = kind.target() else { return };
        for worker in chosen(self.candidates(target), Chance::of(seed, fault), struck, *when, target) {
            self.hit(at, worker, kind);
        }
    }

    fn hit(&mut self, at: Span, worker: usize, kind: &FaultKind) {
        match *kind {
            FaultKind::WorkerCrash { restart, .. } => {
                let member = &mut self.members[worker];
                (member.up, member.stands_until) = (false, None);
                member.life += 1;
                self.note(at, worker, Fault::Kill);
                if let Some(restart) = restart {
                    self.push(at + restart, Due::Restart { worker });
                }
            }
            FaultKind::Pause { length, .. } => {
                let member = &mut self.members[worker];
                let (until, life) = (at + length, member.life);
                match member.stands_until {
                    Some(longer) if longer >= until => return,
                    Some(_) => member.stands_until = Some(until),
                    None => {
                        member.stands_until = Some(until);
                        self.note(at, worker, Fault::Stop);
                    }
                }
                self.push(until, Due::GoOn { worker, life });
            }
            FaultKind::Partition { direction, length, .. } => {
                let direction = match direction {
                    scenario::Direction::Both => Direction::Both,
                    scenario::Direction::ToWorkers => Direction::ToWorker,
                    scenario::Direction::ToCoordinator => Direction::ToCoordinator,
                };
                self.note(at, worker, Fault::Cut { length: length.into(), direction });
            }
            FaultKind::Straggler { factor, .. } => {
                self.factors[worker] = (self.factors[worker] * factor).min(SLOWNESS_MAX);
            }
            FaultKind::Leave { .. } => {
                self.members[worker].up = false;
                self.note(at, worker, Fault::Leave);
            }
            FaultKind::Join { .. }
            | FaultKind::ExecutorCrash { .. }
            | FaultKind::CoordinatorCrash { .. }
            | FaultKind::Poison { .. }
            | FaultKind::ClockDrift { .. } => {}
        }
    }

    fn add(&mut self, group: usize) {
        self.groups.push(group);
        self.factors.push(1.0);
        self.members.push(Member { group, up: true, stands_until: None, life: 0 });
    }

    fn candidates(&self, target: Target) -> Vec<u32> {
        let members = self.members.iter().enumerate();
        let hit =
            members.filter(|(_, member)| member.up && target.group.is_none_or(|group| member.group == group));
        hit.map(|(worker, _)| worker as u32).collect()
    }

    fn note(&mut self, at: Span, worker: usize, fault: Fault) {
        self.events.push(Event { at: at.into(), worker, fault });
    }

    fn push(&mut self, at: Span, due: Due) {
        self.numbers += 1;
        self.due.push(Reverse((at, self.numbers, due)));
    }
}

fn chosen(candidates: Vec<u32>, chance: Chance, struck: u64, when: When, target: Target) -> Vec<usize> {
    let chosen = match (when, target.count) {
        (When::Every(_), _) => chance.choose(struck, candidates, 1),
        (When::At(_), Some(count)) => chance.choose(struck, candidates, count as usize),
        (When::At(_), None) => candidates,
    };
    chosen.into_iter().map(|worker| worker as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::time::Time;
    use std::path::Path;

    fn scenario(faults: &str) -> Scenario {
        let text = format!(
            "workers = [{{ count = 4 }}]\njobs = [{{ tasks = 4000, time = {{ const = \"10ms\" }} }}]\n{faults}"
        );
        Scenario::parse(&text, "test.toml", Path::new(""), &[]).unwrap()
    }

    fn strikes(faults: &str, ms: u64) -> Vec<(u64, usize, Fault)> {
        let strikes = Strikes::until(Span::from_millis(ms), &scenario(faults), 7);
        let events = strikes.events.iter();
        events.map(|event| (event.at.as_millis() as u64, event.worker, event.fault)).collect()
    }

    #[test]
    fn pauses_that_overlap_are_one_and_end_with_a_crash() {
        let pauses = "[[faults]]\nkind = \"pause\"\nat = \"100ms\"\nlength = \"300ms\"\n\
                      [[faults]]\nkind = \"pause\"\nat = \"200ms\"\nlength = \"300ms\"\n";
        let found = strikes(pauses, 10_000);
        assert_eq!(found.len(), 8);
        assert_eq!((found[0], found[4]), ((100, 0, Fault::Stop), (500, 0, Fault::Continue)));
        let crash = "[[faults]]\nkind = \"worker_crash\"\nat = \"300ms\"\nrestart = \"50ms\"\n";
        let found = strikes(&format!("{pauses}{crash}"), 10_000);
        let of_first: Vec<_> =
            found.iter().filter(|event| event.1 == 0).map(|event| (event.0, event.2)).collect();
        assert_eq!(of_first, [(100, Fault::Stop), (300, Fault::Kill), (350, Fault::Start)]);
    }

    #[test]
    fn who_joins_is_behind_the_others_and_may_be_hit() {
        let faults = "[[faults]]\nkind = \"join\"\nat = \"1s\"\ncount = 2\n\
                      [[faults]]\nkind = \"worker_crash\"\nat = \"2s\"\n\
                      [[faults]]\nkind = \"leave\"\nat = \"500ms\"\ncount = 1\n";
        let found = strikes(faults, 10_000);
        assert_eq!(found.iter().filter(|event| event.2 == Fault::Leave).count(), 1);
        assert_eq!([found[1], found[2]], [(1_000, 4, Fault::Start), (1_000, 5, Fault::Start)]);
        assert_eq!(found.iter().filter(|event| event.2 == Fault::Kill).count(), 5, "not who left: {found:?}");
    }

    #[test]
    fn faults_end_with_the_workers_that_they_could_hit() {
        let crash = "[[faults]]\nkind = \"worker_crash\"\nevery = \"1ns\"\n";
        let found = strikes(crash, 10_000);
        assert_eq!((found.len(), found[3].0), (4, 0), "{found:?}");
    }

    #[test]
    fn faults_that_come_again_are_those_of_the_simulation() {
        let faults = "[[faults]]\nkind = \"worker_crash\"\nevery = \"2s\"\nrestart = \"700ms\"\n\
                      [[faults]]\nkind = \"pause\"\nevery = \"3s\"\nlength = \"100ms\"\n";
        let scenario = scenario(faults);
        for seed in 1..6 {
            let report = muster_sim::cluster::Cluster::new(scenario.clone(), seed).run(|| false);
            let struck = report.measures.faults.clone();
            let ended = report.jobs[0].ended.unwrap().since(Time::ZERO);
            let strikes = Strikes::until(ended, &scenario, seed);
            let count = |fault| strikes.events.iter().filter(|event| event.fault == fault).count() as u64;
            assert_eq!(count(Fault::Kill), struck["worker_crash"], "seed {seed}");
            assert!(count(Fault::Kill) > 5 && strikes.go_on);
            // Some pauses hit who stands still already.
            assert!((1..=struck["pause"]).contains(&count(Fault::Stop)), "seed {seed}");
        }
    }

    #[test]
    fn there_is_an_end_of_events() {
        let scenario = scenario("[[faults]]\nkind = \"pause\"\nevery = \"1ms\"\nlength = \"0.1ms\"\n");
        let strikes = Strikes::until(Span::from_millis(3_600_000), &scenario, 1);
        assert!(strikes.too_many && strikes.events.len() < EVENTS_MAX + 10);
        let count = |fault| strikes.events.iter().filter(|event| event.fault == fault).count();
        assert_eq!(count(Fault::Stop), count(Fault::Continue), "nobody stands still for ever");
    }
}
