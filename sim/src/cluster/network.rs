//! How long messages take. Latency and jitter per link; bandwidth shared max-min fair. Connections are TCP's: what is
//! lost or overtaken comes later, and what was sent after it waits, so the messages of one connection keep their order.
//! Messages that arrive twice do so, which TCP would prevent: nothing may depend on that.

use super::message::{Down, Event, Up};
use super::pipe::Pipes;
use super::{Cluster, Purpose};
use crate::queue::{Delay, LaneId, Queue};
use crate::scenario::{Link, Scenario, Unreliable};
use muster_core::time::{Span, Time};
use std::collections::{BTreeMap, VecDeque};

/// Bytes of a message beside inputs and results, roughly what its protobuf, gRPC and TCP heads take.
pub(super) const MESSAGE_BYTES: u64 = 150;

/// A packet that was lost is sent again after this long at the earliest: the least that Linux waits (TCP_RTO_MIN).
const RETRANSMISSION_MIN: Span = Span::from_millis(200);

/// To workers, or to the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Down = 0,
    Up = 1,
}

/// The links.
#[derive(Debug)]
pub(super) struct Network {
    /// Link of each group.
    of_group: Vec<u32>,
    links: Vec<Lanes>,
    pub pipes: Pipes,
    /// Messages that wait for a partition or a pause to end.
    held: BTreeMap<(u32, Way), VecDeque<Event>>,
    /// Random numbers drawn.
    drawn: u64,
    /// What the coordinator reads and writes, one after the other.
    pub reading: LaneId,
    leaving: LaneId,
}

#[derive(Debug)]
struct Lanes {
    ways: [Delay; 2],
    jitter: Span,
    limited: bool,
    unreliable: Unreliable,
}

impl Network {
    pub(super) fn new(scenario: &Scenario, queue: &mut Queue<Event>) -> Self {
        let direct = Link {
            name: String::new(),
            latency: Span::ZERO,
            jitter: Span::ZERO,
            bandwidth: None,
            worker_bandwidth: None,
            unreliable: Unreliable::default(),
        };
        let links: Vec<&Link> = scenario.links.iter().chain([&direct]).collect();
        let of_group =
            scenario.workers.iter().map(|group| group.link.unwrap_or(links.len() - 1) as u32).collect();
        let lanes = links.iter().map(|link| Lanes {
            ways: [Delay::new(queue, link.latency), Delay::new(queue, link.latency)],
            jitter: link.jitter,
            limited: link.bandwidth.is_some()
                || link.worker_bandwidth.is_some()
                || scenario.coordinator.bandwidth.is_some(),
            unreliable: link.unreliable,
        });
        Self {
            of_group,
            links: lanes.collect(),
            pipes: Pipes::new(&links, scenario.coordinator.bandwidth),
            held: BTreeMap::new(),
            drawn: 0,
            reading: queue.add_lane(),
            leaving: queue.add_lane(),
        }
    }

    /// One way from a group to the coordinator.
    pub(super) fn latency(&self, group: u32) -> Span {
        self.links[self.of_group[group as usize] as usize].ways[0].span()
    }
}

impl Cluster {
    /// Sends a message to a worker, which leaves the coordinator at `from`.
    pub(super) fn send_down(&mut self, from: Time, message: Down) {
        if !message.follows {
            self.measures.messages[0] += 1;
        }
        self.measures.bytes[0] += message.bytes;
        let worker = message.worker;
        let number = self.down.put(message);
        let link = self.link_of(worker);
        if !self.network.links[link as usize].limited {
            self.travel(Way::Down, link, worker, from, Event::Down { message: number });
        } else if from > self.now {
            self.queue.push_in(self.network.leaving, from, Event::Leave { message: number });
        } else {
            self.leave(number);
        }
    }

    /// A message to a worker has left the coordinator and enters a limited link.
    pub(super) fn leave(&mut self, message: u32) {
        let Down { worker, bytes, .. } = self.down.get(message);
        self.enter_pipe(Way::Down, self.link_of(worker), worker, bytes, Event::Down { message });
    }

