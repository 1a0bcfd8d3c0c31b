//! `--explain`: before, what will run where; after, where the time went and which flag would help most.

use super::table::{number, pairs, seconds};
use super::times::{busy_share, sketch};
use super::words::shape;
use muster_core::shape::Shape;
use muster_proto::hex;
use muster_proto::v1;

/// Slots busier than this have nothing left to give.
const BUSY_ENOUGH: f64 = 0.9;
/// A job that had its slots for less of the time than this waited for others.
const HAD_FEW: f64 = 0.5;
/// Tasks shorter than this are mostly overhead.
const TINY_NS: f64 = 1_000.0;
/// In a job shorter than this, start and end show.
const SHORT_JOB_S: f64 = 1.0;

/// What is known before a job runs.
#[derive(Debug)]
pub struct Before<'a> {
    pub plugin: &'a v1::PluginRef,
    pub cluster: &'a str,
    pub workers: u32,
    /// In words.
    pub model: String,
    pub shape: Shape,
    pub slots: u32,
    pub tasks: Option<u64>,
    pub policy: String,
}

/// What will run where.
pub fn before(facts: &Before<'_>) -> String {
    let slots = facts.slots;
    let leases = "ranges of tasks, cut and handed out as the policy says; held for 10 s, renewed by heartbeat; claims \
                  of about 1 ms";
    pairs(&[
        ("plugin", format!("{} {}", facts.plugin.name, facts.plugin.version)),
        ("digest", hex(&facts.plugin.digest)),
        ("cluster", facts.cluster.to_owned()),
        ("model", facts.model.clone()),
        ("shape", shape(facts.workers, facts.shape.processes, facts.shape.threads)),
        ("slots", format!("{slots} in all")),
        ("tasks", facts.tasks.map_or_else(|| "as inputs come".to_owned(), number)),
        ("leases", leases.to_owned()),
        ("policy", facts.policy.clone()),
    ])
}

/// Where the time went: the phases of a task, and what the slots did. `is_shared`: other jobs may have had them, too.
pub fn where_time_went(status: &v1::JobStatus, is_shared: bool) -> String {
    let phase = |message: Option<&v1::Sketch>, what: &str| {
        let sketch = sketch(message);
        match sketch.mean() {
            Some(mean) => {
                let mean = format!("{} mean", seconds(mean.0 as f64 / 1e9));
                let p99 = sketch
                    .supported_quantile(0.99)
                    .map(|time| format!(", p99 {}", seconds(time.0 as f64 / 1e9)));
                mean + &p99.unwrap_or_default() + what
            }
            None => "not seen: no sample in a job this short".to_owned(),
        }
    };
    let busy = busy_share(status);
    let share = |share: Option<f64>| {
        share
            .map_or_else(|| "not known".to_owned(), |s| format!("{:.1} % of the slot time it had", s * 100.0))
    };
    let rest = if is_shared { "other jobs', or its start and end" } else { "its start and end" };
    let had = had_share(status).map_or_else(
        || "not known".to_owned(),
        |had| format!("{:.1} % of its slots' wall time; the rest was {rest}", had * 100.0),
    );
    pairs(&[
        ("queue", phase(status.queue.as_ref(), " from submitted to leased")),
        ("dispatch", phase(status.dispatch.as_ref(), " from leased to started")),
        ("run", format!("{}; {}", phase(status.run.as_ref(), ""), share(busy))),
        ("report", phase(status.report.as_ref(), " from done to sent")),
        ("idle", share(busy.map(|busy| 1.0 - busy))),
        ("had", had),
        (
            "leases",
            format!(
                "{}, {} to {} tasks",
                number(status.leases),
                number(status.lease_tasks_min),
                number(status.lease_tasks_max)
            ),
        ),
        ("try", help_most(status, is_shared).to_owned()),
    ])
}

/// The share of its slots' wall time in which the job had tasks there.
fn had_share(status: &v1::JobStatus) -> Option<f64> {
    let wall_ns = status.wall_s * 1e9 * f64::from(status.slots);
    (wall_ns > 0.0 && status.slot_ns > 0).then(|| (status.slot_ns as f64 / wall_ns).min(1.0))
}

