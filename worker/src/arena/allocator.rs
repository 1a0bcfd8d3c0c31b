//! Which parts of the arena are free: first fit, with neighbours joined when they become free.

use std::collections::BTreeMap;

/// Places begin at multiples of this, so that tables of u64 in them are aligned.
const ALIGN_BYTES: u64 = 64;
/// The arena grows by at least this much.
const GROW_BYTES_MIN: u64 = 1 << 20;

/// A part of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub at: u64,
    /// Its length in bytes, as asked for.
    pub len: u64,
}

/// The book of free room.
#[derive(Debug)]
pub struct Allocator {
    free: BTreeMap<u64, u64>,
    capacity: u64,
    used: u64,
    max: u64,
}

impl Allocator {
    /// A book for no room at all, which may grow to `max` bytes.
    #[must_use]
    pub const fn new(max: u64) -> Self {
        Self { free: BTreeMap::new(), capacity: 0, used: 0, max }
    }

    /// Bytes in use, with the loss to alignment.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Bytes in use and free.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes `len` bytes out of the first free area that has them.
    pub fn take(&mut self, len: u64) -> Option<Place> {
        let size = rounded(len)?;
        let (&at, &room) = self.free.iter().find(|&(_, &room)| room >= size)?;
        self.free.remove(&at);
        if room > size {
            self.free.insert(at + size, room - size);
        }
        self.used += size;
        Some(Place { at, len })
    }

    /// The capacity to grow to so that `len` bytes fit; `None` beyond the limit.
    #[must_use]
    pub fn capacity_for(&self, len: u64) -> Option<u64> {
        let more = rounded(len)?.max(self.capacity / 2).max(GROW_BYTES_MIN);
        let wanted = self.capacity.checked_add(more)?.next_multiple_of(GROW_BYTES_MIN);
        let needed = self.capacity.checked_add(rounded(len)?)?;
        (needed <= self.max).then_some(wanted.min(self.max))
    }

    /// Adds the room up to `capacity`.
    pub fn grow(&mut self, capacity: u64) {
        if capacity > self.capacity {
            let (at, size) = (self.capacity, capacity - self.capacity);
            self.capacity = capacity;
            self.insert_free(at, size);
        }
    }

    /// Makes a place free again; `false` when it was not taken as a whole.
    pub fn free(&mut self, place: Place) -> bool {
        let Some(size) = rounded(place.len) else { return false };
        let Some(end) = place.at.checked_add(size).filter(|&end| end <= self.capacity) else { return false };
        let before = self.free.range(..end).next_back();
        if before.is_some_and(|(&at, &room)| at + room > place.at) {
            return false;
        }
        self.used -= size;
        self.insert_free(place.at, size);
        true
    }

    fn insert_free(&mut self, mut at: u64, mut size: u64) {
        if let Some((&before, &room)) = self.free.range(..at).next_back()
            && before + room == at
        {
            self.free.remove(&before);
            (at, size) = (before, size + room);
        }
        if let Some(room) = self.free.remove(&(at + size)) {
            size += room;
        }
        self.free.insert(at, size);
    }
}

/// The room that `len` bytes take; at least one unit, so that every place has an address of its own.
fn rounded(len: u64) -> Option<u64> {
    len.max(1).checked_next_multiple_of(ALIGN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn room_is_used_again_and_joined() {
        let mut book = Allocator::new(1 << 30);
        assert_eq!(book.take(10), None);
        book.grow(book.capacity_for(10).unwrap());
        let places: Vec<_> = (0..4).map(|_| book.take(100).unwrap()).collect();
        assert_eq!(places.iter().map(|place| place.at).collect::<Vec<_>>(), [0, 128, 256, 384]);
        assert!(book.free(places[1]) && book.free(places[2]));
        assert!(!book.free(places[2]), "freed twice");
        assert_eq!(book.take(256).unwrap().at, 128, "two neighbours became one area");
    }

    #[test]
    fn limits_hold() {
        let mut book = Allocator::new(2 << 20);
        assert_eq!(book.capacity_for(3 << 20), None);
        assert_eq!(book.capacity_for(u64::MAX), None);
        book.grow(book.capacity_for(2 << 20).unwrap());
        assert!(book.take(2 << 20).is_some());
        assert!(!book.free(Place { at: u64::MAX - 5, len: 4 }));
        assert!(!book.free(Place { at: 0, len: u64::MAX }));
    }

    proptest! {
        #[test]
        fn places_never_overlap_and_all_room_comes_back(steps in proptest::collection::vec((0..2u8, 0..300_000u64), 1..200)) {
            let mut book = Allocator::new(1 << 40);
            let mut held: Vec<Place> = Vec::new();
            for (step, number) in steps {
                if step == 0 || held.is_empty() {
                    let place = book.take(number).unwrap_or_else(|| {
                        book.grow(book.capacity_for(number).unwrap());
                        book.take(number).unwrap()
                    });
                    prop_assert_eq!(place.at % ALIGN_BYTES, 0);
                    prop_assert!(place.at + place.len <= book.capacity());
                    for other in &held {
                        prop_assert!(place.at + place.len.max(1) <= other.at || other.at + other.len.max(1) <= place.at);
                    }
                    held.push(place);
                } else {
                    let place = held.swap_remove(number as usize % held.len());
                    prop_assert!(book.free(place));
                }
            }
            prop_assert!(held.drain(..).all(|place| book.free(place)));
            prop_assert_eq!(book.used(), 0);
            prop_assert!(book.free.len() <= 1, "everything free is one area");
        }
    }
}
