//! What was probably meant by a word that does not exist.

use alloc::vec::Vec;

/// Longer words are no slip of a word that anybody has to write.
const LETTERS_MAX: usize = 64;

/// The candidate nearest to `word`, when it is near enough to be a slip of the pen: one letter in three at the most.
/// Case does not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).take(LETTERS_MAX + 1).collect();
    if word.len() > LETTERS_MAX {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    let distances = candidates.into_iter().map(|candidate| (distance(&word, candidate), candidate));
    distances
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|found| found.1)
}

/// Letters to add, drop, change or swap with their neighbour.
/// Source: Wagner and Fischer, "The string-to-string correction problem", JACM 21(1), 1974, with swaps.
fn distance(word: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=candidate.len()).collect();
    for i in 1..=word.len() {
        let mut row = alloc::vec![i; candidate.len() + 1];
        for j in 1..=candidate.len() {
            let changed = last[j - 1] + usize::from(word[i - 1] != candidate[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = core::mem::replace(&mut last, row);
    }
    last[candidate.len()]
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
        assert_eq!(nearest(&"latency".repeat(10), keys), None);
    }
}
