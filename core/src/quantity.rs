//! Durations, sizes and rates as people write them: `250ms`, `4MiB`, `100Mbit/s`. Always with a unit, and exact:
//! the digits are counted in whole numbers, never as a fraction in binary.

use crate::time::Span;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// The longest duration: 100 years of 365.25 days, so that sums of a few stay far from where 64 bits end.
pub const SPAN_MAX: Span = Span(36_525 * 86_400 * 1_000_000_000);
/// The largest size and the highest rate: 1 PiB, 1 PiB per second.
pub const BYTES_MAX: u64 = 1 << 50;
/// The longest time per byte in picoseconds: one second.
pub const PER_BYTE_PS_MAX: u64 = 1_000_000_000_000;

/// More digits than this say nothing that could be kept.
const DIGITS_MAX: usize = 60;

/// What is wrong with a quantity's text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuantityError {
    /// It does not start with a number.
    NoNumber,
    /// Below zero.
    Negative,
    /// Not a number, or infinite.
    NotFinite,
    /// A number alone.
    NoUnit {
        /// The text with a unit that is often meant.
        first: String,
        /// The text with another.
        second: String,
    },
    /// A unit that this kind of quantity does not have.
    UnknownUnit {
        /// What was written.
        unit: String,
        /// The units there are.
        units: &'static str,
    },
    /// Above the limit.
    TooLarge {
        /// The limit as it would be written.
        limit: &'static str,
    },
    /// Not zero, and yet nothing in the smallest unit.
    TooSmall {
        /// The least, as it would be written.
        least: &'static str,
    },
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNumber => write!(f, "does not start with a number"),
            Self::Negative => write!(f, "is negative"),
            Self::NotFinite => write!(f, "is not a finite number"),
            Self::NoUnit { first, second } => write!(f, "has no unit: write {first} or {second}"),
            Self::UnknownUnit { unit, units } => write!(f, "unknown unit {unit:?}: use {units}"),
            Self::TooLarge { limit } => write!(f, "is too large: at most {limit}"),
            Self::TooSmall { least } => write!(f, "must be at least {least}"),
        }
    }
}

impl core::error::Error for QuantityError {}

/// Units of one kind of quantity, as multiples of the smallest step that is kept.
struct Kind {
    units: &'static [(&'static str, u64)],
    named: &'static str,
    /// Units that are suggested where there is none.
    usual: [&'static str; 2],
    max: u64,
    limit: &'static str,
    least: &'static str,
}

const MINUTE: u64 = 60 * 1_000_000_000;

const DURATION: Kind = Kind {
    units: &[
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", MINUTE),
        ("min", MINUTE),
        ("h", 60 * MINUTE),
        ("d", 24 * 60 * MINUTE),
    ],
    named: "ns, us, ms, s, m, h or d",
    usual: ["s", "ms"],
    max: SPAN_MAX.0,
    limit: "36525d (100 years)",
    least: "1ns, or 0",
};

const PER_BYTE: Kind = Kind {
    units: &[
        ("ps", 1),
        ("ns", 1_000),
        ("us", 1_000_000),
        ("µs", 1_000_000),
        ("μs", 1_000_000),
        ("ms", 1_000_000_000),
        ("s", 1_000_000_000_000),
    ],
    named: "ps, ns, us, ms or s",
    usual: ["ns", "ps"],
    max: PER_BYTE_PS_MAX,
    limit: "1s",
    least: "1ps, or 0",
};

const SIZE: Kind = Kind {
    units: &[
        ("B", 1),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ],
    named: "B, KiB, MiB, GiB, TiB, kB, MB, GB or TB",
    usual: ["MiB", "KiB"],
    max: BYTES_MAX,
    limit: "1024TiB",
    least: "1B, or 0",
};

/// In bits, so that bytes and bits are exact alike.
const RATE: Kind = Kind {
    units: &[
        ("B/s", 8),
        ("kB/s", 8_000),
        ("KB/s", 8_000),
        ("MB/s", 8_000_000),
        ("GB/s", 8_000_000_000),
        ("TB/s", 8_000_000_000_000),
        ("KiB/s", 8 << 10),
        ("MiB/s", 8 << 20),
        ("GiB/s", 8 << 30),
        ("TiB/s", 8 << 40),
        ("bit/s", 1),
        ("kbit/s", 1_000),
        ("Mbit/s", 1_000_000),
        ("Gbit/s", 1_000_000_000),
        ("Tbit/s", 1_000_000_000_000),
    ],
    named: "B/s, kB/s, MB/s, GB/s, TB/s, KiB/s, MiB/s, GiB/s, TiB/s, kbit/s, Mbit/s or Gbit/s",
    usual: ["MB/s", "Mbit/s"],
    max: 8 * BYTES_MAX,
    limit: "1024TiB/s",
    least: "1B/s",
};

