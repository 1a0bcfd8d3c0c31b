//! What the values of a comparison show.

use super::blocks::Blocks;
use super::holm::holm;
use super::interval::{Interval, median_interval};
use super::signed_rank::{least_p, log_ratios, p_value, ratio, ratio_to_best};

/// An adjusted p-value below this is believed.
pub const SIGNIFICANCE: f64 = 0.05;

/// Two configurations against each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The column of the one.
    pub first: usize,
    /// The column of the other, further to the right.
    pub second: usize,
    /// How many times as long the second takes as the first; `None` for fewer than 5 blocks.
    pub ratio: Option<Interval>,
    /// The p-value of the exact signed-rank test.
    pub p: f64,
    /// The same after Holm, among all pairs.
    pub adjusted_p: f64,
}

/// What may be said of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the fastest. How sure that is, the claims about the others say.
    Best,
    /// It is slower than the best: the adjusted p-value is below 5 %, and the ratio is above the noise floor.
    Slower,
    /// If it differs from the best, then by less than the noise floor: the whole interval is inside.
    NoDifference,
    /// Neither can be said. Also when it is ahead of the best in most blocks and lost all of it in a few.
    Unclear,
}

/// One configuration among the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Its column.
    pub configuration: usize,
    /// The median of its seconds; `None` for fewer than 5 blocks. When the machine drifts, so does this.
    pub median: Option<Interval>,
    /// How many times as long it takes as the best, block by block. 1 without width for the best itself; `None` for
    /// fewer than 5 blocks. The lower bound is further away than that of [`Pair::ratio`], because the best was chosen
    /// for looking fastest. Each interval holds by itself, not all of them together.
    pub ratio_to_best: Option<Interval>,
    /// The p-value of its pair with the best, after Holm; 1 for the best itself.
    pub adjusted_p: f64,
    /// What may be said of it.
    pub claim: Claim,
}

/// Whether there are enough blocks for any claim that one configuration is slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// There are.
    Yes,
    /// Whatever the values, no adjusted p-value can be below 5 %.
    No {
        /// With so many blocks in all it can be.
        blocks_needed: usize,
    },
}

/// What a comparison shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// All pairs of configurations, without the twin.
    pub pairs: Vec<Pair>,
    /// How far from 1 the ratio of two runs of the same may be, as a part of 1: the bound further away of the interval
    /// of the twin against its baseline. `None` for fewer than 5 blocks.
    pub noise_floor: Option<f64>,
    /// The fastest configuration; `None` without blocks.
    pub best: Option<usize>,
    /// All configurations in the order of their columns.
    pub standings: Vec<Standing>,
    /// Whether there are enough blocks.
    pub enough: Enough,
}

impl Analysis {
    /// Compares all configurations with each other and with the best.
    #[must_use]
    pub fn new(blocks: &Blocks) -> Self {
        let pairs = pairs(blocks);
        let noise_floor = noise_floor(blocks);
        let best = best(blocks, blocks.len());
        let standing = |configuration| standing(blocks, configuration, best, &pairs, noise_floor);
        let standings = blocks.configurations().map(standing).collect();
        Self { noise_floor, best, standings, enough: enough(blocks), pairs }
    }
}

/// The configuration with the smallest geometric mean of its values relative to their block, in so many first blocks.
///
/// A block in which the machine is slow makes all its values larger, and the block's mean with them; so a block counts
/// the same however fast the machine was. The mean of the seconds would be decided by the slowest blocks. As every
/// block is complete, dividing by its mean cannot change who comes first, and is left out.
pub(super) fn best(blocks: &Blocks, first: usize) -> Option<usize> {
    let sum_of_logs = |column| blocks.values(column)[..first].iter().map(|value| value.ln()).sum::<f64>();
    let sums = blocks.configurations().filter(|_| first > 0).map(|column| (sum_of_logs(column), column));
    sums.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, column)| column)
}

