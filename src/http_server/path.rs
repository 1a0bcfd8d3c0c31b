//! What the paths of requests ask for.

use std::time::Duration;

/// The longest wait.
const DELAY_SECONDS_MAX: f64 = 86_400.0;
/// The longest answer: 1 TiB.
const BYTES_MAX: u64 = 1 << 40;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    /// What there is.
    Help,
    /// An answer after this time.
    Delay(Duration),
    /// So many bytes.
    Bytes(u64),
    /// An answer with this status.
    Status(u16),
    /// Something else; says what would be right.
    Wrong(&'static str),
    /// Nothing that is here.
    Nothing,
}

impl Asked {
    /// The meaning of a path.
    pub fn of(path: &str) -> Self {
        let Some((name, value)) = path.trim_start_matches('/').split_once('/') else {
            return if path.trim_matches('/').is_empty() { Self::Help } else { Self::Nothing };
        };
        match name {
            "delay" => match value.parse::<f64>() {
                Ok(seconds) if (0.0..=DELAY_SECONDS_MAX).contains(&seconds) => {
                    Self::Delay(Duration::from_secs_f64(seconds))
                }
                _ => Self::Wrong("/delay/SECONDS takes a number from 0 to 86400, for example /delay/0.5\n"),
            },
            "bytes" => match value.parse() {
                Ok(count) if count <= BYTES_MAX => Self::Bytes(count),
                _ => Self::Wrong(
                    "/bytes/N takes a whole number from 0 to 1099511627776, for example /bytes/1024\n",
                ),
            },
            "status" => match value.parse() {
                Ok(code @ 200..=599) => Self::Status(code),
                _ => Self::Wrong("/status/CODE takes a code from 200 to 599, for example /status/503\n"),
            },
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_ask_for_one_thing() {
        assert_eq!(Asked::of("/"), Asked::Help);
        assert_eq!(Asked::of("/delay/1"), Asked::Delay(Duration::from_secs(1)));
        assert_eq!(Asked::of("/delay/0.25"), Asked::Delay(Duration::from_millis(250)));
        assert_eq!(Asked::of("/bytes/0"), Asked::Bytes(0));
        assert_eq!(Asked::of("/status/503"), Asked::Status(503));
        assert_eq!(Asked::of("/other"), Asked::Nothing);
        assert_eq!(Asked::of("/other/1"), Asked::Nothing);
    }

    #[test]
    fn wrong_values_are_said_to_be() {
        for path in [
            "/delay/",
            "/delay/-1",
            "/delay/NaN",
            "/delay/inf",
            "/delay/86401",
            "/delay/1/2",
            "/bytes/-1",
            "/bytes/1.5",
            "/bytes/1099511627777",
            "/status/199",
            "/status/600",
            "/status/x",
        ] {
            assert!(matches!(Asked::of(path), Asked::Wrong(text) if text.contains("for example")), "{path}");
        }
    }
}
