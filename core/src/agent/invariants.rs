//! All records of the agent compared with each other. Simulation and tests call this after each step.

use super::Agent;

impl Agent {
    /// Panics when the agent's own records disagree: a bug in the agent, never in its callers.
    pub fn check_invariants(&self) {
        for (id, lease) in self.leases.iter() {
            let job = self.jobs.get(&lease.job).expect("a lease belongs to a job that is here");
            assert!(!job.closing, "{id} belongs to a job that is over");
            assert!(!lease.outstanding.is_empty(), "{id} owes nothing and is still there");
        }
        for (id, job) in self.jobs.iter() {
            for piece in &job.waiting {
                assert!(self.leases.contains_key(&piece.lease), "{id}: a piece without a lease waits");
            }
            assert!(!job.closing || job.places.iter().any(Option::is_some), "{id} is over and still there");
            for (place, executor) in job.places.iter().enumerate() {
                let Some(executor) = executor else { continue };
                let seat =
                    self.executor_states().find(|(other, _)| other == executor).and_then(|(_, seat)| seat);
                assert_eq!(seat, Some((*id, place)), "{executor} sits elsewhere");
            }
            assert_eq!(self.turns.contains(id), job.has_tasks(), "{id} is in the wrong queue for slots");
        }
        for (id, seat) in self.executor_states() {
            if let Some((job, place)) = seat {
                let at = self.jobs.get(&job).and_then(|job| job.places.get(place)).copied().flatten();
                assert_eq!(at, Some(id), "{id} has no place");
            }
        }
    }
}
