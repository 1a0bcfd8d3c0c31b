//! States of views and their changes, sent to all tabs that look at the same: server-sent events. A view is looked at by
//! one task for all of them, as long as there is one. The last changes of a view are kept once, in a ring; a tab that
//! falls behind it gets a whole state again, so no tab has a queue of its own.

use super::Source;
use super::history::History;
use super::look::Eye;
use super::patch::diff;
use super::view::View;
use crate::driver::Refusal;
use crate::limits::Limit;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use muster_proto::link::Served;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Changes of a view that are kept for tabs that are slow.
const CHANGES_MAX: usize = 16;
/// How often a view is looked at, at the most.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Looking takes at most this part of the time, unless that would be less often than the longest interval.
const LOOK_PART: u32 = 20;
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// A stream that says nothing for so long says that it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// All views that somebody looks at.
pub struct Feeds {
    source: Source,
    history: Arc<History>,
    feeds: Mutex<HashMap<View, Arc<Feed>>>,
    /// Pages that may be open at the same time.
    pages: usize,
    places: Arc<Semaphore>,
}

/// A view that somebody looks at.
struct Feed {
    latest: Mutex<Latest>,
    /// Held by the looking task and by readers; each message is an event as it goes over the wire.
    changes: broadcast::Sender<Bytes>,
}

#[derive(Default)]
struct Latest {
    sequence: u64,
    state: Value,
    over: bool,
}

impl Feeds {
    pub fn new(source: Source, history: Arc<History>, pages: usize) -> Self {
        Self { source, history, feeds: Mutex::default(), places: Arc::new(Semaphore::new(pages)), pages }
    }

    /// A stream of a view; `served`: its connection is not the one that makes room for another.
    pub fn subscribe(self: &Arc<Self>, view: View, served: Option<Served>) -> Response {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let setting = Limit::Pages.setting();
            let text = format!(
                "{} pages are open, the limit: close one, or try again later; {setting}\n",
                self.pages
            );
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], text).into_response();
        };
        let mut feeds = self.lock();
        let feed = feeds.entry(view.clone()).or_insert_with(|| {
            let feed =
                Arc::new(Feed { latest: Mutex::default(), changes: broadcast::channel(CHANGES_MAX).0 });
            tokio::spawn(Arc::clone(self).run(view, Arc::clone(&feed)));
            feed
        });
        // Under the lock: nobody ends a feed between the look at it and the first reader.
        let reader = Reader {
            changes: feed.changes.subscribe(),
            feed: Arc::clone(feed),
            begun: false,
            _place: place,
            _served: served,
        };
        drop(feeds);
        let events = stream::unfold(reader, |mut reader: Reader| async move {
            let event = reader.next().await?;
            Some((Ok::<_, Infallible>(event), reader))
        });
        let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
        (headers, Body::from_stream(events)).into_response()
    }

    /// Looks at a view until nobody wants to know any more.
    async fn run(self: Arc<Self>, view: View, feed: Arc<Feed>) {
        let mut eye = Eye::new(view.clone());
        loop {
            let began = Instant::now();
            match eye.look(&self.source, &self.history).await {
                Ok(state) => feed.publish(state),
                Err(Refusal::Stopping) => break,
                Err(refusal) => feed.publish(json!({ "error": refusal.to_string() })),
            }
            let took = began.elapsed();
            let pause = (took * LOOK_PART).clamp(LOOK_INTERVAL, LOOK_INTERVAL_MAX);
            tokio::time::sleep(pause).await;
            let mut feeds = self.lock();
            if feed.changes.receiver_count() == 0 {
                feeds.remove(&view);
                return;
            }
        }
        self.lock().remove(&view);
        feed.end();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<View, Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all readers what has changed.
    fn publish(&self, state: Value) {
        let mut latest = self.lock();
        let Some(change) = diff(&latest.state, &state) else { return };
        let first = latest.state.is_null();
        latest.sequence += 1;
        let event = match first {
            true => event("snapshot", latest.sequence, "state", &state),
            false => event("delta", latest.sequence, "patch", &change),
        };
        latest.state = state;
        // Nobody may be there just now.
        let _ = self.changes.send(event);
    }

    /// Ends all streams.
    fn end(&self) {
        self.lock().over = true;
        // An empty message: a reader that waits looks up.
        let _ = self.changes.send(Bytes::new());
    }

    /// The whole state, when there is one, and what will change.
    fn catch_up(&self) -> (Option<Bytes>, broadcast::Receiver<Bytes>) {
        let latest = self.lock();
        let state =
            (!latest.state.is_null()).then(|| event("snapshot", latest.sequence, "state", &latest.state));
        (state, self.changes.subscribe())
    }
}

