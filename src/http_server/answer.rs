//! What the server sends back.

use super::path::Asked;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

const HELP: &str = "\
muster http-server, for tests:
  /delay/SECONDS   answers after so many seconds, 0.5 for example
  /bytes/N         answers with N bytes
  /status/CODE     answers with this status, 200 to 599
";
/// Long answers are sent in pieces of this many bytes, which all of them share.
const PIECE: &[u8] = &[b'm'; 64 << 10];

/// The body of an answer: so many bytes of a text, or of the letter m.
#[derive(Debug)]
pub struct Answer {
    text: &'static [u8],
    left: u64,
}

impl Answer {
    fn text(text: &'static str) -> Self {
        Self { text: text.as_bytes(), left: text.len() as u64 }
    }

    fn bytes(count: u64) -> Self {
        Self { text: PIECE, left: count }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.text.len());
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&self.text[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The answer to a request for `path`, after what it asks to wait and `extra`.
pub async fn respond(path: &str, extra: Duration) -> Response<Answer> {
    let asked = Asked::of(path);
    let delay = if let Asked::Delay(delay) = asked { delay } else { Duration::ZERO };
    let wait = delay + extra;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let (status, body) = match asked {
        Asked::Help => (StatusCode::OK, Answer::text(HELP)),
        Asked::Delay(_) => (StatusCode::OK, Answer::text("waited\n")),
        Asked::Bytes(count) => (StatusCode::OK, Answer::bytes(count)),
        // The path has been checked: these are codes.
        Asked::Status(code) => (StatusCode::from_u16(code).unwrap_or(StatusCode::OK), Answer::bytes(0)),
        Asked::Wrong(text) => (StatusCode::BAD_REQUEST, Answer::text(text)),
        Asked::Nothing => (StatusCode::NOT_FOUND, Answer::text(HELP)),
    };
    let is_text = !matches!(asked, Asked::Bytes(_) | Asked::Status(_));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if is_text {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(mut answer: Answer) -> Vec<u8> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut bytes = Vec::new();
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut answer).poll_frame(&mut context) {
            bytes.extend_from_slice(&frame.into_data().unwrap());
        }
        assert!(answer.is_end_stream());
        bytes
    }

    #[test]
    fn bodies_are_as_long_as_they_say() {
        for count in [0, 1, 65_536, 65_537, 200_000] {
            let answer = Answer::bytes(count);
            assert_eq!(answer.size_hint().exact(), Some(count));
            assert_eq!(collected(answer).len() as u64, count);
        }
        assert_eq!(collected(Answer::text(HELP)), HELP.as_bytes());
    }

    #[tokio::test]
    async fn an_answer_comes_after_what_was_asked_and_what_is_added() {
        let begin = std::time::Instant::now();
        let response = respond("/delay/0.02", Duration::from_millis(30)).await;
        assert_eq!(response.status().as_u16(), 200);
        assert!(begin.elapsed() >= Duration::from_millis(50), "{:?}", begin.elapsed());
        let mut found = Vec::new();
        for path in ["/status/503", "/bytes/x", "/nothing"] {
            found.push(respond(path, Duration::ZERO).await.status().as_u16());
        }
        assert_eq!(found, [503, 400, 404]);
    }
}
