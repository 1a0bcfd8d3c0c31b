//! What was probably meant by a word that does not exist.

/// The candidate nearest to `word`, when it is near enough to be a slip of the pen.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    let distances = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    distances
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|found| found.1)
}

/// `did you mean "x"?`, or what there is.
pub(super) fn suggestion<'a>(
    word: &str,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("{what} {}", listed(&candidates)),
    }
}

/// The name that was probably meant, and the names there are.
pub(super) fn names_hint(word: &str, names: &[&str]) -> String {
    let known =
        if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", listed(names)) };
    match nearest(word, names.iter().copied()) {
        Some(near) => format!("did you mean {near:?}? ({known})"),
        None => known,
    }
}

/// Names side by side; of many only the first.
pub(super) fn listed(names: &[&str]) -> String {
    const SHOWN_MAX: usize = 30;
    let shown = names.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN_MAX { format!("{shown} and {} more", names.len() - SHOWN_MAX) } else { shown }
}

/// Letters to add, drop, change or swap with their neighbour; case does not count.
/// Source: Wagner and Fischer, "The string-to-string correction problem", JACM 21(1), 1974, with swaps.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
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
    fn slips_are_found_and_other_words_are_not() {
        let keys = ["latency", "jitter", "bandwidth", "worker_bandwidth"];
        for (word, meant) in [("latancy", "latency"), ("Latency", "latency"), ("jitetr", "jitter")] {
            assert_eq!(nearest(word, keys), Some(meant));
        }
        assert_eq!(nearest("speed", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(suggestion("speed", "its keys are", ["a", "b"]), "its keys are a, b");
    }
}
