//! The coordinator's page for machines: `/metrics` and `/healthz`.

use crate::driver::{Command, Handle};
use crate::metrics::{Page, Rejected};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use muster_proto::link::serve_pages;
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Debug)]
struct Shared {
    driver: Handle,
    rejected: Arc<Rejected>,
    page: Page,
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    driver: Handle,
    rejected: Arc<Rejected>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let shared = Arc::new(Shared { driver, rejected, page: Page::new() });
    let router =
        Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(shared);
    serve_pages(listener, router, stop).await;
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.driver.ask(Command::Numbers).await {
        Ok(numbers) => {
            let text = shared.page.render(&numbers, &shared.rejected);
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()).into_response(),
    }
}

/// Healthy is a driver that answers.
async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.driver.ask(Command::Numbers).await {
        Ok(_) => "ok\n".into_response(),
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response(),
    }
}
