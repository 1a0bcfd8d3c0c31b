//! Runs neighbouring tasks on a slot, and checks what the plugin says it did.

use crate::job::{Instance, Job, wrong_width};
use crate::outcome::{ErrorKind, TaskError};
use crate::slot::{Call, Slot};
use muster_plugin_abi::{self as abi, Bytes, Out, RunFn, RunRangeFn, task_seed};

/// A range call stops early when it has this many bytes of results, unless the buffer says otherwise.
const SOFT_BYTES_MAX: usize = 1 << 20;

/// Inputs of neighbouring tasks.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    data: &'a [u8],
    offsets: &'a [u64],
}

impl<'a> Inputs<'a> {
    /// Input `i` is `data[offsets[i]..offsets[i + 1]]`. None unless the offsets ascend within the data.
    #[must_use]
    pub fn new(data: &'a [u8], offsets: &'a [u64]) -> Option<Self> {
        let ends_inside = offsets.last().is_some_and(|end| *end <= data.len() as u64);
        (ends_inside && offsets.is_sorted()).then_some(Self { data, offsets })
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True when there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, at: usize) -> &'a [u8] {
        &self.data[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }
}

/// Neighbouring tasks to run.
#[derive(Clone, Copy, Debug)]
pub struct RangeInput<'a> {
    /// The first index.
    pub start: u64,
    /// How many; at least 1.
    pub count: u64,
    /// Which attempt of theirs this is, from 1.
    pub attempt: u32,
    /// Their inputs, `count` of them; none when the job has none.
    pub inputs: Option<Inputs<'a>>,
}

/// Results, side by side. Calls append; the owner ships and clears it.
#[derive(Debug)]
pub struct OutBuffer {
    /// The bytes of all results.
    pub data: Vec<u8>,
    /// The length of each.
    pub lens: Vec<u32>,
    /// A call stops early when it has added this many bytes.
    pub soft_max: usize,
}

impl OutBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { data: Vec::new(), lens: Vec::new(), soft_max: SOFT_BYTES_MAX }
    }

    /// Forgets the results and keeps the room.
    pub fn clear(&mut self) {
        self.data.clear();
        self.lens.clear();
    }
}

impl Default for OutBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeOutcome {
    /// Tasks from the start of the range whose results were appended.
    pub done: u64,
    /// Why the task behind them failed. None with `done` below the count: the results so far should be
    /// shipped, and the rest run with another call.
    pub failure: Option<TaskError>,
}

impl RangeOutcome {
    const fn failed(done: u64, failure: TaskError) -> Self {
        Self { done, failure: Some(failure) }
    }
}

