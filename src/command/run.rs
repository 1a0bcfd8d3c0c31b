//! `muster run`: one job from start to end, on a cluster that is up or on one of its own.

use super::push::{find_known, manifest, push};
use super::worker::{policy, up_workers};
use crate::cli::{JobArgs, Model, RunArgs};
use crate::cluster::{Choice, Private, Session, choose, private_folder, private_slots};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::{Names, Source};
use crate::interrupt::Interrupt;
use crate::job::{
    Drive, Ended, Given, Line, Plan, Progress, ShapePlan, check_procs, how_it_stopped, what_happened,
};
use crate::output::{Sink, Target, reduced_text};
use crate::plugin::{Located, PluginFailure, PluginFile, Searched, locate};
use crate::shell::quoted;
use crate::summary::{Before, Facts, Report, before, where_time_went, why_stand_ins};
use crate::terminal::{self, note};
use muster_core::sandbox::{Level, Terms, needs_of_plugin};
use muster_plugin_host::{F_ASYNC, Manifest};
use muster_proto::link::connect;
use muster_proto::v1;
use muster_worker::os::cgroup::Cgroups;
use muster_worker::sandbox::Kernel;
use std::path::Path;
use std::time::Instant;

/// Runs a job.
pub async fn run(args: &RunArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let target = target(args)?;
    // What is quickly seen to be wrong is said before a plugin is built.
    let given = Given::new(&args.job)?;
    if let (Some(target), Some(inputs)) = (&target, &given.inputs) {
        check_not_an_input(target, inputs)?;
    }
    let choice = choose(&args.job.cluster)?;
    check_cluster_flags(args, &choice, &given.shape)?;
    let session = interrupt.or(session_of(choice)).await?;
    let opened = target.as_ref().map(Target::open).transpose()?;
    let located = locate(&args.job.plugin, &mut interrupt).await?;
    let prepared = interrupt.or(prepare(&args.job, given, located, session.as_ref())).await?;
    let Prepared { manifest, plan, .. } = &prepared;
    let names = if matches!(target, Some(Target::Folder(_))) { Names::recorded() } else { Names::default() };
    let output_kind = manifest.output_of(args.job.reduce);
    let sink = Sink::new(opened, output_kind, manifest.name(), names.clone());
    let (mut cluster, reference) = open_cluster(args, &prepared, session).await?;
    let line = Line::of(cluster.session()).await;
    let name = cluster.session().name.clone();
    let wants_results = target.is_some() || args.job.reduce;
    let outputs = match args.state {
        // What was computed is to be found there later, also when this command does not live to take it.
        Some(_) => v1::Outputs::Keep,
        None if wants_results => v1::Outputs::Stream,
        None => v1::Outputs::Checksum,
    };
    let spec = plan.spec(&args.job, reference.clone(), outputs);
    if args.explain || args.job.shape.model == Some(Model::Hybrid) {
        explain_before(args, &cluster, manifest, plan, &reference).await?;
    }
    // Outputs on the same screen would cut the line to pieces.
    let progress = Progress::new(terminal::watched() && !shows_outputs(target.as_ref()), plan.source.tasks());
    let blocks = prepared.plan.source.blocks(names);
    let began = Instant::now();
    let lasts = matches!(cluster, Cluster::Existing(_));
    let drive = Drive { line, spec, blocks, sink: wants_results.then_some(sink), progress, lasts };
    let ended = tokio::select! {
        ended = drive.run(&mut interrupt) => ended,
        failure = cluster.lost() => Err(failure),
    };
    let mut ended = ended.inspect_err(|_| cluster.abandon())?;
    let total_s = began.elapsed().as_secs_f64();
    let is_traced = match (&cluster, args.job.trace) {
        (_, None) => false,
        (Cluster::Private(private), Some(_)) => {
            super::trace::keep(&private.session().link, &ended.status).await
        }
        (Cluster::Existing(_), Some(_)) => true,
    };
    let is_told = match &cluster {
        Cluster::Private(private) => {
            let cluster = args.job.cluster.cluster.clone();
            super::why::keep(&private.session().link, &ended.status, &args.job.plugin, cluster).await
        }
        Cluster::Existing(_) => ended.status.failed > 0,
    };
    cluster.stop().await;
    if has_all_outputs(args, &ended)
        && let Some(sink) = &mut ended.sink
    {
        sink.finish()?;
    }
    let reduced = ended.sink.as_ref().and_then(Sink::reduced);
    let shown = reduced.filter(|_| target.is_none());
    let output = shown.map(|bytes| {
        let long = || format!("{} bytes; write them with --out FILE", bytes.len());
        reduced_text(output_kind, bytes).unwrap_or_else(long)
    });
    let facts =
        Facts { cluster: name, total_s: Some(total_s), output, interrupted: ended.interrupted.is_some() };
    let said = Said { is_told, is_traced };
    report(args, &ended, facts, lasts, said)
}

