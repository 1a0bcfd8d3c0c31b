//! What was probably meant by a word that does not exist, and what there is.

use muster_core::spelling::nearest;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_named_and_else_what_there_is() {
        assert_eq!(suggestion("latancy", "its keys are", ["jitter", "latency"]), "did you mean \"latency\"?");
        assert_eq!(suggestion("speed", "its keys are", ["a", "b"]), "its keys are a, b");
    }
}
