//! Carries the bytes of a connection in both directions as a link of another kind would: later, slower, not at all.
//!
//! What is sent at once is one piece. Its arrival is computed when it is sent, and it is handed on then; so many are
//! on the way at the same time and none waits for a timer of its own. During a cut pieces are held, and handed on at
//! its end; when either side has closed the connection by then, nobody takes them.

use super::Emulation;
use super::cut::{Cuts, Direction};
use super::link::Line;
use crate::os::monotonic_ns;
use crate::os::timer::PreciseTimer;
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// The largest piece.
const PIECE_BYTES_MAX: usize = 64 << 10;
/// Pieces on the way; HTTP/2 bounds their bytes.
const PIECES_MAX: usize = 4_096;
/// What a sender may have waiting before its line, as in a socket's buffer. Less would leave the line idle, more would
/// make heartbeats wait behind results.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// A piece and when it arrives; without bytes it is the end.
struct Piece {
    arrival_ns: u64,
    bytes: Bytes,
}

/// What is at the worker's end of the emulated link, whose other end is `connection`. The link lasts as long as either
/// side uses it.
///
/// # Errors
/// No descriptors left for timers.
pub(crate) fn relay<C>(connection: C, emulation: &Emulation) -> io::Result<DuplexStream>
where
    C: AsyncRead + AsyncWrite + Send + 'static,
{
    let (near, far) = tokio::io::duplex(PIECE_BYTES_MAX);
    let (from_worker, to_worker) = tokio::io::split(far);
    let (from_coordinator, to_coordinator) = tokio::io::split(connection);
    let way = |end, seed| {
        let line = Line::new(emulation.link, seed);
        let cuts = Cuts::towards(end, &emulation.cuts, emulation.start.as_ref());
        Ok::<_, io::Error>(Way { line, cuts, timers: [PreciseTimer::new()?, PreciseTimer::new()?] })
    };
    let up = way(Direction::ToCoordinator, emulation.seed)?;
    let down = way(Direction::ToWorker, !emulation.seed)?;
    tokio::spawn(up.carry(from_worker, to_coordinator));
    tokio::spawn(down.carry(from_coordinator, to_worker));
    Ok(near)
}

/// One direction.
struct Way {
    line: Line,
    cuts: Cuts,
    timers: [PreciseTimer; 2],
}

impl Way {
    async fn carry(self, from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin) {
        let Self { line, cuts, timers: [sending, arriving] } = self;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let mut taking = std::pin::pin!(take(from, line, sending, sender));
        let mut handing = std::pin::pin!(hand_on(pieces, to, cuts, arriving));
        // An error is an end like any other: HTTP/2 says what it means.
        let _ = tokio::select! {
            () = &mut taking => handing.await,
            handed = &mut handing => handed,
        };
    }
}

/// Puts what is sent on the line.
async fn take(
    mut from: impl AsyncRead + Unpin,
    mut line: Line,
    mut timer: PreciseTimer,
    pieces: mpsc::Sender<Piece>,
) {
    let mut room = vec![0; PIECE_BYTES_MAX];
    loop {
        // A connection that broke has ended.
        let count = from.read(&mut room).await.unwrap_or(0);
        let arrival_ns = line.arrival_ns(monotonic_ns(), count);
        let piece = Piece { arrival_ns, bytes: Bytes::copy_from_slice(&room[..count]) };
        let is_sent = pieces.send(piece).await.is_ok() && count > 0;
        if !is_sent || timer.until(line.ready_ns(SEND_BUFFER_BYTES)).await.is_err() {
            return;
        }
    }
}

