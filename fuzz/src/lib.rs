//! What the fuzz targets share. A target panics when something is wrong; libFuzzer keeps the input that did it.

use std::fmt::Display;

/// What somebody reads about bad input is one line.
///
/// # Panics
/// It has several, or says nothing.
pub fn assert_one_line(error: impl Display) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains(['\n', '\r']), "not one line: {text:?}");
}

/// The first byte of an input says which of `kinds` readers gets the rest, `a` the first.
#[must_use]
pub fn split(input: &[u8], kinds: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = input.split_first()?;
    Some((first.wrapping_sub(b'a') % kinds, rest))
}
