//! Looks whether running tasks should stop, because a thread that is in Python cannot look itself.

use muster_sdk::LentFlag;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often it looks at tasks that run.
const LOOK: Duration = Duration::from_millis(5);

/// A list of running tasks, and the thread that looks at them.
pub struct Watch<T> {
    tasks: Mutex<Tasks<T>>,
    /// There is something to look at.
    filled: Condvar,
}

struct Tasks<T> {
    running: BTreeMap<u64, Task<T>>,
    next: u64,
    is_idle: bool,
}

struct Task<T> {
    of: T,
    flag: LentFlag,
    was_cancelled: bool,
}

/// A task of the list.
#[must_use]
#[derive(Debug)]
pub struct Watched(u64);

impl<T: Copy + Send + 'static> Watch<T> {
    /// Starts the thread, which calls `cancel` for each task that should stop, again and again until it has.
    pub fn start(cancel: impl Fn(T) + Send + 'static) -> io::Result<&'static Self> {
        let tasks = Tasks { running: BTreeMap::new(), next: 0, is_idle: false };
        let watch: &Self = Box::leak(Box::new(Self { tasks: Mutex::new(tasks), filled: Condvar::new() }));
        std::thread::Builder::new().name("python-cancel".to_owned()).spawn(move || watch.look(cancel))?;
        Ok(watch)
    }

    /// A task begins.
    pub fn add(&self, of: T, flag: &LentFlag) -> Watched {
        let mut tasks = self.tasks();
        let number = tasks.next;
        tasks.next += 1;
        tasks.running.insert(number, Task { of, flag: flag.clone(), was_cancelled: false });
        if std::mem::take(&mut tasks.is_idle) {
            self.filled.notify_one();
        }
        Watched(number)
    }

    /// It has ended; says whether it was told to stop. It is not told any more.
    pub fn remove(&self, watched: Watched) -> bool {
        self.tasks().running.remove(&watched.0).is_some_and(|task| task.was_cancelled)
    }

    fn look(&self, cancel: impl Fn(T)) -> ! {
        loop {
            let mut tasks = self.tasks();
            while tasks.running.is_empty() {
                tasks.is_idle = true;
                tasks = self.filled.wait(tasks).unwrap_or_else(PoisonError::into_inner);
            }
            // `cancel` is called within the lock of the list: who has left the list is not told.
            for task in tasks.running.values_mut() {
                let of = task.of;
                task.was_cancelled |= task.flag.when_set(|| cancel(of));
            }
            drop(tasks);
            std::thread::sleep(LOOK);
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks<T>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