/// Hands every piece on when it arrives, and then the end.
async fn hand_on(
    mut pieces: mpsc::Receiver<Piece>,
    mut to: impl AsyncWrite + Unpin,
    mut cuts: Cuts,
    mut timer: PreciseTimer,
) -> io::Result<()> {
    while let Some(Piece { arrival_ns, bytes }) = pieces.recv().await {
        timer.until(arrival_ns).await?;
        while let Some(end_ns) = cuts.held_until(monotonic_ns()) {
            timer.until(end_ns).await?;
        }
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&bytes).await?;
        to.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Cut, LinkModel, Start};
    use super::*;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    use tokio::net::UnixStream;

    const STAMP_BYTES: usize = 8;

    fn with_link(latency_us: u64, jitter_us: u64, bandwidth: Option<u64>) -> Emulation {
        let (latency, jitter) = (Duration::from_micros(latency_us), Duration::from_micros(jitter_us));
        Emulation { link: LinkModel { latency, jitter, bandwidth }, ..Emulation::default() }
    }

    fn unix_now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
    }

    /// Sends `count` times what the clock shows, every `gap`, and gives how long each was on the way.
    async fn delays<W, R>(mut to: W, mut from: R, count: usize, gap: Duration) -> Vec<u64>
    where
        W: AsyncWrite + Unpin + Send + 'static,
        R: AsyncRead + Unpin,
    {
        let sending = tokio::spawn(async move {
            let (mut timer, begun) = (PreciseTimer::new().unwrap(), monotonic_ns());
            for number in 0..count as u64 {
                timer.until(begun + number * gap.as_nanos() as u64).await.unwrap();
                to.write_all(&monotonic_ns().to_ne_bytes()).await.unwrap();
            }
            to
        });
        let mut delays = Vec::new();
        let mut stamp = [0; STAMP_BYTES];
        for _ in 0..count {
            from.read_exact(&mut stamp).await.unwrap();
            delays.push(monotonic_ns() - u64::from_ne_bytes(stamp));
        }
        drop(sending.await.unwrap());
        delays
    }

    /// What `percent` percent of the values do not exceed.
    fn percentile(delays: &mut [u64], percent: usize) -> u64 {
        delays.sort_unstable();
        delays[(delays.len() - 1) * percent / 100]
    }

    #[tokio::test]
    async fn both_directions_are_as_late_as_asked_with_many_on_the_way() {
        for latency_us in [1_000, 20_000] {
            for up in [true, false] {
                let (coordinator, worker) = UnixStream::pair().unwrap();
                let near = relay(worker, &with_link(latency_us, 0, None)).unwrap();
                let gap = Duration::from_micros(700);
                let mut delays = if up {
                    delays(near, coordinator, 500, gap).await
                } else {
                    delays(coordinator, near, 500, gap).await
                };
                assert!(delays.iter().all(|&delay| delay >= latency_us * 1_000), "never early");
                let late = [50, 90, 99, 100]
                    .map(|percent| percentile(&mut delays, percent).saturating_sub(latency_us * 1_000));
                eprintln!("{latency_us} us, up {up}: late by {late:?} ns (p50, p90, p99, most)");
                // A machine that does other things is late now and then; half of the messages are not.
                assert!(late[0] < 400_000, "{latency_us} us, up {up}: {late:?}");
            }
        }
    }

    #[tokio::test]
    async fn bandwidth_is_what_was_asked_for() {
        let (mut coordinator, worker) = UnixStream::pair().unwrap();
        let mut near = relay(worker, &with_link(1_000, 0, Some(20_000_000))).unwrap();
        let bytes = 2_000_000;
        let began = monotonic_ns();
        let sending = tokio::spawn(async move {
            near.write_all(&vec![1; bytes]).await.unwrap();
            near
        });
        let mut read = vec![0; bytes];
        coordinator.read_exact(&mut read).await.unwrap();
        let took_ms = (monotonic_ns() - began) as f64 / 1e6;
        assert!((101.0..250.0).contains(&took_ms), "{took_ms}");
        drop(sending.await.unwrap());
        assert_eq!(coordinator.read(&mut read).await.unwrap(), 0, "the end comes, too");
    }

    #[tokio::test]
    async fn what_is_cut_off_comes_when_the_cut_ends_and_the_other_way_is_free() {
        let (mut coordinator, worker) = UnixStream::pair().unwrap();
        let length = Duration::from_millis(200);
        let cut = Cut { at: Duration::ZERO, length, direction: Direction::ToCoordinator };
        let start = Some(Start::At(unix_now()));
        let emulation = Emulation { cuts: vec![cut], start, ..Emulation::default() };
        let began = monotonic_ns();
        let mut near = relay(worker, &emulation).unwrap();
        near.write_all(b"up").await.unwrap();
        coordinator.write_all(b"down").await.unwrap();
        let mut read = [0; 4];
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"down");
        assert!(monotonic_ns() - began < 150_000_000, "only one way is cut");
        coordinator.read_exact(&mut read[..2]).await.unwrap();
        let took_ms = (monotonic_ns() - began) as f64 / 1e6;
        assert!(&read[..2] == b"up" && (199.0..350.0).contains(&took_ms), "{took_ms}");
    }

    #[tokio::test]
    async fn what_is_held_goes_nowhere_when_the_other_side_has_closed() {
        let (coordinator, worker) = UnixStream::pair().unwrap();
        let start = Some(Start::At(unix_now()));
        let cuts = vec!["0s+40ms".parse().unwrap()];
        let mut near = relay(worker, &Emulation { cuts, start, ..Emulation::default() }).unwrap();
        near.write_all(b"lost").await.unwrap();
        drop(coordinator);
        let began = monotonic_ns();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        assert!(monotonic_ns() - began > 30_000_000, "the end is held, too");
    }
}
