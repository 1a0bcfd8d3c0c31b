//! /metrics and /healthz.

use crate::cache::PluginCache;
use crate::error::WorkerError;
use crate::metrics::Metrics;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::routing::get;
use axum::{Router, middleware};
use muster_proto::link::{Hosts, serve_pages};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A listener that serves until it is dropped.
#[derive(Debug)]
pub(crate) struct HttpServer {
    /// Where it listens.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl HttpServer {
    /// Listens and serves.
    pub async fn start(
        address: SocketAddr,
        hosts: &[String],
        metrics: Arc<Metrics>,
        cache: PluginCache,
    ) -> Result<Self, WorkerError> {
        let failed = |source| WorkerError::Http { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let hosts = Hosts::with(hosts.iter().cloned());
        let pages = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/metrics", get(render))
            .layer(middleware::from_fn(move |request: Request, next: Next| {
                hosts.clone().check(request, next)
            }))
            .with_state((metrics, cache));
        // It ends with the process or with the handle, never by itself.
        let task = tokio::spawn(serve_pages(listener, pages, std::future::pending()));
        Ok(Self { address, task })
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn render(
    State((metrics, cache)): State<(Arc<Metrics>, PluginCache)>,
) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    // Nothing in the agent's thread may wait for a disk.
    let usage = tokio::task::spawn_blocking(move || cache.usage()).await.unwrap_or_default();
    ([(CONTENT_TYPE, TEXT_FORMAT)], metrics.render(usage))
}
