//! What comes back, piece by piece (RFC 9112). The body is counted and not kept.

use crate::chunks::Chunks;
use httparse::{EMPTY_HEADER, Header, Status};
use std::fmt;

/// A longer head is refused.
const HEAD_MAX_BYTES: usize = 64 << 10;
/// More header fields are refused.
const FIELDS_MAX: usize = 128;

/// A response of which some has come.
#[derive(Debug)]
pub struct Response {
    status: u16,
    bytes: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Head(Vec<u8>),
    Body {
        left: u64,
    },
    Chunks(Chunks),
    /// Until the server closes.
    Rest,
    Done,
}

/// Why bytes are no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// Not HTTP.
    Malformed(&'static str),
    /// The connection ended before the response did.
    Short {
        /// Bytes of the body that came.
        bytes: u64,
    },
}

impl std::error::Error for ResponseError {}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "the answer is no HTTP response: {why}"),
            Self::Short { bytes } => {
                write!(
                    f,
                    "the server closed the connection before the answer was complete, after {bytes} bytes of it"
                )
            }
        }
    }
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl Response {
    /// One of which nothing has come.
    #[must_use]
    pub const fn new() -> Self {
        Self { status: 0, bytes: 0, place: Place::Head(Vec::new()) }
    }

    /// Its status; 0 before the head has come.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of the body that have come.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes. True when the response is complete; what comes behind it is dropped.
    ///
    /// # Errors
    /// [`ResponseError::Malformed`]
    pub fn take(&mut self, input: &[u8]) -> Result<bool, ResponseError> {
        match &mut self.place {
            Place::Head(head) => {
                head.extend_from_slice(input);
                self.take_head()
            }
            Place::Body { left } => {
                let here = (input.len() as u64).min(*left);
                *left -= here;
                self.bytes += here;
                if *left == 0 {
                    self.place = Place::Done;
                }
                Ok(self.is_done())
            }
            Place::Chunks(chunks) => {
                self.bytes += chunks.take(input)?;
                if chunks.is_done() {
                    self.place = Place::Done;
                }
                Ok(self.is_done())
            }
            Place::Rest => {
                self.bytes += input.len() as u64;
                Ok(false)
            }
            Place::Done => Ok(true),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`ResponseError::Short`] when more was to come.
    pub fn end(self) -> Result<(u16, u64), ResponseError> {
        match self.place {
            Place::Rest | Place::Done => Ok((self.status, self.bytes)),
            Place::Head(_) | Place::Body { .. } | Place::Chunks(_) => {
                Err(ResponseError::Short { bytes: self.bytes })
            }
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.place, Place::Done)
    }

    /// Reads the head when all of it is there.
    fn take_head(&mut self) -> Result<bool, ResponseError> {
        let Place::Head(bytes) = &mut self.place else { return Ok(self.is_done()) };
        let mut fields = [EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let parsed = head.parse(bytes).map_err(|error| ResponseError::Malformed(what_is_wrong(error)))?;
        let length = match parsed {
            Status::Complete(length) if length <= HEAD_MAX_BYTES => length,
            Status::Partial if bytes.len() <= HEAD_MAX_BYTES => return Ok(false),
            Status::Complete(_) | Status::Partial => {
                return Err(ResponseError::Malformed("its head is longer than 64 KiB"));
            }
        };
        let status = head.code.unwrap_or_default();
        let place = body(status, head.headers)?;
        let rest = bytes.split_off(length);
        if (100..200).contains(&status) {
            // Only a word in between; the response itself follows.
            self.place = Place::Head(Vec::new());
        } else {
            (self.status, self.place) = (status, place);
        }
        if rest.is_empty() || self.is_done() { Ok(self.is_done()) } else { self.take(&rest) }
    }
}

const fn what_is_wrong(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::TooManyHeaders => "it has more than 128 header fields",
        httparse::Error::Version => "it does not begin with HTTP/1",
        httparse::Error::Status => "its status line is wrong",
        _ => "a header field is wrong",
    }
}

/// How long the body is (RFC 9112, section 6.3).
fn body(status: u16, fields: &[Header<'_>]) -> Result<Place, ResponseError> {
    if status == 204 || status == 304 {
        return Ok(Place::Done);
    }
    let values =
        |name: &'static str| fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    if let Some(coding) = values("transfer-encoding").next_back() {
        return if coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            Ok(Place::Chunks(Chunks::new()))
        } else {
            Err(ResponseError::Malformed("its transfer encoding is not chunked"))
        };
    }
    let mut lengths = values("content-length").map(|field| length(field.value));
    let Some(first) = lengths.next() else { return Ok(Place::Rest) };
    let wrong = ResponseError::Malformed("its Content-Length is no number");
    let first = first.ok_or(wrong)?;
    if lengths.any(|other| other != Some(first)) {
        return Err(ResponseError::Malformed("it has several Content-Length that differ"));
    }
    Ok(if first == 0 { Place::Done } else { Place::Body { left: first } })
}

fn length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a response in steps of so many bytes, then the end of the connection.
    fn taken(bytes: &[u8], step: usize) -> Result<(u16, u64), ResponseError> {
        let mut response = Response::new();
        for part in bytes.chunks(step) {
            if response.take(part)? {
                break;
            }
        }
        response.end()
    }

    #[test]
    fn bodies_are_counted_however_they_come() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..], (200, 5)),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\nhello", (200, 5)),
            (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", (200, 13)),
            (b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", (404, 0)),
            (b"HTTP/1.1 204 No Content\r\n\r\n", (204, 0)),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!", (200, 1)),
            (b"HTTP/1.1 500 X\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n2\r\nab\r\n0\r\n\r\n", (500, 2)),
        ] {
            for step in 1..=bytes.len() {
                assert_eq!(taken(bytes, step), Ok(expected), "{step}: {}", String::from_utf8_lossy(bytes));
            }
        }
    }

    #[test]
    fn an_early_end_is_noticed() {
        for (bytes, came) in [
            (&b""[..], 0),
            (b"HTTP/1.1 200 OK\r\nContent-Le", 0),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 4),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", 3),
        ] {
            assert_eq!(taken(bytes, 7), Err(ResponseError::Short { bytes: came }));
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let long = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 70_000]].concat();
        let many = [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"X: y\r\n".repeat(129), b"\r\n"].concat();
        for bytes in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"HTTP/1.1 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            &long,
            &many,
        ] {
            assert!(matches!(taken(bytes, 1_000), Err(ResponseError::Malformed(_))));
        }
    }
}
