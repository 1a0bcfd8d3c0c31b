//! Commands that people paste into a shell.

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("workers.count=500"), "workers.count=500");
        assert_eq!(quoted("a b's"), "'a b'\\''s'");
        assert_eq!(quoted("jobs.0.time={ exp = \"1s\" }"), "'jobs.0.time={ exp = \"1s\" }'");
        assert_eq!(quoted(""), "''");
    }
}
