//! The live page: what a person sees of the cluster in a browser. It only reads, through the driver's read paths and at
//! most a few times a second for all tabs together, and it looks at nothing that nobody watches, but for a few counts.
//!
//! `guard` lets requests in, `view` is what a tab may look at, `look` builds its state, `feed` sends states and
//! changes to all tabs that look at the same, `history` keeps rates, `reports` shows comparisons that are kept.

mod asset;
mod details;
mod feed;
mod guard;
mod history;
mod look;
mod patch;
mod reports;
mod settings;
mod view;

pub use reports::{Report, Reports};
pub use settings::Settings;

use crate::driver::Handle;
use crate::service::{About, JobsService};
use asset::ASSETS;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use feed::Feeds;
use guard::Guard;
use history::History;
use muster_proto::link::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use view::View;

/// Where the page reads.
#[derive(Clone, Debug)]
pub struct Source {
    /// The driver.
    pub driver: Handle,
    /// What clients are told about jobs.
    pub jobs: JobsService,
    /// What the coordinator says about itself.
    pub about: About,
    /// Where kept comparisons are, when they are shown.
    pub reports: Option<Arc<dyn Reports>>,
}

/// What requests share.
struct Shared {
    source: Source,
    feeds: Arc<Feeds>,
    /// Reports are drawn one at a time.
    drawing: Arc<Semaphore>,
}

/// The page, for a server that listens on `address`.
pub fn router(source: Source, settings: Settings, address: SocketAddr) -> Router {
    if settings.secret.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "the page is off: this address is not on loopback, and there is no --page-token FILE"
        );
        return Router::new().route("/", get(|| async { (StatusCode::FORBIDDEN, guard::NEEDS_TOKEN) }));
    }
    let history = History::start(source.driver.clone());
    let feeds = Arc::new(Feeds::new(source.clone(), history, settings.pages));
    let shared = Arc::new(Shared { source, feeds, drawing: Arc::new(Semaphore::new(1)) });
    let mut router = Router::new()
        .route("/page/events", get(events))
        .route("/page/failures", get(failures))
        .route("/page/logs", get(logs))
        .route("/page/report", get(report));
    for asset in &ASSETS {
        router = router.route(asset.path, get(move || async move { asset.answer() }));
    }
    let guard = Arc::new(Guard::new(settings));
    router.with_state(shared).route_layer(from_fn_with_state(guard, guard::check))
}

/// One stream of a tab.
async fn events(
    State(shared): State<Arc<Shared>>,
    client: Option<Extension<Client>>,
    RawQuery(query): RawQuery,
) -> Response {
    match View::parse(query.as_deref().unwrap_or_default()) {
        Ok(view) => shared.feeds.subscribe(view, client.map(|Extension(client)| client.served())),
        Err(error) => bad(&error),
    }
}

async fn failures(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    answer(details::failures(&shared.source.jobs, query.as_deref().unwrap_or_default()).await)
}

async fn logs(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    answer(details::logs(&shared.source.jobs, query.as_deref().unwrap_or_default()).await)
}

/// A kept comparison as a page of its own.
async fn report(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let run = match view::number(query.as_deref().unwrap_or_default(), "run") {
        Ok(Some(run)) => run,
        Ok(None) => return (StatusCode::BAD_REQUEST, "run is missing: ?run=7 is wanted\n").into_response(),
        Err(error) => return bad(&error),
    };
    let Some(kept) = shared.source.reports.clone() else {
        return (StatusCode::NOT_FOUND, "this coordinator shows no reports\n").into_response();
    };
    // The semaphore is never closed. Who goes away while it is drawn frees the place for nobody: drawing cannot be stopped.
    let turn = Arc::clone(&shared.drawing).acquire_owned().await;
    let drawn = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        kept.page(run)
    });
    let drawn = drawn.await;
    match drawn {
        Ok(Ok(Some(page))) => {
            let headers =
                [(header::CONTENT_TYPE, asset::HTML), (header::CONTENT_SECURITY_POLICY, reports::POLICY)];
            (headers, page).into_response()
        }
        Ok(Ok(None)) => {
            (StatusCode::NOT_FOUND, format!("run is {run}: there is no such run\n")).into_response()
        }
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("run {run}: {error}\n")).into_response(),
    }
}

fn answer(found: Result<serde_json::Value, details::Error>) -> Response {
    match found {
        Ok(value) => ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response(),
        Err(details::Error::Query(error)) => bad(&error),
        Err(details::Error::Refused(status)) => {
            let code = match status.code() {
                tonic::Code::NotFound => StatusCode::NOT_FOUND,
                tonic::Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            (code, format!("{}\n", status.message())).into_response()
        }
    }
}

fn bad(error: &view::QueryError) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}