/// A job that was checked as far as it can be without a cluster.
struct Prepared {
    manifest: Manifest,
    plan: Plan,
    plugin: Plugin,
}

enum Plugin {
    File(Box<PluginFile>),
    Known(v1::PluginRef),
}

async fn prepare(
    args: &JobArgs,
    given: Given,
    located: Located,
    session: Option<&Session>,
) -> Result<Prepared, Failure> {
    let (manifest, plugin) = match (located, session) {
        (Located::Here(file), _) => (file.manifest().clone(), Plugin::File(file)),
        (Located::Registered(query), None) => {
            return Err(PluginFailure::not_found(query, Searched::FilesWithoutCluster).into());
        }
        (Located::Registered(query), Some(session)) => {
            let info = find_known(&session.link, &query).await?;
            (manifest(&info)?, Plugin::Known(info.plugin.unwrap_or_default()))
        }
    };
    let plan = Plan::new(args, &manifest, given)?;
    if let Plugin::File(file) = &plugin {
        file.try_out().await?;
    }
    Ok(Prepared { manifest, plan, plugin })
}

/// A cluster in use: its own processes, when it is private, end with it.
enum Cluster {
    Private(Box<Private>),
    Existing(Session),
}

impl Cluster {
    fn session(&self) -> &Session {
        match self {
            Self::Private(private) => private.session(),
            Self::Existing(session) => session,
        }
    }

    /// Its workers, and the slots of all of them.
    async fn size(&self) -> Result<(u32, u32), Failure> {
        match self {
            Self::Private(private) => Ok((private.workers(), private.workers() * private.slots())),
            Self::Existing(session) => up_workers(&session.link).await,
        }
    }

    /// Nobody waits for what it still does.
    fn abandon(&mut self) {
        match self {
            Self::Private(private) => private.abandon(),
            Self::Existing(_) => {}
        }
    }

    /// Ends what was started for this command.
    async fn stop(self) {
        match self {
            Self::Private(private) => private.stop().await,
            Self::Existing(_) => {}
        }
    }

    /// Comes back when the cluster can do nothing any more.
    async fn lost(&self) -> Failure {
        match self {
            Self::Private(private) => private.lost().await,
            Self::Existing(_) => std::future::pending().await,
        }
    }
}

async fn open_cluster(
    args: &RunArgs,
    prepared: &Prepared,
    session: Option<Session>,
) -> Result<(Cluster, v1::PluginRef), Failure> {
    let cluster = match session {
        Some(session) => Cluster::Existing(session),
        None => {
            let workers = private_workers(args);
            let slots = private_slots(&prepared.plan.shape, workers)?;
            check_sandbox(args, &prepared.manifest)?;
            let policy = args.policy.clone().unwrap_or_default();
            let state = args.state.as_deref();
            let started = Private::start_granting(workers, slots, state, policy, &args.allow).await?;
            Cluster::Private(Box::new(started))
        }
    };
    match &cluster {
        Cluster::Private(private) => note(format_args!("cluster: private ({})", private.describe())),
        Cluster::Existing(session) => note(format_args!("cluster: {}", session.name)),
    }
    let reference = match &prepared.plugin {
        Plugin::Known(reference) => reference.clone(),
        Plugin::File(file) => {
            push(&cluster.session().link, file).await?;
            file.reference()
        }
    };
    Ok((cluster, reference))
}

/// Whether workers of our own can run the job as it is to be run.
fn check_sandbox(args: &RunArgs, manifest: &Manifest) -> Result<(), Failure> {
    let terms = Terms { level: Level::None, most: Kernel::here().most(), grants: args.allow.clone() };
    let needs = needs_of_plugin(manifest.needs());
    let unkept = terms.level_for(args.job.sandbox, &needs).err();
    unkept
        .map_or(Ok(()), |unkept| Err(Failure::usage(unkept.text(manifest.name(), "a private cluster here"))))
}

