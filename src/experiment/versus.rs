//! Two things laid side by side, in words.

use crate::statistics::{Interval, median, ratio};
use crate::summary::seconds;

/// How many times as large `a` is as `b`, round by round: `2.1 times (1.9 to 2.2)`; the interval of 95 % needs five rounds.
pub fn times(a: &[f64], b: &[f64]) -> String {
    // Of what is not above zero there is no ratio by rounds.
    let is_positive = a.iter().chain(b).all(|&value| value > 0.0);
    match ratio(a, b).filter(|_| is_positive) {
        Some(Interval { lo, hi, .. }) if lo <= 1.0 && 1.0 <= hi => {
            format!("about as much as before ({} to {} times)", plain(lo), plain(hi))
        }
        Some(Interval { estimate, lo, hi }) => {
            format!("{} times ({} to {}) as much", plain(estimate), plain(lo), plain(hi))
        }
        None => format!("{} times as much", plain(of_medians(a, b))),
    }
}

/// Two times by round and their ratio, the shorter one first: `a thread 20.0 us, a process 800 us: 40 times as long`.
pub fn longer(one: (&str, &[f64]), other: (&str, &[f64])) -> String {
    let middle = |times: &[f64]| median(times).unwrap_or(f64::NAN);
    let (short, long) = if middle(one.1) <= middle(other.1) { (one, other) } else { (other, one) };
    let words = match ratio(long.1, short.1) {
        Some(Interval { lo, hi, .. }) if lo <= 1.0 && 1.0 <= hi => "no difference that is sure".to_owned(),
        Some(Interval { estimate, lo, hi }) => {
            format!("{} times ({} to {}) as long", plain(estimate), plain(lo), plain(hi))
        }
        None => format!("{} times as long", plain(of_medians(long.1, short.1))),
    };
    let [short, long] = [short, long].map(|(name, times)| format!("{name} {}", seconds(middle(times))));
    format!("{short}, {long}: {words}")
}

fn of_medians(a: &[f64], b: &[f64]) -> f64 {
    median(a).unwrap_or(f64::NAN) / median(b).unwrap_or(f64::NAN)
}

fn plain(ratio: f64) -> String {
    match ratio {
        _ if !ratio.is_finite() || ratio <= 0.0 => "an unknown number of".to_owned(),
        _ if ratio >= 20.0 => format!("{ratio:.0}"),
        _ if ratio >= 2.0 => format!("{ratio:.1}"),
        _ => format!("{ratio:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sure_difference_is_called_one() {
        let one = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0];
        let twice = one.map(|value| value * 2.0);
        let said = longer(("b", &twice), ("a", &one));
        assert!(said.starts_with("a 1.00 s, b 2.00 s: 2.") && said.ends_with(") as long"), "{said}");
        let alike = [1.1, 1.0, 1.0, 0.9, 1.0, 1.05];
        assert!(longer(("a", &one), ("b", &alike)).ends_with("no difference that is sure"));
        assert!(times(&one, &alike).starts_with("about as much"), "{}", times(&one, &alike));
        assert_eq!(times(&[40.0], &[1.0]), "40 times as much");
        assert_eq!(times(&one, &[-1.0; 6]), "an unknown number of times as much");
    }
}
