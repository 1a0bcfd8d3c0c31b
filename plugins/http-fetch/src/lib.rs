//! `http-fetch`: one GET per task, to see what waiting for others costs under each model.
//!
//! The output is the number of bytes of the body, so that results can be compared whatever the server took for them; how
//! long that was is in the histogram `fetch_seconds`. Every task has a connection of its own. One that has a thread for
//! itself announces to the host that it waits, in slices after which a cancelled task stops; under the model `async`
//! thousands of fetches wait on one thread, and a cancelled one is dropped where it waits.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use muster_http::{Fetched, Template, fetch, fetch_async};
use muster_sdk::{AsyncContext, AsyncWorkload, Context, Counter, Error, Histogram, Job, Task, Workload};
use std::time::Duration;

muster_sdk::params! {
    /// What to fetch.
    pub struct Params {
        /// The address, http://HOST/PATH; {index} is the number of the task from 0, {number} from 1.
        pub url: String,
        /// A fetch that takes longer, in seconds, fails and is tried again.
        pub timeout_s: f64 = 30.0 => 0.001..=86_400.0,
    }
}

struct HttpFetch {
    template: Template,
    limit: Duration,
    seconds: Histogram,
    bytes: Counter,
}

impl Workload for HttpFetch {
    type Params = Params;
    type Output = u64;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        Ok(Self {
            template: Template::new(&params.url)?,
            limit: Duration::from_secs_f64(params.timeout_s),
            seconds: job.histogram("fetch_seconds"),
            bytes: job.counter("bytes_total"),
        })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<u64, Error> {
        let url = self.template.url(task.index())?;
        Ok(self.count(fetch(&url, self.limit, ctx)?))
    }
}

impl AsyncWorkload for HttpFetch {
    async fn run_async(&self, task: Task<'_>, _ctx: &AsyncContext) -> Result<u64, Error> {
        let url = self.template.url(task.index())?;
        Ok(self.count(fetch_async(&url, self.limit).await?))
    }
}

impl HttpFetch {
    /// What a fetch brought, as the metrics and the output have it.
    fn count(&self, fetched: Fetched) -> u64 {
        self.seconds.record(fetched.took.as_secs_f64());
        self.bytes.add(fetched.bytes);
        fetched.bytes
    }
}

muster_sdk::export! {
    HttpFetch: Async {
        name: "http-fetch",
        description: "Fetches a URL and counts the bytes that come",
        default_tasks: 100,
        idempotent: true,
        needs: &["network"],
        metrics: &[
            MetricSpec::histogram("fetch_seconds", "From the look-up of the host to the last byte"),
            MetricSpec::counter("bytes_total", "Bytes of bodies that came"),
        ],
    }
}
