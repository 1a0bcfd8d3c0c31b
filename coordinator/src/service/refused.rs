//! Requests that tonic or the guard refuse before a service sees them: counted, and with the code that every
//! other limit has.

use crate::driver::reason;
use crate::metrics::Rejected;
use axum::http::{HeaderValue, Response};
use tonic::{Code, Status};

const GRPC_STATUS: &str = "grpc-status";

/// Looks at the head of a response. Streams carry their status at the end and are looked after by their services.
pub fn look_at<B>(rejected: &Rejected, mut response: Response<B>) -> Response<B> {
    let Some(status) = response.headers_mut().get_mut(GRPC_STATUS) else { return response };
    match Code::from_bytes(status.as_bytes()) {
        // A message over the limit.
        Code::OutOfRange => {
            *status = HeaderValue::from(Code::ResourceExhausted as i32);
            rejected.count(reason(Code::ResourceExhausted));
        }
        code @ (Code::Unauthenticated | Code::PermissionDenied) => rejected.count(reason(code)),
        _ => {}
    }
    response
}

/// The same for what reading a stream gives.
#[must_use]
pub fn over_limit(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(status.message()),
        _ => status,
    }
}

/// Whether the stream broke, rather than its peer sent something wrong.
pub fn is_transport(status: &Status) -> bool {
    matches!(status.code(), Code::Cancelled | Code::Unknown | Code::Unavailable)
}