/// A duration with its unit, `250ms`, `1.5s`, `2m`, to the nearest nanosecond. At most [`SPAN_MAX`].
///
/// # Errors
/// Says what is wrong with the text.
pub fn duration(text: &str) -> Result<Span, QuantityError> {
    DURATION.parse(text).map(Span)
}

/// A size as people read it: `200 MiB`, `1.5 GiB`, `17 B`.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((scale, unit)) = units.into_iter().find(|(scale, _)| bytes >= *scale) else {
        return format!("{bytes} B");
    };
    let (whole, tenths) = (bytes / scale, u128::from(bytes % scale) * 10 / u128::from(scale));
    if tenths == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenths} {unit}") }
}

/// A size with its unit, `4MiB`, `64KiB`, `1GB`, to the nearest byte. At most [`BYTES_MAX`].
///
/// # Errors
/// Says what is wrong with the text.
pub fn size(text: &str) -> Result<u64, QuantityError> {
    SIZE.parse(text)
}

/// A bandwidth with its unit, `1GB/s`, `100Mbit/s`, in whole bytes per second, at least one and at most
/// [`BYTES_MAX`].
///
/// # Errors
/// Says what is wrong with the text.
pub fn rate(text: &str) -> Result<u64, QuantityError> {
    match RATE.parse(text)? / 8 {
        0 => Err(QuantityError::TooSmall { least: RATE.least }),
        bytes => Ok(bytes),
    }
}

/// A time per byte with its unit, `0.1ns`, to the nearest picosecond. At most [`PER_BYTE_PS_MAX`].
///
/// # Errors
/// Says what is wrong with the text.
pub fn per_byte_ps(text: &str) -> Result<u64, QuantityError> {
    PER_BYTE.parse(text)
}

impl Kind {
    fn parse(&self, text: &str) -> Result<u64, QuantityError> {
        let text = text.trim();
        refuse_signs(text)?;
        let (number, unit) = Decimal::split(text)?;
        let unit = unit.trim_start();
        if unit.is_empty() {
            let with = |unit| format!("{text}{unit}");
            return Err(QuantityError::NoUnit { first: with(self.usual[0]), second: with(self.usual[1]) });
        }
        let Some((_, scale)) = self.units.iter().find(|(name, _)| *name == unit) else {
            return Err(QuantityError::UnknownUnit { unit: unit.to_owned(), units: self.named });
        };
        match number.times(*scale) {
            None => Err(QuantityError::TooLarge { limit: self.limit }),
            Some(value) if value > self.max => Err(QuantityError::TooLarge { limit: self.limit }),
            Some(0) if !number.is_zero() => Err(QuantityError::TooSmall { least: self.least }),
            Some(value) => Ok(value),
        }
    }
}

fn refuse_signs(text: &str) -> Result<(), QuantityError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let word = unsigned.get(..3).unwrap_or_default();
    if word.eq_ignore_ascii_case("nan") || word.eq_ignore_ascii_case("inf") {
        return Err(QuantityError::NotFinite);
    }
    let is_negative = text.starts_with('-') && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if is_negative { Err(QuantityError::Negative) } else { Ok(()) }
}

/// `digits` times ten to the power of `exponent`.
struct Decimal {
    digits: u128,
    exponent: i32,
}

impl Decimal {
    /// The number at the start, as in `1`, `1.5`, `.5`, `1e-3`, and what follows it.
    fn split(text: &str) -> Result<(Self, &str), QuantityError> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(QuantityError::NoNumber);
        }
        let (power, unit) = split_exponent(rest);
        let mut decimal = Self { digits: 0, exponent: power };
        for (place, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
            let in_fraction = place >= whole.len();
            if decimal.digits < 10u128.pow(30) && place < DIGITS_MAX {
                decimal.digits = decimal.digits * 10 + u128::from(digit - b'0');
                decimal.exponent -= i32::from(in_fraction);
            } else if !in_fraction {
                decimal.exponent = decimal.exponent.saturating_add(1);
            }
        }
        Ok((decimal, unit))
    }

    const fn is_zero(&self) -> bool {
        self.digits == 0
    }

    /// The product to the nearest whole number; none when it does not fit.
    fn times(&self, scale: u64) -> Option<u64> {
        if self.is_zero() {
            return Some(0);
        }
        let power = 10u128.checked_pow(self.exponent.unsigned_abs());
        let product = match (power, self.exponent < 0) {
            (Some(power), true) => {
                // Whole part and rest apart: their product with the scale fits, that of all digits may not.
                let (whole, rest) = (self.digits / power, self.digits % power);
                let fraction = match rest.checked_mul(u128::from(scale)) {
                    Some(product) => product.saturating_add(power / 2) / power,
                    None => rest / (power / u128::from(scale)).max(1),
                };
                whole.checked_mul(u128::from(scale))?.checked_add(fraction)?
            }
            (Some(power), false) => self.digits.checked_mul(power)?.checked_mul(u128::from(scale))?,
            (None, true) => 0,
            (None, false) => return None,
        };
        u64::try_from(product).ok()
    }
}

