//! What a failed fetch means for its task: whether trying again could help.

use crate::ResponseError;
use crate::url::Url;
use muster_sdk::Error;
use std::io::{self, ErrorKind};
use std::sync::OnceLock;
use std::time::Duration;

/// Too many open files in this process.
const EMFILE: i32 = 24;
/// Too many open files on this machine.
const ENFILE: i32 = 23;

/// The failure of a socket or of the look-up of a name.
#[must_use]
pub fn from_io(url: &Url, doing: &str, error: &io::Error) -> Error {
    let message = format!("{url}: cannot {doing}: {error}{}", advice(error));
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
        _ => error.raw_os_error().is_none_or(|number| [EMFILE, ENFILE].contains(&number)),
    };
    if passes { Error::transient(message) } else { Error::failed(message) }
}

/// What helps when the machine or its settings have no room for another connection.
fn advice(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(EMFILE) => {
            let most = OPEN_FILES_MAX.get().copied().flatten().map_or_else(String::new, |most| format!(" {most}"));
            format!("; this process may open{most} files: allow it more (ulimit -n), or fetch fewer at a time")
        }
        Some(ENFILE) => "; this machine has no more: fetch fewer at a time".to_owned(),
        _ if error.kind() == ErrorKind::AddrNotAvailable => {
            "; no local port is free, or the address is not reachable from here: fetch fewer at a time, or widen \
             net.ipv4.ip_local_port_range"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// How many files this process may open, when that was asked in time.
static OPEN_FILES_MAX: OnceLock<Option<u64>> = OnceLock::new();

/// Keeps how many files this process may open for later: once they have run out nothing can be asked any more.
pub(crate) fn note_limits() {
    OPEN_FILES_MAX.get_or_init(open_files_max);
}

fn open_files_max() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
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
        note_limits();
        let full = from_io(&url, "connect", &io::Error::from_raw_os_error(EMFILE));
        assert!(is_transient(&full) && full.message().contains("ulimit -n"), "{full}");
        let most: u64 = open_files_max().unwrap();
        assert!(full.message().contains(&format!("may open {most} files")), "{full}");
        let ports = from_io(&url, "connect", &ErrorKind::AddrNotAvailable.into());
        assert!(is_transient(&ports) && ports.message().contains("ip_local_port_range"), "{ports}");
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
