//! Tasks that serve strangers: there is a limit to them, and when it is reached the oldest makes room for the next.
//! So nobody who holds connections open without using them keeps others out.

use std::collections::VecDeque;

use tokio::task::{AbortHandle, JoinSet};

/// At most so many tasks. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Crowd<T> {
    max: usize,
    tasks: JoinSet<T>,
    /// By age; some may have ended.
    order: VecDeque<AbortHandle>,
}

impl<T: Send + 'static> Crowd<T> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, tasks: JoinSet::new(), order: VecDeque::new() }
    }

    /// Starts a task; whether an older one had to go.
    pub(super) fn admit(&mut self, task: impl Future<Output = T> + Send + 'static) -> bool {
        if self.order.len() >= self.max {
            self.order.retain(|task| !task.is_finished());
        }
        let oldest = if self.order.len() >= self.max { self.order.pop_front() } else { None };
        oldest.iter().for_each(AbortHandle::abort);
        self.order.push_back(self.tasks.spawn(task));
        oldest.is_some()
    }

    /// The result of a task that came to its end. Never ready while there are none.
    pub(super) async fn next(&mut self) -> T {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(result)) => return result,
                // It had to go, or panicked and has said so.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn the_oldest_that_has_not_ended_makes_room() {
        let mut crowd = Crowd::new(2);
        let ends = tokio::sync::oneshot::channel::<u32>();
        assert!(!crowd.admit(async { ends.1.await.unwrap() }));
        assert!(!crowd.admit(async { 1 }));
        assert_eq!(crowd.next().await, 1);
        assert!(!crowd.admit(pending()), "the second has ended: there is room");
        assert!(crowd.admit(async { 2 }), "the first goes");
        assert_eq!(crowd.next().await, 2);
        assert!(ends.0.is_closed());
        assert_eq!(crowd.tasks.len(), 1);
    }
}
