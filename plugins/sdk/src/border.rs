//! The functions behind the plugin's table. Each catches panics and turns errors into statuses.

use crate::manifest::Spec;
use crate::output::Sink;
use crate::{Context, Error, Job, Output, Params, Reduce, Workload, host, panic};
use muster_plugin_abi::{self as abi, AccObject, Buf, ErrorText, JobObject, Plugin, hook, status};
use std::fmt::Display;
use std::ops::RangeInclusive;

pub use crate::params::Fields;

/// Refuses a parameter outside of its range.
///
/// # Errors
/// [`Error::params`]
pub fn in_range<T: PartialOrd + Display>(
    name: &str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), Error> {
    if range.contains(value) {
        return Ok(());
    }
    let (from, to) = (range.start(), range.end());
    Err(Error::params(format_args!("parameter {name} is {value}; it must be from {from} to {to}")))
}

/// What the entry symbol returns: the table, or null for a host that is too old.
#[must_use]
#[allow(clippy::absurd_extreme_comparisons, reason = "the minor version is 0 for now")]
pub const fn entry(plugin: &'static Plugin, major: u32, minor: u32) -> *const Plugin {
    if major == abi::ABI_MAJOR && minor >= abi::ABI_MINOR { plugin } else { std::ptr::null() }
}

/// The table of a workload.
#[must_use]
pub const fn plugin<W: Workload>(spec: &Spec) -> Plugin {
    Plugin {
        struct_size: abi::size_of_table::<Plugin>(),
        abi_major: abi::ABI_MAJOR as u16,
        abi_minor: abi::ABI_MINOR as u16,
        name: abi::Str::new(spec.name),
        version: abi::Str::new(spec.version),
        flags: spec.flags(),
        load: Some(load),
        unload: None,
        create: Some(create::<W>),
        destroy: Some(destroy::<W>),
        run: None,
        run_range: Some(run_range::<W>),
        acc_new: None,
        acc_add: None,
        acc_merge: None,
        acc_take: None,
        acc_free: None,
        acc_join: None,
        extension: None,
    }
}

/// The table of a workload whose results can be combined.
#[must_use]
pub const fn reducing_plugin<W: Reduce>(spec: &Spec) -> Plugin {
    Plugin {
        acc_new: Some(acc_new::<W>),
        acc_add: Some(acc_add::<W>),
        acc_merge: Some(acc_merge::<W>),
        acc_take: Some(acc_take::<W>),
        acc_free: Some(acc_free::<W>),
        acc_join: Some(acc_join::<W>),
        ..plugin::<W>(spec)
    }
}

/// The table of a workload that has an async form.
#[cfg(feature = "async")]
#[must_use]
pub const fn async_plugin<W: crate::AsyncWorkload>(spec: &Spec) -> Plugin {
    Plugin { extension: Some(async_extension::<W>), ..plugin::<W>(spec) }
}

/// The table behind `muster.async/1`.
#[cfg(feature = "async")]
struct AsyncTable<W>(std::marker::PhantomData<W>);

#[cfg(feature = "async")]
impl<W: crate::AsyncWorkload> AsyncTable<W> {
    const TABLE: &'static abi::ExtAsync = &abi::ExtAsync {
        struct_size: abi::size_of_table::<abi::ExtAsync>(),
        reserved0: 0,
        drive: Some(drive::<W>),
    };
}

#[cfg(feature = "async")]
unsafe extern "C" fn async_extension<W: crate::AsyncWorkload>(
    id: *const std::ffi::c_char,
) -> *const std::ffi::c_void {
    // SAFETY: the host passes a C string.
    if !id.is_null() && unsafe { std::ffi::CStr::from_ptr(id) } == abi::EXT_ASYNC {
        std::ptr::from_ref(AsyncTable::<W>::TABLE).cast()
    } else {
        std::ptr::null()
    }
}

#[cfg(feature = "async")]
unsafe extern "C" fn drive<W: crate::AsyncWorkload>(
    job: *mut JobObject,
    call: *const abi::TaskCtx,
    table: *const abi::Async,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: `create` made the job, W is Sync, and the host gives the others as the header says.
    unsafe {
        guard(error, || {
            host::rehearse(hook::DRIVE);
            crate::interleaved::drive(&*job.cast::<W>(), &*call, &*table)
        })
    }
}

