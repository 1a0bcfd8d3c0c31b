//! Tells the agent what the plugin's own metrics stand at: when a job closes, and about once a second while one
//! is open. Plugins without metrics cost nothing here.

use super::outbox::Outbox;
use crate::frame::{FromExecutor, Reading};
use crate::os::monotonic_ns;
use muster_plugin_host::{MetricValue, Plugin};

/// How often an open job's metrics are told.
pub(super) const INTERVAL_MS: u64 = 1_000;

/// What was told last, and when.
#[derive(Debug, Default)]
pub(super) struct Readings {
    last: Vec<Reading>,
    told_ns: u64,
}

impl Readings {
    /// Tells what has changed, unless that was done just now.
    pub fn tell_when_due(&mut self, plugin: &Plugin, outbox: &Outbox) {
        if monotonic_ns().saturating_sub(self.told_ns) >= INTERVAL_MS * 1_000_000 {
            self.tell(plugin, outbox);
        }
    }

    /// Tells what has changed.
    pub fn tell(&mut self, plugin: &Plugin, outbox: &Outbox) {
        if !has_metrics(plugin) {
            return;
        }
        self.told_ns = monotonic_ns();
        let readings: Vec<Reading> =
            plugin.metrics().read().map(|reading| from_host(reading.value)).collect();
        if readings != self.last {
            outbox.send(&FromExecutor::Readings(readings.clone()));
            self.last = readings;
        }
    }
}

/// Whether there is anything to tell.
pub(super) fn has_metrics(plugin: &Plugin) -> bool {
    !plugin.inspection().manifest.metrics().is_empty()
}

fn from_host(value: MetricValue) -> Reading {
    match value {
        MetricValue::Counter(sum) => Reading::Counter(sum),
        MetricValue::Gauge(value) => Reading::Gauge(value),
        MetricValue::Histogram { sum, buckets, .. } => Reading::Histogram { sum, buckets },
    }
}
