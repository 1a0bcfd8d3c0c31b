//! `exchange`: pairs of tasks pass messages, one produces and the other consumes, and say what a message costs.
//!
//! Tasks are not paired by their numbers: whoever comes first waits for the next one of the job on the worker, sends to it,
//! and the two leave the channel together. So any two that run at the same time are a pair, wherever they run, and the
//! number of tasks must be even. Which of the two a task is, its result says.
//!
//! Every message begins with a number that follows from the job's seed and its place; the consumer compares it with the one
//! that must come, and adds up all bytes. A message that is lost, doubled or changed fails the task.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod crowd;
mod message;
mod reply;
mod traffic;

use crowd::Crowd;
use message::Messages;
use muster_sdk::{
    ChannelEnd, ChannelKind, ChannelSpec, Context, Error, Job, Json, Receiver, Reduce, Sender, Side, Task,
    Workload,
};
use std::time::{Duration, Instant};
use traffic::{Role, Sum, Total, Traffic};

muster_sdk::choices! {
    /// What carries the messages.
    pub enum Kind {
        /// A list under a lock, between threads of one executor.
        Queue = "queue",
        /// A ring in memory that the executors of the worker share.
        Shared = "shared",
        /// A pipe.
        Pipe = "pipe",
        /// A Unix stream socket.
        Socket = "socket",
    }
}

muster_sdk::params! {
    /// What two tasks pass, and through what.
    pub struct Params {
        /// What carries the messages.
        pub kind: Kind = Kind::Shared,
        /// Bytes of a message.
        pub bytes: u64 = 1_024 => 8..=1_048_576,
        /// Messages of a pair.
        pub messages: u64 = 10_000 => 1..=1_000_000_000_000,
        /// Messages that may be under way. Times the bytes of a message about 4 MiB at the most.
        pub capacity: u32 = 64 => 1..=65_536,
        /// Milliseconds to wait for another task.
        pub wait_ms: u64 = 1_000 => 1..=600_000,
        /// Microseconds that the producer waits before each message.
        pub pause_us: u64 = 0 => 0..=60_000_000,
        /// The consumer sends each message back, and the producer waits for it.
        pub reply: bool = false,
    }
}

struct Exchange {
    channel: ChannelSpec,
    messages: Messages,
    count: u64,
    pause: Duration,
    reply: bool,
    crowd: Crowd,
}

impl Workload for Exchange {
    type Params = Params;
    type Output = Json<Traffic>;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        if let Some(tasks) = job.tasks().filter(|tasks| !tasks.is_multiple_of(2)) {
            return Err(Error::params(format_args!(
                "{tasks} tasks cannot pair off: give an even number (-n {})",
                tasks + 1
            )));
        }
        if params.kind == Kind::Queue && job.threads() < 2 {
            return Err(Error::params(
                "kind=queue connects threads of one executor, and this one has 1: run with -t 2 or more, or take kind=shared, \
                 pipe or socket",
            ));
        }
        let bytes = params.bytes as usize;
        let most = ChannelSpec::capacity_max(bytes);
        if params.capacity > most {
            let asked = params.capacity;
            return Err(Error::params(format_args!(
                "capacity={asked} is too much for messages of bytes={bytes}: at most capacity={most}"
            )));
        }
        let channel = ChannelSpec {
            name: "exchange".to_owned(),
            kind: match params.kind {
                Kind::Queue => ChannelKind::Queue,
                Kind::Shared => ChannelKind::Shared,
                Kind::Pipe => ChannelKind::Pipe,
                Kind::Socket => ChannelKind::Socket,
            },
            capacity: params.capacity,
            message_max: bytes,
            wait: Duration::from_millis(params.wait_ms),
        };
        Ok(Self {
            channel,
            messages: Messages::new(job.seed(), bytes),
            count: params.messages,
            pause: Duration::from_micros(params.pause_us),
            reply: params.reply,
            crowd: Crowd::join(job)?,
        })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Json<Traffic>, Error> {
        let end = ctx.channel(&self.channel, Side::Either)?;
        match end.ok_or_else(|| self.crowd.nobody_came(&self.channel))? {
            ChannelEnd::Sender(sender) if self.reply => self.ask(sender, task.index(), ctx),
            ChannelEnd::Receiver(receiver) if self.reply => self.answer(receiver, ctx),
            ChannelEnd::Sender(sender) => self.produce(sender, ctx),
            ChannelEnd::Receiver(receiver) => self.consume(receiver, ctx),
        }
        .map(Json)
    }
}

impl Exchange {
    fn produce(&self, mut sender: Sender<'_>, ctx: &mut Context<'_>) -> Result<Traffic, Error> {
        let begun = Instant::now();
        let mut message = self.messages.room();
        let mut checksum = 0;
        for place in 0..self.count {
            if !self.pause.is_zero() {
                ctx.check()?;
                ctx.blocking(|| std::thread::sleep(self.pause));
            }
            checksum = self.messages.write(&mut message, place, checksum);
            sender.send(&message)?;
        }
        sender.finish()?;
        Ok(self.traffic(Role::Producer, begun, checksum))
    }

    fn consume(&self, mut receiver: Receiver<'_>, ctx: &mut Context<'_>) -> Result<Traffic, Error> {
        let begun = Instant::now();
        let mut room = self.messages.room();
        let (mut place, mut checksum) = (0, 0);
        while let Some(len) = receiver.receive(&mut room)? {
            checksum = self.messages.check(&room[..len], place, checksum)?;
            place += 1;
            ctx.progress(place, self.count);
        }
        self.all_came(place)?;
        receiver.finish()?;
        Ok(self.traffic(Role::Consumer, begun, checksum))
    }

    fn all_came(&self, place: u64) -> Result<(), Error> {
        let count = self.count;
        let lost = || Error::failed(format_args!("{place} of {count} messages came: the others were lost"));
        if place == count { Ok(()) } else { Err(lost()) }
    }

    fn traffic(&self, role: Role, begun: Instant, checksum: u64) -> Traffic {
        Traffic::new(role, self.count, self.messages.bytes(), begun.elapsed(), checksum)
    }
}

impl Reduce for Exchange {
    type Partial = Sum;
    type Total = Json<Total>;

    fn zero(&self) -> Sum {
        Sum::default()
    }

    fn add(&self, partial: &mut Sum, index: u64, result: &[u8]) -> Result<(), Error> {
        partial.add(result).map_err(|error| error.context(format_args!("result of task {index}")))
    }

    fn merge(&self, left: &mut Sum, right: Sum) -> Result<(), Error> {
        left.merge(&right);
        Ok(())
    }

    fn encode(&self, partial: &Sum) -> Result<Vec<u8>, Error> {
        partial.encode()
    }

    fn decode(&self, bytes: &[u8]) -> Result<Sum, Error> {
        Sum::decode(bytes)
    }

    fn finish(&self, partial: Sum) -> Result<Json<Total>, Error> {
        partial.total().map(Json)
    }
}

muster_sdk::export! {
    Exchange: Reduce {
        name: "exchange",
        description: "Passes messages between tasks: through a queue, shared memory, a pipe or a socket",
        default_tasks: 2,
    }
}
