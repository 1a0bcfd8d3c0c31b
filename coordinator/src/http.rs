//! The coordinator's HTTP server: `/metrics`, `/sd` and `/healthz` for machines, and the page for people.

use crate::driver::{Command, Handle, Target};
use crate::metrics::{Disk, Page, Rejected, Shown};
use crate::service::calls::Calls;
use crate::store::writer::Commits;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use muster_proto::link::{Readers, serve_pages};
use serde::Serialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Where the pages take what they show.
#[derive(Debug)]
pub struct Sources {
    /// The driver.
    pub driver: Handle,
    /// Messages that were refused.
    pub rejected: Arc<Rejected>,
    /// How gRPC requests ended.
    pub calls: Arc<Calls>,
    /// What writing to the store cost.
    pub commits: Arc<Commits>,
    /// The state folder.
    pub state: Option<PathBuf>,
}

#[derive(Debug)]
struct Shared {
    sources: Sources,
    page: Page,
}

/// Serves until `stop` who may read; `page` is what there is beside, and looks at hosts by itself.
pub async fn serve(
    listener: TcpListener,
    readers: Readers,
    sources: Sources,
    page: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let shared = Arc::new(Shared { sources, page: Page::new() });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/sd", get(targets))
        .route("/healthz", get(healthz))
        .route("/runbook", get(runbook))
        .layer(middleware::from_fn(move |request: Request, next: Next| readers.clone().check(request, next)))
        .with_state(shared)
        .merge(page);
    serve_pages(listener, router, stop).await;
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let Sources { driver, rejected, calls, commits, state } = &shared.sources;
    match driver.ask(Command::Numbers).await {
        Ok(numbers) => {
            let shown = Shown {
                numbers,
                rejected: rejected.counts(),
                calls: calls.counts(),
                commits: commits.counts(),
                waiting_commands: driver.waiting_commands(),
                backlog_bytes: driver.backlog_bytes(),
                disk: disk(state.clone()).await,
            };
            let text = shared.page.render(&shown);
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()).into_response(),
    }
}

/// A file system over a network may take its time.
async fn disk(folder: Option<PathBuf>) -> Option<Disk> {
    let folder = folder?;
    tokio::task::spawn_blocking(move || Disk::of(&folder)).await.ok().flatten()
}

/// Targets that have the same labels, as Prometheus reads them.
#[derive(Serialize)]
struct Group {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

impl From<Target> for Group {
    fn from(target: Target) -> Self {
        Self { targets: [target.address], labels: BTreeMap::from([("worker", target.worker)]) }
    }
}

/// Who asks too early gets an error, and keeps what it found before.
async fn targets(State(shared): State<Arc<Shared>>) -> Response {
    let unavailable = |text: String| (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    match shared.sources.driver.ask(Command::Targets).await {
        Ok(Some(targets)) => {
            let groups: Vec<Group> = targets.into_iter().map(Group::from).collect();
            match serde_json::to_string(&groups) {
                Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
                Err(error) => unavailable(format!("{error}\n")),
            }
        }
        Ok(None) => unavailable(
            "this coordinator has just started: workers that were there before may not be back yet; ask again\n"
                .to_owned(),
        ),
        Err(refusal) => unavailable(format!("{refusal}\n")),
    }
}

/// What to do about each alert, where dashboards link to.
async fn runbook() -> Response {
    let text = include_str!("../../docs/runbook.md");
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// Healthy is a driver that answers.
async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.sources.driver.ask(Command::Numbers).await {
        Ok(_) => "ok\n".into_response(),
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response(),
    }
}
