//! One run: the jobs are submitted, the schedule is followed, the end is seen.

use super::cluster::Cluster;
use super::experiment::{Experiment, Job};
use super::outcome::{JobRun, Run};
use super::schedule::{Action, Step};
use crate::cluster::clients;
use crate::command::{push, up_workers};
use crate::exit::{Exit, Failure};
use crate::input::Names;
use crate::interrupt::Interrupt;
use crate::job::{ShapePlan, is_final, submit, take, wait_until_final};
use crate::output::{Sink, Target};
use crate::plugin::{Located, PluginFailure, PluginFile, Searched, locate};
use crate::summary::hex;
use futures_util::future::try_join_all;
use muster_plugin_host::from_pairs;
use muster_proto::link::Link;
use muster_proto::v1;
use muster_worker::os::monotonic_ns;
use muster_worker::os::timer::PreciseTimer;
use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long workers may take to attach, beside their links.
const ATTACH_LIMIT: Duration = Duration::from_secs(20);
/// How often is asked whether they have.
const ATTACH_POLL: Duration = Duration::from_millis(2);
/// How often workers that were to leave while they were lost are told again.
const STRAYS_POLL: Duration = Duration::from_millis(20);

/// Jobs that are ready to be submitted, as often as wanted, and what their runs have in common.
pub(super) struct Prepared {
    jobs: Vec<PreparedJob>,
    names: Vec<String>,
    present: u32,
    limit: Duration,
    attach_limit: Duration,
}

struct PreparedJob {
    name: String,
    submit_at: Duration,
    plugin: Box<PluginFile>,
    has_plugin: bool,
    spec: v1::JobSpec,
    out: Option<Target>,
}

impl Prepared {
    /// Builds plugins that are folders, and checks each job with its plugin.
    pub async fn new(experiment: &Experiment, interrupt: &mut Interrupt) -> Result<Self, Failure> {
        if experiment.jobs.is_empty() {
            return Err(Failure::usage("an emulation needs at least one job"));
        }
        let mut jobs = Vec::with_capacity(experiment.jobs.len());
        for job in &experiment.jobs {
            jobs.push(PreparedJob::new(job, interrupt).await?);
        }
        let workers = &experiment.workers;
        let slowest = workers.iter().map(|worker| worker.link.latency + worker.link.jitter).max();
        Ok(Self {
            jobs,
            names: workers.iter().map(|worker| worker.name.clone()).collect(),
            present: u32::try_from(workers.iter().filter(|worker| worker.is_present).count())
                .unwrap_or(u32::MAX),
            limit: experiment.limit,
            attach_limit: ATTACH_LIMIT + 10 * slowest.unwrap_or_default(),
        })
    }
}

impl PreparedJob {
    async fn new(job: &Job, interrupt: &mut Interrupt) -> Result<Self, Failure> {
        let plugin = match locate(&job.plugin, interrupt).await? {
            Located::Here(plugin) => plugin,
            Located::Registered(query) => {
                return Err(PluginFailure::not_found(query, Searched::FilesWithoutCluster).into());
            }
        };
        let manifest = plugin.manifest();
        if job.tasks == 0 {
            return Err(Failure::usage("a job needs at least one task"));
        }
        if job.reduce && !manifest.reduce() {
            return Err(Failure::usage(format_args!("plugin {} cannot combine results", manifest.name())));
        }
        let params = from_pairs(manifest, &job.params)?;
        let outputs =
            if job.out.is_some() || job.reduce { v1::Outputs::Stream } else { v1::Outputs::Checksum };
        let spec = v1::JobSpec {
            plugin: Some(plugin.reference()),
            params: params.to_string().into_bytes().into(),
            tasks: job.tasks,
            // A worker's slots are what it seems to have, whatever cores there are.
            shape: Some(ShapePlan::of(job.shape, true).to_proto()),
            weight: job.weight,
            priority: job.priority,
            max_attempts: job.max_attempts,
            retry: job.backoff.map(|wait| v1::RetryPolicy {
                backoff_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                ..v1::RetryPolicy::default()
            }),
            outputs: outputs.into(),
            reduce: job.reduce,
            seed: job.seed,
            ..v1::JobSpec::default()
        };
        Ok(Self {
            name: job.name.clone(),
            submit_at: job.submit_at,
            plugin,
            has_plugin: job.has_plugin,
            spec,
            out: job.out.as_deref().map(Target::new),
        })
    }

    /// Takes the results, when somebody wants them.
    fn sink(&self) -> Result<Option<Sink>, Failure> {
        if self.out.is_none() && !self.spec.reduce {
            return Ok(None);
        }
        let opened = self.out.as_ref().map(Target::open).transpose()?;
        let manifest = self.plugin.manifest();
        Ok(Some(Sink::new(opened, manifest.output_of(self.spec.reduce), manifest.name(), Names::default())))
    }
}

