//! Jobs: submit, feed, watch, results.

use super::logs;
use super::results::{self, Outputs};
use super::{STREAM_MESSAGES, Sent, Shared};
use crate::driver::{Case, Command, Refusal, Snapshot};
use crate::store::{OpenReader, Reader};
use muster_core::id::JobId;
use muster_core::range::IndexRange;
use muster_proto::convert::{CaseAsk, Feed, LogsAsk, RetryAsk, Submission, TASKS_MAX, WhyAsk};
use muster_proto::v1::jobs_server::Jobs;
use muster_proto::v1::{self, JobState};
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// A watched job is looked at this often, and at each change of its state.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// Jobs that a list shows unless it is asked for another number, and at the most.
const LIST_DEFAULT: u32 = 100;
const LIST_MAX: u32 = 2_000;
/// Failed tasks whose log lines are looked for.
const FAILED_MAX: usize = 10_000;

/// Serves clients' jobs.
#[derive(Clone)]
pub struct JobsService {
    shared: Shared,
    outputs: Outputs,
    readers: Arc<AtomicU64>,
}

impl std::fmt::Debug for JobsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobsService").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl JobsService {
    /// A service that reads results through `open_reader`; `blocking`: reading may wait for a disk.
    #[must_use]
    pub fn new(shared: Shared, open_reader: OpenReader, blocking: bool) -> Self {
        Self { shared, outputs: Outputs::new(open_reader, blocking), readers: Arc::default() }
    }

    /// The tasks of a job that failed for good, those with the lowest indexes.
    async fn failed(&self, job: JobId) -> Result<Vec<u64>, Status> {
        let all = IndexRange::new(0, TASKS_MAX);
        let read = move |reader: &mut dyn Reader| reader.failures(job, all, FAILED_MAX);
        let failures = self.outputs.read(&mut None, read).await?;
        Ok(failures.into_iter().map(|failure| failure.index).collect())
    }

    /// The input of a task that failed for good, as its post-mortem has it.
    async fn kept_input(&self, job: JobId, index: u64) -> Result<v1::TaskInput, Status> {
        let within = IndexRange::from_count(index, 1);
        let read = move |reader: &mut dyn Reader| reader.post_mortems(job, within, 1);
        let found = self.outputs.read(&mut None, read).await?.pop().map(decoded).transpose()?;
        let input = found.and_then(|report| report.input);
        input.ok_or_else(|| self.shared.refused(Refusal::NoInput { job, index }.into()))
    }

    async fn snapshot(&self, job: u64) -> Result<Snapshot, Status> {
        Ok(self.shared.driver.ask(|reply| Command::Status(JobId(job), reply)).await?)
    }
}

