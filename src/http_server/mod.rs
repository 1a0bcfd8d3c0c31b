//! A small HTTP server for tests and examples: it waits, sends bytes and fails as asked, on this machine and in one
//! thread, so that workloads that fetch have something to fetch from. It serves no files and keeps no state.

mod answer;
mod background;
mod latency;
mod listener;
mod path;

pub use background::Background;
pub use latency::{Latency, distribution as latency_distribution};
pub use listener::{Address, listen};

use answer::{Answer, respond};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long the server waits after it could not take a connection, which passes when others have ended.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Takes connections until the future is dropped. Beyond `connections` at the same time, others wait to be
/// taken. Must run within a `LocalSet`.
pub async fn serve(listener: TcpListener, latency: Latency, connections: usize) {
    let room = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let latency = Rc::new(latency);
    let requests = Rc::new(Cell::new(0));
    loop {
        // Nobody closes it.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(converse(stream, Rc::clone(&latency), Rc::clone(&requests), place));
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers what comes over one connection, until the other side ends it.
async fn converse(
    stream: TcpStream,
    latency: Rc<Latency>,
    requests: Rc<Cell<u64>>,
    _place: OwnedSemaphorePermit,
) {
    // Answers are small and complete: there is nothing to gather.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let number = requests.get();
        requests.set(number + 1);
        let extra = latency.of(number);
        async move {
            Ok::<hyper::Response<Answer>, std::convert::Infallible>(
                respond(request.uri().path(), extra).await,
            )
        }
    });
    let mut server = http1::Builder::new();
    // One buffer of the smallest size that hyper takes, because there may be ten thousand connections.
    server.max_buf_size(8 << 10).half_close(false);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
