//! What a task passed on, and the sum over all tasks.

use muster_sdk::Error;
use muster_sdk::serde_json;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which of the two a task was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Producer,
    Consumer,
}

/// The result of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    pub role: Role,
    pub messages: u64,
    /// Of all messages.
    pub bytes: u64,
    /// From the meeting of the two to their parting.
    pub seconds: f64,
    pub ns_per_message: f64,
    /// Of all messages, in order, as 16 hexadecimal digits.
    pub checksum: String,
    /// Of a producer whose messages come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ns: Option<RoundTrip>,
}

/// How long messages took until they were back, in nanoseconds; none: fewer than ten took longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip {
    pub p50: Option<u64>,
    pub p95: Option<u64>,
    pub p99: Option<u64>,
}

impl RoundTrip {
    pub fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let [p50, p95, p99] = [50, 95, 99].map(|percent| {
            let at = times.len() * percent / 100;
            (times.len() - at >= 10).then(|| times[at])
        });
        Self { p50, p95, p99 }
    }
}

/// The tasks so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    producers: u64,
    consumers: u64,
    messages: u64,
    bytes: u64,
    seconds: f64,
    sent: u64,
    received: u64,
}

/// The output of the job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Total {
    /// Consumers; each had a producer.
    pub pairs: u64,
    /// That were received.
    pub messages: u64,
    pub bytes: u64,
    /// Of all consumers together.
    pub seconds: f64,
    pub ns_per_message: f64,
    pub megabytes_per_second: f64,
    /// Of all that was sent, whichever order the tasks had.
    pub checksum: String,
}

impl Traffic {
    pub fn new(role: Role, messages: u64, bytes: usize, time: Duration, checksum: u64) -> Self {
        Self {
            role,
            messages,
            bytes: messages.saturating_mul(bytes as u64),
            seconds: time.as_secs_f64(),
            ns_per_message: time.as_nanos() as f64 / messages.max(1) as f64,
            checksum: format!("{checksum:016x}"),
            round_trip_ns: None,
        }
    }
}

impl Sum {
    /// Adds the result of a task.
    pub fn add(&mut self, result: &[u8]) -> Result<(), Error> {
        let traffic: Traffic = serde_json::from_slice(result)?;
        let checksum = u64::from_str_radix(&traffic.checksum, 16)?;
        match traffic.role {
            Role::Producer => {
                self.producers += 1;
                self.sent = self.sent.wrapping_add(checksum);
            }
            Role::Consumer => {
                self.consumers += 1;
                self.received = self.received.wrapping_add(checksum);
                self.messages += traffic.messages;
                self.bytes += traffic.bytes;
                self.seconds += traffic.seconds;
            }
        }
        Ok(())
    }

    pub fn merge(&mut self, other: &Self) {
        self.producers += other.producers;
        self.consumers += other.consumers;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.seconds += other.seconds;
        self.sent = self.sent.wrapping_add(other.sent);
        self.received = self.received.wrapping_add(other.received);
    }

    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(serde_json::to_vec(self)?)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Fails when more was sent than received, or something else.
    pub fn total(&self) -> Result<Total, Error> {
        let Self { producers, consumers, sent, received, .. } = self;
        // Where tasks have failed for good, one of a pair may be missing.
        if producers == consumers && sent != received {
            return Err(Error::failed(format_args!(
                "what {producers} tasks sent adds up to {sent:016x}, and what as many received to {received:016x}"
            )));
        }
        let per_second = |amount: f64| if self.seconds > 0.0 { amount / self.seconds } else { 0.0 };
        Ok(Total {
            pairs: *consumers,
            messages: self.messages,
            bytes: self.bytes,
            seconds: self.seconds,
            ns_per_message: self.seconds * 1e9 / self.messages.max(1) as f64,
            megabytes_per_second: per_second(self.bytes as f64 / 1e6),
            checksum: format!("{received:016x}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(role: Role, checksum: u64) -> Vec<u8> {
        let traffic = Traffic::new(role, 10, 100, Duration::from_micros(50), checksum);
        serde_json::to_vec(&traffic).unwrap()
    }

    #[test]
    fn percentiles_need_ten_times_above_them() {
        let trips = RoundTrip::of((0..200).rev().collect());
        assert_eq!(trips, RoundTrip { p50: Some(100), p95: Some(190), p99: None });
        assert_eq!(RoundTrip::of(vec![]), RoundTrip { p50: None, p95: None, p99: None });
    }

    #[test]
    fn what_was_received_must_be_what_was_sent() {
        let mut sum = Sum::default();
        sum.add(&result(Role::Producer, 7)).unwrap();
        let mut right = Sum::default();
        right.add(&result(Role::Consumer, u64::MAX)).unwrap();
        right.add(&result(Role::Producer, u64::MAX)).unwrap();
        sum.merge(&Sum::decode(&right.encode().unwrap()).unwrap());
        let mut wrong = sum.clone();
        sum.add(&result(Role::Consumer, 7)).unwrap();
        let total = sum.total().unwrap();
        assert_eq!((total.pairs, total.messages, total.bytes), (2, 20, 2_000));
        assert!((total.ns_per_message - 5_000.0).abs() < 1e-6);
        assert_eq!(total.checksum, "0000000000000006");
        wrong.add(&result(Role::Consumer, 8)).unwrap();
        assert!(wrong.total().unwrap_err().message().contains("0000000000000006"));
        assert!(wrong.add(b"{}").is_err());
    }
}
