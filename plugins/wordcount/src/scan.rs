//! Finds the words in text.

use crate::counts::Counts;
use crate::short::{SHORT_BYTES_MAX, ShortWord};

/// Bytes between two calls of `pause`: about a millisecond.
const BYTES_PER_PAUSE: usize = 256 << 10;

/// Counts the words in `text`. `pause` is called now and then and may end it early with an error.
pub fn count<E>(text: &[u8], counts: &mut Counts, mut pause: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    let mut rest = text;
    while !rest.is_empty() {
        let piece = rest.len().min(BYTES_PER_PAUSE);
        // A piece ends behind a word.
        let more = rest[piece..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (piece, behind) = rest.split_at(piece + more);
        count_piece(piece, counts);
        rest = behind;
        pause()?;
    }
    Ok(())
}

fn count_piece(text: &[u8], counts: &mut Counts) {
    let mut rest = text;
    while let Some(begin) = rest.iter().position(u8::is_ascii_alphabetic) {
        rest = &rest[begin..];
        let len = rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(rest.len());
        if len <= SHORT_BYTES_MAX {
            counts.add_short(ShortWord::of_letters(rest, len), 1);
        } else {
            counts.add(&rest[..len].to_ascii_lowercase(), 1);
        }
        rest = &rest[len..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn counted(text: &[u8]) -> String {
        let mut counts = Counts::new();
        count(text, &mut counts, || Ok::<(), ()>(())).unwrap();
        counts.to_lines()
    }

    /// The slow and obvious way.
    fn expected(text: &[u8]) -> String {
        let mut words = BTreeMap::new();
        for word in text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
            *words.entry(String::from_utf8(word.to_ascii_lowercase()).unwrap()).or_insert(0) += 1;
        }
        words.iter().map(|(word, count)| format!("{word} {count}\n")).collect()
    }

    #[test]
    fn words_are_runs_of_letters() {
        assert_eq!(counted(b""), "");
        assert_eq!(counted(b"12 .,\n"), "");
        assert_eq!(counted(b"The cat's THE\ncat"), "cat 2\ns 1\nthe 2\n");
        assert_eq!(counted("na\u{ef}ve \u{fc}ber".as_bytes()), "ber 1\nna 1\nve 1\n");
        assert_eq!(counted(b"a@b[c`d{e\0f\xffg"), "a 1\nb 1\nc 1\nd 1\ne 1\nf 1\ng 1\n");
    }

    #[test]
    fn any_bytes_agree_with_the_obvious_way() {
        let mut random = muster_sdk::Random::new(3);
        for letters in [1, 10, 200] {
            let text: Vec<u8> = (0..600_000)
                .map(|_| {
                    let letter = random.below(letters + 1) > 0;
                    if letter { b"aBcdEFxyzZ"[random.below(10) as usize] } else { random.next_u64() as u8 }
                })
                .collect();
            assert!(counted(&text) == expected(&text), "one in {letters} is no letter");
        }
    }

    #[test]
    fn pieces_do_not_split_words() {
        let text = vec![b'q'; BYTES_PER_PAUSE * 2 + 5];
        assert_eq!(counted(&text), expected(&text));
    }

    #[test]
    fn an_error_of_the_pause_ends_the_count() {
        let result = count(&[b' '; 3 * BYTES_PER_PAUSE], &mut Counts::new(), || Err("stop"));
        assert_eq!(result, Err("stop"));
    }
}
