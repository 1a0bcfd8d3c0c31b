//! "Did you mean": the nearest of the known names.

use strsim::osa_distance;

/// The candidate nearest to `name`, when it is near enough to be a slip.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    let abbreviates = |candidate: &str| name.len() > 2 && candidate.starts_with(name);
    candidates
        .map(|candidate| (if abbreviates(candidate) { 1 } else { osa_distance(name, candidate) }, candidate))
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| candidate)
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