/// An event as it goes over the wire, with the time here: clocks of browsers differ.
fn event(name: &str, sequence: u64, key: &str, value: &Value) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // JSON has no line ends of its own.
    format!("event: {name}\nid: {sequence}\ndata: {{\"sequence\":{sequence},\"now_s\":{now:.3},\"{key}\":{value}}}\n\n")
        .into()
}

/// One stream.
struct Reader {
    feed: Arc<Feed>,
    changes: broadcast::Receiver<Bytes>,
    begun: bool,
    _place: OwnedSemaphorePermit,
    _served: Option<Served>,
}

impl Reader {
    /// The next event; `None`: there will be none.
    async fn next(&mut self) -> Option<Bytes> {
        let mut behind = !std::mem::replace(&mut self.begun, true);
        loop {
            if behind {
                let (state, changes) = self.feed.catch_up();
                self.changes = changes;
                if state.is_some() {
                    return state;
                }
            }
            if self.feed.lock().over {
                return None;
            }
            match tokio::time::timeout(KEEPALIVE, self.changes.recv()).await {
                Ok(Ok(event)) if !event.is_empty() => return Some(event),
                Ok(Ok(_)) | Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(_))) => behind = true,
                Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(feed: &Arc<Feed>) -> Reader {
        let places = Arc::new(Semaphore::new(1));
        Reader {
            changes: feed.changes.subscribe(),
            feed: Arc::clone(feed),
            begun: false,
            _place: places.try_acquire_owned().unwrap(),
            _served: None,
        }
    }

    fn data(event: &Bytes) -> (String, Value) {
        let text = std::str::from_utf8(event).unwrap();
        let (name, data) = text.split_once("\ndata: ").unwrap();
        (name.lines().next().unwrap().to_owned(), serde_json::from_str(data.trim_end()).unwrap())
    }

    #[tokio::test]
    async fn a_reader_gets_a_state_then_changes_and_a_state_again_when_it_was_slow() {
        let feed = Arc::new(Feed { latest: Mutex::default(), changes: broadcast::channel(CHANGES_MAX).0 });
        let (mut quick, mut slow) = (reader(&feed), reader(&feed));
        feed.publish(json!({"count": 0}));
        for reader in [&mut quick, &mut slow] {
            let (name, first) = data(&reader.next().await.unwrap());
            assert_eq!((name.as_str(), &first["state"]), ("event: snapshot", &json!({"count": 0})));
        }
        let changes = 10 * CHANGES_MAX as u64;
        for count in 1..=changes {
            feed.publish(json!({"count": count}));
            feed.publish(json!({"count": count}));
            let (name, change) = data(&quick.next().await.unwrap());
            assert_eq!((name.as_str(), &change["patch"]), ("event: delta", &json!({"count": count})));
            assert_eq!(change["sequence"], count + 1, "the same state again is no change");
        }
        let (name, again) = data(&slow.next().await.unwrap());
        assert_eq!((name.as_str(), &again["state"]), ("event: snapshot", &json!({"count": changes})));
        feed.publish(json!({"count": 0}));
        assert_eq!(data(&slow.next().await.unwrap()).1["patch"], json!({"count": 0}));
        feed.end();
        assert!(slow.next().await.is_none());
        // One that comes too late hears what there was, and that it is over.
        let mut late = reader(&feed);
        assert_eq!(data(&late.next().await.unwrap()).1["state"], json!({"count": 0}));
        assert!(late.next().await.is_none());
    }
}
