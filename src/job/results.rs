//! The results of a job that has ended, all at once.

use crate::cluster::clients;
use crate::exit::{Exit, Failure, Outcome};
use bytes::Bytes;
use muster_proto::link::Link;
use muster_proto::packed::Items;
use muster_proto::v1;
use tokio_stream::StreamExt as _;

/// What a coordinator kept.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Of tasks that have one, by index.
    pub outputs: Vec<(u64, Bytes)>,
    /// What they were combined to.
    pub reduced: Option<Bytes>,
}

/// Reads them; few enough of them to be held in memory.
pub async fn results(link: &Link, job: u64) -> Outcome<Results> {
    let failed = |status: tonic::Status| Failure::about_job("reading results", &status);
    let request = v1::ResultsRequest { job, ..Default::default() };
    let mut replies = clients::jobs(link).results(request).await.map_err(failed)?.into_inner();
    let mut found = Results::default();
    while let Some(reply) = replies.next().await {
        let reply = reply.map_err(failed)?;
        let Some(packed) = reply.results else { continue };
        let count = if reply.reduced { 1 } else { reply.count };
        let items = Items::try_new(packed, count).map_err(|error| {
            Failure::new(Exit::Connection, format_args!("results do not add up: {error}"))
        })?;
        let mut items = items.iter().map(Bytes::copy_from_slice);
        if reply.reduced {
            found.reduced = items.next();
        } else {
            found.outputs.extend((reply.start..).zip(items));
        }
    }
    Ok(found)
}
