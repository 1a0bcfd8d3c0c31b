//! What a link does to messages: latency, jitter, bandwidth. A [`Line`] is one direction of it and computes when a
//! piece arrives; it waits for nothing.

use std::time::Duration;

/// How the link of a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkModel {
    /// One way.
    pub latency: Duration,
    /// Added to the latency of each piece: even between nothing and this.
    pub jitter: Duration,
    /// Bytes per second in each direction; none: no limit.
    pub bandwidth: Option<u64>,
}

/// One direction of a link.
#[derive(Debug)]
pub(super) struct Line {
    latency_ns: u64,
    jitter_ns: u64,
    bandwidth: Option<u64>,
    random: u64,
    /// When what was sent so far has left the sender.
    free_ns: u64,
    /// When what was sent last arrives: the order is kept.
    last_ns: u64,
}

impl Line {
    pub fn new(link: LinkModel, seed: u64) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            latency_ns: ns(link.latency),
            jitter_ns: ns(link.jitter),
            bandwidth: link.bandwidth,
            random: seed,
            free_ns: 0,
            last_ns: 0,
        }
    }

    /// When the last bit of `bytes` bytes arrives that are sent now.
    pub fn arrival_ns(&mut self, now_ns: u64, bytes: usize) -> u64 {
        self.free_ns = self.free_ns.max(now_ns).saturating_add(self.time_of(bytes));
        let jitter_ns = match self.jitter_ns {
            0 => 0,
            most => ((u128::from(self.next_random()) * (u128::from(most) + 1)) >> 64) as u64,
        };
        let arrival = self.free_ns.saturating_add(self.latency_ns).saturating_add(jitter_ns);
        self.last_ns = self.last_ns.max(arrival);
        self.last_ns
    }

    /// When no more than `bytes` bytes wait to leave the sender.
    pub fn ready_ns(&self, bytes: usize) -> u64 {
        self.free_ns.saturating_sub(self.time_of(bytes))
    }

    fn time_of(&self, bytes: usize) -> u64 {
        let Some(bandwidth) = self.bandwidth else { return 0 };
        let ns = bytes as u128 * 1_000_000_000 / u128::from(bandwidth.max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let bits = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn latency_delays_and_many_are_on_the_way() {
        let link = LinkModel { latency: Duration::from_millis(20), ..LinkModel::default() };
        let mut line = Line::new(link, 0);
        assert_eq!([0, 1, 5].map(|at| line.arrival_ns(at * MS, 1 << 20)), [20 * MS, 21 * MS, 25 * MS]);
        assert_eq!(line.ready_ns(0), 5 * MS, "without a limit nothing waits");
    }

    #[test]
    fn bandwidth_lets_one_byte_through_after_the_other() {
        let link = LinkModel { bandwidth: Some(10_000_000), ..LinkModel::default() };
        let mut line = Line::new(link, 0);
        assert_eq!([0, 0].map(|at| line.arrival_ns(at, 100_000)), [10 * MS, 20 * MS]);
        assert_eq!(line.ready_ns(100_000), 10 * MS);
        assert_eq!(line.arrival_ns(50 * MS, 10), 50 * MS + 1_000, "an idle line saves nothing up");
    }

    #[test]
    fn jitter_is_even_keeps_the_order_and_repeats() {
        let link = LinkModel { jitter: Duration::from_millis(2), ..LinkModel::default() };
        let arrivals = |seed, gap| {
            let mut line = Line::new(link, seed);
            (0..10_000).map(|at| line.arrival_ns(at * gap, 1) - at * gap).collect::<Vec<_>>()
        };
        let apart = arrivals(7, 10 * MS);
        assert_eq!(apart, arrivals(7, 10 * MS));
        assert_ne!(apart, arrivals(8, 10 * MS));
        assert!(apart.iter().all(|&jitter| jitter <= 2 * MS));
        let mean = apart.iter().sum::<u64>() as f64 / apart.len() as f64;
        assert!((mean - 1e6).abs() < 2e4, "{mean}");
        let mut line = Line::new(link, 7);
        let close: Vec<u64> = (0..1_000).map(|at| line.arrival_ns(at, 1)).collect();
        assert!(close.is_sorted());
    }
}
