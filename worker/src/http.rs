//! /metrics and /healthz.

use crate::error::WorkerError;
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use muster_proto::link::serve_pages;
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
    pub async fn start(address: SocketAddr, metrics: Arc<Metrics>) -> Result<Self, WorkerError> {
        let failed = |source| WorkerError::Http { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let pages = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/metrics", get(render))
            .with_state(metrics);
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
    State(metrics): State<Arc<Metrics>>,
) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, TEXT_FORMAT)], metrics.render())
}
