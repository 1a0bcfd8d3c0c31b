//! Numbers of runs in words.

use crate::job::short;
use crate::summary::{number, seconds};
use muster_core::time::Span;

/// A number of things, or a mean of such numbers: `48`, `5.67`.
pub fn count(value: f64) -> String {
    if value.fract() == 0.0 { number(value as u64) } else { short(value) }
}

pub fn rounded(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { short(value) }
}

/// `1,001.9 s (16 min 42 s)`.
pub fn time(time: f64) -> String {
    let in_words = match time {
        time if time >= 86_400.0 * 2.0 => format!(" ({:.1} days)", time / 86_400.0),
        time if time >= 7_200.0 => {
            format!(" ({} h {:.0} min)", (time / 3_600.0) as u64, (time % 3_600.0) / 60.0)
        }
        time if time >= 120.0 => format!(" ({} min {} s)", (time / 60.0) as u64, (time % 60.0) as u64),
        _ => String::new(),
    };
    time_short(time) + &in_words
}

/// `1,001.9 s`: seconds with a decimal where there are many of them.
pub fn time_short(time: f64) -> String {
    if time < 100.0 {
        return seconds_or_0(time);
    }
    let tenths = (time * 10.0).round() as u64;
    format!("{}.{} s", number(tenths / 10), tenths % 10)
}

pub fn seconds_or_0(time: f64) -> String {
    if time == 0.0 { "0 s".to_owned() } else { seconds(time) }
}

/// As people write it in a scenario: `30d`, `90s`.
pub fn span(span: Span) -> String {
    const UNITS: [(u64, &str); 6] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let whole = UNITS.into_iter().find(|(length, _)| span.0 > 0 && span.0.is_multiple_of(*length));
    let (length, unit) = whole.unwrap_or((1, "ns"));
    format!("{}{unit}", span.0 / length)
}

pub fn signed(time: f64) -> String {
    let sign = if time < 0.0 { "-" } else { "+" };
    format!("{sign}{}", time_short(time.abs()))
}

pub fn percent_number(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

/// Three digits, and never 100 unless it is.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        percent if percent < 1.0 => format!("{percent:.2} %"),
        percent if percent > 99.9 && percent < 100.0 => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
        percent => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_their_noise_needs() {
        assert_eq!(time(1_001.935_56), "1,001.9 s (16 min 41 s)");
        assert_eq!([count(48.0), count(5.6666), count(0.0), count(1e6)], ["48", "5.67", "0", "1,000,000"]);
        assert_eq!(time(12.3), "12.3 s");
        for written in ["30d", "1h", "90s", "5m", "1500ms", "20us", "1ns", "36h"] {
            assert_eq!(span(muster_core::quantity::duration(written).unwrap()), written);
        }
        assert_eq!(time(90_000.0), "90,000.0 s (25 h 0 min)");
        assert_eq!((signed(-0.5), signed(2.0)), ("-500 ms".to_owned(), "+2.00 s".to_owned()));
        assert_eq!(
            [percent(0.99996), percent(1.0), percent(0.0), percent(0.001)],
            ["99.99 %", "100.0 %", "0 %", "0.10 %"]
        );
    }
}
