//! Durations and sizes as people write them.

use std::time::Duration;

/// Nobody waits longer than a year, and deadlines stay far from where clocks end.
const DURATION_MAX_HOURS: u64 = 8_760;

/// A duration with its unit: `250ms`, `1.5s`, `2m`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text)?;
    let scale = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" => return Err(format!("has no unit: write {text}s or {text}ms")),
        unit => return Err(format!("unknown unit {unit:?}: use ns, us, ms, s, m or h")),
    };
    let longest = Duration::from_secs(DURATION_MAX_HOURS * 3600);
    let duration = Duration::try_from_secs_f64(number * scale).ok().filter(|duration| *duration <= longest);
    duration.ok_or_else(|| format!("must be at most {DURATION_MAX_HOURS}h"))
}

/// A size in bytes with its unit: `4MiB`, `64KiB`, `1GB`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text)?;
    let scale: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" => return Err(format!("has no unit: write {text}MiB or {text}KiB")),
        unit => return Err(format!("unknown unit {unit:?}: use B, KiB, MiB, GiB, kB, MB or GB")),
    };
    let bytes = number * scale as f64;
    if bytes < 1.0 {
        return Err("must be at least 1B".to_owned());
    }
    if bytes > (1u64 << 50) as f64 { Err("is too large".to_owned()) } else { Ok(bytes as u64) }
}

fn number_and_unit(text: &str) -> Result<(f64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    match number.parse::<f64>() {
        Ok(number) => Ok((number, unit.trim())),
        Err(_) => Err("does not start with a number".to_owned()),
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
        assert!(duration("-1s").is_err());
        assert!(duration("5000000000000000h").unwrap_err().contains("at most 8760h"));
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(size("1.5KiB"), Ok(1536));
        assert!(size("4").unwrap_err().contains("4MiB"));
        assert!(size("0B").is_err());
        assert!(size("999999999GiB").is_err());
    }
}
