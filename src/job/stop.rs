//! How the running tasks of a cancelled job come to a stop.

use crate::exit::Failure;
use crate::summary::seconds;
use muster_proto::link::Link;
use muster_proto::v1::{self, JobState};
use std::time::Duration;

/// How often a job is looked at: at first often, because most tasks stop at once.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_LAST: Duration = Duration::from_millis(50);

/// Waits until no worker runs a task of a cancelled job any more; a job that ended in another way is not waited for.
pub async fn wait_until_stopped(link: &Link, mut status: v1::JobStatus) -> Result<v1::JobStatus, Failure> {
    let mut pause = LOOK_FIRST;
    while status.state() == JobState::Cancelled && status.stopping > 0 {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_LAST);
        status = super::status(link, status.job).await?;
    }
    Ok(status)
}

/// How its tasks stopped: `4 tasks stopped when asked, 1 killed after 5.0 s`; `None`: it is not known.
pub fn how_it_stopped(status: &v1::JobStatus) -> Option<String> {
    let v1::JobStopped { asked, terminated, killed, longest_ns, .. } = status.stopped?;
    let longest = seconds(longest_ns as f64 / 1e9);
    let mut parts = Vec::new();
    for (count, how) in [
        (asked, "stopped when asked".to_owned()),
        (terminated, format!("ended by SIGTERM after up to {longest}")),
        (killed, format!("killed after {longest}")),
    ] {
        if count > 0 {
            let noun = match (parts.is_empty(), count) {
                (true, 1) => "1 task".to_owned(),
                (true, count) => format!("{count} tasks"),
                (false, count) => count.to_string(),
            };
            parts.push(format!("{noun} {how}"));
        }
    }
    if status.stopping > 0 {
        let workers = if status.stopping == 1 { "worker" } else { "workers" };
        parts.push(format!("{} {workers} still running tasks of it", status.stopping));
    }
    Some(if parts.is_empty() { "no task was running".to_owned() } else { parts.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_stop_is_counted() {
        let text = |asked, terminated, killed, stopping| {
            let stopped = v1::JobStopped { job: 3, asked, terminated, killed, longest_ns: 5_003_000_000 };
            let status = v1::JobStatus { stopped: Some(stopped), stopping, ..v1::JobStatus::default() };
            how_it_stopped(&status).unwrap()
        };
        assert_eq!(
            text(4, 0, 1, 0),
            format!("4 tasks stopped when asked, 1 killed after {}", seconds(5.003))
        );
        assert_eq!(text(0, 0, 0, 0), "no task was running");
        assert_eq!(text(1, 0, 0, 2), "1 task stopped when asked, 2 workers still running tasks of it");
        assert_eq!(how_it_stopped(&v1::JobStatus::default()), None);
    }
}
