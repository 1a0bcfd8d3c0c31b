//! Links with limited bandwidth. The messages of one worker go one behind the other; the workers of a link share it
//! evenly; and what the coordinator sends or receives over all links is shared so that nobody can get more without
//! taking from somebody who has less (max-min fair: Bertsekas and Gallager, "Data Networks", 1992, section 6.5).
//!
//! Progress is counted in billionths of a byte, so that a rate of whole bytes per second moves a whole number of
//! them in every nanosecond.

use super::Cluster;
use super::message::Event;
use super::network::Way;
use crate::scenario::Link;
use muster_core::time::{Span, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

const NANO: u128 = 1_000_000_000;

/// All limited links, both directions of each.
#[derive(Debug)]
pub(super) struct Pipes {
    pipes: Vec<Pipe>,
    /// Bytes per second that the coordinator can send, and receive.
    coordinator: Option<u64>,
}

/// One direction of a link.
#[derive(Debug, Default)]
struct Pipe {
    /// Bytes per second of all together, and of one worker.
    shared: Option<u64>,
    each: Option<u64>,
    /// Bytes per second that each worker gets now.
    rate: u64,
    /// What each worker that was sending all the time would have sent.
    progress: u128,
    counted: Time,
    /// When the first message of a worker will have passed, by progress.
    first: BinaryHeap<Reverse<(u128, u64, u32)>>,
    /// Messages behind the first, by worker.
    behind: BTreeMap<u32, VecDeque<Waiting>>,
    version: u32,
    entered: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    bytes: u64,
    event: Event,
}

impl Pipe {
    fn count(&mut self, now: Time) {
        self.progress += u128::from(now.since(self.counted).0) * u128::from(self.rate);
        self.counted = self.counted.max(now);
    }

    /// The most that one worker can get while `count` of them send.
    fn limit(&self) -> u64 {
        let count = self.first.len().max(1) as u64;
        let share = self.shared.map_or(u64::MAX, |shared| (shared / count).max(1));
        share.min(self.each.unwrap_or(u64::MAX))
    }

    fn start(&mut self, worker: u32, bytes: u64) {
        self.entered += 1;
        self.first.push(Reverse((self.progress + u128::from(bytes) * NANO, self.entered, worker)));
    }

    /// When the next message will have passed.
    fn next(&self) -> Option<Time> {
        let Reverse((passes, ..)) = self.first.peek()?;
        let left = passes.saturating_sub(self.progress).div_ceil(u128::from(self.rate.max(1)));
        Some(self.counted + Span(u64::try_from(left).unwrap_or(u64::MAX)))
    }
}

impl Pipes {
    pub(super) fn new(links: &[&Link], coordinator: Option<u64>) -> Self {
        let both = |link: &&Link| {
            let pipe = || Pipe { shared: link.bandwidth, each: link.worker_bandwidth, ..Pipe::default() };
            [pipe(), pipe()]
        };
        Self { pipes: links.iter().flat_map(both).collect(), coordinator }
    }

    /// Shares the coordinator's bandwidth of one direction among its pipes: whoever needs less than an even share
    /// gets that, and the rest is shared by the others.
    fn share(&mut self, way: Way, now: Time) {
        let mut asking: Vec<(u64, usize)> = (way as usize..self.pipes.len())
            .step_by(2)
            .filter(|&at| !self.pipes[at].first.is_empty())
            .map(|at| (self.pipes[at].limit(), at))
            .collect();
        asking.sort_unstable();
        let mut left = self.coordinator.unwrap_or(u64::MAX);
        let mut workers: u64 = asking.iter().map(|&(_, at)| self.pipes[at].first.len() as u64).sum();
        for (limit, at) in asking {
            let pipe = &mut self.pipes[at];
            pipe.count(now);
            let rate = limit.min((left / workers.max(1)).max(1));
            let count = pipe.first.len() as u64;
            left = left.saturating_sub(rate.saturating_mul(count));
            workers -= count;
            pipe.rate = rate;
        }
    }
}

impl Cluster {
    /// A message enters a limited link.
    pub(super) fn enter_pipe(&mut self, way: Way, link: u32, worker: u32, bytes: u64, event: Event) {
        let at = (2 * link + way as u32) as usize;
        let pipe = &mut self.network.pipes.pipes[at];
        pipe.count(self.now);
        let queue = pipe.behind.entry(worker).or_default();
        queue.push_back(Waiting { bytes, event });
        if queue.len() == 1 {
            pipe.start(worker, bytes);
            self.reshare(way);
        }
    }

    /// What waits for a worker's link, in both directions, is gone with its connection.
    pub(super) fn empty_pipes(&mut self, worker: u32) {
        for at in 0..self.network.pipes.pipes.len() {
            let pipe = &mut self.network.pipes.pipes[at];
            let Some(waiting) = pipe.behind.remove(&worker) else { continue };
            pipe.count(self.now);
            pipe.first.retain(|Reverse((.., other))| *other != worker);
            for Waiting { event, .. } in waiting {
                match event {
                    Event::Down { message } => drop(self.down.take(message)),
                    Event::Up { message } => drop(self.up.take(message)),
                    _ => {}
                }
            }
            self.reshare(if at.is_multiple_of(2) { Way::Down } else { Way::Up });
        }
    }

    /// The first message of some worker may have passed.
    pub(super) fn passed(&mut self, pipe: u32, version: u32) {
        let at = pipe as usize;
        if self.network.pipes.pipes[at].version != version {
            return;
        }
        let way = if at.is_multiple_of(2) { Way::Down } else { Way::Up };
        let state = &mut self.network.pipes.pipes[at];
        state.count(self.now);
        let mut out = Vec::new();
        while let Some(&Reverse((passes, _, worker))) = state.first.peek()
            && passes <= state.progress
        {
            state.first.pop();
            let Some(queue) = state.behind.get_mut(&worker) else { continue };
            out.extend(queue.pop_front().map(|waiting| (worker, waiting.event)));
            match queue.front().map(|waiting| waiting.bytes) {
                Some(bytes) => state.start(worker, bytes),
                None => drop(state.behind.remove(&worker)),
            }
        }
        for (worker, event) in out {
            self.travel(way, pipe / 2, worker, self.now, event);
        }
        self.reshare(way);
    }

    /// Gives everybody who sends in this direction a new rate, and notes when the next message passes.
    fn reshare(&mut self, way: Way) {
        self.network.pipes.share(way, self.now);
        for at in (way as usize..self.network.pipes.pipes.len()).step_by(2) {
            let pipe = &mut self.network.pipes.pipes[at];
            pipe.version += 1;
            if let Some(next) = pipe.next() {
                self.queue.push(next, Event::Passed { pipe: at as u32, version: pipe.version });
            }
        }
    }
}
