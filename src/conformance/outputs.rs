//! The same bytes, whatever runs the tasks.

use super::check::Check;
use super::models::{Run, Trouble, shape, within_limit};
use super::subject::Subject;
use crate::exit::Failure;
use crate::summary::bytes;
use crate::trial::{Ran, Trial};
use bytes::Bytes;
use muster_plugin_host::F_DETERMINISTIC;
use muster_proto::v1;

const OUTPUTS: &str = "same outputs";
const REDUCTION: &str = "same reduction";
const DRAW: &str = "outputs must follow from parameters, seed, index and input alone: no times, addresses or order of threads; \
                    random numbers from the task's seed";

/// Outputs of all models, task by task.
pub fn outputs(subject: &Subject, runs: &[Run]) -> Check {
    let promised = subject.manifest().has(F_DETERMINISTIC);
    let mut ran = runs.iter().filter_map(|run| Some((run.model, run.ran.as_ref()?)));
    let Some((first, reference)) = ran.next() else {
        return Check::not_checked(OUTPUTS, "it ran under no model", "");
    };
    let mut models = 1;
    for (model, other) in ran {
        models += 1;
        if let Some(task) = difference(reference, other) {
            let what = format!("the output of task {task} is another under {model} than under {first}");
            return if promised {
                Check::fail(OUTPUTS, what, format!("{DRAW}; or do not say deterministic in the manifest"))
            } else {
                Check::not_checked(OUTPUTS, format!("{what}, as its manifest allows"), "")
            };
        }
    }
    if models == 1 {
        return Check::not_checked(OUTPUTS, format!("it ran under {first} alone"), "");
    }
    let size = bytes(reference.results.iter().map(|(_, result)| result.len() as u64).sum());
    let mut check = Check::pass(OUTPUTS, format!("{size}, the same under {models} models"));
    if !promised {
        check.advice = "when that is so for all parameters, say deterministic in the manifest".to_owned();
    }
    check
}

/// The first task whose outputs differ.
fn difference(one: &Ran, other: &Ran) -> Option<u64> {
    let pairs = one.results.iter().zip(&other.results);
    let differs = pairs.clone().find(|(a, b)| a != b).map(|((index, _), _)| *index);
    differs.or_else(|| (one.results.len() != other.results.len()).then_some(pairs.len() as u64))
}

/// The combined output under shapes that cut the tasks differently, and that combine in one process or in two.
pub async fn reduction(subject: &Subject, trial: &Trial, runs: &[Run]) -> Result<Check, Failure> {
    if !subject.manifest().reduce() {
        return Ok(Check::not_checked(REDUCTION, "it does not combine results", ""));
    }
    if runs.iter().all(|run| run.ran.is_none()) {
        return Ok(Check::not_checked(REDUCTION, "it ran under no model", ""));
    }
    let promised = subject.manifest().has(F_DETERMINISTIC);
    let mut known: Option<(&str, Bytes)> = None;
    let may_run = |model: &&str| runs.iter().any(|run| run.model == *model && run.ran.is_some());
    let shapes: Vec<&str> = ["thread", "process", "hybrid", "spawn"].into_iter().filter(may_run).collect();
    for &model in &shapes {
        let spec = v1::JobSpec { reduce: true, ..subject.spec(shape(model)) };
        let ran = match within_limit(trial, spec, subject.inputs()).await? {
            Ok(ran) => ran,
            Err(Trouble { what, advice }) => {
                return Ok(Check::fail(REDUCTION, format!("under {model}: {what}"), advice));
            }
        };
        let output = ran.reduced.unwrap_or_default();
        match &known {
            Some((first, before)) if *before != output => {
                let what = format!("the combined output is another under {model} than under {first}");
                return Ok(if promised {
                    let advice = "combining must be associative, and a partial must come back from its bytes as it was";
                    Check::fail(REDUCTION, what, advice)
                } else {
                    Check::not_checked(REDUCTION, format!("{what}, as its manifest allows"), "")
                });
            }
            Some(_) => {}
            None => known = Some((model, output)),
        }
    }
    let size = bytes(known.map_or(0, |(_, output)| output.len() as u64));
    Ok(Check::pass(REDUCTION, format!("{size}, the same under {} shapes", shapes.len())))
}
