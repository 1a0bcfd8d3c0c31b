//! What a failed fetch means for its task: whether trying again could help.

use crate::ResponseError;
use crate::url::Url;
use muster_sdk::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Too many open files, in this process or on this machine.
const NO_DESCRIPTOR: [i32; 2] = [24, 23];

/// The failure of a socket or of the look-up of a name.
#[must_use]
pub fn from_io(url: &Url, doing: &str, error: &io::Error) -> Error {
    let message = format!("{url}: cannot {doing}: {error}");
    let passes = match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::TimedOut
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable
        | ErrorKind::Interrupted => true,
        // The look-up of a name has no kind and no number: its server may be back soon.
        _ => error.raw_os_error().is_none_or(|number| NO_DESCRIPTOR.contains(&number)),
    };
    if passes { Error::transient(message) } else { Error::failed(message) }
}

/// The answer was none, or not all of one.
#[must_use]
pub fn from_response(url: &Url, error: ResponseError) -> Error {
    let message = format!("{url}: {error}");
    match error {
        ResponseError::Short { .. } => Error::transient(message),
        ResponseError::Malformed(_) => Error::failed(message),
    }
}

/// It took too long.
#[must_use]
pub fn timed_out(url: &Url, limit: Duration) -> Error {
    Error::transient(format_args!("{url}: no complete answer within {} s (timeout_s)", limit.as_secs_f64()))
}

/// What a status means.
///
/// # Errors
/// Statuses from 500 and those by which a server asks to come again (408, 425, 429) are transient; all others outside of
/// 200 to 299 are final. The number is the code of the error.
pub fn check_status(url: &Url, status: u16) -> Result<(), Error> {
    let message = format_args!("{url}: the server answered with status {status}");
    let error = match status {
        200..=299 => return Ok(()),
        408 | 425 | 429 | 500.. => Error::transient(message),
        300..=399 => {
            Error::failed(format_args!("{message}; redirects are not followed: give the final address"))
        }
        _ => Error::failed(message),
    };
    Err(error.with_code(status.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_transient(error: &Error) -> bool {
        format!("{error:?}").contains("status: -2")
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let url = Url::parse("http://a/").unwrap();
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset, ErrorKind::HostUnreachable] {
            assert!(is_transient(&from_io(&url, "connect", &kind.into())), "{kind:?}");
        }
        assert!(is_transient(&from_io(&url, "connect", &io::Error::from_raw_os_error(24))));
        assert!(!is_transient(&from_io(&url, "connect", &io::Error::from_raw_os_error(22))));
        assert!(is_transient(&from_response(&url, ResponseError::Short { bytes: 3 })));
        assert!(!is_transient(&from_response(&url, ResponseError::Malformed("x"))));
        assert!(is_transient(&timed_out(&url, Duration::from_secs(1))));
    }

    #[test]
    fn statuses_mean_what_http_says() {
        let url = Url::parse("http://a/").unwrap();
        for status in [200, 204, 299] {
            assert!(check_status(&url, status).is_ok());
        }
        for (status, transient) in
            [(301, false), (400, false), (404, false), (429, true), (500, true), (503, true)]
        {
            let error = check_status(&url, status).unwrap_err();
            assert_eq!(is_transient(&error), transient, "{status}");
            assert!(error.message().contains(&status.to_string()));
        }
    }
}
