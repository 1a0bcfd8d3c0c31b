//! The one function that serves pages over plain HTTP, for machines that scrape and probe and for people who look.

use axum::Router;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::util::MapRequest;

use super::crowd::{Client, Crowd};
use super::listen::{accept_tcp, kept};
use super::quiet::about_stranger;
use super::stall::Stall;
use super::{PAGE_CLIENTS_MAX, READ_TIMEOUT, REQUEST_TIMEOUT};

/// Bytes of a request's head, and of an answer that wait for the network; what comes bit by bit is not asked for meanwhile.
const BUFFER_MAX_BYTES: usize = 64 << 10;

/// Serves until `stop`. Who does not finish a request or does not read in time is cut off, and who comes beyond the limit takes the
/// place of whoever has been there longest without being [`Client::served`]. Requests have their `Client` as an extension.
pub async fn serve_pages(listener: TcpListener, pages: Router, stop: impl Future<Output = ()>) {
    let mut clients = Crowd::new(PAGE_CLIENTS_MAX);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            accepted = accept_tcp(&listener) => {
                let Some((stream, address)) = kept(accepted).await else { continue };
                let client = Client::default();
                if clients.admit_client(client.clone(), serve(stream, pages.clone(), client)) {
                    about_stranger!(peer = %address, "the oldest client of the pages makes room for another");
                }
            }
            () = clients.next() => {}
        }
    }
}

async fn serve(stream: TcpStream, pages: Router, client: Client) {
    let mut server = Builder::new(TokioExecutor::new()).http1_only();
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(BUFFER_MAX_BYTES);
    let pages = MapRequest::new(pages, move |mut request: Request<_>| {
        request.extensions_mut().insert(client.clone());
        request
    });
    let stream = TokioIo::new(Stall::new(stream, READ_TIMEOUT));
    if let Err(error) = server.serve_connection(stream, TowerToHyperService::new(pages)).await {
        tracing::debug!(%error, "a client of the pages was cut off");
    }
}
