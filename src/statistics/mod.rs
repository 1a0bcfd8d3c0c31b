//! The statistics of comparing configurations: pure computing on numbers, with no clock, no I/O and no thread.
//!
//! The design is that of randomized complete blocks (Fisher, "The Design of Experiments", 1935): a block runs every
//! configuration once, in an order of its own ([`block_order`]). How fast the machine is may change from block to
//! block; configurations are compared inside blocks only, and the block is the unit of which there must be many.
//! One column of each block is a twin: a second run of the baseline as if it were one more configuration. What is
//! found between the two is the noise floor.
//!
//! [`Blocks`] keeps the values, [`Stopping`] says when there are enough, [`Analysis`] says what they show.

mod blocks;
mod holm;
mod interval;
mod order;
mod quantile;
mod rank_sum;
mod signed_rank;
mod stopping;
mod verdict;
mod warmup;

pub use blocks::{BLOCKS_MAX, Blocks, Refused, Twin};
pub use holm::holm;
pub use interval::{BLOCKS_MIN, Interval, median, median_interval};
pub use order::block_order;
pub use quantile::quantile;
pub use rank_sum::unpaired_ratio;
pub use signed_rank::{hodges_lehmann, least_p, p_value, ratio};
pub use stopping::{BLOCKS_LEAST, Next, Reason, Stopping, TARGET};
pub use verdict::{Analysis, Claim, Enough, Pair, SIGNIFICANCE, Standing, claim};
pub use warmup::{outliers, warm_up};
