//! One run: the job is submitted, the schedule is followed, the end is seen.

use super::cluster::Cluster;
use super::experiment::Experiment;
use super::outcome::Run;
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

/// How long workers may take to attach, beside their links.
const ATTACH_LIMIT: Duration = Duration::from_secs(20);
/// How often is asked whether they have.
const ATTACH_POLL: Duration = Duration::from_millis(2);

/// A job that is ready to be submitted, as often as wanted.
pub(super) struct Prepared {
    plugin: Box<PluginFile>,
    spec: v1::JobSpec,
    out: Option<Target>,
    names: Vec<String>,
    present: u32,
    has_plugin: bool,
    limit: Duration,
    attach_limit: Duration,
}

impl Prepared {
    /// Builds the plugin when it is a folder, and checks the job with it.
    pub async fn new(experiment: &Experiment, interrupt: &mut Interrupt) -> Result<Self, Failure> {
        let job = &experiment.job;
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
            outputs: outputs.into(),
            reduce: job.reduce,
            seed: job.seed,
            ..v1::JobSpec::default()
        };
        let workers = &experiment.workers;
        let slowest = workers.iter().map(|worker| worker.link.latency + worker.link.jitter).max();
        Ok(Self {
            plugin,
            spec,
            out: job.out.as_deref().map(Target::new),
            names: workers.iter().map(|worker| worker.name.clone()).collect(),
            present: u32::try_from(workers.iter().filter(|worker| worker.is_present).count())
                .unwrap_or(u32::MAX),
            has_plugin: experiment.has_plugin,
            limit: experiment.limit,
            attach_limit: ATTACH_LIMIT + 10 * slowest.unwrap_or_default(),
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

/// What the client saw.
struct Seen {
    accepted_ns: u64,
    ended_ns: u64,
    status: v1::JobStatus,
    sink: Option<Sink>,
}

/// Runs the job once.
pub(super) async fn run(
    job: &Prepared,
    cluster: &mut Cluster,
    steps: &[Step],
    interrupt: &mut Interrupt,
) -> Result<Run, Failure> {
    interrupt.or(get_ready(job, cluster)).await?;
    let link = cluster.link.clone();
    let sink = job.sink()?;
    let system = |error: std::io::Error| Failure::new(Exit::Limit, error);
    let mut timer = PreciseTimer::new().map_err(system)?;
    let mut children = signal(SignalKind::child()).map_err(system)?;
    let zero_ns = mark_start(&cluster.start_file())?;
    let mut following = Box::pin(follow(&link, job.spec.clone(), sink));
    let mut ends = std::pin::pin!(tokio::time::sleep(job.limit));
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
            signal = interrupt.next() => {
                return Err(Failure::new(Exit::Interrupted, format_args!("cancelled by {signal}")));
            }
            () = &mut ends => {
                let limit = job.limit.as_secs_f64();
                return Err(Failure::new(Exit::Limit, format_args!("the job did not end within {limit} s")));
            }
        }
        let comes_more = steps[next..].iter().any(|step| step.action == Action::Start);
        if !comes_more && cluster.running() == 0 {
            let failure = Failure::new(Exit::Connection, "no worker is left, and none is to come");
            return Err(failure.hint("let one start again after it was killed"));
        }
    };
    let by_worker = committed_of(&link, &job.names).await?;
    outcome(seen, zero_ns, late_ns, by_worker)
}

/// Waits until all workers are attached and the coordinator has the plugin.
async fn get_ready(job: &Prepared, cluster: &mut Cluster) -> Result<(), Failure> {
    if job.has_plugin {
        give_plugin(&job.plugin, &cluster.plugins())?;
    }
    let link = cluster.link.clone();
    push(&link, &job.plugin).await?;
    let deadline = Instant::now() + job.attach_limit;
    while up_workers(&link).await?.0 < job.present {
        if let Some(failure) = cluster.ended() {
            return Err(failure);
        }
        if Instant::now() >= deadline {
            let seconds = job.attach_limit.as_secs();
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

/// Submits the job, takes its results, and sees its end.
async fn follow(link: &Link, spec: v1::JobSpec, sink: Option<Sink>) -> Result<Seen, Failure> {
    let job = submit(link, spec).await?;
    let accepted_ns = monotonic_ns();
    let mut ended_ns = 0;
    let watching = wait_until_final(link, job, |status| {
        if is_final(status) {
            ended_ns = monotonic_ns();
        }
    });
    let taking = async {
        let Some(sink) = sink else { return Ok(None) };
        let request = v1::ResultsRequest { job, from: 0, follow: true, last: 0 };
        take(link, request, 0, sink).await.map(Some).map_err(|error| Failure::from(error.cause))
    };
    let (status, sink) = tokio::try_join!(watching, taking)?;
    Ok(Seen { accepted_ns, ended_ns, status, sink })
}

/// Committed tasks of each worker, over all its lives.
async fn committed_of(link: &Link, names: &[String]) -> Result<Vec<u64>, Failure> {
    let reply = clients::cluster(link).workers(v1::WorkersRequest { all: true }).await;
    let reply = reply.map_err(|status| Failure::from_status("listing workers", &status))?.into_inner();
    let mut committed: BTreeMap<String, u64> = BTreeMap::new();
    for worker in reply.workers {
        *committed.entry(worker.name).or_default() += worker.committed;
    }
    Ok(names.iter().map(|name| committed.get(name).copied().unwrap_or(0)).collect())
}

fn outcome(seen: Seen, zero_ns: u64, late_ns: u64, by_worker: Vec<u64>) -> Result<Run, Failure> {
    let Seen { accepted_ns, ended_ns, status, mut sink } = seen;
    if let Some(sink) = &mut sink {
        sink.finish()?;
    }
    if status.state() != v1::JobState::Done {
        let exit = if status.over_limit { Exit::Limit } else { Exit::Job };
        return Err(Failure::new(exit, format_args!("the job did not come to its end: {}", status.reason)));
    }
    let seconds = |at_ns: u64| at_ns.saturating_sub(zero_ns) as f64 / 1e9;
    Ok(Run {
        makespan_s: seconds(ended_ns),
        submit_s: seconds(accepted_ns),
        committed: status.ok,
        failed: status.failed,
        attempts: status.ok + status.failed + status.retried,
        duplicates: status.duplicates,
        lost_workers: status.lost_workers,
        by_worker,
        late_s: late_ns as f64 / 1e9,
        reduced: sink.as_ref().and_then(Sink::reduced).map(<[u8]>::to_vec),
        status,
    })
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