/// What the client saw of a job.
struct Seen {
    sent_ns: u64,
    accepted_ns: u64,
    ended_ns: u64,
    status: v1::JobStatus,
    sink: Option<Sink>,
}

/// Runs the jobs once.
pub(super) async fn run(
    prepared: &Prepared,
    cluster: &mut Cluster,
    steps: &[Step],
    interrupt: &mut Interrupt,
) -> Result<Run, Failure> {
    interrupt.or(get_ready(prepared, cluster)).await?;
    let link = cluster.link.clone();
    let sinks = prepared.jobs.iter().map(PreparedJob::sink).collect::<Result<Vec<_>, _>>()?;
    let mut timer = PreciseTimer::new().map_err(system)?;
    let mut children = signal(SignalKind::child()).map_err(system)?;
    let zero_ns = mark_start(&cluster.start_file())?;
    let jobs = prepared.jobs.iter().zip(sinks).zip(turns(&prepared.jobs));
    let follow = |((job, sink), turn)| Box::pin(follow(&link, zero_ns, job, sink, turn));
    let mut following = try_join_all(jobs.map(follow));
    let mut ends = std::pin::pin!(tokio::time::sleep(prepared.limit));
    let (mut next, mut late_ns) = (0, 0);
    let seen = loop {
        let due_ns = steps.get(next).map(|step| zero_ns.saturating_add(ns(step.at)));
        tokio::select! {
            waited = timer.until(due_ns.unwrap_or(u64::MAX)), if due_ns.is_some() => {
                waited.map_err(system)?;
                late_ns = late_ns.max(monotonic_ns().saturating_sub(due_ns.unwrap_or(u64::MAX)));
                cluster.apply(&steps[next]).await?;
                next += 1;
            }
            seen = &mut following => break seen?,
            _ = children.recv() => cluster.reap(),
            () = tokio::time::sleep(STRAYS_POLL), if cluster.has_strays() => cluster.tell_strays().await?,
            signal = interrupt.next() => {
                return Err(Failure::new(Exit::Interrupted, format_args!("cancelled by {signal}")));
            }
            () = &mut ends => {
                let (limit, one) = (prepared.limit.as_secs_f64(), prepared.jobs.len() == 1);
                let what = if one { "the job did not" } else { "not all jobs did" };
                return Err(Failure::new(Exit::Limit, format_args!("{what} end within {limit} s")));
            }
        }
        let comes_more = steps[next..].iter().any(|step| step.action == Action::Start);
        if !comes_more && cluster.running() == 0 {
            let failure = Failure::new(Exit::Connection, "no worker is left, and none is to come");
            return Err(failure.hint("let one start again after it was killed"));
        }
    };
    outcome(prepared, seen, late_ns, census(&link, &prepared.names).await?)
}

fn system(error: std::io::Error) -> Failure {
    Failure::new(Exit::Limit, error)
}

/// Waits until all workers are attached and the coordinator has the plugins.
async fn get_ready(prepared: &Prepared, cluster: &mut Cluster) -> Result<(), Failure> {
    let link = cluster.link.clone();
    for job in &prepared.jobs {
        if job.has_plugin {
            for folder in cluster.plugin_folders() {
                give_plugin(&job.plugin, folder)?;
            }
        }
        push(&link, &job.plugin).await?;
    }
    let deadline = Instant::now() + prepared.attach_limit;
    while up_workers(&link).await?.0 < prepared.present {
        if let Some(failure) = cluster.ended() {
            return Err(failure);
        }
        if Instant::now() >= deadline {
            let seconds = prepared.attach_limit.as_secs();
            return Err(Failure::new(
                Exit::Connection,
                format_args!("not all workers attached within {seconds} s"),
            ));
        }
        tokio::time::sleep(ATTACH_POLL).await;
    }
    Ok(())
}

/// Puts the plugin to where workers look first.
fn give_plugin(plugin: &PluginFile, folder: &Path) -> Result<(), Failure> {
    let path: PathBuf = folder.join(format!("{}.so", hex(plugin.inspection().digest.as_bytes())));
    if path.exists() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let copied = made.and_then(|()| std::fs::copy(plugin.path(), &path));
    copied
        .and_then(|_| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)))
        .map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))
}

/// Tells the workers when it begins, which is now; gives the same instant by the monotonic clock.
fn mark_start(file: &Path) -> Result<u64, Failure> {
    let written = file.with_extension("new");
    let zero_ns = monotonic_ns();
    let unix_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    std::fs::write(&written, unix_ns.to_string())
        .and_then(|()| std::fs::rename(&written, file))
        .map_err(|error| Failure::io(Exit::Storage, "write", file, &error))?;
    Ok(zero_ns)
}

/// Whose turn it is to submit: jobs go in the order in which they are due, those of the same time in that of the list.
#[derive(Default)]
struct Turn {
    comes: Option<oneshot::Receiver<()>>,
    passes: Option<oneshot::Sender<()>>,
}

