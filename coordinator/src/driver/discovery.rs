//! Where workers are to be scraped: what Prometheus' service discovery is told.

use super::Driver;
use muster_core::time::{Span, Time};
use muster_proto::convert::Hello;
use muster_proto::link::{host_name, is_address};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

/// A lost worker stays listed for so long: whoever scrapes it sees that it is down, and says so.
pub const LOST_LISTED: Span = Span::from_millis(300_000);
/// Lost workers that are listed; the oldest beyond go.
const LOST_MAX: usize = 20_000;

/// A worker that can be scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where its metrics are.
    pub address: String,
    /// Its name.
    pub worker: String,
}

/// The workers that were lost lately.
#[derive(Debug, Default)]
pub(super) struct Lost {
    lost: VecDeque<(Time, Target)>,
}

impl Lost {
    pub fn add(&mut self, hello: &Hello, now: Time) {
        self.lost.extend(target(hello, &host_name()).map(|target| (now, target)));
        while self.lost.len() > LOST_MAX || self.lost.front().is_some_and(|(at, _)| is_over(*at, now)) {
            self.lost.pop_front();
        }
    }
}

impl Driver {
    /// The workers to scrape, those that are there first; `None` while workers that were there before this coordinator
    /// started may not be back: then what was found before is the better answer.
    pub(super) fn targets(&self) -> Option<Vec<Target>> {
        let now = self.clock.now();
        if now < Time::ZERO + self.settings.scheduler.lease {
            return None;
        }
        let here = host_name();
        let there = self.workers.values().filter_map(|worker| target(&worker.hello, &here));
        let lost = self.lost.lost.iter().rev().filter(|(at, _)| !is_over(*at, now));
        let mut seen = BTreeSet::new();
        // Whoever came back is there, and not lost as well.
        let once = |target: &Target| seen.insert(target.address.clone());
        Some(there.chain(lost.map(|(_, target)| target.clone())).filter(once).collect())
    }
}

fn is_over(lost: Time, now: Time) -> bool {
    now.since(lost) > LOST_LISTED
}

/// A worker's target, when others can reach it. One on loopback can be scraped on its own machine alone, and there
/// the coordinator's targets are looked for: elsewhere the same address is somebody else. `here`: the name of this machine.
fn target(hello: &Hello, here: &str) -> Option<Target> {
    let address = &hello.metrics_address;
    let is_loopback = address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    // What is no address would make Prometheus refuse the whole list.
    let reaches = is_address(address) && (!is_loopback || hello.host == here);
    reaches.then(|| Target { address: address.clone(), worker: hello.name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::id::Incarnation;

    fn hello(number: u64) -> Hello {
        Hello {
            features: Vec::new(),
            name: format!("w{number}"),
            incarnation: Incarnation(number),
            slots: 1,
            target: String::new(),
            version: String::new(),
            host: "there".into(),
            pid: 1,
            metrics_address: format!("there:{number}"),
            state: 0,
            held: Vec::new(),
            sandbox: Default::default(),
            trust: Default::default(),
        }
    }

    #[test]
    fn lost_workers_go_after_five_minutes() {
        let mut lost = Lost::default();
        lost.add(&hello(1), Time::ZERO);
        lost.add(&hello(2), Time::ZERO + LOST_LISTED);
        assert_eq!(lost.lost.len(), 2);
        lost.add(&hello(3), Time::ZERO + LOST_LISTED + Span(1));
        let left: Vec<&str> = lost.lost.iter().map(|(_, target)| target.worker.as_str()).collect();
        assert_eq!(left, ["w2", "w3"]);
    }

    #[test]
    fn loopback_of_another_machine_is_somebody_else() {
        let on_loopback =
            |host: &str| Hello { host: host.into(), metrics_address: "127.0.0.1:9".into(), ..hello(1) };
        assert_eq!(target(&on_loopback("elsewhere"), "here"), None);
        assert!(target(&on_loopback("here"), "here").is_some());
        assert!(target(&hello(4), "here").is_some());
    }
}
