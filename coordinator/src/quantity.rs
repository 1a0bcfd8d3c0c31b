//! Durations and sizes as this program's flags take them: the core's, with narrower limits.

use muster_core::quantity;
use std::time::Duration;

/// Nobody waits longer than a year, and deadlines stay far from where clocks end.
const DURATION_MAX_HOURS: u64 = 8_760;

/// A duration with its unit: `250ms`, `1.5s`, `2m`. At most a year.
///
/// # Errors
/// Says what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(DURATION_MAX_HOURS * 3600);
    let too_long = || format!("must be at most {DURATION_MAX_HOURS}h");
    match quantity::duration(text) {
        Ok(span) => Some(Duration::from_nanos(span.0)).filter(|span| *span <= longest).ok_or_else(too_long),
        Err(quantity::QuantityError::TooLarge { .. }) => Err(too_long()),
        Err(error) => Err(error.to_string()),
    }
}

/// A wait in words.
#[must_use]
pub fn in_words(wait: Duration) -> String {
    let seconds = wait.as_secs_f64();
    if seconds < 60.0 { format!("{seconds} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// A size in bytes with its unit: `4MiB`, `64KiB`, `1GB`. At least a byte.
///
/// # Errors
/// Says what is wrong with the text.
pub fn size(text: &str) -> Result<u64, String> {
    match quantity::size(text) {
        Ok(0) | Err(quantity::QuantityError::TooSmall { .. }) => Err("must be at least 1B".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("10").unwrap_err().contains("10s"));
        assert!(duration("10 parsecs").unwrap_err().contains("parsecs"));
        assert!(duration("s").is_err());
        assert!(duration("-1s").unwrap_err().contains("negative"));
        assert!(duration("366d").unwrap_err().contains("at most 8760h"));
        assert!(duration("5000000000000000h").unwrap_err().contains("at most 8760h"));
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(size("1.5KiB"), Ok(1536));
        assert!(size("4").unwrap_err().contains("4MiB"));
        assert_eq!(size("0B").unwrap_err(), "must be at least 1B");
        assert_eq!(size("0.1B").unwrap_err(), "must be at least 1B");
        assert!(size("999999999GiB").is_err());
    }
}