/// How many times as long a configuration takes as the best one, in so many first blocks.
pub(super) fn to_best(blocks: &Blocks, first: usize, configuration: usize, best: usize) -> Option<Interval> {
    let others = blocks.configurations().count() - 1;
    ratio_to_best(&blocks.values(configuration)[..first], &blocks.values(best)[..first], others)
}

/// The fewest blocks with which the smallest possible p-value, multiplied by the number of pairs, is no more than 5 %.
pub(super) fn blocks_needed(pairs: usize) -> usize {
    let is_possible = |blocks: &usize| least_p(*blocks) * pairs as f64 <= SIGNIFICANCE;
    (1..).find(is_possible).unwrap_or(usize::MAX)
}

fn enough(blocks: &Blocks) -> Enough {
    let blocks_needed = blocks_needed(blocks.pairs());
    if blocks.len() < blocks_needed { Enough::No { blocks_needed } } else { Enough::Yes }
}

fn pairs(blocks: &Blocks) -> Vec<Pair> {
    let compare = |first, second| {
        let (a, b) = (blocks.values(second), blocks.values(first));
        Pair { first, second, ratio: ratio(a, b), p: p_value(&log_ratios(a, b)), adjusted_p: 1.0 }
    };
    let after = |first| blocks.configurations().filter(move |second| *second > first);
    let mut pairs: Vec<Pair> = blocks
        .configurations()
        .flat_map(|first| after(first).map(move |second| compare(first, second)))
        .collect();
    let p_values: Vec<f64> = pairs.iter().map(|pair| pair.p).collect();
    for (pair, adjusted) in pairs.iter_mut().zip(holm(&p_values)) {
        pair.adjusted_p = adjusted;
    }
    pairs
}

fn noise_floor(blocks: &Blocks) -> Option<f64> {
    let twin = blocks.twin();
    let interval = ratio(blocks.values(twin.column), blocks.values(twin.baseline))?;
    Some(interval.hi.max(1.0 / interval.lo) - 1.0)
}

fn standing(
    blocks: &Blocks,
    configuration: usize,
    best: Option<usize>,
    pairs: &[Pair],
    noise_floor: Option<f64>,
) -> Standing {
    let median = median_interval(blocks.values(configuration));
    let ratio_to_best = best.and_then(|best| to_best(blocks, blocks.len(), configuration, best));
    if Some(configuration) == best {
        return Standing { configuration, median, ratio_to_best, adjusted_p: 1.0, claim: Claim::Best };
    }
    let is_theirs = |pair: &&Pair| {
        let both = [Some(pair.first), Some(pair.second)];
        both.contains(&Some(configuration)) && both.contains(&best)
    };
    let adjusted_p = pairs.iter().find(is_theirs).map_or(1.0, |pair| pair.adjusted_p);
    let claim = match (ratio_to_best, noise_floor) {
        (Some(ratio), Some(floor)) => claim(ratio, adjusted_p, floor, [0.0; 2]),
        (None, _) | (_, None) => Claim::Unclear,
    };
    Standing { configuration, median, ratio_to_best, adjusted_p, claim }
}

