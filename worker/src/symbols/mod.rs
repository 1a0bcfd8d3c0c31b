//! Functions, files and lines for the stack of a dead executor. Debug information of a plugin is as little to be trusted as
//! the plugin, and may be gigabytes: a child process with limits reads it, this executable run again, and is killed when it
//! takes too long. What it found is kept, so that a task that crashes again and again costs one child.

mod child;
mod object;
mod request;

pub(crate) use child::answer;

use crate::crash::Place;
use muster_proto::convert::{FRAMES_MAX, Frame};
use request::Request;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long a failure waits for functions, with those before it.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Places whose functions are kept.
const KEPT_MAX: usize = 4_096;

/// What is known of places, and the way to know more.
#[derive(Clone, Debug)]
pub(crate) struct Symbols {
    kept: Arc<Mutex<HashMap<Place, Vec<Frame>>>>,
    /// One child at a time: the machine is for tasks.
    turn: Arc<Semaphore>,
}

impl Default for Symbols {
    fn default() -> Self {
        Self { kept: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Symbols {
    /// The calls of a stack, when all of them were looked for before.
    pub fn known(&self, places: &[Place]) -> Option<Vec<Frame>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let frames: Option<Vec<&Vec<Frame>>> = places.iter().map(|place| kept.get(place)).collect();
        frames.map(|frames| frames.into_iter().flatten().take(FRAMES_MAX).cloned().collect())
    }

    /// The calls of a stack, with what can be found within a bounded time.
    pub async fn find(&self, places: &[Place]) -> Vec<Frame> {
        let deadline = Instant::now() + TIME_MAX;
        let Ok(Ok(_turn)) = tokio::time::timeout(TIME_MAX, self.turn.acquire()).await else {
            return bare(places);
        };
        if let Some(frames) = self.known(places) {
            return frames;
        }
        let request = Request::of(places);
        let asked = tokio::task::spawn_blocking(move || child::ask(&request, deadline)).await;
        let (found, is_whole) = asked.unwrap_or_default();
        let frames_of = |place: &Place| {
            // A call that calls itself is there many times.
            (place.clone(), found.get(place).cloned().unwrap_or_else(|| vec![bare_frame(place)]))
        };
        let by_place: Vec<(Place, Vec<Frame>)> = places.iter().map(frames_of).collect();
        let frames = by_place.iter().flat_map(|(_, frames)| frames).take(FRAMES_MAX).cloned().collect();
        if is_whole {
            self.keep(by_place);
        }
        frames
    }

    fn keep(&self, found: Vec<(Place, Vec<Frame>)>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + found.len() > KEPT_MAX {
            kept.clear();
        }
        for (place, frames) in found {
            kept.entry(place).or_insert(frames);
        }
    }
}

/// The calls of a stack without functions.
pub(crate) fn bare(places: &[Place]) -> Vec<Frame> {
    places.iter().map(bare_frame).collect()
}

fn bare_frame(place: &Place) -> Frame {
    let module = place.path.file_name().map(|name| name.to_string_lossy().into_owned());
    Frame { module: module.unwrap_or_default(), offset: place.offset, ..Frame::default() }
}

#[cfg(test)]
mod tests;
