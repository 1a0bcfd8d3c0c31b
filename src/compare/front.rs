//! The Pareto front of a grid: rows than which no other is as good in time, memory and tasks lost by a crash, and better in
//! one of them.

use super::result::Row;
use super::verdict::listed;

/// With fewer rows everybody sees it.
const ROWS_MIN: usize = 6;

/// The front in a sentence, where there are rows enough and all of them were looked at. Rows of which nothing can be said are
/// not on it.
pub fn front(rows: &[Row]) -> Option<String> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.disturbed().is_some()).collect();
    let costs: Vec<[f64; 3]> = rows.iter().copied().map(costs).collect::<Option<_>>()?;
    if rows.len() < ROWS_MIN {
        return None;
    }
    let is_on = |place: &usize| !costs.iter().any(|other| beats(other, &costs[*place]));
    let names: Vec<&str> = (0..rows.len()).filter(is_on).map(|place| rows[place].name.as_str()).collect();
    Some(format!(
        "No other is better in time, memory and what a crash loses at once: {} (medians, the Pareto front).",
        listed(&names)
    ))
}

fn costs(row: &Row) -> Option<[f64; 3]> {
    let (time, peak) = (row.time_s.as_ref()?.median, row.pss_peak_bytes?);
    Some([time, peak as f64, row.lost_by_one_crash? as f64])
}

fn beats(one: &[f64; 3], other: &[f64; 3]) -> bool {
    one.iter().zip(other).all(|(a, b)| a <= b) && one != other
}

#[cfg(test)]
mod tests {
    use super::super::result::Spread;
    use super::*;

    fn row(name: &str, time: f64, peak: u64, lost: u64) -> Row {
        Row {
            name: name.to_owned(),
            valid: true,
            time_s: Some(Spread { median: time, lo: time, hi: time }),
            pss_peak_bytes: Some(peak),
            lost_by_one_crash: Some(lost),
            ..Row::default()
        }
    }

    #[test]
    fn who_is_beaten_is_not_on_the_front() {
        let mut rows = vec![
            row("fast", 1.0, 50, 9),
            row("small", 3.0, 10, 9),
            row("safe", 3.0, 50, 1),
            row("beaten by fast", 1.5, 50, 9),
            row("beaten by small", 3.0, 11, 9),
            row("twin of fast", 1.0, 50, 9),
        ];
        let text = front(&rows).unwrap();
        assert!(text.contains("at once: fast, small, safe and twin of fast ("), "{text}");
        rows.push(Row { valid: false, ..row("not known", 0.1, 1, 0) });
        assert_eq!(front(&rows), Some(text), "nothing can be said of it");
        rows[1].lost_by_one_crash = None;
        assert_eq!(front(&rows), None, "not all of them are known");
        assert_eq!(front(&rows[..1]), None);
    }
}
