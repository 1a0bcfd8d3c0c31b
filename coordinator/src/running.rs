//! Starting a coordinator, and ending it.

use crate::Config;
use crate::config::{KEEP_JOBS, KEEP_JOBS_IN_MEMORY};
use crate::driver::{Command, Driver, Handle, Life, Retention, Settings};
use crate::http::{self, Sources};
use crate::joining::Joining;
use crate::limits::Limit;
use crate::metrics::Rejected;
use crate::page::{self, Source};
use crate::plugin::{FolderError, read_folder};
use crate::service::calls::Calls;
use crate::service::{
    About, ClusterService, IdentityService, JobsService, PluginsService, Shared, WorkerLinkService,
};
use crate::serving::{Services, serve};
use crate::state::AUTHORITY;
use crate::store::blobs::Blobs;
use crate::store::writer::Log;
use crate::store::{MemoryStore, OpenReader, SqliteStore, Store, StoreError};
use muster_core::id::Epoch;
use muster_core::scheduler;
use muster_core::time::Span;
use muster_proto::PARTIAL_MAX_BYTES;
use muster_proto::link::{
    Authority, FileError, Guard, Hosts, JoinError, ListenConfig, ListenError, Listener, Readers, Secret,
    SecretError, Security, TcpConfig, listen, random_bytes,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// How long open requests may take to end once the driver has.
const GRACE: Duration = Duration::from_millis(500);

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The keys of the TLS listener cannot be used.
    #[error(transparent)]
    Keys(#[from] FileError),
    /// No place for the keys of the TLS listener.
    #[error("listening on {listen} needs a place for the cluster's keys: give a state folder")]
    NoKeys {
        /// Where it should listen.
        listen: String,
    },
    /// The address for the join string is not one.
    #[error(transparent)]
    Advertise(#[from] JoinError),
    /// The metrics address cannot be used.
    #[error("cannot serve metrics on {address}: {source}; choose another address or none")]
    Http {
        /// The address.
        address: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The token of the page or of the metrics cannot be used.
    #[error(transparent)]
    PageToken(#[from] SecretError),
    /// A folder of plugins cannot be read, or holds none.
    #[error("plugins: {0}")]
    Plugins(#[from] FolderError),
    /// The writer's thread does not start.
    #[error("cannot start the store's writer: {0}")]
    Writer(std::io::Error),
    /// The driver ended at once.
    #[error("the coordinator ended while it was starting: {0}")]
    Ended(String),
}

/// Starts coordinators.
#[derive(Clone, Copy, Debug)]
pub struct Coordinator;

/// A coordinator that runs in this process. Dropping it ends it, less gently than [`Running::shutdown`].
#[derive(Debug)]
pub struct Running {
    /// Its Unix socket.
    pub unix: Option<PathBuf>,
    /// Its address for other machines, with the port that was picked.
    pub tls_addr: Option<SocketAddr>,
    /// Its address for metrics, with the port that was picked.
    pub http_addr: Option<SocketAddr>,
    /// This life of it.
    pub epoch: Epoch,
    /// Files in the plugin folders that were left out, one line each.
    pub left_out: Vec<String>,
    join_string: Option<String>,
    stop: Arc<Notify>,
    outcome: JoinHandle<Result<(), Arc<StoreError>>>,
}

impl Coordinator {
    /// Opens the store, takes up what it holds, and listens. Must be called within a tokio runtime, best with
    /// two or more threads.
    ///
    /// # Errors
    /// What stands in the way; nothing runs then.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        if config.listen.is_some() {
            raise_file_limit();
        }
        // Boxed: starting needs much more room than the future of a caller should have.
        Box::pin(start(config)).await
    }
}

impl Running {
    /// What workers on other machines join with; it holds a token. `None` without a TCP listener.
    #[must_use]
    pub fn join_string(&self) -> Option<&str> {
        self.join_string.as_deref()
    }

    /// Waits until it ends: by a client's request, by [`Running::stopper`], or because nothing can be stored
    /// any more.
    ///
    /// # Errors
    /// Why nothing can be stored any more.
    pub async fn wait(&mut self) -> Result<(), Arc<StoreError>> {
        (&mut self.outcome).await.unwrap_or_else(|_| Err(Arc::new(StoreError::WriterGone)))
    }

    /// Tells it to end when notified, from anywhere.
    #[must_use]
    pub fn stopper(&self) -> Arc<Notify> {
        Arc::clone(&self.stop)
    }

    /// Ends it: what is queued is written, workers and clients are told.
    ///
    /// # Errors
    /// Why not everything could be stored.
    pub async fn shutdown(mut self) -> Result<(), Arc<StoreError>> {
        self.stop.notify_one();
        self.wait().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

/// A store that was opened, with what is needed beside its writer.
struct Opened {
    store: Box<dyn Store>,
    blobs: Blobs,
    readers: OpenReader,
    state: u64,
    epoch: Epoch,
    durable: bool,
}

async fn start(config: Config) -> Result<Running, StartError> {
    if config.listen.is_some() {
        raise_file_limit();
    }
    let page = page_settings(&config)?;
    let readers = readers(&config)?;
    let state = config.state.clone();
    let opened = tokio::task::spawn_blocking(move || open_store(state.as_deref()));
    let mut opened = opened.await.map_err(|error| StartError::Ended(error.to_string()))??;
    let mut records = Vec::new();
    opened.store.replay(&mut |record| {
        records.push(record);
        Ok(())
    })?;
    let (listener, guard, authority) = open_listeners(&config).await?;
    let http_listener = open_http(config.http.as_deref()).await?;
    let http_addr = http_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let joining = Joining::at(&config, &listener, authority);
    let join_string = joining.as_ref().map(Joining::standing).transpose()?;

    let Opened { store, blobs, readers: open_reader, state, epoch, durable } = opened;
    let rejected = Arc::new(Rejected::default());
    let log = Log::start(store, epoch).map_err(StartError::Writer)?;
    let (calls, commits) = (Arc::new(Calls::default()), log.commits());
    let mut driver = Driver::new(settings(&config), Life { state, epoch }, log, Arc::clone(&rejected));
    driver.recover(records)?;
    let (handle, commands) = Handle::new();
    let driver = tokio::spawn(driver.run(commands));
    let shared = Shared { driver: handle.clone(), rejected: Arc::clone(&rejected) };
    let left_out = match register_folders(&config.plugins, &shared, &blobs).await {
        Ok(left_out) => left_out,
        Err(error) => {
            // Without handles the driver ends and closes the store; that must be over before this process is.
            drop((shared, handle));
            let _ = driver.await;
            return Err(error);
        }
    };

    let stop = Arc::new(Notify::new());
    let about = About {
        epoch: epoch.0,
        state,
        durable,
        http_address: http_addr.map(|address| address.to_string()).unwrap_or_default(),
        policy: config.policy.to_string(),
        heartbeat: config.heartbeat(),
    };
    let jobs = JobsService::new(shared.clone(), open_reader, durable);
    let source = Source {
        driver: handle.clone(),
        jobs: jobs.clone(),
        about: about.clone(),
        reports: config.reports.clone(),
    };
    let services = Services {
        worker_link: WorkerLinkService::new(shared.clone()),
        jobs,
        plugins: PluginsService::new(shared.clone(), blobs, &config.limits),
        cluster: ClusterService::new(shared.clone(), about, Arc::clone(&stop)),
        identity: IdentityService::new(shared, joining),
    };
    let (unix, tls_addr) = (listener.socket_path().map(Path::to_owned), listener.local_addr());
    let (ending, ended) = watch::channel(false);
    let served = tokio::spawn(serve(
        listener,
        guard,
        services,
        config.limits.link(),
        Arc::clone(&rejected),
        Arc::clone(&calls),
        until(ended.clone()),
    ));
    if let Some(listener) = http_listener {
        let page = match (page, http_addr) {
            (Some(settings), Some(address)) => page::router(source, settings, address),
            (Some(_) | None, _) => axum::Router::new(),
        };
        let state = config.state.clone();
        let sources = Sources { driver: handle.clone(), rejected, calls, commits, state };
        tokio::spawn(http::serve(listener, readers, sources, page, until(ended)));
    }
    let outcome = tokio::spawn(run_until_stopped(driver, handle, Arc::clone(&stop), ending, served));
    let http = http_addr.map(tracing::field::display);
    tracing::info!(epoch = epoch.0, durable, http, "coordinator is up");
    Ok(Running { unix, tls_addr, http_addr, epoch, left_out, join_string, stop, outcome })
}

/// Lets this process have as many open files as it may: every connection is one. Only where connections come over
/// the network, because children inherit it.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit that outlives both calls, which only read or write it.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
        }
    };
    if !raised {
        tracing::warn!(error = %std::io::Error::last_os_error(), "cannot raise the limit of open files");
    }
}

pub(crate) fn settings(config: &Config) -> Settings {
    let span = |time: Duration| Span(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    Settings {
        scheduler: scheduler::Config {
            lease: span(config.lease),
            policy: config.policy.clone(),
            credit_tasks: config.credit_tasks,
            credit: span(config.credit),
            pause_crashes: if config.pauses { scheduler::Config::default().pause_crashes } else { 0 },
            combine_bytes_max: 2 * PARTIAL_MAX_BYTES as u64,
            ..scheduler::Config::default()
        },
        heartbeat: config.heartbeat(),
        feed_wait: config.feed_wait,
        allow_chaos: config.allow_chaos,
        limits: config.limits.clone(),
        watched: config.has_page(),
        retention: Retention {
            jobs: config.keep_jobs.unwrap_or(if config.state.is_some() {
                KEEP_JOBS
            } else {
                KEEP_JOBS_IN_MEMORY
            }),
            age: config.keep_for,
            bytes: if config.state.is_some() {
                config.keep_results
            } else {
                Some(config.results_memory_bytes)
            },
            fails_over: config.state.is_none(),
        },
    }
}

/// Who may see the page; `None`: nobody.
fn page_settings(config: &Config) -> Result<Option<page::Settings>, SecretError> {
    let Some(page) = config.page.as_ref().filter(|_| config.has_page()) else { return Ok(None) };
    let secret = page.token.as_deref().map(|file| Secret::read("--page-token", file)).transpose()?;
    Ok(Some(page::Settings { hosts: hosts(config), secret, pages: config.limits.count(Limit::Pages) }))
}

/// Who may read what is for machines.
fn readers(config: &Config) -> Result<Readers, SecretError> {
    let secret =
        config.metrics_token.as_deref().map(|file| Secret::read("--metrics-token", file)).transpose()?;
    Ok(Readers { hosts: hosts(config), secret })
}

fn open_store(state: Option<&Path>) -> Result<Opened, StoreError> {
    let Some(folder) = state else {
        let mut store = MemoryStore::new();
        let (epoch, state) = (store.begin_epoch()?, store.identity(random_number)?);
        let readers = store.readers();
        return Ok(Opened {
            store: Box::new(store),
            blobs: Blobs::in_memory(),
            readers,
            state,
            epoch,
            durable: false,
        });
    };
    let mut store = SqliteStore::open(folder)?;
    let (epoch, state) = (store.begin_epoch()?, store.identity(random_number)?);
    let swept = store.sweep_blobs()?;
    if swept > 0 {
        tracing::info!(swept, "removed files that nothing names any more");
    }
    let (blobs, readers) = (store.blobs(), store.readers());
    Ok(Opened { store: Box::new(store), blobs, readers, state, epoch, durable: true })
}

/// Names a store that was just made; never 0.
fn random_number() -> Result<u64, StoreError> {
    let bytes = random_bytes().map_err(StoreError::file("drawing a number from", "/dev/urandom"))?;
    Ok(u64::from_ne_bytes(bytes) >> 1 | 1)
}

async fn open_listeners(config: &Config) -> Result<(Listener, Guard, Option<Arc<Authority>>), StartError> {
    let mut to_open = ListenConfig { unix: config.unix.clone(), tcp: None };
    let mut authority = None;
    if let Some(address) = &config.listen {
        let in_state = || config.state.as_ref().map(|state| state.join(AUTHORITY));
        let folder = config.keys.clone().or_else(in_state);
        let folder = folder.ok_or_else(|| StartError::NoKeys { listen: address.clone() })?;
        let keys = Authority::load_or_create(&folder)?
            .with_certificate_life(config.certificate_life)
            .with_capacity(config.limits.link());
        let keys = Arc::new(keys);
        let security =
            if config.insecure { Security::PlainLoopback } else { Security::Tls(Arc::clone(&keys)) };
        to_open.tcp = Some(TcpConfig { address: address.clone(), security });
        authority = Some(keys);
    }
    let guard = authority.clone().map_or_else(Guard::local_only, Guard::with_authority);
    Ok((listen(to_open).await?, guard, authority))
}

async fn open_http(address: Option<&str>) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    bound.map(Some).map_err(|source| StartError::Http { address: address.to_owned(), source })
}

/// The hosts that requests for pages may name.
fn hosts(config: &Config) -> Hosts {
    let listens = config.http.as_deref().and_then(|address| address.rsplit_once(':'));
    Hosts::with(config.http_hosts.iter().cloned().chain(listens.map(|(host, _)| host.to_owned())))
}

/// Registers the plugins of all folders; says what was left out and why.
async fn register_folders(
    folders: &[PathBuf],
    shared: &Shared,
    blobs: &Blobs,
) -> Result<Vec<String>, StartError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let mut left_out = Vec::new();
    for folder in folders {
        for found in read_folder(folder, now)? {
            let (plugin, bytes) = match found {
                Ok(found) => found,
                Err(error) => {
                    left_out.push(error.to_string());
                    continue;
                }
            };
            blobs.put(&bytes)?;
            let name = format!("{}@{}", plugin.name, plugin.version);
            if let Err(refusal) = shared.driver.ask(|reply| Command::AddPlugin(plugin, reply)).await {
                left_out.push(format!("{}: {name}: {refusal}", folder.display()));
            }
        }
    }
    for line in &left_out {
        tracing::warn!("plugin left out: {line}");
    }
    Ok(left_out)
}

async fn until(mut ended: watch::Receiver<bool>) {
    // A sender that is gone means the end too.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// The driver ends first, so that everything it was told is written; then the listeners close, and open
/// requests get a moment to end.
async fn run_until_stopped(
    mut driver: JoinHandle<Result<(), Arc<StoreError>>>,
    handle: Handle,
    stop: Arc<Notify>,
    ending: watch::Sender<bool>,
    mut served: JoinHandle<()>,
) -> Result<(), Arc<StoreError>> {
    let joined = tokio::select! {
        joined = &mut driver => joined,
        () = stop.notified() => {
            // A driver that is gone has said so through its task.
            let _ = handle.tell(Command::Stop).await;
            (&mut driver).await
        }
    };
    let _ = ending.send(true);
    if tokio::time::timeout(GRACE, &mut served).await.is_err() {
        served.abort();
        let _ = served.await;
    }
    let outcome = joined.unwrap_or_else(|_| Err(Arc::new(StoreError::WriterGone)));
    match &outcome {
        Ok(()) => tracing::info!("coordinator has ended"),
        Err(error) => tracing::error!(%error, "coordinator stops: nothing can be stored any more"),
    }
    outcome
}