impl Job {
    /// Runs tasks in index order and appends a result for each that is done. It ends at the first task that
    /// fails; the caller goes on behind it. After a panic the next call makes a new object for the job.
    pub fn run_range(&self, slot: &mut Slot<'_>, input: RangeInput<'_>, out: &mut OutBuffer) -> RangeOutcome {
        if input.inputs.is_some_and(|inputs| inputs.len() as u64 != input.count) {
            return RangeOutcome::failed(
                0,
                TaskError::abi("the number of inputs is not the number of tasks"),
            );
        }
        if input.count == 0 {
            return RangeOutcome { done: 0, failure: None };
        }
        let instance = match self.instance() {
            Ok(instance) => instance,
            Err(error) => return RangeOutcome::failed(0, error),
        };
        slot.set_job(self.id());
        let before = (out.lens.len(), out.data.len());
        let mut outcome = match (self.table().run_range, self.table().run) {
            (Some(run_range), _) => self.call_range(&instance, run_range, slot, input, out),
            (None, Some(run)) => self.call_each(&instance, run, slot, input, out),
            (None, None) => {
                RangeOutcome::failed(0, TaskError::abi("the plugin has no function that runs tasks"))
            }
        };
        if outcome.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Panic) {
            instance.poison();
        }
        self.check_width(out, before.0, &mut outcome);
        self.check_forms(out, before, &mut outcome);
        outcome
    }

    /// As [`Job::check_width`], for results whose bytes must be looked at. `before`: lengths and bytes that were there.
    fn check_forms(&self, out: &mut OutBuffer, before: (usize, usize), outcome: &mut RangeOutcome) {
        let kind = self.output();
        if !kind.has_form() {
            return;
        }
        let (lens, mut rest) = (&out.lens[before.0..], &out.data[before.1..]);
        let wrong = lens.iter().zip(0..).find_map(|(&len, done)| {
            let (result, behind) = rest.split_at(len as usize);
            rest = behind;
            kind.check_form(result).err().map(|error| (done, error))
        });
        if let Some((done, error)) = wrong {
            keep(out, before.0 + done);
            *outcome = RangeOutcome::failed(done as u64, error);
        }
    }

    /// A result that cannot be what the manifest says ends the range, as any failure of its task does.
    fn check_width(&self, out: &mut OutBuffer, before: usize, outcome: &mut RangeOutcome) {
        let kind = self.output();
        let Some(width) = kind.width() else { return };
        let Some(done) = out.lens[before..].iter().position(|&len| len != width) else { return };
        let len = out.lens[before + done] as usize;
        keep(out, before + done);
        *outcome = RangeOutcome::failed(done as u64, wrong_width(len, kind));
    }

    fn call_range(
        &self,
        instance: &Instance,
        run_range: RunRangeFn,
        slot: &mut Slot<'_>,
        input: RangeInput<'_>,
        out: &mut OutBuffer,
    ) -> RangeOutcome {
        let count = usize::try_from(input.count).unwrap_or(usize::MAX);
        if out.lens.try_reserve(count).is_err() {
            return RangeOutcome::failed(
                0,
                TaskError::abi(format!("no memory for the results of {count} tasks")),
            );
        }
        let base = out.data.len();
        let mut table = Out {
            struct_size: abi::size_of_table::<Out>(),
            reserved0: 0,
            data: out.data.spare_capacity_mut().as_mut_ptr().cast(),
            data_len: 0,
            data_cap: out.data.capacity() - base,
            lens: out.lens.spare_capacity_mut().as_mut_ptr().cast(),
            lens_len: 0,
            lens_cap: count,
            data_soft_max: out.soft_max,
        };
        let range = abi::Range {
            struct_size: abi::size_of_table::<abi::Range>(),
            attempt: input.attempt,
            start: input.start,
            count: input.count,
            job_seed: self.seed(),
            input_data: input.inputs.map_or(std::ptr::null(), |inputs| inputs.data.as_ptr()),
            input_offsets: input.inputs.map_or(std::ptr::null(), |inputs| inputs.offsets.as_ptr()),
        };
        let lent = &raw mut table;
        let call = Call::Range { table: lent, buffer: std::ptr::from_mut(out), base, counted: (0, 0) };
        let _turn = instance.turn();
        let (failure, _) = slot.enter("run_range", call, |ctx, error| {
            // SAFETY: the job object is alive, and all structs are valid and as the header says.
            unsafe { run_range(instance.object(), &raw const range, ctx, lent, error) }
        });
        accept(out, &table, count, slot.result_limit(), failure)
    }

    fn call_each(
        &self,
        instance: &Instance,
        run: RunFn,
        slot: &mut Slot<'_>,
        input: RangeInput<'_>,
        out: &mut OutBuffer,
    ) -> RangeOutcome {
        let begin = out.data.len();
        for at in 0..input.count {
            if at > 0 && out.data.len() - begin >= out.soft_max {
                return RangeOutcome { done: at, failure: None };
            }
            if slot.cancelled() {
                return RangeOutcome::failed(at, TaskError::cancelled());
            }
            let index = input.start.wrapping_add(at);
            slot.set_current(index);
            let task = abi::Task {
                struct_size: abi::size_of_table::<abi::Task>(),
                attempt: input.attempt,
                index,
                seed: task_seed(self.seed(), index),
                input: input.inputs.map_or(Bytes::EMPTY, |inputs| Bytes::new(inputs.get(at as usize))),
            };
            let _turn = instance.turn();
            let limit = slot.result_limit();
            let result = one_result(slot, "run", limit, out, |ctx, error| {
                // SAFETY: the job object is alive, and all structs are valid and as the header says.
                unsafe { run(instance.object(), &raw const task, ctx, error) }
            });
            match result {
                Ok(len) => out.lens.push(len),
                Err(failure) => return RangeOutcome::failed(at, failure),
            }
        }
        RangeOutcome { done: input.count, failure: None }
    }
}

