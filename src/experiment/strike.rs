//! One job of the plugin `chaos` in which one task is struck, and what became of all of them.

use super::shape::Shape;
use crate::bench::Bench;
use crate::cluster::{Private, TempFolder};
use crate::exit::{Exit, Failure, Outcome};
use crate::plugin::PluginFile;
use crate::summary::state_name;
use crate::trace::{Event, Trace};
use crate::trial::{Ran, Trial};
use muster_proto::v1::{JobState, Limits};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub const TASKS: u64 = 40;
/// The one that is struck, in its first attempt.
const STRUCK: u64 = 17;
/// Jobs until one is struck.
const TRIES: u32 = 3;

/// What strikes.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The mode of `chaos`.
    pub name: &'static str,
    /// How long the work of each task takes.
    pub ms: u64,
    /// 0: no limit.
    pub timeout_ms: u64,
    /// From the end of that time to SIGKILL, SIGTERM at half of it.
    pub grace_ms: u64,
    /// Of each executor; 0: no limit.
    pub memory_bytes: u64,
    /// Other parameters of `chaos`.
    pub params: &'static [(&'static str, u64)],
}

impl Fault {
    /// Without limits.
    pub const fn new(name: &'static str) -> Self {
        Self { name, ms: 10, timeout_ms: 0, grace_ms: 0, memory_bytes: 0, params: &[] }
    }

    /// What never ends by itself: others have work for as long as that takes.
    pub const fn endless(name: &'static str) -> Self {
        Self { ms: 80, timeout_ms: 300, grace_ms: 200, ..Self::new(name) }
    }
}

/// What came of a job.
#[derive(Clone, Debug)]
pub struct Struck {
    /// Its state, and in brackets why it is so, when it did not end well.
    pub job: String,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Executors that ended.
    pub exits: u64,
    /// Attempts of the task that was struck.
    pub attempts: u64,
    /// How often others ran again.
    pub rerun: u64,
    /// Results of others that are not there, or not right.
    pub wrong: u64,
    /// From the strike until the worker said that the executor had ended, in seconds.
    pub noticed: Option<f64>,
    /// From the strike until a task began where it had struck: in a process that took the place of the one that ended, else
    /// on the same thread. `None`: nothing was left to do there.
    pub again: Option<f64>,
}

/// A job, what its tasks wrote down, and what the worker logged meanwhile.
struct Job {
    ran: Ran,
    trace: Trace,
    log: String,
}

/// A cluster on which jobs are struck, one after the other: what one leaves behind is in the way of the next.
pub struct Site {
    pub trial: Trial,
    folder: TempFolder,
    worker: Option<u32>,
}

impl Site {
    /// Starts a worker with so many slots, whose log goes to a file.
    pub async fn start(chaos: &PluginFile, slots: u32) -> Outcome<Self> {
        let folder = TempFolder::new()?;
        let cluster = Private::start_logged(slots, &folder.path().join("log")).await?;
        Bench::new(&cluster).all_workers_up(1).await?;
        let worker = cluster.worker_ids().next();
        Ok(Self { trial: Trial::on(cluster, chaos).await?, folder, worker })
    }

    /// Ends it at once.
    pub async fn stop(self) {
        self.trial.stop(true).await;
    }