/// Runs `call`, and stores what went wrong where the host looks.
///
/// # Safety
/// `error` must be null or valid for writing.
#[inline]
unsafe fn guard(error: *mut ErrorText, call: impl FnOnce() -> Result<(), Error>) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { store(error, panic::guard(call)) }
}

/// As [`guard`], in a call with a context.
///
/// # Safety
/// As [`guard`], and `context` must have come with the call.
#[inline]
unsafe fn guard_in(
    context: *mut abi::CtxObject,
    error: *mut ErrorText,
    call: impl FnOnce() -> Result<(), Error>,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { store(error, panic::guard_in(context, call)) }
}

/// # Safety
/// `error` must be null or valid for writing.
#[inline]
unsafe fn store(error: *mut ErrorText, result: Result<Result<(), Error>, String>) -> i32 {
    match result {
        Ok(Ok(())) => status::OK,
        // SAFETY: the caller's promise.
        Ok(Err(failure)) => unsafe { tell(error, &failure) },
        // SAFETY: the caller's promise.
        Err(message) => unsafe { tell(error, &Error::new(status::PANIC, message)) },
    }
}

/// # Safety
/// `error` must be null or valid for writing.
#[cold]
unsafe fn tell(error: *mut ErrorText, failure: &Error) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { error.as_mut() }.map_or(failure.status(), |error| failure.store(error))
}

unsafe extern "C" fn load(table: *const abi::Host, error: *mut ErrorText) -> i32 {
    // SAFETY: the host gives a table that lives until the process ends, and room for an error.
    unsafe {
        guard(error, || {
            if !host::remember(table) {
                return Err(Error::new(status::ABI, "the host's table is older than this plugin's SDK"));
            }
            panic::install_hook();
            host::rehearse(hook::LOAD);
            Ok(())
        })
    }
}

