//! A plugin, or what a file says of one.

use super::{Asked, BUDGET, COMPARE, Kept, RATE_BUDGET, experiment, limits};
use crate::cli::{ClusterArg, CompareArgs};
use crate::cluster::{Choice, Session, choose};
use crate::command::up_workers;
use crate::compare::{
    self, CANCELS, Case, Cluster, Configuration, Configurations, Factors, Group, Inputs, P95_TASKS_MIN,
    Subject, Written, matrix, open_tasks,
};
use crate::exit::{Exit, Failure, Outcome};
use crate::experiment::Workloads;
use crate::interrupt::Interrupt;
use crate::job::check_inputs;
use crate::plugin::{Located, PluginFailure, PluginFile, Searched, locate};
use crate::terminal::note;
use muster_core::spelling::nearest;
use muster_plugin_host::{check, from_pairs};
use muster_proto::link::connect;
use muster_proto::v1::Arrivals;
use std::rc::Rc;

/// What is to be compared.
pub struct Work {
    file: Box<PluginFile>,
    inputs: Option<Inputs>,
    arrivals: Option<Arrivals>,
    /// Groups: what distinguishes them, their parameters and rows.
    groups: Vec<(Factors, Vec<u8>, Vec<Configuration>)>,
}

/// What is to be compared, or what is wrong with it.
pub async fn compared(args: &CompareArgs, written: &Written, interrupt: &mut Interrupt) -> Outcome<Work> {
    if args.with_python {
        return Err(Failure::usage("--with-python is for experiments")
            .hint("compare the plugin python: muster compare plugins/python file=PATH function=NAME"));
    }
    let file = match locate(&args.what, interrupt).await? {
        Located::Here(file) => file,
        Located::Registered(query) => {
            let failure = Failure::from(PluginFailure::not_found(query, Searched::Files));
            let names = experiment::names();
            return Err(match nearest(&args.what, names.iter().copied()) {
                Some(near) => failure.hint(format_args!("did you mean the experiment {near}?")),
                None => failure.hint(format_args!("or name an experiment: {}", names.join(", "))),
            });
        }
    };
    let manifest = file.manifest();
    let inputs = Inputs::of(args)?;
    check_inputs(manifest, inputs.is_some())?;
    let Configurations { rows, left_out } = compare::configurations(args, manifest)?;
    left_out.iter().for_each(note);
    if rows.len() < 2 {
        let only = rows.first().map_or_else(|| "no configuration".to_owned(), |row| row.name.clone());
        return Err(Failure::usage(format_args!("{only} alone: there is nothing to compare with"))
            .hint("give several --models, or a --grid"));
    }
    for condition in &written.fail {
        if !rows.iter().any(|row| condition.is_about(&row.name, row.model.name())) {
            let (row, names) = (condition.row.clone().unwrap_or_default(), row_names(&rows));
            return Err(Failure::new(
                Exit::Job,
                format_args!("a fail condition is about {row:?}, which is not in the matrix"),
            )
            .hint(format_args!("there are {names}")));
        }
    }
    let arrivals = args.arrivals.to_proto();
    if arrivals.is_none() && written.fail.iter().any(|condition| condition.p95_above.is_some()) {
        return Err(Failure::new(Exit::Job, "p95_above is about latency from the intended start of tasks")
            .hint("give a rate, as in rate = \"200/s\""));
    }
    if let Some(tasks) = args.tasks.filter(|&tasks| arrivals.is_some() && tasks < P95_TASKS_MIN) {
        return Err(Failure::usage(format_args!(
            "-n {tasks} is too few with --rate: the p95 latency is compared"
        ))
        .hint(format_args!("it needs {P95_TASKS_MIN} tasks: ten of them are above it then")));
    }
    let mut groups = Vec::new();
    let combinations = matrix::combinations(written)?;
    matrix::check_excludes(written, &combinations, &rows)?;
    for factors in combinations {
        let params = if args.params.is_empty() {
            check(manifest, &matrix::params(written, &factors).into())?
        } else {
            from_pairs(manifest, &args.params)?
        };
        let rows = matrix::rows(written, &factors, &rows)?;
        groups.push((factors, serde_json::to_vec(&params).map_err(Failure::usage)?, rows));
    }
    Ok(Work { file, inputs, arrivals, groups })
}

/// One workload under several configurations, for each combination of a file's matrix.
pub async fn of_plugin(args: &CompareArgs, work: Work, interrupt: &mut Interrupt) -> Outcome<Kept> {
    let Work { file, inputs, arrivals, groups } = work;
    interrupt.or(async { Ok(file.try_out().await?) }).await?;
    let cluster = cluster(args, interrupt).await?;
    let on = match &cluster {
        Some(session) => Some((session.name.clone(), interrupt.or(up_workers(&session.link)).await?)),
        None => None,
    };
    if let Some((name, (workers, _))) = on.as_ref().filter(|on| arrivals.is_some() && on.1.0 > 1) {
        return Err(Failure::usage(format_args!(
            "--rate is for one worker, whose clock its tasks have, and {name} has {workers}"
        ))
        .hint("compare on private clusters (leave out --cluster), or on a cluster of one worker"));
    }
    let file = Rc::new(*file);
    // What goes on in the processes of a cluster that is up, nobody here can see.
    let probes = !args.no_probes && cluster.is_none();
    let cancels = probes.then(|| args.cancels.unwrap_or(CANCELS));
    let tasks = args.tasks.or(arrivals.filter(|_| inputs.is_none()).map(open_tasks));
    let group = |(factors, params, rows): (Factors, Vec<u8>, Vec<Configuration>)| {
        let subject =
            Subject::new(Rc::clone(&file), params, args.seed()).with(inputs.clone(), cluster.clone());
        let subject = Rc::new(subject.arriving(arrivals));
        let cases = rows.into_iter().map(|row| Case::new(row, &subject)).collect();
        matrix::group(factors, cases, tasks).with_probes(cancels)
    };
    let groups: Vec<Group> = groups.into_iter().map(group).collect();
    let budget = if arrivals.is_some() { RATE_BUDGET } else { BUDGET };
    let null = null(args, interrupt).await?;
    let asked = Asked { experiment: COMPARE, null, seed: args.seed(), limits: limits(args, budget) };
    asked
        .measure(&groups, interrupt, |comparison, _| {
            comparison.cluster = on.map(|(name, (workers, slots))| Cluster { name, workers, slots });
        })
        .await
}

fn row_names(rows: &[Configuration]) -> String {
    rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The cluster that was named. One that merely is up is not used: it may have other things to do.
async fn cluster(args: &CompareArgs, interrupt: &mut Interrupt) -> Outcome<Option<Rc<Session>>> {
    let Some(name) = args.cluster.clone() else { return Ok(None) };
    match choose(&ClusterArg { cluster: Some(name) })? {
        Choice::Private => Ok(None),
        Choice::Existing { name, target } => {
            let link = interrupt.or(async { Ok(connect(&target).await?) }).await?;
            Ok(Some(Rc::new(Session { link, name, target: None })))
        }
    }
}

/// The plugin that does nothing, where it is: users of other plugins may not have it.
async fn null(args: &CompareArgs, interrupt: &mut Interrupt) -> Outcome<Option<Rc<Subject>>> {
    if !args.plugins.is_dir() || args.cluster.is_some() {
        return Ok(None);
    }
    let mut workloads = Workloads::new(&args.plugins, args.seed(), interrupt);
    match workloads.subject("null", serde_json::Value::Null).await {
        Err(failure) if failure.exit == Exit::Plugin => Ok(None),
        found => found.map(Some),
    }
}
