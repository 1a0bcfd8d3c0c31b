//! Tasks that serve strangers: there is a limit to them, and when it is reached the oldest makes room for the next.
//! So nobody who holds connections open without using them keeps others out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{AbortHandle, JoinSet};

/// Whether a client is being served something that goes on: then others make room before it does.
#[derive(Clone, Debug, Default)]
pub struct Client(Arc<AtomicUsize>);

/// As long as this is there, its client is served.
#[derive(Debug)]
pub struct Served(Client);

impl Client {
    /// Begins to serve it something that goes on. Whoever does this limits how many there are.
    #[must_use]
    pub fn served(&self) -> Served {
        self.0.fetch_add(1, Ordering::Relaxed);
        Served(self.clone())
    }

    fn is_served(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// At most so many tasks. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Crowd<T> {
    max: usize,
    tasks: JoinSet<T>,
    /// By age; some may have ended.
    order: VecDeque<(AbortHandle, Client)>,
}

impl<T: Send + 'static> Crowd<T> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, tasks: JoinSet::new(), order: VecDeque::new() }
    }

    /// Starts a task; whether an older one had to go.
    pub(super) fn admit(&mut self, task: impl Future<Output = T> + Send + 'static) -> bool {
        self.admit_client(Client::default(), task)
    }

    /// Starts a task that serves this client; whether an older one had to go: the oldest whose client is not being served.
    pub(super) fn admit_client(
        &mut self,
        client: Client,
        task: impl Future<Output = T> + Send + 'static,
    ) -> bool {
        if self.order.len() >= self.max {
            self.order.retain(|(task, _)| !task.is_finished());
        }
        let full = self.order.len() >= self.max;
        let place = self.order.iter().position(|(_, client)| !client.is_served()).unwrap_or(0);
        let oldest = if full { self.order.remove(place) } else { None };
        oldest.iter().for_each(|(task, _)| task.abort());
        self.order.push_back((self.tasks.spawn(task), client));
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
    use tokio::sync::oneshot::error::TryRecvError;

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

    #[tokio::test]
    async fn who_is_being_served_stays() {
        let mut crowd: Crowd<()> = Crowd::new(2);
        let client = Client::default();
        let (held, mut gone) = tokio::sync::oneshot::channel::<()>();
        let hold = async move {
            let _held = held;
            pending().await
        };
        assert!(!crowd.admit_client(client.clone(), hold));
        let served = client.served();
        for _ in 0..10 {
            crowd.admit(pending());
            tokio::task::yield_now().await;
        }
        assert_eq!(gone.try_recv(), Err(TryRecvError::Empty), "it is still there");
        drop(served);
        assert!(crowd.admit(pending()));
        assert!(gone.await.is_err());
    }
}
