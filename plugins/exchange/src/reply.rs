//! Messages that come back: what a round trip takes.

use crate::Exchange;
use crate::traffic::{Role, RoundTrip, Traffic};
use muster_sdk::{ChannelEnd, ChannelSpec, Context, Error, Receiver, Sender, Side};
use std::time::Instant;

/// Times of so many round trips are kept, the first ones.
const TIMES_MAX: usize = 100_000;

impl Exchange {
    /// Sends each message and waits until it is back.
    pub fn ask(&self, mut there: Sender<'_>, index: u64, ctx: &Context<'_>) -> Result<Traffic, Error> {
        // Other pairs of the job have ways back, too: the consumer learns the name of this one.
        there.send(&index.to_le_bytes())?;
        let Some(ChannelEnd::Receiver(mut back)) = ctx.channel(&self.way_back(index), Side::Receiver)? else {
            return Err(self.crowd.nobody_came(&self.channel));
        };
        let begun = Instant::now();
        let (mut message, mut room) = (self.messages.room(), self.messages.room());
        let (mut checksum, mut times) = (0, Vec::new());
        for place in 0..self.count {
            let before = checksum;
            checksum = self.messages.write(&mut message, place, before);
            let sent = Instant::now();
            there.send(&message)?;
            let len = back.receive(&mut room)?.ok_or_else(|| {
                Error::failed(format_args!("message {place} did not come back: the consumer has ended"))
            })?;
            let took = sent.elapsed();
            self.messages.check(&room[..len], place, before)?;
            if times.len() < TIMES_MAX {
                times.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            }
            ctx.progress(place + 1, self.count);
        }
        let traffic = self.traffic(Role::Producer, begun, checksum);
        there.finish()?;
        while back.receive(&mut room)?.is_some() {}
        back.finish()?;
        Ok(Traffic { round_trip_ns: Some(RoundTrip::of(times)), ..traffic })
    }

    /// Sends each message back.
    pub fn answer(&self, mut there: Receiver<'_>, ctx: &Context<'_>) -> Result<Traffic, Error> {
        let mut room = self.messages.room();
        let name = there.receive(&mut room)?.and_then(|len| room[..len].try_into().ok());
        let index = name
            .map(u64::from_le_bytes)
            .ok_or_else(|| Error::failed("the name of the way back is missing"))?;
        let Some(ChannelEnd::Sender(mut back)) = ctx.channel(&self.way_back(index), Side::Sender)? else {
            return Err(self.crowd.nobody_came(&self.channel));
        };
        let begun = Instant::now();
        let (mut place, mut checksum) = (0, 0);
        while let Some(len) = there.receive(&mut room)? {
            checksum = self.messages.check(&room[..len], place, checksum)?;
            back.send(&room[..len])?;
            place += 1;
        }
        self.all_came(place)?;
        let traffic = self.traffic(Role::Consumer, begun, checksum);
        there.finish()?;
        back.finish()?;
        Ok(traffic)
    }

    fn way_back(&self, index: u64) -> ChannelSpec {
        ChannelSpec { name: format!("back-{index}"), ..self.channel.clone() }
    }
}
