//! A smaller run that goes wrong in the same way.

use super::fault::{Fault, Faults};
use super::params::Params;
use super::report::Report;
use super::{Options, run};

/// Runs that a search may take.
const RUNS_MAX: u32 = 400;

/// Looks for smaller parameters with which the same checker sees a violation: fewer workers, jobs, tasks and kinds of
/// faults, and less time for them. Greedy: whatever still fails is kept and made smaller again.
#[must_use]
pub fn shrink(report: &Report, options: Options) -> Report {
    let options = options.with_trace(None);
    let Some(checker) = report.violation.as_ref().map(|violation| violation.checker) else {
        return report.clone();
    };
    let mut best = report.clone();
    let mut runs = 0;
    loop {
        let found = smaller(&best.params).into_iter().find_map(|params| {
            runs += 1;
            let report = (runs <= RUNS_MAX).then(|| run(best.seed, &params, options))?;
            report.violation.as_ref().is_some_and(|violation| violation.checker == checker).then_some(report)
        });
        match found {
            Some(report) => best = report,
            None => return best,
        }
    }
}

/// Parameters that are smaller in one respect, the largest steps first.
fn smaller(params: &Params) -> Vec<Params> {
    let mut found = Vec::new();
    let mut push = |other: Params| {
        if other != *params {
            found.push(other);
        }
    };
    push(Params { faults: Faults::default(), ..*params });
    for &fault in Fault::ALL.iter().filter(|&&fault| params.faults.has(fault)) {
        push(Params { faults: params.faults.without(fault), ..*params });
    }
    for jobs in [1, params.jobs / 2, params.jobs - 1] {
        push(Params { jobs: jobs.clamp(1, params.jobs), ..*params });
    }
    for workers in [1, params.workers / 2, params.workers - 1] {
        push(Params { workers: workers.clamp(1, params.workers), ..*params });
    }
    for tasks in [1, params.tasks / 2, params.tasks.saturating_sub(1)] {
        push(Params { tasks: tasks.clamp(1.min(params.tasks), params.tasks), ..*params });
    }
    let length = params.until_ms.saturating_sub(params.from_ms);
    push(Params { until_ms: params.until_ms - length / 2, ..*params });
    push(Params { from_ms: params.from_ms + length / 2, ..*params });
    push(Params { until_ms: params.until_ms - length / 10, ..*params });
    found
}