/// A call whose result comes through `result_alloc`: appends it to the buffer's data and says its length.
pub(crate) fn one_result(
    slot: &mut Slot<'_>,
    function: &str,
    limit: usize,
    out: &mut OutBuffer,
    enter: impl FnOnce(&abi::TaskCtx, &mut abi::ErrorText) -> i32,
) -> Result<u32, TaskError> {
    let base = out.data.len();
    let call = Call::One { buffer: std::ptr::from_mut(out), limit, given: false, twice: false };
    let (failure, call) = slot.enter(function, call, enter);
    let failure = match call {
        Call::One { twice: true, .. } => {
            Some(TaskError::abi(format!("{function} called result_alloc twice; a task has one result")))
        }
        _ => failure,
    };
    match failure {
        None => Ok((out.data.len() - base) as u32),
        Some(failure) => {
            out.data.truncate(base);
            Err(failure)
        }
    }
}

/// Takes over what a range call appended, as far as its numbers make sense.
fn accept(
    out: &mut OutBuffer,
    table: &Out,
    count: usize,
    limit: usize,
    failure: Option<TaskError>,
) -> RangeOutcome {
    let (base, lens_base) = (out.data.len(), out.lens.len());
    let broken = |message: String| RangeOutcome::failed(0, TaskError::abi(message));
    if table.lens_len > count {
        return broken(format!("run_range says that {} of {count} tasks are done", table.lens_len));
    }
    if table.data_len > out.data.capacity() - base {
        return broken(format!(
            "run_range says that it wrote {} bytes, more than it had room for",
            table.data_len
        ));
    }
    // SAFETY: both lengths are within the room that was lent, and the plugin says that it wrote them.
    unsafe {
        out.lens.set_len(lens_base + table.lens_len);
        out.data.set_len(base + table.data_len);
    }
    let lens = &out.lens[lens_base..];
    let (sum, longest) =
        lens.iter().fold((0_u64, 0), |(sum, longest), len| (sum + u64::from(*len), (*len).max(longest)));
    let wrong = match failure {
        None if sum != table.data_len as u64 => {
            Some("run_range returned lengths that are not those of its bytes")
        }
        Some(_) if sum > table.data_len as u64 => Some("run_range returned lengths beyond its bytes"),
        None if lens.is_empty() => Some("run_range returned without having done a task"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        out.lens.truncate(lens_base);
        out.data.truncate(base);
        return broken(wrong.to_owned());
    }
    out.data.truncate(base + sum as usize);
    let mut outcome = RangeOutcome { done: lens.len() as u64, failure };
    if longest as usize > limit {
        let over = lens.iter().position(|len| *len as usize > limit).unwrap_or(0);
        outcome = RangeOutcome::failed(over as u64, TaskError::limit(lens[over] as usize, limit));
    } else if outcome.failure.is_some() && lens.len() == count {
        // A failure after the last task: there is no other task to blame.
        outcome.done -= 1;
    }
    keep(out, lens_base + outcome.done as usize);
    outcome
}

/// Drops the results behind the first `tasks` of the buffer.
fn keep(out: &mut OutBuffer, tasks: usize) {
    let dropped: usize = out.lens[tasks..].iter().map(|len| *len as usize).sum();
    out.lens.truncate(tasks);
    out.data.truncate(out.data.len() - dropped);
}