/// Where outputs go, and whether that fits the other flags.
fn target(args: &RunArgs) -> Result<Option<Target>, Failure> {
    let target = args.out.as_deref().map(Target::new);
    match &target {
        Some(Target::Stdout) if args.json => Err(Failure::usage("--json and --out - both write to stdout")
            .hint("write the outputs to a file: --out FILE")),
        Some(Target::Folder(_)) if args.job.reduce => {
            Err(Failure::usage("--reduce gives one output, and --out names a folder")
                .hint("name a file: --out FILE"))
        }
        Some(Target::File(path)) if !args.job.reduce && is_picture(path) => {
            let name = path.display();
            Err(Failure::usage(format_args!(
                "--out {name} is a picture, and outputs are written as JSON lines"
            ))
            .hint("--reduce writes what the plugin makes of all outputs; --out DIR/ gets a file per task"))
        }
        _ => Ok(target),
    }
}

/// Outputs must not be written over the inputs.
fn check_not_an_input(target: &Target, source: &Source) -> Result<(), Failure> {
    let Some(input) = target.existing().and_then(|output| source.reads(&output)) else { return Ok(()) };
    let (input, output) = (input.display(), target.name());
    Err(Failure::usage(format_args!("--out {output} is the file of the input {input}"))
        .hint("write the outputs to another file"))
}

/// Whether outputs are seen as they come.
fn shows_outputs(target: Option<&Target>) -> bool {
    matches!(target, Some(Target::Stdout)) && std::io::IsTerminal::is_terminal(&std::io::stdout())
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg" | "gif" | "bmp" | "webp"))
}

fn private_workers(args: &RunArgs) -> u32 {
    args.workers.unwrap_or(1)
}

/// The link to a cluster that runs already.
async fn session_of(choice: Choice) -> Result<Option<Session>, Failure> {
    match choice {
        Choice::Private => Ok(None),
        Choice::Existing { name, target } => {
            Ok(Some(Session { link: connect(&target).await?, name, target: Some(target) }))
        }
    }
}

fn check_cluster_flags(args: &RunArgs, choice: &Choice, shape: &ShapePlan) -> Result<(), Failure> {
    let Choice::Existing { name, .. } = choice else {
        if let Some(workers) = args.workers.filter(|&workers| workers > 1 && args.job.arrivals.rate.is_some())
        {
            return Err(Failure::usage(format_args!(
                "--rate is for one worker, and -w {workers} asks for more"
            ))
            .hint("leave out -w; -p and -t make that worker wider"));
        }
        let slots = private_slots(shape, private_workers(args))?;
        if let Some(procs) = args.job.limits.procs {
            check_procs(Some(procs), shape.on(slots).threads)?;
            check_can_keep(procs)?;
        }
        let Some(state) = &args.state else { return Ok(()) };
        return private_folder(state)
            .map_err(|error| Failure::io(Exit::Storage, "make folder", state, &error));
    };
    let flag = match (args.workers, &args.state, &args.policy, args.allow.as_slice()) {
        (Some(_), ..) => "-w",
        (None, Some(_), ..) => "--state",
        (None, None, Some(_), _) => "--policy",
        (None, None, None, [_, ..]) => "--allow",
        (None, None, None, []) => return Ok(()),
    };
    Err(Failure::usage(format_args!("{flag} is for a private cluster, and cluster {name} is in use"))
        .hint("leave it out, or use --cluster private"))
}

/// Whether workers of our own can keep a number of processes.
fn check_can_keep(procs: u32) -> Result<(), Failure> {
    let Some(why) = Cgroups::no_pids() else { return Ok(()) };
    Err(Failure::usage(format_args!("--procs {procs} needs control groups, and they cannot be used: {why}"))
        .hint("leave it out, or run muster where it may make control groups (as root, or systemd: Delegate=yes)"))
}

