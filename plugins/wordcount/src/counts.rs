//! How often each word occurs.

use crate::short::{ShortCounts, ShortWord};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Words and how often each occurs. Words of up to 16 letters are kept as numbers in one table, so that counting a
/// word allocates nothing; the few longer ones have a map of their own.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    short: ShortCounts,
    long: BTreeMap<Box<[u8]>, u64>,
}

/// Text that is not lines of `word count`.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    number: usize,
}

impl std::fmt::Display for BadLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} is not a word and its count", self.number)
    }
}

impl Counts {
    /// No words.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a short word `times` more.
    #[inline]
    pub fn add_short(&mut self, word: ShortWord, times: u64) {
        self.short.add(word, times);
    }

    /// Counts a word, which must not be empty, `times` more.
    pub fn add(&mut self, word: &[u8], times: u64) {
        if let Some(word) = ShortWord::new(word) {
            self.short.add(word, times);
        } else if let Some(count) = self.long.get_mut(word) {
            *count += times;
        } else {
            self.long.insert(word.into(), times);
        }
    }

    /// Counts what `other` counted.
    pub fn merge(&mut self, mut other: Self) {
        if other.short.len() > self.short.len() {
            std::mem::swap(&mut self.short, &mut other.short);
        }
        for (word, times) in other.short.iter() {
            self.short.add(word, times);
        }
        for (word, times) in other.long {
            *self.long.entry(word).or_default() += times;
        }
    }

    /// Calls `each` with the words in the order of their bytes.
    pub fn for_each_sorted(&self, mut each: impl FnMut(&[u8], u64)) {
        let mut long = self.long.iter().peekable();
        for (word, count) in self.short.sorted() {
            let padded = word.padded();
            let word = &padded[..word.len()];
            while let Some((word, count)) = long.next_if(|(long, _)| ***long < *word) {
                each(word, *count);
            }
            each(word, count);
        }
        long.for_each(|(word, count)| each(word, *count));
    }

    /// The words as lines of `word count`, sorted.
    pub fn to_lines(&self) -> String {
        let mut lines = String::with_capacity(self.short.len() * 12);
        self.for_each_sorted(|word, count| {
            lines.extend(word.iter().map(|&byte| char::from(byte)));
            // A String takes whatever is written.
            let _ = writeln!(lines, " {count}");
        });
        lines
    }

    /// Counts what lines of `word count` say.
    pub fn add_lines(&mut self, lines: &[u8]) -> Result<(), BadLine> {
        let Some(lines) = lines.strip_suffix(b"\n") else {
            return if lines.is_empty() { Ok(()) } else { Err(BadLine { number: 1 }) };
        };
        for (at, line) in lines.split(|&byte| byte == b'\n').enumerate() {
            let (word, count) = word_and_count(line).ok_or(BadLine { number: at + 1 })?;
            self.add(word, count);
        }
        Ok(())
    }
}

fn word_and_count(line: &[u8]) -> Option<(&[u8], u64)> {
    let blank = line.iter().position(|&byte| byte == b' ')?;
    let (word, count) = (&line[..blank], &line[blank + 1..]);
    let is_word = !word.is_empty() && word.iter().all(u8::is_ascii_lowercase);
    let count = std::str::from_utf8(count).ok()?.parse().ok()?;
    is_word.then_some((word, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(words: &[(&str, u64)]) -> Counts {
        let mut counts = Counts::new();
        words.iter().for_each(|(word, times)| counts.add(word.as_bytes(), *times));
        counts
    }

    #[test]
    fn lines_are_sorted_across_short_and_long_words() {
        let words = [
            ("abcdefghijklmnop", 1),
            ("z", 2),
            ("abcdefghijklmnopq", 3),
            ("abcdefghijklmno", 4),
            ("zebrazebrazebrazebra", 5),
        ];
        let expected =
            "abcdefghijklmno 4\nabcdefghijklmnop 1\nabcdefghijklmnopq 3\nz 2\nzebrazebrazebrazebra 5\n";
        assert_eq!(counts(&words).to_lines(), expected);
    }

    #[test]
    fn merged_counts_are_those_of_all() {
        let long = "donaudampfschifffahrt";
        let mut left = counts(&[("a", 1), ("b", 2), (long, 1)]);
        left.merge(counts(&[("b", 3), ("c", 4), ("d", 1), ("e", 1), (long, 2)]));
        assert_eq!(left.to_lines(), format!("a 1\nb 5\nc 4\nd 1\n{long} 3\ne 1\n"));
    }

    #[test]
    fn lines_are_read_back() {
        let text = "a 1\nabcdefghijklmnopqrst 7\nb 18446744073709551615\n";
        let mut counts = Counts::new();
        counts.add_lines(text.as_bytes()).unwrap();
        assert_eq!(counts.to_lines(), text);
        Counts::new().add_lines(b"").unwrap();
        for (bad, number) in
            [("a 1", 1), ("a 1\n\n", 2), ("a\n", 1), ("a 1\nB 2\n", 2), ("a -1\n", 1), ("a 1 \n", 1)]
        {
            assert_eq!(Counts::new().add_lines(bad.as_bytes()), Err(BadLine { number }), "{bad:?}");
        }
    }
}
