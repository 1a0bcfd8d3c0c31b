//! Counts as bytes for another process: words in the order of their bytes, each as the number of letters it shares
//! with the word before it, the number of its other letters, these letters, and its count. Numbers are LEB128.

use crate::counts::Counts;

/// The counts as bytes; equal counts give equal bytes.
pub fn encode(counts: &Counts) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut before: Vec<u8> = Vec::new();
    counts.for_each_sorted(|word, count| {
        let shared = word.iter().zip(&before).take_while(|(a, b)| a == b).count();
        put(&mut bytes, shared as u64);
        put(&mut bytes, (word.len() - shared) as u64);
        bytes.extend_from_slice(&word[shared..]);
        put(&mut bytes, count);
        before.truncate(shared);
        before.extend_from_slice(&word[shared..]);
    });
    bytes
}

/// The counts from the bytes of [`encode`]; none when they are others.
pub fn decode(mut bytes: &[u8]) -> Option<Counts> {
    let mut counts = Counts::new();
    let mut word: Vec<u8> = Vec::new();
    while !bytes.is_empty() {
        let shared = usize::try_from(take(&mut bytes)?).ok()?;
        let own = usize::try_from(take(&mut bytes)?).ok()?;
        let (letters, behind) = bytes.split_at_checked(own)?;
        bytes = behind;
        if shared > word.len() || shared + own == 0 || !letters.iter().all(u8::is_ascii_lowercase) {
            return None;
        }
        word.truncate(shared);
        word.extend_from_slice(letters);
        counts.add(&word, take(&mut bytes)?);
    }
    Some(counts)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = bytes.split_first()?;
        *bytes = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Counts {
        let mut counts = Counts::new();
        for (at, word) in
            ["a", "an", "and", "ant", "internationalisation", "international", "zoo"].iter().enumerate()
        {
            counts.add(word.as_bytes(), 1 << (9 * at));
        }
        counts.add(b"most", u64::MAX);
        counts
    }

    #[test]
    fn counts_come_back() {
        let bytes = encode(&sample());
        let back = decode(&bytes).unwrap();
        assert_eq!(back.to_lines(), sample().to_lines());
        assert_eq!(encode(&back), bytes);
        assert!(bytes.len() < sample().to_lines().len() * 3 / 4);
        assert_eq!(decode(b"").unwrap().to_lines(), "");
    }

    #[test]
    fn bytes_that_are_no_counts_are_refused() {
        let bytes = encode(&sample());
        for len in 1..bytes.len() {
            // Cut between two words it is a shorter list; anywhere else it is refused. It never panics.
            if let Some(counts) = decode(&bytes[..len]) {
                assert_eq!(encode(&counts), bytes[..len]);
            }
        }
        for bad in [&[1, 1, b'a', 1][..], &[0, 0, 1], &[0, 1, b'A', 1], &[0, 200, 200, 200], &[0xff; 12]] {
            assert!(decode(bad).is_none(), "{bad:?}");
        }
    }
}
