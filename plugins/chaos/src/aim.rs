//! Which tasks are struck.

use muster_sdk::Random;

/// Which tasks are struck, and in which of their attempts.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Tasks below this number are not struck.
    pub after: u64,
    /// Of the others, the first and then each so-many-th may be.
    pub every: u64,
    /// Chance that one of those is.
    pub probability: f64,
    /// Whether each attempt has a chance of its own.
    pub per_attempt: bool,
    /// Only the first so many attempts are struck; 0: all.
    pub times: u32,
}

impl Aim {
    /// Whether this attempt, counted from 1, is struck. `random` is the task's own, and the same on every attempt.
    pub fn strikes(&self, index: u64, attempt: u32, random: &mut Random) -> bool {
        let is_aimed_at = index.checked_sub(self.after).is_some_and(|past| past.is_multiple_of(self.every));
        if !is_aimed_at || (self.times > 0 && attempt > self.times) {
            return false;
        }
        if self.per_attempt {
            // An attempt takes the draw of its own number, so that earlier ones need not have been made here.
            for _ in 1..attempt {
                random.unit();
            }
        }
        random.chance(self.probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Aim = Aim { after: 0, every: 1, probability: 1.0, per_attempt: false, times: 0 };

    fn struck(aim: Aim, attempt: u32) -> Vec<u64> {
        (0..100).filter(|index| aim.strikes(*index, attempt, &mut Random::new(*index))).collect()
    }

    #[test]
    fn after_and_every_choose_numbers() {
        assert_eq!(struck(ALL, 1).len(), 100);
        assert_eq!(struck(Aim { after: 17, every: u64::MAX, ..ALL }, 1), [17]);
        assert_eq!(struck(Aim { after: 7, every: 30, ..ALL }, 1), [7, 37, 67, 97]);
        assert!(struck(Aim { after: 100, ..ALL }, 1).is_empty());
    }

    #[test]
    fn chances_hold_for_all_attempts_unless_each_has_its_own() {
        let some = Aim { probability: 0.3, ..ALL };
        let first = struck(some, 1);
        assert!((15..45).contains(&first.len()), "{first:?}");
        assert_eq!(first, struck(some, 2));
        let own = Aim { per_attempt: true, ..some };
        assert_eq!(first, struck(own, 1));
        assert_ne!(first, struck(own, 2));
        assert_eq!(struck(own, 2), struck(own, 2));
    }

    #[test]
    fn only_the_first_attempts_are_struck_when_asked() {
        let twice = Aim { times: 2, ..ALL };
        assert_eq!([1, 2, 3].map(|attempt| struck(twice, attempt).len()), [100, 100, 0]);
    }
}