/// What may be said of a configuration beside one that looks faster. A ratio is inside of the floor when neither it nor its
/// inverse is above. `slack`: the shares by which the one and the other may be faster than they look, 0 for what was not
/// disturbed; it must not decide.
#[must_use]
pub fn claim(ratio: Interval, adjusted_p: f64, floor: f64, slack: [f64; 2]) -> Claim {
    let (limit, [ours, theirs]) = (1.0 + floor, slack);
    let least = ratio.lo * (1.0 - ours);
    let is_slower = ratio.estimate * (1.0 - ours) > limit && (ours == 0.0 || least > 1.0);
    if adjusted_p < SIGNIFICANCE && is_slower {
        Claim::Slower
    } else if ratio.hi <= limit * (1.0 - theirs) && 1.0 / least <= limit {
        Claim::NoDifference
    } else {
        Claim::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::super::Twin;
    use super::*;

    /// Two configurations and the twin of the first, block by block.
    fn analysis(blocks: &[[f64; 3]]) -> Analysis {
        let mut all = Blocks::new(3, Twin { column: 2, baseline: 0 }).unwrap();
        for block in blocks {
            all.push(block).unwrap();
        }
        Analysis::new(&all)
    }

    fn claims(analysis: &Analysis) -> Vec<Claim> {
        analysis.standings.iter().map(|standing| standing.claim).collect()
    }

    #[test]
    fn without_blocks_there_is_no_best() {
        let nothing = analysis(&[]);
        assert_eq!((nothing.best, nothing.noise_floor), (None, None));
        assert_eq!(claims(&nothing), [Claim::Unclear, Claim::Unclear]);
        assert_eq!(nothing.enough, Enough::No { blocks_needed: 6 });
    }

    #[test]
    fn four_blocks_have_a_best_and_no_interval() {
        let few = analysis(&[[1.0, 2.0, 1.0]; 4]);
        assert_eq!(few.best, Some(0));
        assert_eq!(claims(&few), [Claim::Best, Claim::Unclear]);
        assert_eq!((few.noise_floor, few.standings[1].ratio_to_best), (None, None));
        assert_eq!(few.pairs[0].p, 0.125);
    }

    #[test]
    fn five_blocks_are_not_enough_to_call_anything_slower() {
        let five = analysis(&[[1.0, 9.0, 1.0]; 5]);
        assert_eq!(claims(&five), [Claim::Best, Claim::Unclear]);
        assert_eq!(five.enough, Enough::No { blocks_needed: 6 });
        let six = analysis(&[[1.0, 9.0, 1.0]; 6]);
        assert_eq!(claims(&six), [Claim::Best, Claim::Slower]);
        assert_eq!(six.enough, Enough::Yes);
    }

    #[test]
    fn equal_values_do_not_differ() {
        let equal = analysis(&[[1.5; 3]; 8]);
        assert_eq!(equal.noise_floor, Some(0.0));
        assert_eq!(claims(&equal), [Claim::Best, Claim::NoDifference]);
        assert_eq!(equal.pairs[0].adjusted_p, 1.0);
        let best = equal.standings[0].ratio_to_best.unwrap();
        assert_eq!(best, Interval { estimate: 1.0, lo: 1.0, hi: 1.0 });
    }

    /// The twin differs from its baseline by as much as the other configuration does.
    #[test]
    fn what_the_twin_does_as_well_is_no_difference() {
        let noisy = analysis(&[[1.0, 1.1, 1.15]; 8]);
        assert!((noisy.noise_floor.unwrap() - 0.15).abs() < 1e-12);
        assert!(noisy.pairs[0].adjusted_p < SIGNIFICANCE);
        assert_eq!(claims(&noisy), [Claim::Best, Claim::NoDifference]);
    }

    /// In seconds, the second is ahead: it was lucky in the only block that counts there.
    #[test]
    fn a_slow_machine_does_not_decide_who_is_best() {
        let mut blocks = [[1.0, 1.1, 1.0]; 9];
        blocks[4] = [100.0, 95.0, 100.0];
        assert_eq!(analysis(&blocks).best, Some(0));
    }

    /// One block of a hundred times the time makes the second the loser, although it is ahead in all others.
    #[test]
    fn who_is_not_the_best_and_ahead_in_most_blocks_is_unclear() {
        let mut blocks = [[1.0, 0.9, 1.0]; 20];
        blocks[7][1] = 100.0;
        let odd = analysis(&blocks);
        assert_eq!(claims(&odd), [Claim::Best, Claim::Unclear]);
        assert!(odd.standings[1].ratio_to_best.unwrap().hi < 1.0 && odd.pairs[0].adjusted_p < SIGNIFICANCE);
    }
}
