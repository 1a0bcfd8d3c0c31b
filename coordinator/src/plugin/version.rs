//! The order of versions (Semantic Versioning 2.0.0, section 11). What is not such a version sorts below.

use std::cmp::Ordering;

/// A version that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Major, minor, patch; `None`: not a semantic version.
    numbers: Option<[u64; 3]>,
    /// What stands behind the `-`.
    pre_release: Vec<Identifier>,
    text: String,
}

// The order of the variants is the order of the identifiers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

impl Version {
    /// The version that `text` writes.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let without_build = text.split('+').next().unwrap_or_default();
        let (core, pre_release) = without_build.split_once('-').unwrap_or((without_build, ""));
        let parts: Option<Vec<u64>> = core.split('.').map(|part| part.parse().ok()).collect();
        let identifier =
            |part: &str| part.parse().map_or_else(|_| Identifier::Text(part.to_owned()), Identifier::Number);
        Self {
            numbers: parts.and_then(|parts| parts.try_into().ok()),
            pre_release: pre_release.split('.').filter(|part| !part.is_empty()).map(identifier).collect(),
            text: text.to_owned(),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // A version without pre-release is above all of its pre-releases.
        let released = |version: &Self| version.pre_release.is_empty();
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| released(self).cmp(&released(other)))
            .then_with(|| self.pre_release.cmp(&other.pre_release))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_semver_says() {
        let rising = [
            "nightly",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.9.0",
            "1.10.0",
        ];
        for pair in rising.windows(2) {
            assert!(Version::of(pair[0]) < Version::of(pair[1]), "{pair:?}");
        }
    }
}
