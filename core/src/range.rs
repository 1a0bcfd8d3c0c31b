//! Ranges of task indexes and sets of them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;

/// The task indexes `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexRange {
    /// The first index.
    pub start: u64,
    /// One behind the last index.
    pub end: u64,
}

impl IndexRange {
    /// The range `start..end`; empty when `end` is not behind `start`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end: if end < start { start } else { end } }
    }

    /// `count` indexes from `start`.
    #[must_use]
    pub const fn from_count(start: u64, count: u64) -> Self {
        Self { start, end: start.saturating_add(count) }
    }

    /// How many indexes it holds.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end == self.start
    }

    /// Whether `index` lies in it.
    #[must_use]
    pub const fn contains(self, index: u64) -> bool {
        self.start <= index && index < self.end
    }

    /// The indexes that both hold.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

impl fmt::Display for IndexRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A set of task indexes as disjoint ranges that do not touch. One range, by far the usual case, needs no
/// allocation and little room: every lease has such a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// At most one range.
    One(IndexRange),
    /// Two ranges or more.
    Many(Box<Ranges>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ranges {
    /// start -> end.
    map: BTreeMap<u64, u64>,
    /// Indexes of all together.
    len: u64,
}

impl Ranges {
    fn from_one(range: IndexRange) -> Box<Self> {
        Box::new(Self { map: BTreeMap::from([(range.start, range.end)]), len: range.len() })
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::One(IndexRange::default())
    }
}

impl From<IndexRange> for RangeSet {
    fn from(range: IndexRange) -> Self {
        Self(Shape::One(range))
    }
}

impl RangeSet {
    /// A set without indexes.
    #[must_use]
    pub const fn new() -> Self {
        Self(Shape::One(IndexRange { start: 0, end: 0 }))
    }

    /// How many indexes it holds.
    #[must_use]
    pub const fn len(&self) -> u64 {
        match &self.0 {
            Shape::One(range) => range.len(),
            Shape::Many(ranges) => ranges.len,
        }
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of ranges it is made of.
    #[must_use]
    pub fn pieces(&self) -> usize {
        match &self.0 {
            Shape::One(range) => usize::from(!range.is_empty()),
            Shape::Many(ranges) => ranges.map.len(),
        }
    }

    /// The range with the lowest indexes.
    #[must_use]
    pub fn first(&self) -> Option<IndexRange> {
        match &self.0 {
            Shape::One(range) => (!range.is_empty()).then_some(*range),
            Shape::Many(ranges) => {
                ranges.map.first_key_value().map(|(&start, &end)| IndexRange { start, end })
            }
        }
    }

    /// The range with the highest indexes.
    #[must_use]
    pub fn last(&self) -> Option<IndexRange> {
        match &self.0 {
            Shape::One(range) => (!range.is_empty()).then_some(*range),
            Shape::Many(ranges) => {
                ranges.map.last_key_value().map(|(&start, &end)| IndexRange { start, end })
            }
        }
    }

    /// Its ranges, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = IndexRange> + '_ {
        let (one, many) = match &self.0 {
            Shape::One(range) => ((!range.is_empty()).then_some(*range), None),
            Shape::Many(ranges) => {
                (None, Some(ranges.map.iter().map(|(&start, &end)| IndexRange { start, end })))
            }
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Whether `index` is in it.
    #[must_use]
    pub fn contains(&self, index: u64) -> bool {
        self.covers(IndexRange::from_count(index, 1))
    }

    /// Whether every index of `range` is in it.
    #[must_use]
    pub fn covers(&self, range: IndexRange) -> bool {
        if range.is_empty() {
            return true;
        }
        match &self.0 {
            Shape::One(one) => one.start <= range.start && range.end <= one.end,
            Shape::Many(ranges) => {
                ranges.map.range(..=range.start).next_back().is_some_and(|(_, &end)| range.end <= end)
            }
        }
    }

    /// The parts of `range` that are in it, lowest first.
    pub fn overlap(&self, range: IndexRange) -> impl Iterator<Item = IndexRange> + '_ {
        let (one, many) = match &self.0 {
            Shape::One(one) => (Some(*one), None),
            Shape::Many(ranges) => {
                let map = &ranges.map;
                let from = map.range(..=range.start).next_back().map_or(range.start, |(&start, _)| start);
                let to = range.end.max(from);
                (None, Some(map.range(from..to).map(|(&start, &end)| IndexRange { start, end })))
            }
        };
        one.into_iter()
            .chain(many.into_iter().flatten())
            .map(move |piece| piece.intersect(range))
            .filter(|piece| !piece.is_empty())
    }

    /// Adds every index of `range`.
    pub fn insert(&mut self, range: IndexRange) {
        if range.is_empty() {
            return;
        }
        if let Shape::One(one) = &mut self.0 {
            if one.is_empty() {
                *one = range;
                return;
            }
            if range.start <= one.end && one.start <= range.end {
                *one = IndexRange::new(one.start.min(range.start), one.end.max(range.end));
                return;
            }
            self.0 = Shape::Many(Ranges::from_one(*one));
        }
        let Shape::Many(ranges) = &mut self.0 else { return };
        let Ranges { map, len } = &mut **ranges;
        let mut merged = range;
        // Everything that overlaps or touches becomes one range.
        while let Some((&start, &end)) = map.range(..=merged.end).next_back() {
            if end < merged.start {
                break;
            }
            map.remove(&start);
            *len -= end - start;
            merged = IndexRange::new(merged.start.min(start), merged.end.max(end));
        }
        map.insert(merged.start, merged.end);
        *len += merged.len();
        self.settle();
    }

    /// Takes out every index of `range`; says how many were in the set.
    pub fn remove(&mut self, range: IndexRange) -> u64 {
        if range.is_empty() || self.is_empty() {
            return 0;
        }
        if let Shape::One(one) = &mut self.0 {
            let hit = one.intersect(range);
            if hit.is_empty() {
                return 0;
            }
            if hit.start == one.start {
                *one = IndexRange::new(hit.end, one.end);
                return hit.len();
            }
            if hit.end == one.end {
                *one = IndexRange::new(one.start, hit.start);
                return hit.len();
            }
            self.0 = Shape::Many(Ranges::from_one(*one));
        }
        let Shape::Many(ranges) = &mut self.0 else { return 0 };
        let Ranges { map, len } = &mut **ranges;
        let before = *len;
        while let Some((&start, &end)) = map.range(..range.end).next_back() {
            if end <= range.start {
                break;
            }
            map.remove(&start);
            *len -= end - start;
            if end > range.end {
                map.insert(range.end, end);
                *len += end - range.end;
            }
            if start < range.start {
                map.insert(start, range.start);
                *len += range.start - start;
                break;
            }
        }
        let gone = before - *len;
        self.settle();
        gone
    }

    /// Takes up to `count` of the lowest indexes that lie together.
    pub fn take_first(&mut self, count: u64) -> Option<IndexRange> {
        let first = self.first()?;
        let taken = IndexRange::new(first.start, first.end.min(first.start.saturating_add(count)));
        self.remove(taken);
        (!taken.is_empty()).then_some(taken)
    }

    /// Empties it.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    fn settle(&mut self) {
        let Shape::Many(ranges) = &self.0 else { return };
        match ranges.map.len() {
            0 => self.0 = Shape::default(),
            1 => {
                let (&start, &end) = ranges.map.first_key_value().expect("one entry is there");
                self.0 = Shape::One(IndexRange { start, end });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, u64),
        Remove(u64, u64),
        Take(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..60u64, 0..12u64).prop_map(|(start, count)| Step::Insert(start, count)),
            (0..60u64, 0..12u64).prop_map(|(start, count)| Step::Remove(start, count)),
            (0..6u64).prop_map(Step::Take),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        /// The set behaves as a plain set of numbers does, and its ranges never touch.
        #[test]
        fn agrees_with_a_set_of_numbers(steps in steps()) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Insert(start, count) => {
                        set.insert(IndexRange::from_count(start, count));
                        model.extend(start..start + count);
                    }
                    Step::Remove(start, count) => {
                        let gone = set.remove(IndexRange::from_count(start, count));
                        let before = model.len();
                        model.retain(|index| !(start..start + count).contains(index));
                        prop_assert_eq!(gone as usize, before - model.len());
                    }
                    Step::Take(count) => {
                        if let Some(range) = set.take_first(count) {
                            prop_assert_eq!(Some(&range.start), model.first());
                            for index in range.start..range.end {
                                prop_assert!(model.remove(&index));
                            }
                        }
                    }
                }
                prop_assert_eq!(set.len() as usize, model.len());
                let flat: Vec<u64> = set.iter().flat_map(|range| range.start..range.end).collect();
                prop_assert_eq!(&flat, &model.iter().copied().collect::<Vec<_>>());
                let ranges: Vec<IndexRange> = set.iter().collect();
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert_eq!(set.pieces(), ranges.len());
                prop_assert_eq!(set.first(), ranges.first().copied());
                prop_assert_eq!(set.last(), ranges.last().copied());
                let window = IndexRange::new(10, 30);
                let inside: Vec<u64> = set.overlap(window).flat_map(|range| range.start..range.end).collect();
                prop_assert_eq!(inside, model.range(10..30).copied().collect::<Vec<_>>());
                prop_assert_eq!(set.covers(window), (10..30).all(|index| model.contains(&index)));
            }
        }
    }
}
