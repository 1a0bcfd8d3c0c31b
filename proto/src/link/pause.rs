//! Pauses between tries of what many may try at the same moment.

use std::time::Duration;

use super::private_file::random_bytes;

/// Between half of a pause and all of it, so that many do not come back together.
#[must_use]
pub fn jittered(pause: Duration) -> Duration {
    // Without random numbers all of them wait for the same time, which is no reason not to wait.
    let part = u16::from_ne_bytes(random_bytes().unwrap_or([0x80; 2]));
    pause / 2 + (pause / 2).mul_f64(f64::from(part) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_within_their_bounds() {
        const PAUSE: Duration = Duration::from_secs(1);
        for _ in 0..100 {
            let pause = jittered(PAUSE);
            assert!(pause >= PAUSE / 2 && pause <= PAUSE, "{pause:?}");
        }
    }
}
