//! Sends the inputs of an open job. Reading happens on a thread of its own, because it may wait for a pipe. What was sent
//! and not yet acknowledged is kept, so that sending goes on where it was when the coordinator comes back.

use super::Line;
use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use crate::input::{Blocks, InputError};
use muster_proto::link::Link;
use muster_proto::v1;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// Blocks that were read and not yet sent.
const BLOCKS_AHEAD: usize = 4;

/// Sends everything that `blocks` holds and seals the job. Gives the number of tasks.
pub async fn feed(line: &Line, job: u64, blocks: Box<dyn Blocks>) -> Result<u64, Failure> {
    let (sender, mut to_send) = mpsc::channel(BLOCKS_AHEAD);
    let mut reader = read_on_thread(blocks, job, sender)?;
    let sent = Mutex::new(Sent::default());
    let mut read = None;
    loop {
        let (number, link) = line.link();
        let Err(lost) = send_over(&link, &mut to_send, &sent).await else { break };
        // When an input cannot be read the stream ends early, and the coordinator's complaint is only about that.
        read = read.or_else(|| reader.try_recv().ok());
        if let Some(Err(error)) = read {
            return Err(error.into());
        }
        line.restore(number, lost).await?;
        let (number, link) = line.link();
        match clients::jobs(&link).get(v1::JobRequest { job }).await {
            Ok(status) => lock(&sent).settle(&status.into_inner()),
            Err(status) => line.restore(number, Failure::about_job("sending inputs", &status)).await?,
        }
    }
    let accepted = lock(&sent).accepted;
    let read = match read {
        Some(read) => Ok(read),
        None => reader.await,
    };
    match read {
        Ok(Ok(tasks)) if tasks == accepted => Ok(tasks),
        Ok(Ok(tasks)) => {
            Err(Failure::new(Exit::Connection, format_args!("{tasks} inputs were sent, {accepted} accepted")))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::new(Exit::Connection, "the coordinator stopped taking inputs")),
    }
}

/// What was sent.
#[derive(Default)]
struct Sent {
    /// Tasks that are durable.
    accepted: u64,
    /// Messages that were not acknowledged.
    unanswered: VecDeque<v1::FeedRequest>,
    /// The job is sealed, and nothing is left to do.
    sealed: bool,
}

impl Sent {
    /// The oldest message was acknowledged.
    fn answered(&mut self, reply: v1::FeedReply) {
        self.accepted = reply.accepted;
        self.sealed |= self.unanswered.pop_front().is_some_and(|message| message.seal);
    }

    /// The coordinator came back: what it has of that which it did not acknowledge need not be sent again. Messages are
    /// kept whole or not at all.
    fn settle(&mut self, status: &v1::JobStatus) {
        while let Some(first) = self.unanswered.front()
            && first.count > 0
            && self.accepted + first.count <= status.tasks
        {
            self.accepted += first.count;
            self.unanswered.pop_front();
        }
        // A job ends by itself only when it was sealed.
        self.sealed |= super::is_final(status) && self.unanswered.iter().all(|message| message.seal);
    }
}

fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends what was not acknowledged, and then what comes, until everything is; ends early without a complaint when nothing
/// more comes though the job is not sealed.
async fn send_over(
    link: &Link,
    to_send: &mut mpsc::Receiver<v1::FeedRequest>,
    sent: &Mutex<Sent>,
) -> Result<(), Failure> {
    if lock(sent).sealed {
        return Ok(());
    }
    let again = lock(sent).unanswered.clone();
    let (sender, messages) = mpsc::channel(1);
    let sending = async move {
        for message in again {
            if sender.send(message).await.is_err() {
                return;
            }
        }
        while let Some(message) = to_send.recv().await {
            lock(sent).unanswered.push_back(message.clone());
            if sender.send(message).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let failed = |status: tonic::Status| Failure::from_status("sending inputs", &status);
        let mut replies =
            clients::jobs(link).feed(ReceiverStream::new(messages)).await.map_err(failed)?.into_inner();
        while let Some(reply) = replies.next().await {
            lock(sent).answered(reply.map_err(failed)?);
        }
        if lock(sent).unanswered.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(Exit::Connection, "the coordinator stopped taking inputs"))
        }
    };
    let mut answers = std::pin::pin!(answers);
    tokio::select! {
        answered = &mut answers => answered,
        () = sending => answers.await,
    }
}

/// The count of tasks read, or why reading stopped; nothing when nobody took what was read.
type Read = oneshot::Receiver<Result<u64, InputError>>;

fn read_on_thread(
    mut blocks: Box<dyn Blocks>,
    job: u64,
    sender: mpsc::Sender<v1::FeedRequest>,
) -> Result<Read, Failure> {
    let (done, result) = oneshot::channel();
    let read = move || {
        let mut tasks = 0;
        let mut send = |count, inputs, seal| {
            let start = Some(tasks);
            tasks += count;
            sender.blocking_send(v1::FeedRequest { job, inputs, count, seal, start }).map(|()| tasks)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(count: u64) -> v1::FeedRequest {
        v1::FeedRequest { job: 1, count, seal: count == 0, inputs: None, start: None }
    }

    #[test]
    fn what_the_coordinator_has_is_not_sent_again() {
        let mut sent = Sent { accepted: 10, unanswered: [5, 7, 3].map(message).into(), ..Sent::default() };
        let running =
            |tasks| v1::JobStatus { tasks, state: v1::JobState::Running.into(), ..Default::default() };
        sent.settle(&running(10));
        assert_eq!((sent.accepted, sent.unanswered.len()), (10, 3));
        sent.settle(&running(22));
        assert_eq!((sent.accepted, sent.unanswered.len()), (22, 1));
        sent.answered(v1::FeedReply { accepted: 25 });
        assert!(sent.unanswered.is_empty() && sent.accepted == 25 && !sent.sealed);
    }

    #[test]
    fn a_job_that_ended_while_the_link_was_lost_is_sealed() {
        let done = |tasks| v1::JobStatus { tasks, state: v1::JobState::Done.into(), ..Default::default() };
        let mut sent = Sent { accepted: 10, unanswered: [5, 0].map(message).into(), ..Sent::default() };
        sent.settle(&done(15));
        assert!(sent.sealed && sent.accepted == 15);
        let mut cancelled = Sent { accepted: 10, unanswered: [5, 0].map(message).into(), ..Sent::default() };
        cancelled.settle(&done(10));
        assert!(!cancelled.sealed, "inputs are missing: the refusal says why");
    }
}
