//! `muster trace`: single tasks over time, as a file that Perfetto shows.

use super::job::{ago, get};
use crate::cli::{JobRef, RunRef, TraceArgs, TraceOf};
use crate::cluster::{Choice, Session, choose, clients};
use crate::exit::{Exit, Failure, Outcome};
use crate::job::is_final;
use crate::kept::{self, Bundle};
use crate::output::{Target, is_free_for, save};
use crate::summary::{bytes, number};
use crate::terminal::note;
use crate::timeline::{self, Last, MARK, Recording, Trace};
use muster_proto::link::{Link, connect};
use muster_proto::v1;
use std::io::Write as _;

/// Where a trace can be looked at.
const VIEWER: &str = "https://ui.perfetto.dev";

/// Asks or reads, draws and writes.
pub async fn trace(args: &TraceArgs) -> Outcome {
    let target = Target::new(&args.output);
    match &target {
        Target::Folder(folder) => {
            let file = folder.join("trace.json");
            return Err(Failure::usage(format_args!("-o {} is a folder", folder.display()))
                .hint(format_args!("name the file, as in -o {}", file.display())));
        }
        Target::File(path) => is_free_for(path, MARK, "trace")?,
        Target::Stdout => {}
    }
    let (source, recordings) = recordings(args).await?;
    let trace = Trace::new(&recordings);
    let file = trace.to_json(&source).map_err(|error| Failure::new(Exit::Storage, error))?;
    for recording in &recordings {
        note(format_args!("{}: {}", recording.name, recording.share()));
    }
    match target {
        Target::File(path) => {
            save(&path, &file)?;
            let (events, size) = (number(trace.events() as u64), bytes(file.len() as u64));
            note(format_args!("trace: {} ({events} events, {size}); open it in {VIEWER}", path.display()));
            Ok(Exit::Ok)
        }
        Target::Stdout | Target::Folder(_) => {
            let mut out = std::io::stdout().lock();
            super::printed(out.write_all(&file).and_then(|()| out.flush()))
        }
    }
}

/// What is drawn, and what that is of.
async fn recordings(args: &TraceArgs) -> Outcome<(String, Vec<Recording>)> {
    let job = match args.of {
        TraceOf::Run(run) => return of_comparison(args, run),
        TraceOf::Job(job) => job,
    };
    if let Some(block) = args.block {
        return Err(Failure::usage(format_args!("--block {block} is for comparisons, and this is a job"))
            .hint("give the comparison's number: muster trace run:N --block N"));
    }
    match choose(&args.cluster)? {
        Choice::Existing { name, target } => {
            let session = Session { link: connect(&target).await?, name, target: Some(target) };
            let status = get(&session, job).await?;
            let recording = of_job(&session.link, &status).await?;
            if !is_final(&status) {
                note(format_args!("note: job {} goes on; this is what has ended so far", status.job));
            }
            Ok((format!("job {} of cluster {}", status.job, told(&session.name)), vec![recording]))
        }
        Choice::Private => of_last_run(job),
    }
}

/// A join string is a secret, and stays where it was given.
fn told(cluster: &str) -> &str {
    if cluster.contains(':') && !cluster.starts_with("unix:") { "(by its join string)" } else { cluster }
}

async fn of_job(link: &Link, status: &v1::JobStatus) -> Outcome<Recording> {
    let job = status.job;
    let reply = clients::jobs(link).task_samples(v1::TaskSamplesRequest { job }).await;
    let reply = reply.map_err(|status| Failure::about_job("asking for single tasks", &status))?.into_inner();
    if !reply.samples.is_empty() {
        return Ok(Recording::of_job(status, reply));
    }
    let failure = |why: &str| Failure::new(Exit::Job, format_args!("job {job} {why}"));
    Err(match reply.wanted {
        0 if status.spec.as_ref().is_some_and(|spec| spec.task_samples > 0) => failure(
            "has no single tasks any more: they are kept in memory, and the coordinator has restarted",
        )
        .hint("run it again, with --trace"),
        0 => failure("was not traced").hint("run it again with --trace: muster run PLUGIN --trace"),
        _ if is_final(status) => failure("ended before one of its traced tasks had run"),
        _ => failure("has not ended any of its traced tasks yet").hint("wait for it: muster job wait"),
    })
}

fn of_last_run(job: JobRef) -> Outcome<(String, Vec<Recording>)> {
    let Some(last) = timeline::newest()? else {
        return Err(Failure::new(Exit::Connection, "no cluster is up, and no traced run is remembered")
            .hint("trace a run: muster run PLUGIN --trace; or name a cluster with --cluster"));
    };
    let Last { job: known, ended_s, recording, .. } = last;
    if job.0 != 0 && job.0 != known {
        let text = format_args!("no cluster is up that could know job {}", job.0);
        return Err(Failure::new(Exit::Connection, text)
            .hint("muster trace draws the last traced run; name a cluster with --cluster"));
    }
    note(format_args!("this is the last run with --trace: {}, {}", recording.name, ago(ended_s)));
    Ok((format!("{} on a private cluster", recording.name), vec![recording]))
}

fn of_comparison(args: &TraceArgs, run: RunRef) -> Outcome<(String, Vec<Recording>)> {
    let bundle = Bundle::read(&kept::find(run)?)?;
    let recordings = timeline::recordings(&bundle, args.block)?;
    Ok((format!("run {} of muster compare", bundle.run.number), recordings))
}

/// Keeps what is known of a traced run whose cluster is about to go; says whether it could. That it cannot be kept is no
/// failure of the run.
pub async fn keep(link: &Link, status: &v1::JobStatus) -> bool {
    let kept = match of_job(link, status).await {
        Ok(recording) => timeline::keep(status.job, recording),
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &kept {
        note(format_args!("warning: the trace is not kept: {failure}"));
    }
    kept.is_ok()
}
