//! What a configuration costs beside time, found by runs that are not timed: its memory, what one crash takes with it,
//! and how long a cancelled job goes on.

use super::group::Case;
use crate::cluster::{Private, family, send};
use crate::exit::Outcome;
use crate::job::{self, is_final, wait_until_still, wait_until_stopped};
use muster_proto::v1::{self, JobState};
use muster_worker::os::proc_file::pss_bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Looking may take this share of the time, so that many processes are looked at less often.
const LOOK_SHARE: u32 = 10;
/// Jobs of which an executor is killed.
const CRASHES: u32 = 3;
/// Jobs that are cancelled, unless somebody wants another number.
pub const CANCELS: u32 = 5;
/// From the flag to SIGKILL.
const GRACE_MS: u64 = 1_000;

/// What was found; `None`: it could not be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probed {
    pub memory: Option<Memory>,
    /// Tasks that had to run again after an executor was killed: the most of a few times.
    pub lost_by_one_crash: Option<u64>,
    /// From cancelling to the end of the last task, sorted.
    pub cancels: Vec<Duration>,
}

/// Memory of all processes of muster (PSS), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Before there was a job.
    pub base: u64,
    /// The most that was seen while it ran.
    pub peak: u64,
}

/// Runs the probes. `time`: of one run; `cancels`: jobs to cancel.
pub async fn probe(case: &Case, tasks: u64, time: Duration, cancels: u32) -> Outcome<Probed> {
    let memory = memory(case, tasks).await?;
    let lost_by_one_crash = crash(case, tasks, time).await?;
    let cancels = cancel_some(case, tasks, time, cancels).await?;
    Ok(Probed { memory, lost_by_one_crash, cancels })
}

/// How long [`probe`] takes, about.
pub fn takes(time: Duration, cancels: u32) -> Duration {
    const STARTS: Duration = Duration::from_millis(300);
    time * (1 + CRASHES) + time * cancels / 2 + STARTS
}

async fn memory(case: &Case, tasks: u64) -> Outcome<Option<Memory>> {
    let cluster = case.subject.cluster(&case.configuration).await?;
    let workers: Vec<u32> = cluster.worker_ids().collect();
    let base = all_pss(&workers);
    let watch = Watch::start(workers);
    let status = tokio::select! {
        status = case.subject.to_end(&cluster.session().link, case.spec(tasks)) => status,
        failure = cluster.lost() => Err(failure),
    };
    let peak = watch.stop();
    cluster.stop().await;
    status?;
    Ok((base > 0 && peak > 0).then_some(Memory { base, peak: peak.max(base) }))
}

/// Of this process, which holds the coordinator, of the workers and of all below them.
fn all_pss(workers: &[u32]) -> u64 {
    let below = workers.iter().flat_map(|&worker| family::descendants(worker));
    let all = below.chain(workers.iter().copied()).chain([std::process::id()]);
    all.filter_map(|pid| pss_bytes(&pid.to_string())).sum()
}

/// Looks at memory until it is stopped.
struct Watch {
    peak: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn start(workers: Vec<u32>) -> Self {
        let (peak, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, end) = (Arc::clone(&peak), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            while !end.load(SeqCst) {
                let began = Instant::now();
                seen.fetch_max(all_pss(&workers), SeqCst);
                std::thread::park_timeout(LOOK.max(began.elapsed() * LOOK_SHARE));
            }
        });
        Self { peak, ends, thread }
    }

    fn stop(self) -> u64 {
        self.ends.store(true, SeqCst);
        self.thread.thread().unpark();
        // It cannot panic; without it the peak is what was seen.
        let _ = self.thread.join();
        self.peak.load(SeqCst)
    }
}

/// Kills an executor in the middle of a run, a few times: nothing may be running just then, or be lost.
async fn crash(case: &Case, tasks: u64, time: Duration) -> Outcome<Option<u64>> {
    let cluster = case.subject.cluster(&case.configuration).await?;
    let link = cluster.session().link.clone();
    let once = async || {
        let job = case.subject.submit(&link, case.spec(tasks)).await?;
        // Not a wait for something: the middle of a run.
        tokio::time::sleep(time / 2).await;
        let killed = executor(&cluster);
        if let Some(pid) = killed {
            send(pid, libc::SIGKILL);
        }
        let status = wait_until_still(&link, job, |_| {}).await?;
        let has_crashed = killed.is_some() && status.executor_exits > 0;
        // A task that ran alone in its executor is charged with the crash, and tried again.
        let lost = Some(status.lost_tasks + status.retried).filter(|&lost| lost > 0);
        Outcome::Ok(lost.filter(|_| has_crashed && status.state() == JobState::Done))
    };
    let crashed = async {
        let mut most = None;
        for _ in 0..CRASHES {
            most = most.max(once().await?);
        }
        Ok(most)
    };
    let lost = tokio::select! {
        lost = crashed => lost,
        failure = cluster.lost() => Err(failure),
    };
    cluster.stop().await;
    lost
}

/// One of a cluster's executors.
fn executor(cluster: &Private) -> Option<u32> {
    let below = cluster.worker_ids().flat_map(family::descendants);
    let is_executor = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"muster-executor\0")
    };
    below.into_iter().find(is_executor)
}

/// Cancels jobs in the middle of a run.
async fn cancel_some(case: &Case, tasks: u64, time: Duration, count: u32) -> Outcome<Vec<Duration>> {
    let cluster = case.subject.cluster(&case.configuration).await?;
    let mut times = Vec::new();
    let tried = async {
        for _ in 0..count {
            times.extend(cancel(&cluster, case, tasks, time).await?);
        }
        Ok(())
    };
    let tried = tokio::select! {
        tried = tried => tried,
        failure = cluster.lost() => Err(failure),
    };
    cluster.stop().await;
    tried?;
    times.sort();
    Ok(times)
}

/// How long tasks went on after they were told to stop; `None`: none ran.
async fn cancel(cluster: &Private, case: &Case, tasks: u64, time: Duration) -> Outcome<Option<Duration>> {
    let link = &cluster.session().link;
    let limits = Some(v1::Limits { grace_ms: GRACE_MS, ..Default::default() });
    let spec = v1::JobSpec { limits, ..case.spec(tasks) };
    let number = case.subject.submit(link, spec).await?;
    // Not a wait for something: the middle of a run.
    tokio::time::sleep(time / 2).await;
    if is_final(&job::status(link, number).await?) {
        return Ok(None);
    }
    let status = wait_until_stopped(link, job::cancel(link, number).await?).await?;
    let stopped = status.stopped.filter(|it| it.asked + it.terminated + it.killed > 0);
    Ok(stopped
        .filter(|_| status.state() == JobState::Cancelled)
        .map(|it| Duration::from_nanos(it.longest_ns)))
}
