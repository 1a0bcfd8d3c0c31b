//! Counts of words that fit into one number: nearly all words there are.

/// The longest short word.
pub const SHORT_BYTES_MAX: usize = 16;
/// In every byte the bit that small letters have and capitals lack.
const SMALL_BITS: u128 = u128::from_ne_bytes([0x20; SHORT_BYTES_MAX]);
/// Places of the first table.
const PLACES_MIN: usize = 64;

/// A word of at most [`SHORT_BYTES_MAX`] letters: its bytes from the most significant one on, then zeros. So words
/// have the order of their bytes, and only the empty word is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShortWord(u128);

impl ShortWord {
    /// The first `len` letters of `text`, at least 1 and at most [`SHORT_BYTES_MAX`], in small letters.
    #[inline]
    pub fn of_letters(text: &[u8], len: usize) -> Self {
        let bytes = match text.first_chunk() {
            Some(bytes) => u128::from_be_bytes(*bytes),
            None => Self::new(&text[..len]).map_or(0, |word| word.0),
        };
        // Capital and small letters differ in one bit.
        Self((bytes | SMALL_BITS) & (u128::MAX << (8 * (SHORT_BYTES_MAX - len))))
    }

    /// From its bytes; none when they are too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; SHORT_BYTES_MAX];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(u128::from_be_bytes(padded)))
    }

    /// Its bytes, then zeros.
    pub fn padded(self) -> [u8; SHORT_BYTES_MAX] {
        self.0.to_be_bytes()
    }

    /// How many bytes it has.
    pub fn len(self) -> usize {
        SHORT_BYTES_MAX - self.0.trailing_zeros() as usize / 8
    }
}

/// A hash table with open addressing whose places hold word and count side by side.
#[derive(Clone, Debug, Default)]
pub struct ShortCounts {
    /// A power of two of them, or none. The empty word marks a free one.
    places: Vec<(u128, u64)>,
    words: usize,
}

impl ShortCounts {
    /// Counts a word, which must not be empty, `times` more.
    #[inline]
    pub fn add(&mut self, word: ShortWord, times: u64) {
        if self.words * 2 >= self.places.len() {
            self.grow();
        }
        let last = self.places.len() - 1;
        let mut at = hash(word) as usize & last;
        loop {
            let (found, count) = &mut self.places[at];
            if *found == word.0 {
                *count += times;
                return;
            }
            if *found == 0 {
                (*found, *count) = (word.0, times);
                self.words += 1;
                return;
            }
            at = (at + 1) & last;
        }
    }

    /// How many different words there are.
    pub fn len(&self) -> usize {
        self.words
    }

    /// The words with their counts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (ShortWord, u64)> {
        self.places.iter().filter(|(word, _)| *word != 0).map(|&(word, count)| (ShortWord(word), count))
    }

    /// The words with their counts, in the order of their bytes.
    pub fn sorted(&self) -> Vec<(ShortWord, u64)> {
        let mut sorted: Vec<_> = self.iter().collect();
        sorted.sort_unstable_by_key(|(word, _)| *word);
        sorted
    }

    #[cold]
    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(PLACES_MIN);
        let old = std::mem::replace(self, Self { places: vec![(0, 0); places], words: 0 });
        for (word, count) in old.iter() {
            self.add(word, count);
        }
    }
}

/// Folds the product of the halves, as in wyhash (Wang Yi 2019), so that short words differ in their low bits.
#[inline]
fn hash(word: ShortWord) -> u64 {
    let (high, low) = ((word.0 >> 64) as u64, word.0 as u64);
    let product = u128::from(high ^ 0xa076_1d64_78bd_642f) * u128::from(low ^ 0xe703_7ed1_a0b4_28db);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_bytes_length_and_order() {
        let words = ["a", "ab", "abc", "b", "ba", "ponmlkjihgfedcba", "zzzzzzzzzzzzzzzz"];
        let short: Vec<_> = words.iter().map(|word| ShortWord::new(word.as_bytes()).unwrap()).collect();
        assert!(short.is_sorted());
        for (word, short) in words.iter().zip(&short) {
            assert_eq!(&short.padded()[..short.len()], word.as_bytes());
            for behind in ["", " ", " and more, with 16 bytes"] {
                let text = word.to_uppercase() + behind;
                assert_eq!(ShortWord::of_letters(text.as_bytes(), word.len()), *short);
            }
        }
        assert_eq!(ShortWord::new(b"abcdefghijklmnopq"), None);
    }

    #[test]
    fn counts_survive_growing() {
        let word = |number: u32| ShortWord::new(format!("w{number}").as_bytes()).unwrap();
        let mut counts = ShortCounts::default();
        for round in 0..3 {
            for number in 0..10_000 {
                counts.add(word(number), u64::from(number) + round);
            }
        }
        assert_eq!(counts.len(), 10_000);
        let mut expected: Vec<_> =
            (0..10_000).map(|number| (word(number), 3 * u64::from(number) + 3)).collect();
        expected.sort_unstable();
        assert_eq!(counts.sorted(), expected);
    }
}
