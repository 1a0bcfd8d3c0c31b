//! The time limit of tasks of which a thread has many going. All have the same limit, so they are over their time in the
//! order in which they began.

use std::collections::VecDeque;

/// Which of a thread's tasks are over their time.
#[derive(Debug)]
pub(super) struct TimeLimit {
    limit_ns: u64,
    /// How long a task that was told to stop has for it.
    patience_ns: u64,
    /// Begun and not told to stop, the oldest first.
    begun: VecDeque<Since>,
    /// Told to stop, the first one first.
    told: VecDeque<Since>,
}

/// A task, and when it began or was told to stop. Some have ended meanwhile: nobody takes them out before their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    /// Whoever calls knows the task by it, and whether it still goes.
    pub token: u64,
    /// When it began, which tells it from later tasks with the same token.
    pub begun_ns: u64,
    at_ns: u64,
}

/// Tasks that have ended are thrown away when the lists have twice as many as go, and this many more.
const SPARE: usize = 1_024;

impl TimeLimit {
    /// The limit of a job whose tasks have the time `grace_ns` from being told to stop until their executor is killed;
    /// half of it is over when it is asked to end.
    pub fn new(limit_ns: u64, grace_ns: u64) -> Self {
        Self { limit_ns, patience_ns: grace_ns / 2, begun: VecDeque::new(), told: VecDeque::new() }
    }

    /// The limit.
    pub const fn limit_ns(&self) -> u64 {
        self.limit_ns
    }

    /// A task begins; `going` have not ended.
    pub fn begin(&mut self, token: u64, begun_ns: u64, going: usize, is_going: impl Fn(&Since) -> bool) {
        if self.begun.len() > 2 * going + SPARE {
            self.begun.retain(&is_going);
        }
        self.begun.push_back(Since { token, begun_ns, at_ns: begun_ns });
    }

    /// A task that is over its time and was not told to stop before. It counts as told from now on.
    pub fn tell_one(&mut self, now_ns: u64, is_going: impl Fn(&Since) -> bool) -> Option<u64> {
        let first = self.first_begun(&is_going)?;
        if first.at_ns.saturating_add(self.limit_ns) > now_ns {
            return None;
        }
        self.begun.pop_front();
        self.told.push_back(Since { at_ns: now_ns, ..first });
        Some(first.token)
    }

    /// Tasks that were told to stop and have had time enough for it. Each is given once.
    pub fn take_deaf(&mut self, now_ns: u64, is_going: impl Fn(&Since) -> bool) -> Vec<u64> {
        let mut deaf = Vec::new();
        while let Some(first) = self.first_told(&is_going)
            && first.at_ns.saturating_add(self.patience_ns) <= now_ns
        {
            self.told.pop_front();
            deaf.push(first.token);
        }
        deaf
    }

    /// When one of the two has something to give, unless tasks end before; `None`: no task goes.
    pub fn next_ns(&mut self, is_going: impl Fn(&Since) -> bool) -> Option<u64> {
        let begun = self.first_begun(&is_going).map(|first| first.at_ns.saturating_add(self.limit_ns));
        let told = self.first_told(&is_going).map(|first| first.at_ns.saturating_add(self.patience_ns));
        begun.into_iter().chain(told).min()
    }

    /// The task that has been going for longest.
    pub fn oldest(&mut self, is_going: impl Fn(&Since) -> bool) -> Option<Since> {
        self.first_told(&is_going).or_else(|| self.first_begun(&is_going))
    }

    /// Nothing goes any more.
    pub fn clear(&mut self) {
        self.begun.clear();
        self.told.clear();
    }

    fn first_begun(&mut self, is_going: impl Fn(&Since) -> bool) -> Option<Since> {
        first(&mut self.begun, is_going)
    }

    fn first_told(&mut self, is_going: impl Fn(&Since) -> bool) -> Option<Since> {
        first(&mut self.told, is_going)
    }
}

/// The first that has not ended; those before it are forgotten.
fn first(list: &mut VecDeque<Since>, is_going: impl Fn(&Since) -> bool) -> Option<Since> {
    while list.front().is_some_and(|task| !is_going(task)) {
        list.pop_front();
    }
    list.front().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_told_in_order_and_then_found_deaf() {
        let mut limit = TimeLimit::new(100, 40);
        let all = |_: &Since| true;
        assert_eq!((limit.next_ns(all), limit.oldest(all)), (None, None));
        for (token, begun_ns) in [(0, 10), (1, 15), (2, 300)] {
            limit.begin(token, begun_ns, 3, all);
        }
        assert_eq!((limit.next_ns(all), limit.tell_one(109, all)), (Some(110), None));
        assert_eq!((limit.tell_one(120, all), limit.tell_one(120, all)), (Some(0), Some(1)));
        assert_eq!(limit.tell_one(120, all), None, "the third has time");
        assert_eq!((limit.next_ns(all), limit.take_deaf(139, all)), (Some(140), vec![]));
        assert_eq!(limit.oldest(all).map(|task| task.token), Some(0));
        // The first one has ended in time.
        let but_first = |task: &Since| task.token != 0;
        assert_eq!((limit.take_deaf(140, but_first), limit.take_deaf(141, but_first)), (vec![1], vec![]));
        assert_eq!(limit.next_ns(but_first), Some(400));
        limit.clear();
        assert_eq!(limit.next_ns(all), None);
    }

    #[test]
    fn what_has_ended_takes_no_room_behind_a_task_that_goes_on() {
        let mut limit = TimeLimit::new(1_000_000, 10);
        let is_first = |task: &Since| task.begun_ns == 0;
        for number in 0..100_000 {
            limit.begin(number % 7, number, 1, is_first);
        }
        assert!(limit.begun.len() <= SPARE + 3, "{}", limit.begun.len());
        assert_eq!(limit.next_ns(is_first), Some(1_000_000));
    }
}