#[tonic::async_trait]
impl Jobs for JobsService {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let submission =
            Submission::try_from(request.into_inner()).map_err(|error| self.shared.refuse(error))?;
        if !submission.params.is_empty() {
            let parsed: Result<serde_json::Map<String, serde_json::Value>, _> =
                serde_json::from_slice(&submission.params);
            parsed.map_err(|error| {
                let too_deep = error.to_string().starts_with("recursion limit exceeded");
                self.shared.refused(if too_deep {
                    Status::resource_exhausted("spec.params is nested too deeply: at most 127 levels (fixed)")
                } else {
                    Status::invalid_argument(format!("spec.params is not a JSON object: {error}"))
                })
            })?;
        }
        let job = self.shared.driver.ask(|reply| Command::Submit(Box::new(submission), reply)).await?;
        Ok(Response::new(v1::SubmitReply { job: job.0 }))
    }

    type FeedStream = Sent<v1::FeedReply>;

    async fn feed(
        &self,
        request: Request<Streaming<v1::FeedRequest>>,
    ) -> Result<Response<Self::FeedStream>, Status> {
        let mut stream = request.into_inner();
        let missing =
            || self.shared.refused(Status::invalid_argument("job is missing: the first message names it"));
        let first = self.shared.next(&mut stream).await?.ok_or_else(missing)?;
        let job = Feed::job(&first).map_err(|error| self.shared.refuse(error))?;
        let (has_inputs, feeder) = self.shared.driver.ask(|reply| Command::FeedTo(job, reply)).await?;
        let (replies, sent) = mpsc::channel(STREAM_MESSAGES);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = feed_all(&shared, job, has_inputs, first, stream, &replies) => outcome,
                // Also while its inputs wait for room.
                () = replies.closed() => Ok(()),
            };
            drop(feeder);
            if let Err(status) = outcome {
                // A client that went away does not hear it.
                let _ = replies.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(sent))))
    }

    type WatchStream = Sent<v1::JobStatus>;

    async fn watch(&self, request: Request<v1::JobRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let first = self.snapshot(request.into_inner().job).await?;
        let (statuses, sent) = mpsc::channel(STREAM_MESSAGES);
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(status) = watch_all(&service, first, &statuses).await {
                let _ = statuses.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(sent))))
    }

    async fn get(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::JobStatus>, Status> {
        Ok(Response::new(self.snapshot(request.into_inner().job).await?.status))
    }

    async fn list(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsReply>, Status> {
        let limit = match request.into_inner().limit {
            0 => LIST_DEFAULT,
            limit => limit.min(LIST_MAX),
        };
        let jobs = self.shared.driver.ask(|reply| Command::List(limit as usize, reply)).await?;
        Ok(Response::new(v1::ListJobsReply { jobs }))
    }

    async fn cancel(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::JobStatus>, Status> {
        let job = JobId(request.into_inner().job);
        let mut snapshot = self.shared.driver.ask(|reply| Command::Cancel(job, reply)).await?;
        // The answer says that the job is cancelled once that is durable.
        if let Some(state) = &mut snapshot.state {
            let over =
                |state: &JobState| !matches!(state, JobState::Waiting | JobState::Running | JobState::Paused);
            let _ = state.wait_for(over).await;
            snapshot = self.snapshot(snapshot.status.job).await?;
        }
        Ok(Response::new(snapshot.status))
    }

    async fn remove(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::JobStatus>, Status> {
        let job = JobId(request.into_inner().job);
        Ok(Response::new(self.shared.driver.ask(|reply| Command::Remove(job, reply)).await?))
    }

    type ResultsStream = Sent<v1::ResultsReply>;

    async fn results(
        &self,
        request: Request<v1::ResultsRequest>,
    ) -> Result<Response<Self::ResultsStream>, Status> {
        let mut asked = request.into_inner();
        asked.job = self.snapshot(asked.job).await?.status.job;
        let reader = self.readers.fetch_add(1, Ordering::Relaxed);
        let (parts, sent) = mpsc::channel(STREAM_MESSAGES);
        let (shared, outputs) = (self.shared.clone(), self.outputs.clone());
        tokio::spawn(async move {
            if let Err(status) = results::send_all(&shared, &outputs, reader, asked, &parts).await {
                let _ = parts.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(sent))))
    }

    async fn acknowledge(
        &self,
        request: Request<v1::AcknowledgeRequest>,
    ) -> Result<Response<v1::AcknowledgeReply>, Status> {
        let v1::AcknowledgeRequest { job, below } = request.into_inner();
        self.shared.driver.ask(|reply| Command::Acknowledge(JobId(job), below, reply)).await?;
        Ok(Response::new(v1::AcknowledgeReply {}))
    }

    async fn retry(&self, request: Request<v1::RetryRequest>) -> Result<Response<v1::RetryReply>, Status> {
        let ask = RetryAsk::try_from(request.into_inner()).map_err(|error| self.shared.refuse(error))?;
        let (job, released) = self.shared.driver.ask(|reply| Command::Retry(ask, reply)).await?;
        let status = self.snapshot(job.0).await?.status;
        Ok(Response::new(v1::RetryReply { status: Some(status), released }))
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        let ask = WhyAsk::try_from(request.into_inner()).map_err(|error| self.shared.refuse(error))?;
        let status = self.snapshot(ask.job.0).await?.status;
        let (job, limit) = (JobId(status.job), ask.limit);
        let within = ask.task.map_or(IndexRange::new(0, TASKS_MAX), |index| IndexRange::from_count(index, 1));
        let read = move |reader: &mut dyn Reader| reader.post_mortems(job, within, limit + 1);
        let found = self.outputs.read(&mut None, read).await?;
        let more = found.len() > limit;
        let tasks = found.into_iter().take(limit).map(|data| {
            let mut report = decoded(data)?;
            if let Some(input) = &mut report.input {
                input.data = bytes::Bytes::new();
            }
            Ok(report)
        });
        let tasks = tasks.collect::<Result<_, Status>>()?;
        Ok(Response::new(v1::WhyReply { status: Some(status), tasks, more }))
    }

    async fn case(&self, request: Request<v1::CaseRequest>) -> Result<Response<v1::CaseReply>, Status> {
        let ask = CaseAsk::try_from(request.into_inner()).map_err(|error| self.shared.refuse(error))?;
        let Case { job, spec, tasks, input } =
            self.shared.driver.ask(|reply| Command::Case(ask, reply)).await?;
        let input = match input {
            Some(data) => Some(v1::TaskInput { bytes: data.len() as u64, kept: true, data }),
            None if spec.has_inputs => Some(self.kept_input(job, ask.index).await?),
            None => None,
        };
        Ok(Response::new(v1::CaseReply { job: job.0, spec: Some(spec), tasks, input }))
    }

    async fn task_samples(
        &self,
        request: Request<v1::TaskSamplesRequest>,
    ) -> Result<Response<v1::TaskSamplesReply>, Status> {
        let job = JobId(request.into_inner().job);
        let reply = self.shared.driver.ask(|reply| Command::TaskSamples(job, reply)).await?;
        Ok(Response::new(reply))
    }

    type LogsStream = ReceiverStream<Result<v1::LogsReply, Status>>;

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let mut ask = LogsAsk::try_from(request.into_inner()).map_err(|error| self.shared.refuse(error))?;
        // The newest is settled once.
        ask.job = JobId(self.snapshot(ask.job.0).await?.status.job);
        let failed = if ask.failed { Some(self.failed(ask.job).await?) } else { None };
        let (replies, sent) = mpsc::channel(STREAM_MESSAGES);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if let Err(status) = logs::send_all(&shared, ask, failed, &replies).await {
                let _ = replies.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

fn decoded(post_mortem: bytes::Bytes) -> Result<v1::PostMortem, Status> {
    v1::PostMortem::decode(post_mortem)
        .map_err(|_| Status::data_loss("a post-mortem in the state folder is damaged"))
}

/// Hands the tasks of a stream to the driver, one message after the other: the next one is read when the one
/// before is durable or waits for room.
async fn feed_all(
    shared: &Shared,
    job: JobId,
    has_inputs: bool,
    first: v1::FeedRequest,
    mut stream: Streaming<v1::FeedRequest>,
    replies: &mpsc::Sender<Result<v1::FeedReply, Status>>,
) -> Result<(), Status> {
    let (answers, mut answered) = mpsc::channel(FEEDS_AHEAD);
    let forward = async {
        while let Some(answer) = answered.recv().await {
            let answer: tokio::sync::oneshot::Receiver<Result<u64, Refusal>> = answer;
            let accepted = answer.await.unwrap_or(Err(Refusal::Stopping))?;
            if replies.send(Ok(v1::FeedReply { accepted })).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let read = async move {
        let mut next = Some(first);
        while let Some(message) = next {
            if message.job != 0 && message.job != job.0 {
                let text = format!("job is {}: this stream feeds job {}", message.job, job.0);
                return Err(shared.refused(Status::invalid_argument(text)));
            }
            let feed = Feed::try_new(message, has_inputs).map_err(|error| shared.refuse(error))?;
            let (reply, answer) = tokio::sync::oneshot::channel();
            shared.driver.tell(Command::Feed(job, feed, reply)).await?;
            if answers.send(answer).await.is_err() {
                break;
            }
            next = shared.next(&mut stream).await?;
        }
        Ok(())
    };
    let mut forward = std::pin::pin!(forward);
    tokio::select! {
        // What is refused is told at once, also to who sends nothing more before it is.
        refused = &mut forward => refused,
        read = read => forward.await.and(read),
    }
}

/// Messages of one feed that may be on their way to the store.
const FEEDS_AHEAD: usize = 8;

/// Sends the status until the job has ended; the last one always comes.
async fn watch_all(
    service: &JobsService,
    first: Snapshot,
    statuses: &mpsc::Sender<Result<v1::JobStatus, Status>>,
) -> Result<(), Status> {
    let mut snapshot = first;
    let job = snapshot.status.job;
    let mut sent = None;
    loop {
        let status = &snapshot.status;
        // Whatever else has not changed, a clock alone is no news.
        let counts = (status.ok, status.failed, status.leased, status.tasks, status.retried);
        let news = (status.state, counts, status.in_progress);
        if sent != Some(news) {
            if statuses.send(Ok(status.clone())).await.is_err() {
                return Ok(());
            }
            sent = Some(news);
        }
        let Some(mut state) = snapshot.state.take() else { return Ok(()) };
        tokio::select! {
            // An error means that the job was taken out: it has ended.
            _ = state.changed() => {}
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            () = statuses.closed() => return Ok(()),
        }
        snapshot = service.snapshot(job).await?;
    }
}
