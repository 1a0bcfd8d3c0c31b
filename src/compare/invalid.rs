//! Why a row's numbers do not mean what they say.

use super::latency::merged;
use super::machine::Interference;
use super::sample::Sample;
use crate::statistics::median;
use crate::summary::{fell_behind, seconds, secs};

/// So much may be stolen or throttled.
pub const STOLEN_MAX: f64 = 0.02;
/// So much may others use; the kernel counts processor time in ticks, which is not exact for short runs.
pub const OTHERS_MAX: f64 = 0.05;
/// Processors that the coordinator may keep busy: it has more threads than one, but one of them does most.
const COORDINATOR_MAX: f64 = 0.8;

/// The reasons beside [`disturbances`].
pub fn faults(samples: &[Sample], is_wrong: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    let coordinator: Vec<f64> = samples.iter().map(|sample| sample.coordinator).collect();
    let coordinator = median(&coordinator).unwrap_or(0.0);
    if coordinator > COORDINATOR_MAX {
        reasons.push(format!("the coordinator was busy for {:.0} % of the time", coordinator * 100.0));
    }
    if samples.iter().any(|sample| sample.is_shared) {
        reasons.push("other jobs were on the cluster".to_owned());
    }
    reasons.extend(late(samples));
    if is_wrong {
        reasons.push("its outputs are not those of the first run".to_owned());
    }
    reasons
}

/// What else used the machine, where that was too much.
pub fn disturbances(interference: &Interference) -> Vec<String> {
    let shares = [
        (interference.stolen, STOLEN_MAX, "the machine's host took"),
        (interference.throttled, STOLEN_MAX, "a cgroup's limit held back"),
        (interference.others, OTHERS_MAX, "other processes used"),
    ];
    let too_much = shares.into_iter().filter(|(share, most, _)| share > most);
    too_much.map(|(share, _, what)| format!("{what} {:.1} % of the processors", share * 100.0)).collect()
}

/// The load generator: tasks began late although a slot was free.
fn late(samples: &[Sample]) -> Option<String> {
    let lag = merged(samples, |sample| &sample.start_lag);
    let is_late = lag.count() > 0 && fell_behind(&lag, &merged(samples, |sample| &sample.latencies));
    let mean = lag.mean().map(|mean| seconds(secs(mean))).unwrap_or_default();
    is_late.then(|| {
        format!("the load generator fell behind: tasks began {mean} late on average though a slot was free")
    })
}

/// Whether a row could not keep up with the arrivals of its tasks: in half of its runs or more.
pub fn is_overloaded(samples: &[Sample]) -> bool {
    let outran = samples.iter().filter(|sample| sample.outran).count();
    outran > 0 && 2 * outran >= samples.len()
}