/// `e-3` at the start, and what follows it.
fn split_exponent(text: &str) -> (i32, &str) {
    let Some(after) = text.strip_prefix(['e', 'E']) else { return (0, text) };
    let unsigned = after.strip_prefix(['-', '+']).unwrap_or(after);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let end = after.len() - unsigned.len() + digits;
    match after[..end].parse::<i16>() {
        Ok(power) => (i32::from(power), &after[end..]),
        Err(_) => (0, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn wrong(result: Result<impl fmt::Debug, QuantityError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn durations_are_exact() {
        let cases = [
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("2 min", 120_000_000_000),
            ("0.1us", 100),
            ("1.000000001s", 1_000_000_001),
            ("1.0000000005s", 1_000_000_001),
            ("0.3333333333333333333333333333333333333333s", 333_333_333),
            ("9007199.254740993s", 9_007_199_254_740_993),
            ("1d", 86_400_000_000_000),
            ("36525d", SPAN_MAX.0),
            ("1e-3s", 1_000_000),
            ("2e3ms", 2_000_000_000),
            ("0.0000001e7s", 1_000_000_000),
            (".5s", 500_000_000),
            ("0s", 0),
            ("0e999s", 0),
        ];
        for (text, ns) in cases {
            assert_eq!(duration(text), Ok(Span(ns)), "{text}");
        }
    }

    #[test]
    fn wrong_durations_say_why() {
        let cases = [
            ("10", "has no unit: write 10s or 10ms"),
            ("10 parsecs", "unknown unit \"parsecs\": use ns, us, ms, s, m, h or d"),
            ("s", "does not start with a number"),
            ("", "does not start with a number"),
            ("1.2.3s", "does not start with a number"),
            ("-1s", "is negative"),
            ("-.5s", "is negative"),
            ("NaN", "is not a finite number"),
            ("-infs", "is not a finite number"),
            ("5000000000000000h", "is too large: at most 36525d (100 years)"),
            ("1e400s", "is too large: at most 36525d (100 years)"),
            ("36526d", "is too large: at most 36525d (100 years)"),
            ("0.1ns", "must be at least 1ns, or 0"),
            ("1e-400s", "must be at least 1ns, or 0"),
            ("1es", "unknown unit \"es\": use ns, us, ms, s, m, h or d"),
        ];
        for (text, message) in cases {
            assert_eq!(wrong(duration(text)), message, "{text}");
        }
        let long = "9".repeat(10_000);
        assert!(wrong(duration(&format!("{long}s"))).contains("at most"));
        assert_eq!(duration(&format!("0.{}s", "0".repeat(10_000))), Ok(Span(0)));
    }

    #[test]
    fn sizes_and_rates_have_their_units() {
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(size("1.5KiB"), Ok(1536));
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(wrong(size("4")), "has no unit: write 4MiB or 4KiB");
        assert!(wrong(size("999999999GiB")).contains("at most 1024TiB"));
        assert_eq!(rate("1GB/s"), Ok(1_000_000_000));
        assert_eq!(rate("100Mbit/s"), Ok(12_500_000));
        assert_eq!(rate("12 bit/s"), Ok(1));
        assert_eq!(wrong(rate("1GB")), format!("unknown unit \"GB\": use {}", RATE.named));
        assert_eq!(wrong(rate("7bit/s")), "must be at least 1B/s");
        assert_eq!(wrong(rate("0B/s")), "must be at least 1B/s");
    }

    #[test]
    fn times_per_byte_have_picoseconds() {
        assert_eq!(per_byte_ps("0.1ns"), Ok(100));
        assert_eq!(per_byte_ps("7ps"), Ok(7));
        assert_eq!(wrong(per_byte_ps("0.1ps")), "must be at least 1ps, or 0");
        assert_eq!(wrong(per_byte_ps("1")), "has no unit: write 1ns or 1ps");
    }
}
