//! Numbers with their units, as tables and charts write them.

use super::table::{bytes, number, seconds};

/// A value of a quantity: seconds, bytes and shares have words of their own, other units stand in the column's head.
pub fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "s" | "B" if value < 0.0 => format!("-{}", quantity(-value, unit)),
        "s" => seconds(value),
        "B" => bytes(value as u64),
        "share" => percent(value),
        _ if value.fract() == 0.0 => plain(value),
        _ => measured(value),
    }
}

/// `1.8 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number with as many digits as mean something: `0.25`, `12.3`, `1,234`.
pub fn plain(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    if size >= 1_000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", number(size.round() as u64));
    }
    let decimals = (5 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The same with three digits, for what is measured.
pub fn measured(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !(1e-4..1_000.0).contains(&size) {
        return plain(value);
    }
    let decimals = (2 - size.log10().floor() as i32).clamp(0, 8) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let words = [0.0, 0.5, 1.0, 99.9, 99.9999, 100.0, 12_345.6, 1e-7].map(plain);
        assert_eq!(words, ["0", "0.5", "1", "99.9", "99.9999", "100", "12,346", "1.00e-7"]);
        assert_eq!([0.012_345, 1.0, 123.4].map(measured), ["0.0123", "1.00", "123"]);
        let units = [("s", "1.50 s"), ("B", "1 B"), ("share", "150.0 %"), ("tasks", "1.50"), ("", "1.50")];
        for (unit, words) in units {
            assert_eq!(quantity(1.5, unit), words);
        }
        assert_eq!(quantity(1_000_000.0, "tasks"), "1,000,000");
        assert_eq!(
            ["s", "B", "ns"].map(|unit| quantity(-2048.0, unit)),
            ["-34 min 8 s", "-2.0 KiB", "-2,048"]
        );
    }
}