fn turns(jobs: &[PreparedJob]) -> Vec<Turn> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&place| jobs[place].submit_at);
    let mut turns: Vec<Turn> = jobs.iter().map(|_| Turn::default()).collect();
    for pair in order.windows(2) {
        let (sender, receiver) = oneshot::channel();
        turns[pair[0]].passes = Some(sender);
        turns[pair[1]].comes = Some(receiver);
    }
    turns
}

/// Waits until a job is due, submits it, takes its results, and sees its end.
async fn follow(
    link: &Link,
    zero_ns: u64,
    job: &PreparedJob,
    sink: Option<Sink>,
    turn: Turn,
) -> Result<Seen, Failure> {
    let sent_ns = zero_ns.saturating_add(ns(job.submit_at));
    PreciseTimer::new().map_err(system)?.until(sent_ns).await.map_err(system)?;
    if let Some(comes) = turn.comes {
        // Whoever could not be submitted ends everything.
        let _ = comes.await;
    }
    let id = submit(link, job.spec.clone()).await?;
    let accepted_ns = monotonic_ns();
    if let Some(passes) = turn.passes {
        let _ = passes.send(());
    }
    let mut ended_ns = 0;
    let watching = wait_until_final(link, id, |status| {
        if is_final(status) {
            ended_ns = monotonic_ns();
        }
    });
    let taking = async {
        let Some(sink) = sink else { return Ok(None) };
        let request = v1::ResultsRequest { job: id, from: 0, follow: true, last: 0 };
        take(link, request, 0, sink).await.map(Some).map_err(|error| Failure::from(error.cause))
    };
    let (status, sink) = tokio::try_join!(watching, taking)?;
    Ok(Seen { sent_ns, accepted_ns, ended_ns, status, sink })
}

/// What the coordinator says of all workers there were.
struct Census {
    /// Committed tasks by the worker's name, over all its lives.
    committed: Vec<u64>,
    /// Lives that ended without a farewell.
    lost: u64,
}

async fn census(link: &Link, names: &[String]) -> Result<Census, Failure> {
    let reply = clients::cluster(link).workers(v1::WorkersRequest { all: true }).await;
    let workers =
        reply.map_err(|status| Failure::from_status("listing workers", &status))?.into_inner().workers;
    let lost = workers.iter().filter(|worker| worker.state() == v1::WorkerState::Lost).count() as u64;
    let mut committed: BTreeMap<String, u64> = BTreeMap::new();
    for worker in workers {
        *committed.entry(worker.name).or_default() += worker.committed;
    }
    let committed = names.iter().map(|name| committed.get(name).copied().unwrap_or(0)).collect();
    Ok(Census { committed, lost })
}

fn outcome(prepared: &Prepared, seen: Vec<Seen>, late_ns: u64, census: Census) -> Result<Run, Failure> {
    let seconds = |from_ns: u64, to_ns: u64| to_ns.saturating_sub(from_ns) as f64 / 1e9;
    let first_ns = seen.iter().map(|seen| seen.sent_ns).min().unwrap_or(0);
    let last_ns = seen.iter().map(|seen| seen.ended_ns).max().unwrap_or(0);
    let mut jobs = Vec::with_capacity(seen.len());
    for (job, Seen { sent_ns, accepted_ns, ended_ns, status, mut sink }) in prepared.jobs.iter().zip(seen) {
        if let Some(sink) = &mut sink {
            sink.finish()?;
        }
        if status.state() != v1::JobState::Done {
            let exit = if status.over_limit { Exit::Limit } else { Exit::Job };
            let which =
                if prepared.jobs.len() == 1 { "the job".to_owned() } else { format!("job {}", job.name) };
            let reason = &status.reason;
            return Err(Failure::new(exit, format_args!("{which} did not come to its end: {reason}")));
        }
        jobs.push(JobRun {
            makespan_s: seconds(sent_ns, ended_ns),
            submit_s: seconds(sent_ns, accepted_ns),
            reduced: sink.as_ref().and_then(Sink::reduced).map(<[u8]>::to_vec),
            status,
        });
    }
    let sum = |value: fn(&v1::JobStatus) -> u64| jobs.iter().map(|job| value(&job.status)).sum();
    // The coordinator remembers a few hundred workers that are gone, and of each job how many it lost.
    let lost_of_jobs = jobs.iter().map(|job| job.status.lost_workers).max();
    Ok(Run {
        makespan_s: seconds(first_ns, last_ns),
        committed: sum(|status| status.ok),
        failed: sum(|status| status.failed),
        attempts: sum(|status| status.ok + status.failed + status.retried),
        duplicates: sum(|status| status.duplicates),
        lost_workers: census.lost.max(lost_of_jobs.unwrap_or(0)),
        by_worker: census.committed,
        late_s: late_ns as f64 / 1e9,
        jobs,
    })
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
