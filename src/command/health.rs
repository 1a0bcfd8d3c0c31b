//! `muster health`: asks a coordinator or a worker whether it is well, for containers and supervisors.

use crate::cli::HealthArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::terminal;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use tokio::net::TcpStream;

/// Of what another server answers, so much is shown.
const SHOWN_MAX: usize = 200;
const BODY_BYTES_MAX: usize = 64 << 10;

/// Asks, and says what came.
pub async fn health(args: &HealthArgs) -> Outcome {
    let answer = tokio::time::timeout(args.timeout, ask(&args.http)).await;
    let late = |_| {
        let waited = crate::summary::seconds(args.timeout.as_secs_f64());
        not_well(&args.http, format_args!("no answer within {waited}"))
    };
    let (status, said) = answer.map_err(late)??;
    if status != StatusCode::OK {
        return Err(not_well(&args.http, format_args!("it answers {status}: {said}")));
    }
    super::printed(terminal::print(said))
}

/// The status and the first line of the answer.
async fn ask(address: &str) -> Outcome<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await.map_err(|error| not_well(address, error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| not_well(address, error))?;
    let request = Request::get("/healthz")
        .header(header::HOST, address)
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::usage(format_args!("--http {address}: {error}")))?;
    let asked = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // What is longer is no answer of muster; its status says enough.
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok::<_, hyper::Error>((status, body))
    };
    let (status, body) = tokio::select! {
        answer = asked => answer.map_err(|error| not_well(address, error))?,
        ended = connection => {
            let why = ended.err().map_or_else(|| "it hung up".to_owned(), |error| error.to_string());
            return Err(not_well(address, why));
        }
    };
    let text = String::from_utf8_lossy(&body);
    Ok((status, text.lines().next().unwrap_or_default().chars().take(SHOWN_MAX).collect()))
}

fn not_well(address: &str, why: impl Display) -> Failure {
    Failure::new(Exit::Connection, format_args!("{address}: {why}"))
        .hint("see the log of the coordinator or worker, and whether that is the address of its --http")
}
