//! "Did you mean": the nearest of the known names.

/// The candidate nearest to `name`, when it is near enough to be a slip.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    let abbreviates = |candidate: &str| name.len() > 2 && candidate.starts_with(name);
    candidates
        .map(|candidate| (if abbreviates(candidate) { 1 } else { distance(name, candidate) }, candidate))
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = ["limit", "iters", "bytes_out"];
        assert_eq!(nearest("limt", names.into_iter()), Some("limit"));
        assert_eq!(nearest("itres", names.into_iter()), Some("iters"));
        assert_eq!(nearest("bytes", names.into_iter()), Some("bytes_out"));
        assert_eq!(nearest("colour", names.into_iter()), None);
        assert_eq!(nearest("x", std::iter::empty()), None);
    }
}
