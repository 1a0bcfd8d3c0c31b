//! Results of tasks side by side, not combined: what a block of the tree holds that is smaller than a fold, see
//! [`muster_core::reduce`]. Two such lists, one behind the other, are the list of both.

/// The index, 8 bytes, and the length of the result, 4 bytes, stand before each result.
pub(super) const HEAD_BYTES: usize = 12;

/// Results with the indexes of their tasks, in order.
#[derive(Debug, Default)]
pub(super) struct Unfolded {
    bytes: Vec<u8>,
}

impl Unfolded {
    /// Adds the result of a task behind all others.
    pub fn push(&mut self, index: u64, result: &[u8]) {
        self.bytes.extend_from_slice(&index.to_le_bytes());
        self.bytes.extend_from_slice(&(result.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(result);
    }

    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets the results and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn iter(&self) -> Results<'_> {
        Results { rest: &self.bytes }
    }

    /// Its bytes as they are sent.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// As many bytes as it has.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Goes through the results of a list.
#[derive(Clone, Debug)]
pub(super) struct Results<'a> {
    rest: &'a [u8],
}

impl<'a> Results<'a> {
    /// Reads a list that came from elsewhere; `None` when it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut results = Self { rest: bytes };
        while !results.rest.is_empty() {
            results.next()?;
        }
        Some(Self { rest: bytes })
    }
}

impl<'a> Iterator for Results<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, behind) = self.rest.split_first_chunk::<HEAD_BYTES>()?;
        let (index, len) = head.split_first_chunk::<8>()?;
        let len = u32::from_le_bytes(len.try_into().ok()?);
        let (result, rest) = behind.split_at_checked(len as usize)?;
        self.rest = rest;
        Some((u64::from_le_bytes(*index), result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_one_behind_the_other_are_a_list() {
        let (mut first, mut second) = (Unfolded::default(), Unfolded::default());
        first.push(3, b"three");
        first.push(5, b"");
        second.push(u64::MAX, b"last");
        let bytes = [first.into_bytes(), second.into_bytes()].concat();
        let found: Vec<_> = Results::parse(&bytes).unwrap().collect();
        assert_eq!(found, [(3, &b"three"[..]), (5, b""), (u64::MAX, b"last")]);
        for end in 1..bytes.len() {
            let whole = [17, 29].contains(&end);
            assert_eq!(Results::parse(&bytes[..end]).is_some(), whole, "{end}");
        }
    }
}
