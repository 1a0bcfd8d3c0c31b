//! Counts, durations, sizes and `key=value` pairs as people write them.

use std::time::Duration;

/// More tasks than this in one job are refused.
pub const TASKS_MAX: u64 = 1_000_000_000_000;
/// Tries of one task that a coordinator allows.
const ATTEMPTS_MAX: u64 = 1_000;
/// Nobody waits longer than a year, and deadlines stay far from where clocks end.
const DURATION_MAX_HOURS: u64 = 8_760;

/// A number of tasks: digits, with `_` where wanted.
pub fn tasks(text: &str) -> Result<u64, String> {
    count(text, TASKS_MAX)
}

/// How often a task may be tried.
pub fn attempts(text: &str) -> Result<u32, String> {
    count(text, ATTEMPTS_MAX).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Any whole number: a seed or an index.
pub fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a whole number from 0 to {}", u64::MAX))
}

/// A small number of processes, threads or workers.
pub fn small(text: &str) -> Result<u32, String> {
    count(text, 4096).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn count(text: &str, max: u64) -> Result<u64, String> {
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("not a whole number from 1 to {max}"));
    }
    match digits.parse::<u64>() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) if number <= max => Ok(number),
        Ok(_) | Err(_) => Err(format!("must be at most {max}")),
    }
}

/// A duration with its unit: `250ms`, `1.5s`, `2m`.
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

/// A size with its unit: `4MiB`, `64KiB`, `1GB`.
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

/// A plugin parameter: `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("parameters are written key=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_at_least_one_and_bounded() {
        assert_eq!(tasks("200_000"), Ok(200_000));
        assert!(tasks("0").unwrap_err().contains("at least 1"));
        assert!(tasks("-3").unwrap_err().contains("whole number"));
        assert!(tasks("1.5").is_err());
        assert!(tasks("99999999999999999999999").unwrap_err().contains("at most"));
        assert!(small("5000").is_err());
        assert!(attempts("1001").unwrap_err().contains("at most 1000"));
        assert_eq!(whole("0"), Ok(0));
        assert!(whole("-1").unwrap_err().contains("whole number"));
    }

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

    #[test]
    fn pairs_have_a_key() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err());
        assert!(pair("a").is_err());
    }
}
