//! `shared`: the counter that tasks share. The article has four threads, and four processes with a `multiprocessing.Value`,
//! add 1 a hundred thousand times each, and a class with a lock that ten threads call a thousand times each.

use super::claim::{Claim, Evidence, Holds};
use super::workloads::Workloads;
use crate::cli::Model;
use crate::compare::{Case, Configuration, Group, Reading, ReadingFrom};
use crate::exit::Outcome;
use crate::summary::number;
use serde_json::json;

const LOST: Reading = Reading { from: ReadingFrom::Reduced("lost"), name: "LOST UPDATES", unit: "" };
const COUNTED: Reading = Reading { from: ReadingFrom::Reduced("counted"), name: "COUNTED", unit: "" };
/// How additions are made, and how many of them by each task: so many that a run takes long enough for tasks to meet.
const FORMS: [(&str, u64); 6] = [
    ("racy", 20_000_000),
    ("atomic", 4_000_000),
    ("sharded", 20_000_000),
    ("mutex", 400_000),
    ("rwlock", 400_000),
    ("semaphore", 400_000),
];
const ARTICLE: &str = "10 x 1,000 under a lock";
const ARTICLE_ADDITIONS: u64 = 1_000;
const ARTICLE_TASKS: u32 = 10;

pub async fn groups(slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for (mode, increments) in FORMS {
        let name = name(mode, increments);
        groups.push(group(&name, mode, increments, slots, with).await?.factor("form", mode));
    }
    groups.push(group(ARTICLE, "mutex", ARTICLE_ADDITIONS, ARTICLE_TASKS, with).await?);
    Ok(groups)
}

async fn group(
    name: &str,
    mode: &str,
    increments: u64,
    tasks: u32,
    with: &mut Workloads<'_>,
) -> Outcome<Group> {
    let mut cases = Vec::new();
    for (model, scope) in [(Model::Thread, "executor"), (Model::Process, "worker"), (Model::Gil, "executor")]
    {
        let params = json!({"mode": mode, "scope": scope, "increments": increments});
        let subject = with.read("counter", params, &[COUNTED, LOST]).await?;
        cases.push(Case::new(Configuration::on(model, tasks)?, &subject));
    }
    Ok(Group::of(name, cases, tasks.into()))
}

fn name(mode: &str, increments: u64) -> String {
    format!("{mode}, {} additions each", number(increments))
}

pub fn claims(slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
    let [thread, process, gil] =
        [format!("thread 1x{slots}"), format!("process {slots}x1"), format!("gil 1x{slots}")];
    let (racy, increments) = FORMS[0];
    let racy = name(racy, increments);
    let most = |group: &str, case: &str| evidence.reading(group, case, LOST.name).map(|(_, most)| most);
    let (threads, processes, locked) = (most(&racy, &thread), most(&racy, &process), most(&racy, &gil));
    let lost =
        |lost: Option<f64>| lost.map_or_else(|| "unknown".to_owned(), |lost| number(lost.max(0.0) as u64));
    let all = number(u64::from(slots) * increments);
    let [ten, tens, turns] = [Model::Thread, Model::Process, Model::Gil]
        .map(|model| Configuration::on(model, ARTICLE_TASKS).map(|it| it.name).unwrap_or_default())
        .map(|case| most(ARTICLE, &case));
    let exact = [ten, tens, turns].map(|lost| lost == Some(0.0));
    vec![
        Claim {
            topic: "data sharing",
            claim: "threads share memory easily, and race: without a lock, updates are lost".to_owned(),
            measured: format!(
                "of {all} additions, threads lost up to {}, processes on shared memory up to {}, and threads that take turns up to {}",
                lost(threads),
                lost(processes),
                lost(locked)
            ),
            verdict: match (threads, processes, locked) {
                (Some(threads), Some(_), Some(locked)) if threads > 0.0 && locked == 0.0 => Holds::Depends,
                (Some(threads), _, _) if threads > 0.0 => Holds::Yes,
                (Some(_), Some(_), Some(_)) => Holds::No,
                _ => Holds::Unknown,
            },
            command: "muster compare shared".to_owned(),
        },
        Claim {
            topic: "a thread-safe counter",
            claim: "a counter with a lock is exact: 10 threads x 1,000 make 10,000".to_owned(),
            measured: format!(
                "lost under threads {}, processes {}, turns {}",
                lost(ten),
                lost(tens),
                lost(turns)
            ),
            verdict: if exact.iter().all(|it| *it) { Holds::Yes } else { Holds::No },
            command: "muster compare shared".to_owned(),
        },
    ]
}
