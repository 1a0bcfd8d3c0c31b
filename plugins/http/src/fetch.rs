//! One GET on a thread that waits for it.

use crate::meaning::{check_status, from_io, from_response, timed_out};
use crate::response::Response;
use crate::stream::{Step, Stream};
use crate::url::{Url, request};
use crate::waiter::Waiter;
use muster_sdk::Error;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The longest wait without asking whether to go on. The look-up of a name is the exception: it cannot be interrupted.
pub const SLICE: Duration = Duration::from_millis(10);
/// Bytes that are received at a time.
pub(crate) const ROOM_BYTES: usize = 64 << 10;

/// What a fetch brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes of the body.
    pub bytes: u64,
    /// From before the look-up of the name to the last byte.
    pub took: Duration,
}

/// Fetches `url` over a connection of its own, within `limit`.
///
/// # Errors
/// As the functions of this crate say that turn failures into errors; cancelled when `waiter` says so.
pub fn fetch(url: &Url, limit: Duration, waiter: &mut impl Waiter) -> Result<Fetched, Error> {
    let begin = Instant::now();
    let mut steps = Steps { url, waiter, limit, end: begin.checked_add(limit) };
    let mut stream = steps.connect()?;
    let asked = request(url);
    let mut sent = 0;
    while sent < asked.len() {
        sent += steps.until_done("send the request", || stream.write(&asked[sent..]))?;
    }
    let mut response = Response::new();
    let mut room = vec![0; ROOM_BYTES];
    loop {
        let count = steps.until_done("read the answer", || stream.read(&mut room))?;
        let is_complete = response.take(&room[..count]).map_err(|error| from_response(url, error))?;
        if count == 0 || is_complete {
            break;
        }
    }
    let (status, bytes) = response.end().map_err(|error| from_response(url, error))?;
    check_status(url, status)?;
    Ok(Fetched { bytes, took: begin.elapsed() })
}

/// Does steps again and again until they are done, asked to stop, or late.
struct Steps<'a, W> {
    url: &'a Url,
    waiter: &'a mut W,
    limit: Duration,
    end: Option<Instant>,
}

impl<W: Waiter> Steps<'_, W> {
    fn until_done<T>(
        &mut self,
        doing: &str,
        mut step: impl FnMut() -> io::Result<Step<T>>,
    ) -> Result<T, Error> {
        loop {
            self.waiter.check()?;
            if self.end.is_some_and(|end| Instant::now() >= end) {
                return Err(timed_out(self.url, self.limit));
            }
            match self.waiter.wait(&mut step).map_err(|error| from_io(self.url, doing, &error))? {
                Step::Done(value) => return Ok(value),
                Step::NotYet => {}
            }
        }
    }

    /// A connection to the first address of the host that takes one.
    fn connect(&mut self) -> Result<Stream, Error> {
        self.waiter.check()?;
        let url = self.url;
        let looked_up = self.waiter.wait(|| (url.host(), url.port()).to_socket_addrs());
        let addresses = looked_up.map_err(|error| from_io(url, "look up the host", &error))?;
        let nothing = || Error::transient(format_args!("{url}: the host has no address"));
        let mut outcome = Err(nothing());
        for address in addresses {
            outcome = self.connect_to(address);
            match &outcome {
                Err(error) if !error.is_cancelled() => {}
                Ok(_) | Err(_) => break,
            }
        }
        outcome
    }

    fn connect_to(&mut self, address: SocketAddr) -> Result<Stream, Error> {
        let stream = Stream::new(address).map_err(|error| from_io(self.url, "open a socket", &error))?;
        self.until_done("connect", || stream.connect())?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests;