/// What is most likely to help.
fn help_most(status: &v1::JobStatus, is_shared: bool) -> &'static str {
    let done = (status.ok + status.failed).max(1);
    let slots = u64::from(status.slots);
    let task_ns = status.busy_ns as f64 / done as f64;
    let inputs = status.spec.as_ref().is_some_and(|spec| spec.has_inputs);
    let thread = status.spec.as_ref().and_then(|spec| spec.shape).is_none_or(|shape| shape.processes <= 1);
    if status.executor_exits > 0 && thread {
        return "--model process: executors died, and then a crash takes one task with it";
    }
    let waited = had_share(status).is_some_and(|had| had < HAD_FEW) && status.wall_s >= SHORT_JOB_S;
    if is_shared && waited && !inputs {
        return "--priority or --weight, or more workers: other jobs had the slots most of the time";
    }
    let busy = busy_share(status).unwrap_or(0.0);
    if busy >= BUSY_ENOUGH && !is_shared {
        return "a cluster of several machines (muster coordinator start): the slots were busy nearly all the time";
    }
    if busy >= BUSY_ENOUGH {
        return "more workers (worker start --join, on other machines): the slots were busy nearly all the time";
    }
    if done < slots * 4 {
        return if inputs {
            "--chunk with a smaller size: there were too few tasks to keep all slots busy"
        } else {
            "-n with a larger number of smaller tasks: there were too few to keep all slots busy"
        };
    }
    if task_ns < TINY_NS {
        return if inputs {
            "--chunk with a larger size: tasks are so short that moving them costs more than running them"
        } else {
            "a parameter that makes tasks larger: they are so short that their bookkeeping shows"
        };
    }
    if inputs {
        "--chunk with another size: reading and sending inputs held the slots up"
    } else if status.spec.as_ref().is_some_and(|spec| spec.arrivals.is_some()) {
        "a higher --rate, when more load is of interest: slots waited for tasks to arrive"
    } else if status.wall_s < SHORT_JOB_S {
        "-n with more tasks: the job was so short that its start and its end weigh"
    } else {
        "-n with more, smaller tasks: slots ran dry while others still had work"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(tasks: u64, busy_ns: u64, slot_ns: u64) -> v1::JobStatus {
        v1::JobStatus {
            ok: tasks,
            busy_ns,
            slot_ns,
            workers: 1,
            processes: 1,
            threads: 2,
            slots: 2,
            ..Default::default()
        }
    }

    #[test]
    fn advice_follows_from_the_numbers() {
        assert!(help_most(&status(1000, 99, 100), true).starts_with("more workers"));
        assert!(!help_most(&status(1000, 99, 100), false).contains("worker start"));
        assert!(help_most(&status(3, 50, 100), true).starts_with("-n"));
        assert!(help_most(&status(1_000_000, 50_000_000, 100_000_000), true).contains("larger"));
        let arrivals = Some(v1::Arrivals::default());
        let spec = Some(v1::JobSpec { arrivals, ..Default::default() });
        let open = v1::JobStatus { spec, ..status(1000, 50_000_000_000, 100_000_000_000) };
        assert!(help_most(&open, true).contains("--rate"), "{}", help_most(&open, true));
        let crashed = v1::JobStatus { executor_exits: 1, ..status(1000, 99, 100) };
        assert!(help_most(&crashed, true).starts_with("--model process"));
    }

    #[test]
    fn what_other_jobs_had_is_told_from_what_was_idle() {
        let behind = v1::JobStatus { wall_s: 2.0, ..status(1000, 399_000_000, 400_000_000) };
        // Lines are broken anywhere.
        let text = where_time_went(&behind, true).split_whitespace().collect::<Vec<_>>().join(" ");
        for words in
            ["99.8 % of the slot time it had", "10.0 % of its slots' wall time", "other jobs'", "--priority"]
        {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        assert!(!where_time_went(&behind, false).contains("other jobs"));
    }

    #[test]
    fn it_fits_the_width() {
        let text = where_time_went(&status(1000, 99, 100), true);
        assert!(text.contains("not seen: no sample in a job this short\n"), "{text}");
        let width = crate::terminal::columns();
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
    }
}