    /// Sends a message to the coordinator.
    pub(super) fn send_up(&mut self, message: Up) {
        let (worker, bytes) = (message.worker, message.bytes);
        if !message.follows {
            self.measures.messages[1] += 1;
        }
        self.measures.bytes[1] += bytes;
        let event = Event::Up { message: self.up.put(message) };
        let link = self.link_of(worker);
        if self.network.links[link as usize].limited {
            self.enter_pipe(Way::Up, link, worker, bytes, event);
        } else {
            self.travel(Way::Up, link, worker, self.now, event);
        }
    }

    fn link_of(&self, worker: u32) -> u32 {
        self.network.of_group[self.machines.get(worker).group as usize]
    }

    /// A message whose bytes are on the way arrives after the latency.
    pub(super) fn travel(&mut self, way: Way, link: u32, worker: u32, from: Time, event: Event) {
        let lanes = &self.network.links[link as usize];
        let delay = lanes.ways[way as usize];
        if lanes.jitter == Span::ZERO && lanes.unreliable == Unreliable::default() {
            delay.push(&mut self.queue, from, event);
            return;
        }
        let (jitter, unreliable) = (lanes.jitter, lanes.unreliable);
        let stream = self.stream(Purpose::Jitter);
        self.network.drawn += 4;
        let [late, lost, twice, overtaken] =
            [0, 1, 2, 3].map(|number| stream.unit(self.network.drawn + number));
        let mut at = from + delay.span() + Span((late * jitter.0 as f64) as u64);
        if lost < unreliable.drop {
            *self.measures.faults.entry("drop").or_default() += 1;
            at = at + RETRANSMISSION_MIN.max(Span(3 * delay.span().0));
        }
        if overtaken < unreliable.reorder {
            *self.measures.faults.entry("reorder").or_default() += 1;
            at = at + Span(delay.span().0 + jitter.0 + 1);
        }
        let arrival = &mut self.machines.get_mut(worker).arrival[way as usize];
        at = at.max(*arrival);
        *arrival = at;
        self.queue.push(at, event);
        if twice < unreliable.duplicate {
            *self.measures.faults.entry("duplicate").or_default() += 1;
            let again = match event {
                Event::Down { message } => Event::Down { message: self.down.put(self.down.get(message)) },
                Event::Up { message } => Event::Up { message: self.up.put(self.up.get(message)) },
                other => other,
            };
            self.queue.push(at + Span(1), again);
        }
    }

    /// Whether a message that just arrived has to wait, because the worker is cut off or stands still, or because others
    /// do that arrived before it.
    pub(super) fn is_held_up(&mut self, way: Way, worker: u32, event: Event) -> bool {
        let until = self.blocked_until(way, worker);
        if until <= self.now && self.network.held.is_empty() {
            return false;
        }
        let held = &mut self.network.held;
        if until > self.now || held.contains_key(&(worker, way)) {
            let queue = held.entry((worker, way)).or_default();
            if queue.is_empty() {
                self.queue.push(until.max(self.now), Event::Release { worker, way });
            }
            queue.push_back(event);
            return true;
        }
        false
    }

    /// Messages that were held up arrive, in their order, unless something holds them up again.
    pub(super) fn release(&mut self, worker: u32, way: Way) {
        let until = self.blocked_until(way, worker);
        if until > self.now {
            self.queue.push(until, Event::Release { worker, way });
            return;
        }
        for event in self.network.held.remove(&(worker, way)).unwrap_or_default() {
            match event {
                Event::Down { message } => self.arrive_down(message),
                Event::Up { message } => self.arrive_up(message),
                _ => {}
            }
        }
    }

    fn blocked_until(&self, way: Way, worker: u32) -> Time {
        let machine = self.machines.get(worker);
        let until = machine.cut_until[way as usize];
        match way {
            Way::Down => until.max(machine.paused_until),
            Way::Up => until,
        }
    }
}
