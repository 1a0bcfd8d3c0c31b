//! What a task said last.

use super::Object;
use crate::cluster::clients;
use muster_proto::link::Link;
use muster_proto::v1;
use tokio_stream::StreamExt as _;

/// Lines that are looked for on the workers.
const LAST_LINES: u64 = 50;

/// The last lines of a task's last attempt, from the workers that are there.
pub async fn last_lines(link: &Link, object: &Object) -> Vec<String> {
    let request = v1::LogsRequest {
        job: object.job,
        one: true,
        index: object.task,
        last: LAST_LINES,
        ..Default::default()
    };
    let Ok(reply) = clients::jobs(link).logs(request).await else { return Vec::new() };
    let mut stream = reply.into_inner();
    let mut lines = Vec::new();
    while let Some(Ok(reply)) = stream.next().await {
        lines.extend(reply.lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()));
    }
    lines
}

/// Lines without the empty ones around them: Rust begins what it says of a panic with one.
pub fn told(mut lines: Vec<String>) -> Vec<String> {
    let is_empty = |line: &String| line.trim().is_empty();
    let last = lines.iter().rposition(|line| !is_empty(line)).map_or(0, |at| at + 1);
    lines.truncate(last);
    let first = lines.iter().position(|line| !is_empty(line)).unwrap_or(0);
    lines.drain(..first);
    lines
}
