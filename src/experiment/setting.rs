//! What an experiment is given.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How much it may take, and where its workloads are.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The folder with muster's own plugins: built files, or their source folders.
    pub plugins: PathBuf,
    /// Slots that each model gets.
    pub slots: u32,
    /// Seed of all that is random.
    pub seed: u64,
    /// It ends by then, with fewer repetitions if need be.
    pub end: Instant,
}

impl Setting {
    /// What is left of the time.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}
