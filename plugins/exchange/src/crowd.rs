//! How many threads of the job on this worker could be partners of each other.

use muster_sdk::shared::{Region, Word};
use muster_sdk::{ChannelSpec, Error, Job};
use std::sync::atomic::Ordering::SeqCst;

/// The threads of an executor are counted while this exists. Those of one that was killed stay counted: the number is
/// too large rather than too small.
pub struct Crowd {
    threads: Word,
    own: u64,
}

impl Crowd {
    pub fn join(job: &Job) -> Result<Self, Error> {
        Self::within(&job.shared("exchange", 64)?, job.threads())
    }

    fn within(region: &Region, threads: u32) -> Result<Self, Error> {
        let (threads, own) = (region.word(0)?, u64::from(threads));
        threads.fetch_add(own, SeqCst);
        Ok(Self { threads, own })
    }

    /// The failure of a task that waited for a partner: where there is one thread, there will be none.
    pub fn nobody_came(&self, channel: &ChannelSpec) -> Error {
        let waited = channel.wait.as_millis();
        if self.threads.load(SeqCst) < 2 {
            return Error::failed(format_args!(
                "no partner within {waited} ms: this worker runs one task of the job at a time, and producer and consumer run \
                 together; give it two slots (-t 2 or -p 2)"
            ));
        }
        Error::transient(format_args!(
            "no partner within {waited} ms: no other task of the job ran here meanwhile; raise wait_ms when others take long \
             to start"
        ))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.threads.fetch_sub(self.own, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_sdk::ChannelKind;
    use std::time::Duration;

    #[test]
    fn one_alone_is_told_so() {
        let region = Region::private(64).unwrap();
        let channel = ChannelSpec {
            name: "exchange".to_owned(),
            kind: ChannelKind::Pipe,
            capacity: 1,
            message_max: 8,
            wait: Duration::from_millis(250),
        };
        let one = Crowd::within(&region, 1).unwrap();
        let alone = one.nobody_came(&channel);
        assert!(alone.message().contains("two slots") && alone.message().contains("250 ms"), "{alone:?}");
        let other = Crowd::within(&region, 1).unwrap();
        assert!(one.nobody_came(&channel).message().contains("wait_ms"));
        drop(other);
        assert!(one.nobody_came(&channel).message().contains("two slots"));
    }
}
