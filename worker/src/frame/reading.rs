//! What a plugin's own metrics stand at in one executor.

use super::codec::{FrameError, Reader, Writer};

/// A metric, as it stands since the executor started.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// The sum so far.
    Counter(f64),
    /// The last value.
    Gauge(f64),
    /// Observations so far.
    Histogram {
        /// Their sum.
        sum: f64,
        /// Upper border and number of observations of each bucket that has some, ascending.
        buckets: Vec<(f64, u64)>,
    },
}

const COUNTER: u8 = 1;
const GAUGE: u8 = 2;
const HISTOGRAM: u8 = 3;
/// Bytes that a reading and a bucket take at least.
const READING_BYTES_MIN: usize = 9;
const BUCKET_BYTES: usize = 16;

pub(super) fn write(frame: &mut Writer, readings: &[Reading]) {
    frame.u32(readings.len() as u32);
    for reading in readings {
        match reading {
            Reading::Counter(sum) => {
                frame.u8(COUNTER);
                frame.u64(sum.to_bits());
            }
            Reading::Gauge(value) => {
                frame.u8(GAUGE);
                frame.u64(value.to_bits());
            }
            Reading::Histogram { sum, buckets } => {
                frame.u8(HISTOGRAM);
                frame.u64(sum.to_bits());
                frame.u32(buckets.len() as u32);
                for (border, count) in buckets {
                    frame.u64(border.to_bits());
                    frame.u64(*count);
                }
            }
        }
    }
}

pub(super) fn read(fields: &mut Reader) -> Result<Vec<Reading>, FrameError> {
    let readings = fields.count("readings", READING_BYTES_MIN)?;
    (0..readings).map(|_| read_one(fields)).collect()
}

fn read_one(fields: &mut Reader) -> Result<Reading, FrameError> {
    let kind = fields.u8("kind of metric")?;
    let value = f64::from_bits(fields.u64("value")?);
    match kind {
        COUNTER => Ok(Reading::Counter(value)),
        GAUGE => Ok(Reading::Gauge(value)),
        HISTOGRAM => {
            let buckets = fields.count("buckets", BUCKET_BYTES)?;
            let bucket = |_| Ok((f64::from_bits(fields.u64("border")?), fields.u64("count")?));
            Ok(Reading::Histogram {
                sum: value,
                buckets: (0..buckets).map(bucket).collect::<Result<_, _>>()?,
            })
        }
        _ => Err(FrameError::Inconsistent { field: "kind of metric" }),
    }
}
