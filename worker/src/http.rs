//! /metrics and /healthz.

use crate::cache::PluginCache;
use crate::error::WorkerError;
use crate::metrics::Metrics;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::routing::get;
use axum::{Router, middleware};
use muster_proto::link::{Readers, serve_pages};
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
        readers: Readers,
        metrics: Arc<Metrics>,
        cache: PluginCache,
    ) -> Result<Self, WorkerError> {
        let failed = |source| WorkerError::Http { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let pages = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/metrics", get(render))
            .layer(middleware::from_fn(move |request: Request, next: Next| {
                readers.clone().check(request, next)
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

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::link::{Hosts, Secret};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::{Duration, Instant, timeout};

    /// How long anybody may have to wait on a busy machine.
    const LIMIT: Duration = Duration::from_secs(5);

    async fn server(folder: &std::path::Path) -> HttpServer {
        let cache = PluginCache::open(folder).unwrap();
        let readers = Readers { hosts: Hosts::with(["watch.example".to_owned()]), secret: None };
        start(readers, cache).await
    }

    async fn start(readers: Readers, cache: PluginCache) -> HttpServer {
        let address = "127.0.0.1:0".parse().unwrap();
        HttpServer::start(address, readers, Arc::new(Metrics::new()), cache).await.unwrap()
    }

    /// The whole answer to a request; empty when the connection was refused or cut off.
    async fn ask(address: SocketAddr, method: &str, path: &str, host: &str) -> String {
        let mut answer = String::new();
        let Ok(mut stream) = TcpStream::connect(address).await else { return answer };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = timeout(LIMIT, stream.read_to_string(&mut answer)).await;
        answer
    }

    #[tokio::test]
    async fn only_who_asks_for_this_machine_is_answered_and_nobody_may_post() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path()).await;
        for path in ["/metrics", "/healthz"] {
            for host in ["localhost", "watch.example:1", "10.0.0.1"] {
                let answer = ask(server.address, "GET", path, host).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{path} for {host}: {answer}");
            }
            for host in ["evil.example", "watch.example.evil.example", ""] {
                let answer = ask(server.address, "GET", path, host).await;
                assert!(answer.starts_with("HTTP/1.1 421"), "{path} for {host}: {answer}");
                assert!(!answer.contains("muster_"), "{answer}");
            }
            for method in ["POST", "PUT", "DELETE"] {
                let answer = ask(server.address, method, path, "localhost").await;
                assert!(answer.starts_with("HTTP/1.1 405"), "{method} {path}: {answer}");
            }
        }
    }

    #[tokio::test]
    async fn with_a_token_only_who_shows_it_reads_metrics() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::new("0123456789abcdef");
        assert!(secret.is_some());
        let readers = Readers { hosts: Hosts::with([]), secret };
        let server = start(readers, PluginCache::open(folder.path()).unwrap()).await;
        let shown = |value: &str| format!("localhost\r\nAuthorization: {value}");
        for (path, host, code) in [
            ("/metrics", "localhost".to_owned(), "401"),
            ("/metrics", shown("Bearer 0123456789abcdeF"), "401"),
            ("/metrics", shown("Bearer 0123456789abcdef"), "200"),
            ("/nowhere", "localhost".to_owned(), "401"),
            ("/healthz", "localhost".to_owned(), "200"),
            ("/healthz", "evil.example".to_owned(), "421"),
        ] {
            let answer = ask(server.address, "GET", path, &host).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{path} {host}: {answer}");
        }
    }

    /// Clients who ask for much and read nothing are pushed out by later ones; who reads is answered all the while.
    #[tokio::test]
    async fn clients_that_never_read_take_nothing_from_others() {
        const CLIENTS: usize = 1_000;
        const OPEN: usize = 300;
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path()).await;
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(10);
        let mut deaf = std::collections::VecDeque::new();
        for number in 0..CLIENTS {
            let mut stream = timeout(LIMIT, TcpStream::connect(server.address)).await.unwrap().unwrap();
            // Whoever had to make room may have been cut off already.
            let _ = stream.try_write(request.as_bytes());
            let _ = stream.flush().await;
            deaf.push_back(stream);
            if deaf.len() > OPEN {
                deaf.pop_front();
            }
            if number % 250 == 249 {
                let begun = Instant::now();
                let answer = ask(server.address, "GET", "/healthz", "localhost").await;
                assert!(answer.ends_with("ok\n"), "{answer}");
                assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
            }
        }
        let answer = ask(server.address, "GET", "/metrics", "localhost").await;
        assert!(answer.contains("muster_slots{state=\"idle\"} 0\n"), "{answer}");
    }
}
