//! How long it takes to pass the turn to another thread or process and to get it back.

use muster_plugin_host::futex;
use muster_worker::os::affinity;
use muster_worker::os::fork::{Alone, wait};
use muster_worker::os::memory::{Access, Mapping, shared_file};
use muster_worker::os::process::WaitStatus;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Turns that are not measured: the two first have to get going.
const WARM_UP: u32 = 100;
/// A thread that waits on a word wakes up this often, for nothing.
const LOOK: Duration = Duration::from_secs(1);
/// The two words lie so far from each other that they are not in one cache line.
const APART: usize = 128;

/// What passes the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// A word of shared memory that both keep looking at.
    Spin,
    /// A word of shared memory on which the kernel lets them sleep.
    Futex,
    /// A byte through a pipe.
    Pipe,
    /// A byte through a pair of Unix stream sockets.
    SocketPair,
    /// A message through `std::sync::mpsc`.
    Channel,
}

impl Means {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Spin, Self::Futex, Self::Pipe, Self::SocketPair, Self::Channel];

    /// As tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spinning",
            Self::Futex => "futex",
            Self::Pipe => "pipe",
            Self::SocketPair => "socketpair",
            Self::Channel => "mpsc channel",
        }
    }
}

/// Who passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Between {
    Threads,
    Processes,
}

impl Between {
    /// As tables call them.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Processes => "processes",
        }
    }
}

/// The question; the answer: nanoseconds of each round trip.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Turns {
    pub means: Means,
    pub between: Between,
    /// The processors that the two are kept on; the same one twice, where they share it.
    pub cpus: [usize; 2],
    pub trips: u32,
}

/// One of the two. The first error ends it.
struct Side {
    tell: Box<dyn FnMut() -> io::Result<()> + Send>,
    hear: Box<dyn FnMut() -> io::Result<()> + Send>,
}

impl Turns {
    pub(super) fn measure(&self) -> io::Result<Vec<u64>> {
        let [ours, theirs] = sides(self.means)?;
        let (total, cpu) = (self.trips + WARM_UP, self.cpus[1]);
        match self.between {
            Between::Threads => {
                let partner = std::thread::spawn(move || answer(theirs, cpu, total));
                let times = self.ask(ours)?;
                partner.join().map_err(|_| io::Error::other("the other thread panicked"))??;
                Ok(times)
            }
            Between::Processes => {
                let partner = Alone::look()?.fork(move || i32::from(answer(theirs, cpu, total).is_err()))?;
                let times = self.ask(ours)?;
                match wait(partner)? {
                    WaitStatus::Code(0) => Ok(times),
                    status => Err(io::Error::other(format!("the other process ended early: {status:?}"))),
                }
            }
        }
    }

    fn ask(&self, mut side: Side) -> io::Result<Vec<u64>> {
        affinity::pin(&self.cpus[..1])?;
        let mut times = Vec::with_capacity(self.trips as usize);
        for trip in 0..self.trips + WARM_UP {
            let began = Instant::now();
            (side.tell)()?;
            (side.hear)()?;
            let took = began.elapsed();
            if trip >= WARM_UP {
                times.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            }
        }
        Ok(times)
    }
}

fn answer(mut side: Side, cpu: usize, trips: u32) -> io::Result<()> {
    affinity::pin(&[cpu])?;
    for _ in 0..trips {
        (side.hear)()?;
        (side.tell)()?;
    }
    Ok(())
}

fn sides(means: Means) -> io::Result<[Side; 2]> {
    match means {
        Means::Spin => words(
            |_| (),
            |word, seen| {
                while word.load(SeqCst) == seen {
                    std::hint::spin_loop();
                }
            },
        ),
        Means::Futex => words(
            |word| futex::wake(word, 1),
            |word, seen| {
                while word.load(SeqCst) == seen {
                    futex::wait(word, seen, LOOK);
                }
            },
        ),
        Means::Pipe => {
            let ((there, to), (back, from)) = (io::pipe()?, io::pipe()?);
            Ok([bytes(back, to), bytes(there, from)])
        }
        Means::SocketPair => {
            let (one, other) = UnixStream::pair()?;
            Ok([bytes(one.try_clone()?, one), bytes(other.try_clone()?, other)])
        }
        Means::Channel => {
            let ((to, there), (from, back)) = (mpsc::channel(), mpsc::channel());
            Ok([messages(back, to), messages(there, from)])
        }
    }
}

/// Two words of shared memory that count turns, one for each direction.
fn words(woken: fn(&AtomicU32), wait: fn(&AtomicU32, u32)) -> io::Result<[Side; 2]> {
    let file = shared_file(c"turns", 4096)?;
    // Both sides have it until the process ends.
    let mapping: &'static Mapping = Box::leak(Box::new(Mapping::new(file.as_fd(), 4096, Access::ReadWrite)?));
    let word = |at| mapping.word(at).ok_or_else(|| io::Error::other("a page has no room for a word"));
    let (there, back) = (word(0)?, word(APART)?);
    let side = |to: &'static AtomicU32, from: &'static AtomicU32| {
        let mut seen = 0;
        Side {
            tell: Box::new(move || {
                to.fetch_add(1, SeqCst);
                woken(to);
                Ok(())
            }),
            hear: Box::new(move || {
                wait(from, seen);
                seen += 1;
                Ok(())
            }),
        }
    };
    Ok([side(there, back), side(back, there)])
}

fn bytes(mut from: impl io::Read + Send + 'static, mut to: impl io::Write + Send + 'static) -> Side {
    Side { tell: Box::new(move || to.write_all(&[1])), hear: Box::new(move || from.read_exact(&mut [0])) }
}

fn messages(from: mpsc::Receiver<()>, to: mpsc::Sender<()>) -> Side {
    let gone = || io::Error::other("the other thread is gone");
    Side {
        tell: Box::new(move || to.send(()).map_err(|_| gone())),
        hear: Box::new(move || from.recv().map_err(|_| gone())),
    }
}