unsafe extern "C" fn create<W: Workload>(
    params: *const abi::JobParams,
    out: *mut *mut JobObject,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: the host gives valid parameters, a place for the object and room for an error.
    unsafe {
        guard(error, || {
            host::rehearse(hook::CREATE);
            let given = &*params;
            if given.struct_size < abi::size_of_table::<abi::JobParams>() {
                return Err(Error::new(
                    status::ABI,
                    "the host's job parameters are older than this plugin's SDK",
                ));
            }
            let job = Job {
                id: u128::from(given.job_id_hi) << 64 | u128::from(given.job_id_lo),
                seed: given.seed,
                threads: given.threads,
                tasks: given.tasks,
                memory_limit: given.memory_limit,
            };
            let params = W::Params::from_json(given.params.as_slice())?;
            let workload = Box::new(W::create(params, &job)?);
            *out = Box::into_raw(workload).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn destroy<W: Workload>(job: *mut JobObject) {
    // SAFETY: `create` made this object from a box, and the host destroys it once, when no call is in it.
    let job = unsafe { Box::from_raw(job.cast::<W>()) };
    let _ = panic::guard(move || {
        let _job = job;
        host::rehearse(hook::DESTROY);
    });
}

unsafe extern "C" fn run_range<W: Workload>(
    job: *mut JobObject,
    range: *const abi::Range,
    call: *const abi::TaskCtx,
    out: *mut abi::Out,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: `create` made the job, W is Sync, and the host gives the others as the header says.
    unsafe {
        guard_in((*call).ctx, error, || {
            host::rehearse(hook::RUN);
            let workload = &*job.cast::<W>();
            let mut ctx = Context::new(&*call, &*range, out);
            workload.run_range(&mut ctx)
        })
    }
}

/// An accumulator; empty after `acc_take` or as the right side of a join.
type Acc<W> = Option<<W as Reduce>::Partial>;

/// The partial in `acc`.
///
/// # Safety
/// `acc` must come from `acc_new::<W>` and be used by this thread alone.
unsafe fn partial<'a, W: Reduce>(acc: *mut AccObject) -> Result<&'a mut Acc<W>, Error> {
    // SAFETY: the caller's promise.
    let acc = unsafe { &mut *acc.cast::<Acc<W>>() };
    if acc.is_some() { Ok(acc) } else { Err(Error::new(status::ABI, "the accumulator was already taken")) }
}

unsafe extern "C" fn acc_new<W: Reduce>(
    job: *mut JobObject,
    out: *mut *mut AccObject,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: `create` made the job; the host gives a place for the object and room for an error.
    unsafe {
        guard(error, || {
            host::rehearse(hook::ACC_NEW);
            let acc: Acc<W> = Some((*job.cast::<W>()).zero());
            *out = Box::into_raw(Box::new(acc)).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn acc_add<W: Reduce>(
    job: *mut JobObject,
    acc: *mut AccObject,
    result: abi::Bytes,
    index: u64,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: `create` and `acc_new` made the objects, the accumulator is this thread's, the bytes are borrowed.
    unsafe {
        guard(error, || {
            host::rehearse(hook::ACC_ADD);
            match partial::<W>(acc)? {
                Some(partial) => (*job.cast::<W>()).add(partial, index, result.as_slice()),
                None => Ok(()),
            }
        })
    }
}

unsafe extern "C" fn acc_merge<W: Reduce>(
    job: *mut JobObject,
    acc: *mut AccObject,
    bytes: abi::Bytes,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: as in `acc_add`.
    unsafe {
        guard(error, || {
            host::rehearse(hook::ACC_MERGE);
            let workload = &*job.cast::<W>();
            match partial::<W>(acc)? {
                Some(left) => workload.merge(left, workload.decode(bytes.as_slice())?),
                None => Ok(()),
            }
        })
    }
}

unsafe extern "C" fn acc_join<W: Reduce>(
    job: *mut JobObject,
    acc: *mut AccObject,
    other: *mut AccObject,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: as in `acc_add`; the host never gives the same accumulator twice.
    unsafe {
        guard(error, || {
            host::rehearse(hook::ACC_JOIN);
            match (partial::<W>(acc)?, partial::<W>(other)?.take()) {
                (Some(left), Some(right)) => (*job.cast::<W>()).merge(left, right),
                _ => Ok(()),
            }
        })
    }
}

unsafe extern "C" fn acc_take<W: Reduce>(
    job: *mut JobObject,
    acc: *mut AccObject,
    last: u32,
    call: *const abi::TaskCtx,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: as in `acc_add`; the host gives a valid call context.
    unsafe {
        guard(error, || {
            host::rehearse(hook::ACC_TAKE);
            let workload = &*job.cast::<W>();
            let Some(partial) = partial::<W>(acc)?.take() else { return Ok(()) };
            let bytes = if last == 0 {
                workload.encode(&partial)?
            } else {
                let total = workload.finish(partial)?;
                Sink::collect(|sink| total.append(sink))?
            };
            give(&*call, &bytes)
        })
    }
}

unsafe extern "C" fn acc_free<W: Reduce>(_job: *mut JobObject, acc: *mut AccObject) {
    // SAFETY: `acc_new` made this object from a box, and the host frees it once.
    let acc = unsafe { Box::from_raw(acc.cast::<Acc<W>>()) };
    let _ = panic::guard(move || {
        let _acc = acc;
        host::rehearse(hook::ACC_FREE);
    });
}

/// Gives the host a result as a whole.
fn give(call: &abi::TaskCtx, bytes: &[u8]) -> Result<(), Error> {
    let Some((host, alloc)) = host::table().and_then(|host| Some((host, host.result_alloc?))) else {
        return Err(Error::new(status::ABI, "the host cannot make room for results"));
    };
    // SAFETY: the function belongs to this table; ctx came with the running call.
    let Buf { ptr, len } = unsafe { alloc(host.this, call.ctx, bytes.len()) };
    if bytes.is_empty() {
        return Ok(());
    }
    if ptr.is_null() || len < bytes.len() {
        let size = bytes.len();
        return Err(Error::new(
            status::LIMIT,
            format_args!("the result of {size} bytes is over the job's limit"),
        ));
    }
    // SAFETY: the host lent `len` bytes at `ptr`, at least as many as there are.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), ptr, bytes.len()) };
    Ok(())
}
