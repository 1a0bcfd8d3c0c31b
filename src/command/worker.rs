//! `muster worker`.

use crate::cli::{ViewArgs, WorkerCommand, WorkerStartArgs};
use crate::cluster::{Child, Start, clients, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::summary::{Column, bytes, list, number};
use crate::terminal::{self, note};
use muster_proto::PROTOCOL_VERSION;
use muster_proto::convert::level_shown;
use muster_proto::hex;
use muster_proto::link::{AccessFolder, Link, connect_worker};
use muster_proto::v1::{self, WorkerState};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// Does what a `worker` command says.
pub fn worker(command: WorkerCommand) -> Outcome {
    match command {
        WorkerCommand::Ls { all, view } => super::block_on(ls(all, &view)),
        WorkerCommand::Drain { worker, deadline, view } => super::block_on(drain(worker, deadline, &view)),
        WorkerCommand::Start(args) if args.detach => super::block_on(detach(&args)),
        WorkerCommand::Start(args) => crate::service::worker(args.worker),
    }
}

/// Workers that are up, and their slots.
pub async fn up_workers(link: &Link) -> Result<(u32, u32), Failure> {
    let workers = workers(link, false).await?;
    let up = workers.iter().filter(|worker| worker.state() == WorkerState::Up);
    Ok(up.fold((0, 0), |(count, slots), worker| (count + 1, slots + worker.slots)))
}

/// How a cluster's scheduler chooses, in the words of `--policy`.
pub async fn policy(link: &Link) -> Result<String, Failure> {
    let reply = clients::cluster(link).info(v1::InfoRequest { protocol: PROTOCOL_VERSION }).await;
    reply
        .map(|reply| reply.into_inner().policy)
        .map_err(|status| Failure::from_status("asking for the policy", &status))
}

/// The workers of a cluster; `all`: also those that left.
pub async fn workers(link: &Link, all: bool) -> Result<Vec<v1::WorkerInfo>, Failure> {
    let reply = clients::cluster(link).workers(v1::WorkersRequest { all }).await;
    reply
        .map(|reply| reply.into_inner().workers)
        .map_err(|status| Failure::from_status("listing workers", &status))
}

async fn ls(all: bool, view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let workers = workers(&session.link, all).await?;
    if view.json {
        let all: Vec<_> = workers.iter().map(facts).collect();
        return super::printed(terminal::print_json(&serde_json::json!({ "workers": all })));
    }
    let columns = [
        Column::number("ID"),
        Column::text("NAME"),
        Column::text("HOST"),
        Column::text("STATE"),
        Column::text("SANDBOX"),
        Column::number("BUSY"),
        Column::number("SLOTS"),
        Column::number("EXECUTORS"),
        Column::number("DONE"),
        Column::number("MEMORY").wide(),
        Column::number("SEEN").wide(),
        Column::number("PID").wide(),
        Column::text("METRICS").wide(),
        Column::text("TRUST").wide(),
    ];
    super::printed(terminal::print(list(&columns, workers.iter().map(row).collect())))
}

fn row(worker: &v1::WorkerInfo) -> Vec<String> {
    let is_there = !matches!(worker.state(), WorkerState::Lost | WorkerState::Left);
    // What one that is gone said last holds no more.
    let now = |text: String| if is_there { text } else { "-".to_owned() };
    vec![
        worker.worker.to_string(),
        worker.name.clone(),
        worker.host.clone(),
        state_name(worker.state()).to_owned(),
        level_shown(worker.sandbox()).to_string(),
        now(worker.busy_slots.to_string()),
        worker.slots.to_string(),
        now(worker.executors.to_string()),
        number(worker.committed),
        now(bytes(worker.pss_bytes)),
        now(format!("{:.1} s ago", worker.heartbeat_age_s)),
        worker.pid.to_string(),
        worker.metrics_address.clone(),
        match trust(worker).as_slice() {
            [any] if any == "any" => "any".to_owned(),
            [version] if version.contains('@') => version.clone(),
            [digest] => digest.chars().take(12).collect(),
            listed => format!("{} plugins", listed.len()),
        },
    ]
}

async fn drain(worker: String, deadline: Option<Duration>, view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    // 0 on the wire is no deadline.
    let deadline_ms = deadline.map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1));
    let reply = clients::cluster(&session.link).drain(v1::DrainRequest { worker, deadline_ms }).await;
    let worker = reply.map_err(|status| Failure::about_worker("draining the worker", &status))?.into_inner();
    if view.json {
        return super::printed(terminal::print_json(&facts(&worker)));
    }
    super::printed(terminal::print(format_args!("worker {} {}", worker.name, state_name(worker.state()))))
}

