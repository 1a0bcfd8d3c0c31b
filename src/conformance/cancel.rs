//! Whether running tasks stop by themselves when they are asked to, and how fast.

use super::check::{Check, Verdict};
use super::models::{Run, shape};
use super::subject::Subject;
use crate::exit::Failure;
use crate::job;
use crate::summary::seconds;
use crate::trial::Trial;
use muster_proto::v1::{self, JobState};
use std::time::Duration;

const NAME: &str = "stops when asked";
/// Tasks must be in the middle of something that takes longer than this for the answer to mean anything.
const TASK_MIN: Duration = Duration::from_millis(150);
/// A task that looks every 10 ms has stopped by then, also on a busy machine.
const STOP_MAX: Duration = Duration::from_millis(100);
/// A task that does not look is slow to stop each time; one that had to wait for a busy processor is not. There, all tasks may
/// have ended before they are asked, too.
const TRIES: u32 = 4;
/// From the flag to SIGKILL; SIGTERM comes at half of it.
const GRACE_MS: u64 = 2_000;
/// How far into its tasks a job is cancelled.
const INTO_TASKS: Duration = Duration::from_millis(40);
const LOOK: Duration = Duration::from_millis(1);
const ADVICE: &str =
    "look at the cancel flag at least every 10 ms (ctx.check(), in C *tc->cancel or host->checkpoint)";

/// Cancels a job while its tasks run.
pub async fn cancel(subject: &Subject, trial: &Trial, runs: &[Run]) -> Result<Check, Failure> {
    let Some(run) = runs.iter().find(|run| run.ran.is_some()) else {
        return Ok(Check::not_checked(NAME, "it ran under no model", ""));
    };
    let longest = run.ran.as_ref().and_then(|ran| ran.status.run.as_ref()).map_or(0, |run| run.max_ns);
    if Duration::from_nanos(longest) < TASK_MIN {
        let why = format!(
            "no task took longer than {}, so that stopping makes no difference",
            seconds(longest as f64 / 1e9)
        );
        let advice =
            format!("give parameters that make a task take {} or more", seconds(TASK_MIN.as_secs_f64()));
        return Ok(Check::not_checked(NAME, why, advice));
    }
    // Executors that take long to start have no task yet when the job has its first lease.
    let start = run.ran.as_ref().and_then(|ran| ran.status.start.as_ref()).map_or(0, |start| start.max_ns);
    let moment = |number: u32| INTO_TASKS + Duration::from_nanos(start) * number;
    let mut check = once(subject, trial, run.model, moment(0)).await?;
    for number in 1..TRIES {
        if check.verdict == Verdict::Pass {
            break;
        }
        check = once(subject, trial, run.model, moment(number)).await?;
    }
    Ok(check)
}

async fn once(subject: &Subject, trial: &Trial, model: &str, moment: Duration) -> Result<Check, Failure> {
    let limits = Some(v1::Limits { grace_ms: GRACE_MS, ..Default::default() });
    let spec = v1::JobSpec { limits, ..subject.spec(shape(model)) };
    let number = trial.submit(spec, subject.inputs()).await?;
    wait_until_leased(trial, number).await?;
    // Not a wait for something: the moment at which tasks are asked.
    tokio::time::sleep(moment).await;
    job::cancel(trial.link(), number).await?;
    let status = trial.end_of(number).await?.status;
    Ok(verdict(&status))
}

async fn wait_until_leased(trial: &Trial, number: u64) -> Result<(), Failure> {
    loop {
        let status = job::status(trial.link(), number).await?;
        if status.leased > 0 || job::is_final(&status) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn verdict(status: &v1::JobStatus) -> Check {
    let stopped = status.stopped.unwrap_or_default();
    let v1::JobStopped { asked, terminated, killed, longest_ns, .. } = stopped;
    if status.state() != JobState::Cancelled || asked + terminated + killed == 0 {
        let advice = "give parameters that make tasks take longer, or a larger -n";
        return Check::not_checked(NAME, "no task was running when it was cancelled", advice);
    }
    let longest = Duration::from_nanos(longest_ns);
    let after = seconds(longest.as_secs_f64());
    if killed > 0 {
        return Check::fail(
            NAME,
            format!("{killed} tasks had to be killed (SIGKILL), after {after}"),
            ADVICE,
        );
    }
    if terminated > 0 {
        return Check::fail(NAME, format!("{terminated} tasks ended only at SIGTERM, after {after}"), ADVICE);
    }
    if longest > STOP_MAX {
        return Check::fail(NAME, format!("{asked} tasks went on for {after} after the flag"), ADVICE);
    }
    let tasks = if asked == 1 { "1 task".to_owned() } else { format!("{asked} tasks") };
    Check::pass(NAME, format!("{tasks} stopped by themselves within {after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_stop_has_its_verdict() {
        let of = |asked, terminated, killed, ms: u64| {
            let stopped = v1::JobStopped { job: 1, asked, terminated, killed, longest_ns: ms * 1_000_000 };
            let status = v1::JobStatus {
                state: JobState::Cancelled.into(),
                stopped: Some(stopped),
                ..Default::default()
            };
            verdict(&status)
        };
        assert_eq!(of(2, 0, 0, 3).verdict, Verdict::Pass);
        assert_eq!(of(0, 0, 0, 0).verdict, Verdict::NotChecked);
        for (check, words) in [
            (of(2, 0, 0, 300), "went on for 300 ms"),
            (of(1, 1, 0, 2_000), "SIGTERM"),
            (of(0, 0, 2, 4_000), "SIGKILL"),
        ] {
            assert!(check.verdict == Verdict::Fail && check.measured.contains(words), "{check:?}");
        }
    }
}
