//! Combines results of neighbouring tasks.

use crate::job::{Instance, Job};
use crate::outcome::{ErrorKind, TaskError};
use crate::range::{OutBuffer, one_result};
use crate::slot::Slot;
use muster_plugin_abi::{AccAddFn, AccFreeFn, AccJoinFn, AccMergeFn, AccObject, AccTakeFn, Bytes};
use std::sync::Arc;

/// Combined results may be as long as a length on the wire can say.
const COMBINED_BYTES_MAX: usize = u32::MAX as usize;

/// What to make of an accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// A partial for another process.
    Partial,
    /// The output of the job.
    Output,
}

/// The combined results of neighbouring tasks. Used by one thread at a time; after an error it should be
/// dropped.
#[derive(Debug)]
pub struct Accumulator {
    instance: Arc<Instance>,
    object: *mut AccObject,
    functions: Functions,
}

// SAFETY: the ABI lets the host use an accumulator from any thread, one at a time.
unsafe impl Send for Accumulator {}

#[derive(Clone, Copy, Debug)]
struct Functions {
    add: AccAddFn,
    merge: AccMergeFn,
    take: AccTakeFn,
    free: AccFreeFn,
    join: Option<AccJoinFn>,
}

impl Job {
    /// An accumulator of no tasks.
    ///
    /// # Errors
    /// When the plugin cannot combine results, or cannot make one.
    pub fn accumulator(&self, slot: &mut Slot<'_>) -> Result<Accumulator, TaskError> {
        Accumulator::new(self.instance()?, slot)
    }
}

impl Accumulator {
    fn new(instance: Arc<Instance>, slot: &mut Slot<'_>) -> Result<Self, TaskError> {
        let table = instance.table();
        let (Some(new), Some(add), Some(merge), Some(take), Some(free)) =
            (table.acc_new, table.acc_add, table.acc_merge, table.acc_take, table.acc_free)
        else {
            let message = "the plugin cannot combine results".to_owned();
            return Err(TaskError { kind: ErrorKind::Unsupported, code: 0, message });
        };
        let functions = Functions { add, merge, take, free, join: table.acc_join };
        let mut object = std::ptr::null_mut();
        let made = {
            let _turn = instance.turn();
            // SAFETY: the job object is alive, and `object` and the error's room are valid for writing.
            slot.enter_plain("acc_new", |error| unsafe { new(instance.object(), &raw mut object, error) })
        };
        noting_panic(&instance, made)?;
        if object.is_null() {
            return Err(TaskError::abi("acc_new returned OK without an accumulator"));
        }
        Ok(Self { instance, object, functions })
    }

    /// Adds the result of task `index`, which is behind all tasks added so far.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn add(&mut self, slot: &mut Slot<'_>, index: u64, result: &[u8]) -> Result<(), TaskError> {
        let add = self.functions.add;
        let _turn = self.instance.turn();
        // SAFETY: both objects are alive, and this thread alone uses the accumulator.
        let added = slot.enter_plain("acc_add", |error| unsafe {
            add(self.instance.object(), self.object, Bytes::new(result), index, error)
        });
        noting_panic(&self.instance, added)
    }

    /// Adds a serialised partial of the tasks right behind those added so far.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn merge(&mut self, slot: &mut Slot<'_>, partial: &[u8]) -> Result<(), TaskError> {
        let merge = self.functions.merge;
        let _turn = self.instance.turn();
        // SAFETY: as in `add`.
        let merged = slot.enter_plain("acc_merge", |error| unsafe {
            merge(self.instance.object(), self.object, Bytes::new(partial), error)
        });
        noting_panic(&self.instance, merged)
    }

    /// Adds the tasks of `other`, which are right behind those added so far.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn join(&mut self, slot: &mut Slot<'_>, other: Self) -> Result<(), TaskError> {
        let Some(join) = self.functions.join else {
            let partial = other.take(slot, Take::Partial)?;
            return self.merge(slot, &partial);
        };
        if !Arc::ptr_eq(&self.instance, &other.instance) {
            self.follow(&other, slot)?;
        }
        let turn = self.instance.turn();
        // SAFETY: all three objects are alive, and this thread alone uses the accumulators.
        let joined = slot.enter_plain("acc_join", |error| unsafe {
            join(self.instance.object(), self.object, other.object, error)
        });
        drop(turn);
        noting_panic(&self.instance, joined)
    }

    /// Moves to the job object of `other`: this one's job was renewed after a panic. Two accumulators are
    /// joined in the same way whether or not that lies between them, so that sums do not depend on it.
    fn follow(&mut self, other: &Self, slot: &mut Slot<'_>) -> Result<(), TaskError> {
        let mut moved = Self::new(Arc::clone(&other.instance), slot)?;
        std::mem::swap(self, &mut moved);
        let partial = moved.take(slot, Take::Partial)?;
        self.merge(slot, &partial)
    }

    /// The bytes of what was added, up to 4 GiB: the slot's limit is for results of tasks.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn take(self, slot: &mut Slot<'_>, what: Take) -> Result<Vec<u8>, TaskError> {
        let take = self.functions.take;
        let mut out = OutBuffer::new();
        let taken = {
            let _turn = self.instance.turn();
            one_result(slot, "acc_take", COMBINED_BYTES_MAX, &mut out, |ctx, error| {
                let last = u32::from(what == Take::Output);
                // SAFETY: both objects are alive, this thread alone uses the accumulator, and `ctx` is valid.
                unsafe { take(self.instance.object(), self.object, last, ctx, error) }
            })
        };
        noting_panic(&self.instance, taken)?;
        if what == Take::Output {
            self.instance.reduced().check_form(&out.data)?;
        }
        Ok(out.data)
    }
}

impl Drop for Accumulator {
    fn drop(&mut self) {
        let _turn = self.instance.turn();
        // SAFETY: `acc_new` made the object, and it is freed once, before its job.
        unsafe { (self.functions.free)(self.instance.object(), self.object) }
    }
}

/// After a panic the job gets a new object.
fn noting_panic<T>(instance: &Instance, result: Result<T, TaskError>) -> Result<T, TaskError> {
    if result.as_ref().is_err_and(|error| error.kind == ErrorKind::Panic) {
        instance.poison();
    }
    result
}
