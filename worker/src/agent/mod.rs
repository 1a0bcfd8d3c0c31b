//! The agent: one task on one thread that holds the link to the coordinator, decides through
//! [`muster_core::agent::Agent`], supervises executors and never loads a plugin.

mod act;
mod arrive;
mod crashes;
mod deadline;
mod driver;
mod event;
mod executor;
mod exit;
mod fault;
mod inquest;
mod job;
mod limits;
mod logs;
mod memory;
mod names;
mod outbox;
mod output;
mod renewal;
mod report;
mod resume;
mod session;
mod stop;
mod work;

use crate::cache::PluginCache;
use crate::config::Config;
use crate::error::WorkerError;
use crate::http::HttpServer;
use crate::log::{Log, LogSettings};
use crate::metrics::Metrics;
use crate::page::SLOTS_MAX;
use crate::sandbox::Standing;
use crate::scratch::ScratchPlace;
use crate::spawner::Spawner;
use driver::Driver;
use event::Events;
use futures_util::Stream;
use muster_core::sandbox::{Terms, need_texts};
use muster_proto::convert::{level_to_wire, trust_to_wire};
use muster_proto::link::host_name;
use muster_proto::v1::WorkerHello;
use muster_proto::{FEATURES, PROTOCOL_VERSION};
use std::net::SocketAddr;
use std::sync::Arc;

/// How a worker is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It gives back what it has not begun, finishes the rest within 25 seconds, and leaves. Asked again, it ends at once.
    Drain,
    /// It ends its executors and leaves.
    AtOnce,
}

/// Runs a worker until `stops` says so, the coordinator has drained it, or it cannot go on. The future is
/// meant for a current-thread runtime: nothing in it needs more.
///
/// # Errors
/// What keeps the worker from starting, or the coordinator's refusal. A coordinator that is not there is no
/// error: the worker tries again until it is, unless it belongs to a private cluster.
pub async fn run(config: Config, stops: impl Stream<Item = Stop>) -> Result<(), WorkerError> {
    if config.slots == 0 || config.slots > SLOTS_MAX {
        let wanted = format!("1 to {SLOTS_MAX} are possible");
        return Err(WorkerError::Flag { flag: "--slots", value: config.slots.to_string(), wanted });
    }
    let cache = PluginCache::open(&config.cache)?.with_limit(config.cache_bytes);
    let spawner = Spawner::start(config.adopts)
        .map_err(|source| WorkerError::System { what: "the thread that starts executors", source })?;
    // The command that has a private cluster does so itself.
    if config.adopts && !config.private {
        std::thread::spawn(crate::os::orphans::end_those_of_dead_workers);
    }
    let metrics = Arc::new(Metrics::new());
    let http = match config.http {
        Some(address) => Some(
            HttpServer::start(address, config.readers.clone(), Arc::clone(&metrics), cache.clone()).await?,
        ),
        None => None,
    };
    let standing = Standing::new(&config)?;
    tracing::info!(sandbox = %standing.terms.level, most = %standing.terms.most, kernel = %standing.kernel, "sandbox");
    tracing::info!(plugins = %config.trust, "trusted");
    let hello = hello(&config, &standing.terms, http.as_ref().map(|http| http.address))?;
    if let Some(http) = &http {
        tracing::info!(address = %http.address, "serving /metrics and /healthz");
    }
    let settings = LogSettings::new(config.cache.join("logs"), hello.incarnation, config.private);
    let log = Log::start(settings)
        .map_err(|source| WorkerError::System { what: "the thread that keeps logs", source })?;
    let (events, receiver) = Events::channel();
    let scratch = ScratchPlace::open(config.scratch.as_deref(), &config.cache, hello.incarnation)?;
    let mut driver = Driver::new(config, hello, cache, spawner, metrics, events, log);
    driver.scratch = scratch.path();
    driver.standing = standing;
    // Boxed: the loop's state would be part of every caller's future.
    let outcome = Box::pin(driver.run(receiver, stops)).await;
    scratch.remove();
    outcome
}

fn hello(config: &Config, terms: &Terms, http: Option<SocketAddr>) -> Result<WorkerHello, WorkerError> {
    let incarnation = muster_proto::link::random_bytes()
        .map_err(|source| WorkerError::System { what: "random bytes", source })?;
    let host = host_name();
    let metrics_address = match http {
        Some(address) if address.ip().is_unspecified() => format!("{host}:{}", address.port()),
        Some(address) => address.to_string(),
        None => String::new(),
    };
    Ok(WorkerHello {
        protocol: PROTOCOL_VERSION,
        features: FEATURES.iter().map(ToString::to_string).collect(),
        name: config.name.clone(),
        incarnation: u64::from_ne_bytes(incarnation),
        slots: config.slots,
        target: format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host,
        pid: std::process::id(),
        metrics_address,
        sandbox: level_to_wire(Some(terms.level)).into(),
        sandbox_most: level_to_wire(Some(terms.most)).into(),
        grants: need_texts(&terms.grants),
        trust: Some(trust_to_wire(&config.trust)),
        ..WorkerHello::default()
    })
}
