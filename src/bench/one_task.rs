//! One task at a time into an open job of a running cluster, until its result is back.

use super::{jobs, spec};
use crate::exit::{Exit, Failure};
use crate::job::submit;
use crate::plugin::PluginFile;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::link::Link;
use muster_proto::v1;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// Enough for a 99th percentile with ten samples above it.
const SAMPLES: u32 = 2_000;
/// Left out at the beginning: the first tasks start the executor.
const WARM_UP: u32 = 100;

/// The times of single tasks.
pub async fn times(link: &Link, plugin: &PluginFile) -> Result<Sketch, Failure> {
    let failed = |status: tonic::Status| Failure::from_status("measuring single tasks", &status);
    let ended = || Failure::new(Exit::Connection, "the job of the measurement ended early");
    let outputs = v1::Outputs::Stream.into();
    let open = v1::JobSpec { open: true, has_inputs: true, outputs, ..spec(plugin, serde_json::json!({}))? };
    let job = submit(link, open).await?;
    let (sender, receiver) = mpsc::channel(4);
    let input = v1::Packed { width: 8, lengths: Vec::new(), data: vec![0; 8].into() };
    let message = move |first: bool| v1::FeedRequest {
        job: if first { job } else { 0 },
        inputs: Some(input.clone()),
        count: 1,
        seal: false,
        start: None,
    };
    let mut client = jobs(link);
    let feeding = tokio::spawn(async move {
        let mut replies = client.feed(ReceiverStream::new(receiver)).await?.into_inner();
        while replies.next().await.transpose()?.is_some() {}
        Ok::<(), tonic::Status>(())
    });
    let request = v1::ResultsRequest { job, from: 0, follow: true, last: 0 };
    let mut results = jobs(link).results(request).await.map_err(failed)?.into_inner();
    let mut times = Sketch::new();
    for sample in 0..WARM_UP + SAMPLES {
        let began = Instant::now();
        sender.send(message(sample == 0)).await.map_err(|_| ended())?;
        let mut got = 0;
        while got == 0 {
            got = results.next().await.ok_or_else(ended)?.map_err(failed)?.count;
        }
        if sample >= WARM_UP {
            times.record(Span(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)));
        }
    }
    let _ = sender.send(v1::FeedRequest { seal: true, ..Default::default() }).await;
    drop(sender);
    while results.next().await.transpose().map_err(failed)?.is_some_and(|reply| !reply.end) {}
    feeding.await.map_err(|_| ended())?.map_err(failed)?;
    Ok(times)
}
