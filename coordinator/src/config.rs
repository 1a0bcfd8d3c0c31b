//! What a coordinator is started with.

use crate::limits::Limits;
use crate::page::Reports;
use muster_core::scheduler::{self, PolicySpec};
use muster_proto::link::CERTIFICATE_LIFE;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a lease holds without a sign of life from its worker.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long an open job that nobody feeds any more, and that has nothing left to do, waits for inputs.
pub const FEED_WAIT: Duration = Duration::from_secs(600);
/// Results that jobs may leave in memory when there is no state folder.
pub const RESULTS_MEMORY_BYTES: u64 = 1 << 30;
/// Ended jobs that are remembered, with a state folder and without.
pub const KEEP_JOBS: usize = 10_000;
/// The same, in memory alone.
pub const KEEP_JOBS_IN_MEMORY: usize = 1_000;
/// Heartbeats that fit into a lease.
const HEARTBEATS_PER_LEASE: u32 = 10;

/// What a coordinator is started with: plain data. At least one of `unix` and `listen` must be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's name.
    pub name: String,
    /// The Unix socket for this machine.
    pub unix: Option<PathBuf>,
    /// `HOST:PORT` for other machines, always TLS unless `insecure`; port 0 picks a free one.
    pub listen: Option<String>,
    /// No TLS: `listen` must be on the loopback interface.
    pub insecure: bool,
    /// How long the certificates are good for that those get who join.
    pub certificate_life: Duration,
    /// The host that the join string names; by default what `listen` says, or this machine's address.
    pub advertise: Option<String>,
    /// Where what must last is kept; without it everything ends with the process.
    pub state: Option<PathBuf>,
    /// Where the keys of the TLS listener are kept; by default in the state folder.
    pub keys: Option<PathBuf>,
    /// `HOST:PORT` of `/metrics`, `/sd`, `/healthz` and the page.
    pub http: Option<String>,
    /// Further hosts that requests there may name.
    pub http_hosts: Vec<String>,
    /// The file with the token that /metrics and /sd want to be shown; without it they want none.
    pub metrics_token: Option<PathBuf>,
    /// Who may see the page; `None`: there is none.
    pub page: Option<PageConfig>,
    /// Comparisons that are kept on this machine, for the page.
    pub reports: Option<Arc<dyn Reports>>,
    /// Folders of built plugins to register.
    pub plugins: Vec<PathBuf>,
    /// How long a lease holds without a sign of life from its worker.
    pub lease: Duration,
    /// How long an open job that nobody feeds any more, and that has nothing left to do, waits for inputs; then it is
    /// cancelled.
    pub feed_wait: Duration,
    /// Results that jobs may leave in memory when there is no state folder: then the oldest ended jobs are forgotten,
    /// and a job that has more by itself fails.
    pub results_memory_bytes: u64,
    /// Ended jobs that are kept, with their results; the oldest beyond are forgotten. `None`: [`KEEP_JOBS`], without a
    /// state folder [`KEEP_JOBS_IN_MEMORY`].
    pub keep_jobs: Option<usize>,
    /// How long ended jobs are kept.
    pub keep_for: Option<Duration>,
    /// Bytes of results that are kept in the state folder; beyond them the oldest ended jobs are forgotten.
    pub keep_results: Option<u64>,
    /// Whether jobs may run plugins that are made to harm their process.
    pub allow_chaos: bool,
    /// How much of everything is taken.
    pub limits: Limits,
    /// How the scheduler chooses.
    pub policy: PolicySpec,
    /// Jobs most of whose attempts crash are paused.
    pub pauses: bool,
    /// Tasks per slot that a worker may always have, running or waiting.
    pub credit_tasks: u64,
    /// Work per slot that a worker may have waiting.
    pub credit: Duration,
}

/// Who may see the page, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct PageConfig {
    /// The file with the token that is needed; off loopback there is no page without it.
    pub token: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            unix: None,
            listen: None,
            insecure: false,
            certificate_life: CERTIFICATE_LIFE,
            advertise: None,
            state: None,
            keys: None,
            http: None,
            http_hosts: Vec::new(),
            metrics_token: None,
            page: Some(PageConfig::default()),
            reports: None,
            plugins: Vec::new(),
            lease: LEASE,
            feed_wait: FEED_WAIT,
            results_memory_bytes: RESULTS_MEMORY_BYTES,
            keep_jobs: None,
            keep_for: None,
            keep_results: None,
            allow_chaos: false,
            limits: Limits::default(),
            policy: PolicySpec::default(),
            pauses: true,
            credit_tasks: scheduler::Config::default().credit_tasks,
            credit: scheduler::Config::default().credit.into(),
        }
    }
}

impl Config {
    /// A coordinator for one machine and one user: a Unix socket and nothing that lasts. What a plugin breaks there is
    /// only the user's own.
    #[must_use]
    pub fn private(unix: PathBuf) -> Self {
        Self { name: "private".to_owned(), unix: Some(unix), allow_chaos: true, ..Self::default() }
    }

    /// Whether there is a page on which somebody may look.
    #[must_use]
    pub const fn has_page(&self) -> bool {
        self.http.is_some() && self.page.is_some()
    }

    /// How often workers are to say that they are alive.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.lease / HEARTBEATS_PER_LEASE
    }
}
