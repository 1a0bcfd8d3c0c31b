//! The one function that serves pages over plain HTTP, for machines that scrape and probe.

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::crowd::Crowd;
use super::listen::{accept_tcp, kept};
use super::{PAGE_CLIENTS_MAX, REQUEST_TIMEOUT};

/// Serves until `stop`. Who does not finish a request in time is cut off, and who comes beyond the limit takes the
/// place of whoever has been there longest.
pub async fn serve_pages(listener: TcpListener, pages: Router, stop: impl Future<Output = ()>) {
    let mut clients = Crowd::new(PAGE_CLIENTS_MAX);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            accepted = accept_tcp(&listener) => {
                let Some((stream, address)) = kept(accepted).await else { continue };
                if clients.admit(serve(stream, pages.clone())) {
                    tracing::info!(peer = %address, "the oldest client of the pages makes room for another");
                }
            }
            () = clients.next() => {}
        }
    }
}

async fn serve(stream: TcpStream, pages: Router) {
    let mut server = Builder::new(TokioExecutor::new()).http1_only();
    server.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages)).await {
        tracing::debug!(%error, "a client of the pages was cut off");
    }
}
