//! What a task does, piece by piece.

use crate::Params;
use std::ops::Range;
use std::time::Duration;

/// What each task does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    additions: u64,
    outside: f64,
    wait_us: u64,
    turns: u64,
    waiter_every: u64,
    waiter: Duration,
}

/// A piece of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Adds up these numbers, under the lock where there is one.
    Inside(Range<u64>),
    /// Adds up these numbers; others may have the lock meanwhile.
    Outside(Range<u64>),
    /// Waits.
    Wait(Duration),
}

impl Plan {
    pub fn new(params: &Params) -> Self {
        Self {
            additions: params.additions,
            outside: params.outside,
            wait_us: params.wait_us,
            turns: params.turns.into(),
            waiter_every: params.waiter_every,
            waiter: Duration::from_micros(params.waiter_us),
        }
    }

    /// The pieces of a task in their order; none is empty.
    pub fn pieces(self, index: u64) -> impl Iterator<Item = Piece> {
        let only_waits = self.waiter_every > 0 && index % self.waiter_every == self.waiter_every - 1;
        let waiter = only_waits.then_some(Piece::Wait(self.waiter)).into_iter();
        let turns = if only_waits { 0 } else { self.turns };
        waiter.chain((0..turns).flat_map(move |turn| self.turn(turn))).filter(Piece::is_something)
    }

    fn turn(self, turn: u64) -> [Piece; 3] {
        let numbers = self.part(self.additions, turn);
        let outside = ((numbers.end - numbers.start) as f64 * self.outside) as u64;
        let middle = numbers.end - outside;
        let waits = self.part(self.wait_us, turn);
        [
            Piece::Inside(numbers.start..middle),
            Piece::Outside(middle..numbers.end),
            Piece::Wait(Duration::from_micros(waits.end - waits.start)),
        ]
    }

    /// The part of `whole` that belongs to a turn: all parts together are the whole.
    fn part(self, whole: u64, turn: u64) -> Range<u64> {
        let at = |turn: u64| (u128::from(whole) * u128::from(turn) / u128::from(self.turns)) as u64;
        at(turn)..at(turn + 1)
    }
}

impl Piece {
    fn is_something(&self) -> bool {
        match self {
            Self::Inside(range) | Self::Outside(range) => !range.is_empty(),
            Self::Wait(time) => !time.is_zero(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params { additions: 1_001, outside: 0.25, wait_us: 10, turns: 3, waiter_every: 4, waiter_us: 7 }
    }

    #[test]
    fn all_pieces_together_are_the_task() {
        let (mut numbers, mut outside, mut waited) = (Vec::new(), 0, Duration::ZERO);
        for piece in Plan::new(&params()).pieces(0) {
            match piece {
                Piece::Inside(range) => numbers.extend(range),
                Piece::Outside(range) => {
                    outside += range.end - range.start;
                    numbers.extend(range);
                }
                Piece::Wait(time) => waited += time,
            }
        }
        assert_eq!(numbers, (0..1_001).collect::<Vec<u64>>());
        assert_eq!((outside, waited), (83 + 83 + 83, Duration::from_micros(10)));
    }

    #[test]
    fn one_of_so_many_only_waits() {
        let plan = Plan::new(&params());
        let waits = [Piece::Wait(Duration::from_micros(7))];
        for index in 0..12 {
            let pieces: Vec<Piece> = plan.pieces(index).collect();
            assert_eq!(pieces == waits, index % 4 == 3, "task {index}: {pieces:?}");
        }
        let none = Plan::new(&Params { waiter_every: 0, ..params() });
        assert!((0..12).all(|index| none.pieces(index).count() > 1));
        let nothing = Plan::new(&Params { additions: 0, wait_us: 0, ..params() });
        assert_eq!(nothing.pieces(0).count(), 0);
    }
}