    /// Where the next job's tasks write down what they do; nothing is there yet.
    pub fn trace(&self) -> PathBuf {
        let path = self.folder.path().join("trace");
        // Without a job before there is none.
        let _ = std::fs::remove_file(&path);
        path
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a job whose task is struck. One that was not, because a busy machine let its time run out before, does not count.
    pub async fn strike(&self, fault: &Fault, shape: &Shape) -> Outcome<Struck> {
        for _ in 1..TRIES {
            let ran = self.run(fault, shape).await?;
            if let Some(struck) = Self::struck(&ran, shape) {
                return Ok(struck);
            }
        }
        let ran = self.run(fault, shape).await?;
        Self::struck(&ran, shape).ok_or_else(|| {
            let (fault, shape, failed) = (fault.name, &shape.name, ran.ran.status.failed);
            let why = ran.ran.status.first_failures.first().map_or("", |first| first.message.as_str());
            let what = format_args!("{fault} under {shape}: no task was struck, and {failed} failed: {why}");
            Failure::new(Exit::Job, what)
                .hint("see with `muster doctor` whether this machine is busy with something else")
        })
    }

    async fn run(&self, fault: &Fault, shape: &Shape) -> Outcome<Job> {
        let (path, logged) = (self.trace(), self.log().len());
        let mut params = json!({
            "mode": fault.name, "ms": fault.ms, "after": STRUCK, "every": 1_000_000, "times": 1, "trace": path,
        });
        for &(name, value) in fault.params {
            params[name] = Value::from(value);
        }
        let mut job = shape.job(&params, TASKS);
        job.limits = Some(Limits {
            timeout_ms: fault.timeout_ms,
            grace_ms: fault.grace_ms,
            memory_bytes: fault.memory_bytes,
            ..Default::default()
        });
        let ran = self.trial.run(job, None).await?;
        Ok(Job { ran, trace: Trace::read(&path), log: self.log().split_off(logged) })
    }

    fn struck(Job { ran, trace, log }: &Job, shape: &Shape) -> Option<Struck> {
        let strike = trace.of("strike").next()?;
        Some(Struck {
            job: ended(ran),
            failed: ran.status.failed,
            exits: ran.status.executor_exits,
            attempts: trace.of("begin").filter(|event| event.index == STRUCK).count() as u64,
            rerun: trace.rerun_beside(STRUCK) as u64,
            wrong: wrong(ran),
            noticed: noticed(log, strike),
            again: again(trace, strike, ran.status.executor_exits > 0 || shape.is_spawn()),
        })
    }

    /// Whether the worker is the one that was started.
    pub fn is_whole(&self) -> bool {
        self.trial.cluster().worker_ids().next() == self.worker
            && self.worker.is_some_and(|pid| muster_worker::os::process::start_time(pid).is_some())
    }

    /// Waits until so many tasks have written down that they do this; `None`: they did not in time.
    pub async fn until(&self, path: &std::path::Path, kind: &str, count: u64, limit: Duration) -> Option<()> {
        const LOOK: Duration = Duration::from_millis(1);
        let all = async {
            while (Trace::read(path).of(kind).count() as u64) < count {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(limit, all).await.ok()
    }
}

fn ended(ran: &Ran) -> String {
    let state = state_name(ran.status.state());
    if ran.status.state() == JobState::Done {
        state.to_owned()
    } else {
        format!("{state} ({})", ran.status.reason)
    }
}

/// Each task but the one that was struck gives its own number.
fn wrong(ran: &Ran) -> u64 {
    let is_right = |index: u64| {
        let mut of = ran.results.iter().filter(|result| result.0 == index);
        of.next().is_some_and(|result| result.1[..] == index.to_le_bytes()) && of.next().is_none()
    };
    (0..TASKS).filter(|&index| index != STRUCK && !is_right(index)).count() as u64
}

fn noticed(log: &str, struck: &Event) -> Option<f64> {
    let line = log.lines().find(|line| line.contains("an executor ended"))?;
    let at = unix_ns(line.split_whitespace().next()?)?;
    Some((at as f64 - struck.unix_ns as f64) / 1e9)
}

fn again(trace: &Trace, struck: &Event, elsewhere: bool) -> Option<f64> {
    let before: BTreeSet<u64> =
        trace.events.iter().filter(|event| event.unix_ns <= struck.unix_ns).map(|event| event.pid).collect();
    let takes_over = |event: &&Event| match elsewhere {
        true => !before.contains(&event.pid),
        false => event.pid == struck.pid && event.slot == struck.slot,
    };
    let next = trace.of("begin").filter(|event| event.unix_ns > struck.unix_ns).find(takes_over)?;
    Some((next.unix_ns - struck.unix_ns) as f64 / 1e9)
}

/// The nanoseconds since 1970 of a time as logs have it: `2026-01-31T23:59:59.123456Z`.
fn unix_ns(text: &str) -> Option<u64> {
    let numbers: Vec<u64> = text
        .trim_end_matches('Z')
        .split(['-', 'T', ':', '.'])
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day, hour, minute, second, fraction] = numbers[..] else { return None };
    // Years begin in March, so that the odd day is at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    let digits = text.trim_end_matches('Z').rsplit_once('.')?.1.len();
    Some(
        (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000
            + fraction * 10_u64.pow(9_u32.checked_sub(digits as u32)?),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs_are_read() {
        assert_eq!(unix_ns("1970-01-01T00:00:00.000001Z"), Some(1_000));
        assert_eq!(unix_ns("2024-02-29T12:00:00.5Z"), Some(1_709_208_000_500_000_000));
        assert_eq!(unix_ns("nothing"), None);
    }
}