/// What will run where: all of it when that was asked for, else only what is unexpected.
async fn explain_before(
    args: &RunArgs,
    cluster: &Cluster,
    manifest: &Manifest,
    plan: &Plan,
    plugin: &v1::PluginRef,
) -> Result<(), Failure> {
    let (workers, slots) = cluster.size().await?;
    if let Some(text) = plan.shape.not_hybrid(slots / workers.max(1)).filter(|_| workers > 0) {
        note(text);
    }
    if !args.explain {
        return Ok(());
    }
    let is_async = manifest.has(F_ASYNC) && !args.job.reduce;
    let no_async = (!is_async).then(|| why_stand_ins(args.job.reduce));
    let facts = Before {
        model: plan.shape.describe(slots / workers.max(1), no_async),
        policy: policy(&cluster.session().link).await?,
        plugin,
        cluster: &cluster.session().name,
        workers,
        shape: plan.shape.on(slots / workers.max(1)),
        slots,
        tasks: plan.source.tasks(),
    };
    terminal::show(before(&facts));
    if let Source::Files(files) = &plan.source {
        note(format_args!("inputs    {} files", files.len()));
    }
    Ok(())
}

/// What can be asked about a run after its end.
#[derive(Clone, Copy)]
struct Said {
    /// Why tasks failed.
    is_told: bool,
    /// When single tasks ran.
    is_traced: bool,
}

fn report(args: &RunArgs, ended: &Ended, facts: Facts, is_shared: bool, said: Said) -> Outcome {
    let status = &ended.status;
    let report = Report::new(status, facts);
    if ended.unread {
        return Ok(Exit::Ok);
    }
    terminal::show(report.table());
    for text in &status.notices {
        note(format_args!("note: {text}"));
    }
    let job = if is_shared { format!(" {}", status.job) } else { String::new() };
    // Another cluster may be up, and would be asked. A join string is a secret, and is not repeated.
    let cluster = args.job.cluster.cluster.as_deref().filter(|name| !name.starts_with("muster1:"));
    let cluster = cluster.map_or_else(String::new, |name| format!(" --cluster {}", quoted(name)));
    if said.is_told {
        note(format_args!("why: muster job why{job}{cluster}"));
    }
    if said.is_traced {
        note(format_args!("trace: muster trace{job}{cluster}"));
    }
    if let Some(signal) = ended.interrupted {
        let kept = if keeps_results(args, ended) { "; the results so far were kept" } else { "" };
        let how = how_it_stopped(status).map(|how| format!(": {how}")).unwrap_or_default();
        note(format_args!("cancelled by {signal}{how}{kept}"));
    }
    if args.explain {
        terminal::show(where_time_went(status, is_shared));
    }
    if args.json {
        super::printed(terminal::print_json(&report))?;
    }
    if let Some(reason) = ended.paused.as_deref().filter(|_| ended.interrupted.is_none()) {
        let kept = if keeps_results(args, ended) { "the results so far were kept; " } else { "" };
        let failure = paused(status.job, what_happened(reason));
        return Err(failure.hint(format_args!("{kept}on a cluster of `muster up` a paused job can go on")));
    }
    exit_of(status, ended.interrupted.is_some())
}

fn paused(job: u64, reason: &str) -> Failure {
    Failure::new(Exit::TasksFailed, format_args!("job {job} is paused: {reason}"))
}

/// Whether the job wrote all that it was to write, which may be nothing.
fn has_all_outputs(args: &RunArgs, ended: &Ended) -> bool {
    let combined = || ended.sink.as_ref().is_some_and(|sink| sink.reduced().is_some());
    let status = &ended.status;
    status.state() == v1::JobState::Done && (!args.job.reduce || status.failed == 0 || combined())
}

/// Whether results of a job that did not come to its end can be had.
fn keeps_results(args: &RunArgs, ended: &Ended) -> bool {
    let in_store = args.state.is_some() && !args.job.reduce && ended.status.ok > 0;
    in_store || ended.sink.as_ref().is_some_and(Sink::has_outputs)
}

/// How a job's end ends the command.
pub fn exit_of(status: &v1::JobStatus, interrupted: bool) -> Outcome {
    match status.state() {
        _ if interrupted => Ok(Exit::Interrupted),
        v1::JobState::Failed => {
            let exit = if status.over_limit { Exit::Limit } else { Exit::Job };
            Err(Failure::new(exit, format_args!("job {} failed: {}", status.job, status.reason)))
        }
        v1::JobState::Cancelled => {
            Err(Failure::new(Exit::Job, format_args!("job {} was cancelled", status.job)))
        }
        v1::JobState::Paused => Err(paused(status.job, &status.reason)),
        _ if status.failed > 0 => Ok(Exit::TasksFailed),
        _ => Ok(Exit::Ok),
    }
}
