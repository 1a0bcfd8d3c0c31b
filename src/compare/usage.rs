//! What runs cost: processor time and context switches of all processes of muster that have ended, and of this one.

use std::time::Duration;

/// Counted since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Voluntary and not.
    pub switches: u64,
}

impl Usage {
    /// Of this process, which holds the coordinator, and of the children that it has waited for, with theirs.
    pub fn now() -> Self {
        let (own, children) = (of(libc::RUSAGE_SELF), of(libc::RUSAGE_CHILDREN));
        Self { cpu: own.cpu + children.cpu, switches: own.switches + children.switches }
    }

    /// Of this process alone.
    pub fn own() -> Self {
        of(libc::RUSAGE_SELF)
    }

    /// What came since then.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

fn of(who: libc::c_int) -> Usage {
    // SAFETY: rusage is plain data for which zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes one rusage to the pointer that is given.
    if unsafe { libc::getrusage(who, &raw mut usage) } != 0 {
        return Usage::default();
    }
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    Usage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        switches: (usage.ru_nvcsw + usage.ru_nivcsw) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_child_is_counted() {
        let before = Usage::now();
        let shell = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", shell]).status().unwrap().success());
        let used = Usage::now().since(before);
        assert!(used.cpu >= Duration::from_millis(20), "{used:?}");
        assert!(used.switches > 0);
    }
}
