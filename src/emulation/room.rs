//! How many workers this machine can run at the same time.

use crate::exit::{Exit, Failure};
use crate::summary::{bytes, number};
use muster_worker::os::proc_file::{group_file, size};

/// Memory of a worker and its executors, beside their tasks: measured 3.4 MiB (PSS, release build, 8 workers of one
/// executor of one thread that sleeps).
const WORKER_BYTES: u64 = 4 << 20;
/// ... and for each further slot: the stack that a thread touches, and its place in the page.
const SLOT_BYTES: u64 = 64 << 10;
/// Threads of a worker, beside those of its executors.
const WORKER_TASKS: u64 = 3;
/// Descriptors in the process of the coordinator for each worker: its connection, its log and its process.
const WORKER_FILES: u64 = 4;
/// ... and for all else.
const OTHER_FILES: u64 = 64;

/// What there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    memory_bytes: u64,
    tasks: u64,
    files: u64,
}

impl Room {
    /// What this machine has left. What cannot be read has no limit.
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let number_in = |path: &str| read(path).trim().parse::<u64>().unwrap_or(u64::MAX);
        let in_group =
            |file: &str| group_file(file).and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
        let left = |max: u64, used: u64| if used == u64::MAX { max } else { max.saturating_sub(used) };
        let memory = size("meminfo", "MemAvailable").unwrap_or(u64::MAX);
        let memory_of_group = in_group("memory.max");
        let memory_of_group = if memory_of_group == u64::MAX {
            u64::MAX
        } else {
            left(memory_of_group, in_group("memory.current"))
        };
        let tasks_of_group = in_group("pids.max");
        let tasks_of_group = if tasks_of_group == u64::MAX {
            u64::MAX
        } else {
            left(tasks_of_group, in_group("pids.current"))
        };
        Self {
            memory_bytes: memory.min(memory_of_group),
            tasks: number_in("/proc/sys/kernel/threads-max")
                .min(number_in("/proc/sys/kernel/pid_max"))
                .min(limit(libc::RLIMIT_NPROC))
                .min(tasks_of_group),
            files: limit(libc::RLIMIT_NOFILE),
        }
    }

    /// Refuses more workers, with `slots` slots and `executors` executors in all, than there is room for.
    pub fn check(self, workers: u64, slots: u64, executors: u64) -> Result<(), Failure> {
        let counted = number(workers);
        let refused = |why: std::fmt::Arguments<'_>| {
            let message = format_args!(
                "{counted} emulated workers are more than this machine can run: {why}; make it fewer, or simulate"
            )
            .to_string();
            Err(Failure::new(Exit::Job, message))
        };
        let needed = workers.saturating_mul(WORKER_BYTES).saturating_add(slots.saturating_mul(SLOT_BYTES));
        // Half of it stays for what tasks and everybody else need.
        if needed > self.memory_bytes / 2 {
            let (needed, half) = (bytes(needed), bytes(self.memory_bytes / 2));
            return refused(format_args!("they take {needed} of memory, and half of what is free is {half}"));
        }
        let tasks = workers * WORKER_TASKS + executors + slots;
        if tasks > self.tasks / 2 {
            let (tasks, half) = (number(tasks), number(self.tasks / 2));
            return refused(format_args!("they are {tasks} threads, and half of what may be is {half}"));
        }
        let files = workers * WORKER_FILES + OTHER_FILES;
        if files > self.files {
            let (files, may) = (number(files), number(self.files));
            return refused(format_args!("the coordinator opens {files} files for them, and may open {may}"));
        }
        Ok(())
    }
}

fn limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one rlimit to the pointer that is given.
    let found = unsafe { libc::getrlimit(resource, &raw mut limit) } == 0;
    // The coordinator raises its limit of files to the highest it may have.
    if found { limit.rlim_max } else { u64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit() {
        let room = Room { memory_bytes: 16 << 30, tasks: 2_000, files: 1_000 };
        assert!(room.check(100, 100, 100).is_ok());
        for (workers, slots, words) in [
            (10_000, 10_000, &["10,000 emulated workers", "memory", "8.0 GiB"][..]),
            (10, 2_000, &["threads", "1,000"]),
            (250, 250, &["threads"]),
        ] {
            let failure = room.check(workers, slots, workers).unwrap_err();
            assert_eq!(failure.exit, Exit::Job);
            assert!(words.iter().all(|word| failure.to_string().contains(word)), "{failure}");
            assert_eq!(failure.to_string().lines().count(), 1);
        }
        let few = Room { files: 300, ..room };
        assert!(few.check(100, 100, 100).unwrap_err().to_string().contains("464 files"));
    }

    #[test]
    fn this_machine_has_room_for_some_and_not_for_millions() {
        let room = Room::here();
        assert!(room.check(2, 2, 2).is_ok(), "{room:?}");
        assert!(room.check(10_000_000, 10_000_000, 10_000_000).is_err(), "{room:?}");
    }
}
