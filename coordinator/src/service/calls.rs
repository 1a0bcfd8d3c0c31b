//! How gRPC requests end, by method and code. A request ends with its response's last frame, which carries the code,
//! or when its client gives it up.

use axum::http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use muster_proto::link::RIGHTS;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

const GRPC_STATUS: &str = "grpc-status";
/// What methods that are not here are counted as.
const OTHER: &str = "other";
/// The methods of this server beside muster's own.
const FURTHER: &[&str] =
    &["Health/Check", "Health/List", "Health/Watch", "ServerReflection/ServerReflectionInfo"];

/// All methods of this server.
fn methods() -> impl Iterator<Item = &'static str> {
    RIGHTS.iter().map(|&(name, _)| name).chain(FURTHER.iter().copied())
}

/// How requests ended.
#[derive(Debug, Default)]
pub struct Calls {
    counts: Mutex<Counts>,
}

/// The numbers at one moment.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests that have not ended.
    pub open: u64,
    /// Those that have, by method and code.
    pub ended: BTreeMap<(&'static str, &'static str), u64>,
}

impl Calls {
    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn begin(self: &Arc<Self>, path: &str) -> Call {
        self.lock().open += 1;
        Call { calls: Arc::clone(self), method: method(path), code: Code::Cancelled }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request. It is counted when it is dropped: cancelled, unless it was told its code.
#[derive(Debug)]
struct Call {
    calls: Arc<Calls>,
    method: &'static str,
    code: Code,
}

impl Call {
    /// Looks for the code, in the head of a response or behind its body.
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(GRPC_STATUS) {
            self.code = Code::from_bytes(status.as_bytes());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut counts = self.calls.lock();
        counts.open -= 1;
        *counts.ended.entry((self.method, name(self.code))).or_default() += 1;
    }
}

/// Counts what goes through a server.
#[derive(Clone, Debug)]
pub struct CountCalls(pub Arc<Calls>);

impl<S> Layer<S> for CountCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, calls: Arc::clone(&self.0) }
    }
}

/// A server whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S, In, Out> Service<Request<In>> for Counted<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: Send,
    Out: HttpBody<Data = Bytes> + Send + 'static,
    Out::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let mut call = self.calls.begin(request.uri().path());
        let response = self.inner.call(request);
        Box::pin(async move {
            let (head, body) = response.await?.into_parts();
            call.read(&head.headers);
            Ok(Response::from_parts(head, Body::new(CountedBody { body: Box::pin(body), call })))
        })
    }
}

/// A body with the request that it answers.
struct CountedBody<B> {
    body: Pin<Box<B>>,
    call: Call,
}

impl<B: HttpBody<Data = Bytes>> HttpBody for CountedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = self.body.as_mut().poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.read(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The method of a path such as `/muster.v1.Jobs/Submit`.
fn method(path: &str) -> &'static str {
    let name = path.rsplit_once('.').map_or("", |(_, name)| name);
    methods().find(|known| *known == name).unwrap_or(OTHER)
}

/// A code as a label.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The methods that the protocol has.
    #[test]
    fn every_method_of_the_protocol_is_counted_under_its_name() {
        let proto = include_str!("../../../proto/proto/muster/v1/muster.proto");
        let mut service = "";
        let mut found = Vec::new();
        for line in proto.lines() {
            if let Some(rest) = line.strip_prefix("service ") {
                service = rest.trim_end_matches(" {");
            }
            if let Some(rest) = line.trim_start().strip_prefix("rpc ") {
                found.push(format!("{service}/{}", rest.split('(').next().unwrap_or_default()));
            }
        }
        assert!(!found.is_empty());
        for name in &found {
            assert_eq!(method(&format!("/muster.v1.{name}")), name);
        }
        let others = ["Health/Check", "Health/List", "Health/Watch", "ServerReflection/ServerReflectionInfo"];
        assert_eq!(methods().count(), found.len() + others.len());
        assert_eq!(method("/grpc.health.v1.Health/Check"), "Health/Check");
        for path in ["", "/", "/metrics", "/muster.v1.Jobs/Nothing", "/x.Jobs/Submit/more"] {
            assert_eq!(method(path), OTHER, "{path}");
        }
    }

    #[test]
    fn a_request_that_is_given_up_counts_as_cancelled() {
        let calls = Arc::new(Calls::default());
        let call = calls.begin("/muster.v1.Jobs/Submit");
        assert_eq!(calls.counts().open, 1);
        drop(call);
        let counts = calls.counts();
        assert_eq!((counts.open, counts.ended[&("Jobs/Submit", "cancelled")]), (0, 1));
    }
}
