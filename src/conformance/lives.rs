//! A thousand jobs in one process, one after the other: nothing may grow.

use super::ask::ask;
use super::check::Check;
use super::inside::{Lines, Request};
use super::subject::Subject;
use crate::exit::Failure;
use crate::summary::{bytes, number};
use muster_plugin_host::F_MULTI_JOB;
use muster_plugin_host::{Plugin, StderrServices};
use muster_worker::os::proc_file::size;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const QUESTION: &str = "lives";
const NAME: &str = "1,000 jobs";
const JOBS: u64 = 1_000;
/// What is there after so many is what stays.
const WARM: u64 = 100;
/// More than this for each job is a leak: smaller ones drown in what the allocator does.
const GROWTH_PER_JOB_BYTES: u64 = 256;
/// Threads that a job had may take so long to end.
const ENDING: Duration = Duration::from_secs(1);

/// What a process has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    memory_bytes: u64,
    threads: u64,
    descriptors: u64,
}

/// Asks a child, and says what is to be thought of it.
pub async fn check(subject: &Subject) -> Result<Check, Failure> {
    if !subject.manifest().has(F_MULTI_JOB) {
        let why = "its manifest does not say multi_job: each job gets a process of its own";
        return Ok(Check::not_checked(NAME, why, ""));
    }
    let answer = ask(subject, QUESTION, None).await?;
    let made = answer.lines.iter().filter_map(|line| line["made"].as_u64()).max().unwrap_or(0);
    let error = answer.lines.iter().find_map(|line| line["error"].as_str());
    if let Some(what) = error.map(str::to_owned).or(answer.end) {
        let jobs = if made == 1 { "1 job".to_owned() } else { format!("{} jobs", number(made)) };
        let measured = format!("after {jobs}: {what}");
        return Ok(Check::fail(
            NAME,
            measured,
            "create and destroy must work again and again in one process",
        ));
    }
    let usage = |name: &str| {
        let line = answer.lines.iter().map(|line| &line[name]).find(|usage| usage.is_object());
        let of = |field: &str| line.map_or(0, |usage| usage[field].as_u64().unwrap_or(0));
        Usage { memory_bytes: of("memory"), threads: of("threads"), descriptors: of("descriptors") }
    };
    Ok(verdict(usage("before"), usage("after")))
}

fn verdict(before: Usage, after: Usage) -> Check {
    let memory = after.memory_bytes.saturating_sub(before.memory_bytes);
    let threads = after.threads.saturating_sub(before.threads);
    let descriptors = after.descriptors.saturating_sub(before.descriptors);
    let jobs = JOBS - WARM;
    let measured = format!(
        "in {} jobs memory grew by {}, threads by {threads}, descriptors by {descriptors}",
        number(jobs),
        bytes(memory)
    );
    let what = if threads > 0 {
        "destroy must end the threads that the job started, and wait for them"
    } else if descriptors > 0 {
        "destroy must close what the job opened"
    } else if memory > jobs * GROWTH_PER_JOB_BYTES {
        "destroy must free what create and the job allocated"
    } else {
        return Check::pass(NAME, measured);
    };
    Check::fail(NAME, measured, what)
}

/// In the child.
pub fn answer(request: &Request, lines: &mut Lines) {
    let plugin = match Plugin::load(&request.plugin, Arc::new(StderrServices)) {
        Ok(plugin) => plugin,
        Err(error) => return lines.say(&json!({"error": error.to_string()})),
    };
    let mut before = Usage::default();
    for made in 1..=JOBS {
        match plugin.create(request.job()) {
            Ok(job) => drop(job),
            Err(error) => return lines.say(&json!({"made": made - 1, "error": error.to_string()})),
        }
        if made % WARM == 0 {
            lines.say(&json!({ "made": made }));
        }
        if made == WARM {
            before = settled(Usage::default());
        }
    }
    let after = settled(before);
    lines.say(&json!({"before": value(before), "after": value(after)}));
}

/// What there is once threads that are about to end have ended.
fn settled(before: Usage) -> Usage {
    let until = Instant::now() + ENDING;
    loop {
        let usage = usage();
        if usage.threads <= before.threads.max(1) || Instant::now() >= until {
            return usage;
        }
        std::thread::yield_now();
    }
}

fn usage() -> Usage {
    // SAFETY: it takes a number; what the allocator holds back goes to the system, so that it does not count.
    unsafe { libc::malloc_trim(0) };
    let entries = |path: &str| std::fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
    Usage {
        memory_bytes: size("self/smaps_rollup", "Anonymous").unwrap_or(0),
        threads: entries("/proc/self/task"),
        descriptors: entries("/proc/self/fd"),
    }
}

fn value(usage: Usage) -> Value {
    json!({"memory": usage.memory_bytes, "threads": usage.threads, "descriptors": usage.descriptors})
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn whatever_grows_is_named() {
        let before = Usage { memory_bytes: 1 << 20, threads: 1, descriptors: 5 };
        let grown = |memory, threads, descriptors| Usage {
            memory_bytes: before.memory_bytes + memory,
            threads: before.threads + threads,
            descriptors: before.descriptors + descriptors,
        };
        assert_eq!(verdict(before, grown(100 << 10, 0, 0)).verdict, Verdict::Pass);
        for (after, words) in
            [(grown(1 << 20, 0, 0), "free"), (grown(0, 900, 0), "threads"), (grown(0, 0, 1), "close")]
        {
            let check = verdict(before, after);
            assert!(check.verdict == Verdict::Fail && check.advice.contains(words), "{check:?}");
        }
        assert!(usage().memory_bytes > 0 && usage().descriptors >= 3);
    }
}
