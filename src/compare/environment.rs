//! Where something was measured.

use muster_worker::os::proc_file::{group_file, size};
use serde::Serialize;
use std::fs::read_to_string;

/// The machine, as far as times depend on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    cpu: String,
    /// That this process may use.
    cpus: u32,
    memory_bytes: u64,
    kernel: String,
    /// Of the first processor; `null` where the kernel does not scale it, as in most virtual machines.
    governor: Option<String>,
    /// Processors that the cgroup allows; `null`: no limit.
    cpu_limit: Option<f64>,
    /// `null`: no limit.
    memory_limit_bytes: Option<u64>,
    muster: &'static str,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let cpu_info = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let governor = read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        Self {
            cpu: field(&cpu_info, "model name").unwrap_or("unknown").to_owned(),
            cpus: muster_worker::usable_cpus(),
            memory_bytes: size("meminfo", "MemTotal").unwrap_or(0),
            kernel: read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            governor: governor.ok().map(|text| text.trim().to_owned()),
            cpu_limit: group_file("cpu.max").and_then(|text| cpu_limit(&text)),
            memory_limit_bytes: group_file("memory.max").and_then(|text| text.trim().parse().ok()),
            muster: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Processors that this process may use.
    pub const fn cpus(&self) -> u32 {
        self.cpus
    }

    /// How many of them the cgroup gives time for; `None`: no limit.
    pub const fn cpu_limit(&self) -> Option<f64> {
        self.cpu_limit
    }

    /// How their frequency is chosen, where it is.
    pub fn governor(&self) -> Option<&str> {
        self.governor.as_deref()
    }

    /// In a few words.
    pub fn describe(&self) -> String {
        let cpus = if self.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", self.cpus) };
        format!("{cpus} ({}), {}, Linux {}", self.cpu, crate::summary::bytes(self.memory_bytes), self.kernel)
    }
}

/// `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim())
}

/// `200000 100000`: microseconds of each period; `max`: no limit.
fn cpu_limit(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_is() {
        let machine = Machine::here();
        assert!(machine.cpus > 0 && machine.memory_bytes > 0 && !machine.kernel.is_empty(), "{machine:?}");
        assert_eq!(cpu_limit("150000 100000\n"), Some(1.5));
        assert_eq!(cpu_limit("max 100000\n"), None);
        assert_eq!(field("a b\t: x: y\n", "a b"), Some("x: y"));
    }
}