/// What it trusts, as `--trust` takes it; `["any"]`: all.
fn trust(worker: &v1::WorkerInfo) -> Vec<String> {
    let Some(v1::Trust { any: false, digests, versions }) = &worker.trust else {
        return vec!["any".to_owned()];
    };
    digests.iter().map(|digest| hex(digest)).chain(versions.iter().cloned()).collect()
}

fn facts(worker: &v1::WorkerInfo) -> serde_json::Value {
    serde_json::json!({
        "worker": worker.worker, "name": worker.name, "host": worker.host, "pid": worker.pid,
        "target": worker.target, "version": worker.version, "state": state_name(worker.state()),
        "slots": worker.slots, "busy_slots": worker.busy_slots, "executors": worker.executors,
        "pss_bytes": worker.pss_bytes, "heartbeat_age_s": worker.heartbeat_age_s,
        "metrics_address": worker.metrics_address, "leased": worker.leased, "committed": worker.committed,
        "sandbox": level_shown(worker.sandbox()).name(), "sandbox_most": level_shown(worker.sandbox_most()).name(),
        "grants": worker.grants, "trust": trust(worker),
    })
}

async fn attached(link: &Link, child: &mut Child, log: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + ATTACH_LIMIT;
    while !workers(link, false).await?.iter().any(|worker| worker.pid == child.id()) {
        if let Some(status) = child.ended() {
            return Err(super::up::ended("the worker", status, log));
        }
        if Instant::now() >= deadline {
            let message =
                format_args!("the worker did not attach within {} s", ATTACH_LIMIT.as_secs()).to_string();
            return Err(
                Failure::new(Exit::Connection, message).hint(format_args!("its log: {}", log.display()))
            );
        }
        tokio::time::sleep(ATTACH_POLL).await;
    }
    Ok(())
}

const fn state_name(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Unspecified => "unknown",
        WorkerState::Up => "up",
        WorkerState::Draining => "draining",
        WorkerState::Lost => "lost",
        WorkerState::Left => "left",
    }
}

/// How long a worker in the background may take to attach.
const ATTACH_LIMIT: Duration = Duration::from_secs(15);
/// How often it is asked whether it has.
const ATTACH_POLL: Duration = Duration::from_millis(5);
/// How long one that did not attach may take to end before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Starts the same worker again in the background, once the coordinator was seen to answer, and waits until it has
/// attached: what stops it before that is for whoever started it to know.
async fn detach(args: &WorkerStartArgs) -> Outcome {
    let link = connect_worker(&args.worker.clone().into_config()?.target).await?;
    let state = AccessFolder::state_home()?;
    let folder = state.join("logs");
    crate::cluster::private_folder(&folder)
        .map_err(|error| Failure::io(Exit::Storage, "make folder", &folder, &error))?;
    let starting = folder.join(format!("worker-start-{}.log", std::process::id()));
    let arguments: Vec<OsString> =
        std::env::args_os().skip(1).filter(|argument| argument != "--detach").collect();
    let _ = std::fs::remove_file(&starting);
    let mut child = Child::start(&arguments, Start::Detached, Some(&starting))?;
    // Its log is found by the number that is printed.
    let log = folder.join(format!("worker-{}.log", child.id()));
    let outcome = match std::fs::rename(&starting, &log) {
        Ok(()) => attached(&link, &mut child, &log).await,
        Err(error) => Err(Failure::io(Exit::Storage, "write", &log, &error)),
    };
    if let Err(failure) = outcome {
        child.signal(libc::SIGTERM);
        child.end(STOP_GRACE);
        return Err(failure);
    }
    note(format_args!("worker runs in the background; its log: {}", log.display()));
    super::printed(terminal::print(child.id()))
}
