//! Counts and `key=value` pairs as people write them; durations and sizes are the coordinator's flags too.

use muster_core::arrivals::RATE_MAX_PER_S;
use muster_core::sampling::SAMPLES_MAX;
use muster_core::shape::IN_FLIGHT_MAX;
use muster_proto::link::host_and_port;

pub use muster_coordinator::quantity::{duration, size};

/// More tasks than this in one job are refused.
pub const TASKS_MAX: u64 = 1_000_000_000_000;
/// Tries of one task that a coordinator allows.
const ATTEMPTS_MAX: u64 = 1_000;

/// A number of tasks: digits, with `_` where wanted.
pub fn tasks(text: &str) -> Result<u64, String> {
    count(text, TASKS_MAX)
}

/// How many last lines of a log are wanted.
pub fn lines(text: &str) -> Result<u64, String> {
    count(text, muster_proto::convert::LOG_LAST_MAX)
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

/// Tasks that one thread may keep going at the same time.
pub fn in_flight(text: &str) -> Result<u32, String> {
    count(text, IN_FLIGHT_MAX.into()).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Tasks of a job that are looked at one by one.
pub fn traced(text: &str) -> Result<u32, String> {
    count(text, SAMPLES_MAX.into()).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// A whole number from 1 to `max`.
pub fn count(text: &str, max: u64) -> Result<u64, String> {
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

/// Where something listens, a port other than 0.
pub fn address(text: &str) -> Result<String, String> {
    let error = || "not HOST:PORT, as in 127.0.0.1:7078".to_owned();
    host_and_port(text).map(|_| text.to_owned()).ok_or_else(error)
}

/// A share, written as `3%`.
pub fn percent(text: &str) -> Result<f64, String> {
    let is_share = |number: &f64| *number > 0.0 && *number <= 100.0;
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(is_share);
    match (text.strip_suffix('%').and_then(number), number(text)) {
        (Some(percent), _) => Ok(percent / 100.0),
        (None, Some(_)) => Err(format!("% is missing: write it as {text}%")),
        _ => Err("not a share from above 0% to 100%, as in 3%".to_owned()),
    }
}

/// Tasks a second, written as `200/s`, `5/min` or `1/h`.
pub fn rate(text: &str) -> Result<f64, String> {
    let seconds = |unit: &str| match unit.trim() {
        "s" => Some(1.0),
        "min" => Some(60.0),
        "h" => Some(3_600.0),
        _ => None,
    };
    let parts = text.split_once('/').and_then(|(number, unit)| {
        let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite())?;
        Some(number / seconds(unit)?)
    });
    match parts {
        None => Err("not a rate, as in 200/s, 2.5/s or 5/min".to_owned()),
        Some(rate) if rate <= 0.0 => Err("must be above 0".to_owned()),
        Some(rate) if rate > RATE_MAX_PER_S => Err(format!("must be at most {RATE_MAX_PER_S}/s")),
        Some(rate) => Ok(rate),
    }
}

/// A plugin parameter: `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        // As in `--trace 10`.
        _ if text.parse::<u64>().is_ok() => Err(format!(
            "parameters are written key=value, and numbers of options that need none with =, as in --trace={text}"
        )),
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
    fn addresses_have_a_host_and_a_port() {
        assert_eq!(address("c.lan:80"), Ok("c.lan:80".to_owned()));
        for wrong in ["c.lan", "http://c.lan:80", "c.lan:0", "c.lan:80/x", ":", "", "c.lan:99999"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_above_zero_and_no_more_than_all() {
        assert_eq!(percent("2.5%"), Ok(0.025));
        assert_eq!(percent("3"), Err("% is missing: write it as 3%".to_owned()));
        assert_eq!(percent("0"), percent("0%"), "what is no share is not told to be one");
        assert!(percent("0%").is_err() && percent("NaN%").is_err() && percent("three").is_err());
        assert!(percent("101%").is_err());
    }

    #[test]
    fn rates_are_tasks_by_time() {
        assert_eq!((rate("200/s"), rate("2.5/s"), rate("30/min")), (Ok(200.0), Ok(2.5), Ok(0.5)));
        assert_eq!((rate("7200 / h"), rate("1e6/s")), (Ok(2.0), Ok(1e6)));
        for wrong in ["200", "/s", "x/s", "200/ms", "inf/s", "NaN/s", "1/s/s", ""] {
            assert!(rate(wrong).unwrap_err().contains("as in 200/s"), "{wrong}");
        }
        assert!(rate("0/s").unwrap_err().contains("above 0") && rate("-1/min").is_err());
        assert!(rate("1000001/s").unwrap_err().contains("at most 1000000/s"));
    }

    #[test]
    fn pairs_have_a_key() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err());
        assert!(pair("a").is_err());
    }
}
