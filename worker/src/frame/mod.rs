//! What the agent and an executor say to each other over their socket: frames of a length (u32), a kind (u8)
//! and fields, all little-endian. An executor holds a plugin, so the agent checks every byte it reads; a
//! frame that does not add up ends the executor, never the agent. Nothing here ever goes over stdout.

mod batch;
mod codec;
mod gather;
mod reading;
mod sandbox;
mod stream;
mod to_executor;

pub use batch::{Batch, Block, EntryUse, Failure};
pub use codec::FrameError;
pub use gather::Gather;
pub use reading::Reading;
pub use stream::{FRAME_BYTES_MAX, FrameBuffer, split_frame};
pub use to_executor::{OpenJob, ToExecutor};

use bytes::Bytes;
use codec::{Reader, Writer};

/// The longest text of a log line or an error.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// What an executor says.
#[derive(Clone, Debug, PartialEq)]
pub enum FromExecutor {
    /// The plugin is loaded.
    Loaded,
    /// The plugin could not be loaded; the executor ends.
    LoadFailed {
        /// Why, in words.
        text: String,
        /// Its file is not, or not any more, what the agent has checked.
        is_damage: bool,
    },
    /// The job is open; its threads claim.
    Opened {
        /// The job.
        job: u64,
    },
    /// The plugin refused the job.
    OpenFailed {
        /// The job.
        job: u64,
        /// Why, in words.
        text: String,
    },
    /// Results and failures of one thread.
    Batch(Batch),
    /// Batches lie on the shelf.
    Shelved,
    /// It has run the task that it was started for, and ends.
    Retired,
    /// The job is closed; another may be opened.
    Closed {
        /// The job.
        job: u64,
    },
    /// Tasks of one thread were told to stop at their time limit and do not.
    Deaf {
        /// The thread's slot, counted within the executor.
        slot: u32,
        /// The tasks; none when only the thread is known, which does not even ask.
        tasks: Vec<u64>,
    },
    /// What the plugin's own metrics stand at, in the manifest's order.
    Readings(Vec<Reading>),
    /// The plugin said something.
    Log {
        /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
        level: u32,
        /// The task that said it, when one did.
        task: Option<LogTask>,
        /// The text.
        text: String,
    },
}

/// A task whose plugin logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTask {
    /// The slot that runs it, counted within the executor.
    pub slot: u32,
    /// The task.
    pub index: u64,
    /// Which try at it this is.
    pub attempt: u32,
}

const LOADED: u8 = 1;
const LOAD_FAILED: u8 = 2;
const OPENED: u8 = 3;
const OPEN_FAILED: u8 = 4;
const BATCH: u8 = 5;
const CLOSED: u8 = 6;
const LOG: u8 = 7;
const READINGS: u8 = 8;
const RETIRED: u8 = 9;
const SHELVED: u8 = 10;
const DEAF: u8 = 11;

impl FromExecutor {
    /// The frame, with its length in front. Batches are written by [`Gather`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Writer::begin();
        match self {
            Self::Loaded => frame.u8(LOADED),
            Self::LoadFailed { text, is_damage } => {
                frame.u8(LOAD_FAILED);
                frame.u8(u8::from(*is_damage));
                frame.text(text);
            }
            Self::Opened { job } => {
                frame.u8(OPENED);
                frame.u64(*job);
            }
            Self::OpenFailed { job, text } => {
                frame.u8(OPEN_FAILED);
                frame.u64(*job);
                frame.text(text);
            }
            Self::Batch(batch) => return batch.encode(),
            Self::Shelved => frame.u8(SHELVED),
            Self::Retired => frame.u8(RETIRED),
            Self::Closed { job } => {
                frame.u8(CLOSED);
                frame.u64(*job);
            }
            Self::Deaf { slot, tasks } => {
                frame.u8(DEAF);
                frame.u32(*slot);
                frame.u32(tasks.len() as u32);
                tasks.iter().for_each(|&index| frame.u64(index));
            }
            Self::Readings(readings) => {
                frame.u8(READINGS);
                reading::write(&mut frame, readings);
            }
            Self::Log { level, task, text } => {
                frame.u8(LOG);
                frame.u32(*level);
                frame.u8(u8::from(task.is_some()));
                let LogTask { slot, index, attempt } =
                    task.unwrap_or(LogTask { slot: 0, index: 0, attempt: 0 });
                frame.u32(slot);
                frame.u64(index);
                frame.u32(attempt);
                frame.text(text);
            }
        }
        frame.finish(0)
    }

    /// Reads a frame without its length.
    pub fn decode(frame: Bytes) -> Result<Self, FrameError> {
        let mut fields = Reader::new(frame);
        let message = match fields.u8("kind")? {
            LOADED => Self::Loaded,
            LOAD_FAILED => {
                let is_damage = fields.u8("is_damage")? != 0;
                Self::LoadFailed { text: fields.text("text")?, is_damage }
            }
            OPENED => Self::Opened { job: fields.u64("job")? },
            OPEN_FAILED => Self::OpenFailed { job: fields.u64("job")?, text: fields.text("text")? },
            BATCH => Self::Batch(Batch::decode(&mut fields)?),
            SHELVED => Self::Shelved,
            RETIRED => Self::Retired,
            CLOSED => Self::Closed { job: fields.u64("job")? },
            READINGS => Self::Readings(reading::read(&mut fields)?),
            LOG => log(&mut fields)?,
            DEAF => deaf(&mut fields)?,
            kind => return Err(FrameError::UnknownKind { kind }),
        };
        fields.end()?;
        Ok(message)
    }
}

fn deaf(fields: &mut Reader) -> Result<FromExecutor, FrameError> {
    let slot = fields.u32("slot")?;
    let count = fields.count("tasks", size_of::<u64>())?;
    let tasks = (0..count).map(|_| fields.u64("task")).collect::<Result<_, _>>()?;
    Ok(FromExecutor::Deaf { slot, tasks })
}

fn log(fields: &mut Reader) -> Result<FromExecutor, FrameError> {
    let (level, of_task) = (fields.u32("level")?, fields.u8("of_task")? != 0);
    let (slot, index, attempt) = (fields.u32("slot")?, fields.u64("index")?, fields.u32("attempt")?);
    let task = of_task.then_some(LogTask { slot, index, attempt });
    Ok(FromExecutor::Log { level, task, text: fields.text("text")? })
}

#[cfg(test)]
mod tests;
