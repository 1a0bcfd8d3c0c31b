//! One GET that leaves its thread to others while it waits.

use crate::fetch::{Fetched, ROOM_BYTES};
use crate::meaning::{check_status, from_io, from_response, timed_out};
use crate::response::Response;
use crate::url::{Url, request};
use muster_sdk::{Error, tokio};
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};

thread_local! {
    /// All fetches of a thread receive into the same room, because none keeps what comes: ten thousand rooms would be
    /// 640 MB.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM_BYTES].into_boxed_slice());
}

/// Fetches `url` over a connection of its own, within `limit`. Wherever it waits it can be dropped, which closes the
/// connection.
///
/// # Errors
/// Those of [`fetch`](crate::fetch()), but never cancelled.
pub async fn fetch_async(url: &Url, limit: Duration) -> Result<Fetched, Error> {
    let begin = Instant::now();
    let outcome = tokio::time::timeout(limit, get(url)).await;
    let bytes = outcome.map_err(|_| timed_out(url, limit))??;
    Ok(Fetched { bytes, took: begin.elapsed() })
}

/// Asks, and counts the bytes of the body.
async fn get(url: &Url) -> Result<u64, Error> {
    let stream = connect(url).await?;
    send(&stream, &request(url)).await.map_err(|error| from_io(url, "send the request", &error))?;
    let mut response = Response::new();
    while !take_some(&stream, url, &mut response).await? {}
    let (status, bytes) = response.end().map_err(|error| from_response(url, error))?;
    check_status(url, status)?;
    Ok(bytes)
}

/// A connection to the first address of the host that takes one.
async fn connect(url: &Url) -> Result<TcpStream, Error> {
    if let Ok(address) = url.host().parse::<IpAddr>() {
        return connect_to(url, SocketAddr::new(address, url.port())).await;
    }
    let looked_up = lookup_host((url.host(), url.port())).await;
    let addresses = looked_up.map_err(|error| from_io(url, "look up the host", &error))?;
    let mut outcome = Err(Error::transient(format_args!("{url}: the host has no address")));
    for address in addresses {
        outcome = connect_to(url, address).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn connect_to(url: &Url, address: SocketAddr) -> Result<TcpStream, Error> {
    TcpStream::connect(address).await.map_err(|error| from_io(url, "connect", &error))
}

async fn send(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        // A new connection nearly always takes everything at once, so trying comes before waiting.
        match stream.try_write(bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes what has come into the response; true when nothing more will.
async fn take_some(stream: &TcpStream, url: &Url, response: &mut Response) -> Result<bool, Error> {
    let unreadable = |error| from_io(url, "read the answer", &error);
    stream.readable().await.map_err(unreadable)?;
    ROOM.with_borrow_mut(|room| match stream.try_read(room) {
        Ok(0) => Ok(true),
        Ok(count) => response.take(&room[..count]).map_err(|error| from_response(url, error)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(unreadable(error)),
    })
}
