//! Sends the inputs of an open job. Reading happens on a thread of its own, because it may wait for a pipe.

use crate::exit::{Exit, Failure};
use crate::input::{Blocks, InputError};
use muster_proto::link::Link;
use muster_proto::v1::{self, jobs_client::JobsClient};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// Blocks that were read and not yet sent.
const BLOCKS_AHEAD: usize = 4;

/// Sends everything that `blocks` holds and seals the job. Gives the number of tasks.
pub async fn feed(mut jobs: JobsClient<Link>, job: u64, blocks: Box<dyn Blocks>) -> Result<u64, Failure> {
    let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
    let mut reader = read_on_thread(blocks, job, sender)?;
    // When an input cannot be read the stream ends early, and the coordinator's complaint is only about that.
    let mut failed = |status: tonic::Status| match reader.try_recv() {
        Ok(Err(error)) => error.into(),
        Ok(Ok(_)) | Err(_) => Failure::from_status("sending inputs", &status),
    };
    let mut replies = jobs.feed(ReceiverStream::new(receiver)).await.map_err(&mut failed)?.into_inner();
    let mut accepted = 0;
    while let Some(reply) = replies.next().await {
        accepted = reply.map_err(&mut failed)?.accepted;
    }
    match reader.await {
        Ok(Ok(tasks)) if tasks == accepted => Ok(tasks),
        Ok(Ok(tasks)) => {
            Err(Failure::new(Exit::Connection, format_args!("{tasks} inputs were sent, {accepted} accepted")))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::new(Exit::Connection, "the coordinator stopped taking inputs")),
    }
}

/// The count of tasks read, or why reading stopped; nothing when nobody took what was read.
type Read = tokio::sync::oneshot::Receiver<Result<u64, InputError>>;

fn read_on_thread(
    mut blocks: Box<dyn Blocks>,
    job: u64,
    sender: mpsc::Sender<v1::FeedRequest>,
) -> Result<Read, Failure> {
    let (done, result) = tokio::sync::oneshot::channel();
    let read = move || {
        let mut tasks = 0;
        let mut first = job; // only the first message names it
        let mut send = |count, inputs, seal| {
            tasks += count;
            let job = std::mem::take(&mut first);
            sender.blocking_send(v1::FeedRequest { job, inputs, count, seal }).map(|()| tasks)
        };
        loop {
            let sent = match blocks.next_block() {
                Ok(Some(block)) => send(block.len() as u64, Some(block.into_packed()), false).map(|_| None),
                Ok(None) => send(0, None, true).map(Some),
                Err(error) => {
                    // The stream ends unsealed, so that the job does not count as complete.
                    let _ = done.send(Err(error));
                    return;
                }
            };
            match sent {
                Ok(None) => {}
                Ok(Some(tasks)) => {
                    let _ = done.send(Ok(tasks));
                    return;
                }
                Err(_) => return, // the coordinator takes no more
            }
        }
    };
    std::thread::Builder::new()
        .name("inputs".into())
        .spawn(read)
        .map(|_| result)
        .map_err(|error| Failure::new(Exit::Limit, format_args!("cannot start a thread: {error}")))
}
