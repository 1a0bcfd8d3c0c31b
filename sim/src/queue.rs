//! What happens when. Events come out by time, and those of the same time in the order in which they were put
//! in: the order is total, and no number in it is a float.
//!
//! Most events of a simulation happen a fixed time after they are caused, such as messages after the latency of
//! their link. They come in the order of their time already, so each such delay has a lane, a plain queue; only the
//! rest needs the heap.

use dary_heap::QuaternaryHeap;
use muster_core::time::{Span, Time};
use std::cmp::Ordering;
use std::collections::VecDeque;

/// A lane of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneId(u32);

/// Events by time.
#[derive(Debug)]
pub struct Queue<E> {
    lanes: Vec<VecDeque<Entry<E>>>,
    /// The key of the first event of each lane.
    fronts: Vec<Key>,
    heap: QuaternaryHeap<Entry<E>>,
    next: u64,
}

/// Time and number in one: the order of events.
type Key = u128;

/// Later than every event.
const NONE: Key = Key::MAX;

const fn key(at: Time, number: u64) -> Key {
    (at.0 as u128) << 64 | number as u128
}

#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    key: Key,
    event: E,
}

impl<E> Entry<E> {
    const fn at(&self) -> Time {
        Time((self.key >> 64) as u64)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn lt(&self, other: &Self) -> bool {
        other.key < self.key
    }

    fn le(&self, other: &Self) -> bool {
        other.key <= self.key
    }

    fn gt(&self, other: &Self) -> bool {
        other.key > self.key
    }

    fn ge(&self, other: &Self) -> bool {
        other.key >= self.key
    }
}

/// The earliest is the greatest, because the heap gives the greatest first.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl<E: Copy> Default for Queue<E> {
    fn default() -> Self {
        Self { lanes: Vec::new(), fronts: Vec::new(), heap: QuaternaryHeap::new(), next: 0 }
    }
}

impl<E: Copy> Queue<E> {
    /// A new lane.
    pub fn add_lane(&mut self) -> LaneId {
        self.lanes.push(VecDeque::new());
        self.fronts.push(NONE);
        LaneId((self.lanes.len() - 1) as u32)
    }

    /// Puts an event in.
    pub fn push(&mut self, at: Time, event: E) {
        let key = key(at, self.number());
        self.heap.push(Entry { key, event });
    }

    /// Puts an event into a lane, or into the heap when it is earlier than the last one in that lane.
    pub fn push_in(&mut self, lane: LaneId, at: Time, event: E) {
        let key = key(at, self.number());
        let entry = Entry { key, event };
        let place = lane.0 as usize;
        let lane = &mut self.lanes[place];
        match lane.back() {
            None => {
                lane.push_back(entry);
                self.fronts[place] = key;
            }
            Some(last) if last.at() <= at => lane.push_back(entry),
            Some(_) => self.heap.push(entry),
        }
    }

    /// Takes the next event out.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let mut first = self.heap.peek().map_or(NONE, |entry| entry.key);
        let mut from = None;
        for (at, &front) in self.fronts.iter().enumerate() {
            if front < first {
                first = front;
                from = Some(at);
            }
        }
        let entry = match from {
            Some(at) => {
                let lane = &mut self.lanes[at];
                let entry = lane.pop_front();
                self.fronts[at] = lane.front().map_or(NONE, |entry| entry.key);
                entry
            }
            None => self.heap.pop(),
        }?;
        Some((entry.at(), entry.event))
    }

    /// The first event of the heap.
    pub fn head(&self) -> Option<E> {
        self.heap.peek().map(|entry| entry.event)
    }

    /// Events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len() + self.lanes.iter().map(VecDeque::len).sum::<usize>()
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Events that were ever put in.
    #[must_use]
    pub const fn pushed(&self) -> u64 {
        self.next
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// A lane whose events all happen the same time after they are put in.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    lane: LaneId,
    span: Span,
}

impl Delay {
    /// A lane of its own in `queue`.
    pub fn new<E: Copy>(queue: &mut Queue<E>, span: Span) -> Self {
        Self { lane: queue.add_lane(), span }
    }

    /// Puts an event in that happens the delay after `from`.
    pub fn push<E: Copy>(self, queue: &mut Queue<E>, from: Time, event: E) {
        queue.push_in(self.lane, from + self.span, event);
    }

    /// How long it is.
    #[must_use]
    pub const fn span(self) -> Span {
        self.span
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever goes through lanes or heap comes out as from a stable sort by time.
        #[test]
        fn comes_out_in_order(pushes in proptest::collection::vec((0..50u64, 0..4usize), 0..200)) {
            let mut queue = Queue::default();
            let lanes = [queue.add_lane(), queue.add_lane(), queue.add_lane()];
            for (number, &(at, lane)) in pushes.iter().enumerate() {
                match lanes.get(lane) {
                    Some(&lane) => queue.push_in(lane, Time(at), number),
                    None => queue.push(Time(at), number),
                }
            }
            let mut expected: Vec<(Time, usize)> =
                pushes.iter().enumerate().map(|(number, &(at, _))| (Time(at), number)).collect();
            expected.sort();
            let popped: Vec<(Time, usize)> = std::iter::from_fn(|| queue.pop()).collect();
            prop_assert_eq!(popped, expected);
            prop_assert!(queue.is_empty());
        }
    }
}
