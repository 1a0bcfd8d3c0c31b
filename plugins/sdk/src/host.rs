//! The host's table, as `load` gave it to this plugin.

use crate::Error;
use muster_plugin_abi::{self as abi, CtxObject, ErrorText, Host, Str, status};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicPtr, Ordering};

static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());
/// What `muster plugin test` offers; null for every other host.
static REHEARSAL: AtomicPtr<abi::Rehearsal> = AtomicPtr::new(std::ptr::null_mut());

/// Remembers the host's table. False when it is older than this SDK needs.
///
/// # Safety
/// `host` must be null or point to a table that lives until the process ends.
pub(crate) unsafe fn remember(host: *const Host) -> bool {
    // SAFETY: the caller promises a live table, and every table begins with its size.
    let fits = !host.is_null() && unsafe { (*host).struct_size } >= abi::size_of_table::<Host>();
    if fits {
        HOST.store(host.cast_mut(), Ordering::Release);
        let rehearsal = extension::<abi::Rehearsal>(abi::EXT_REHEARSAL).map(|(_, found)| found);
        REHEARSAL.store(
            rehearsal.map_or(std::ptr::null_mut(), |found| std::ptr::from_ref(found).cast_mut()),
            Ordering::Release,
        );
    }
    fits
}

/// Panics when the host wants to see that this function of the table survives it. To be called inside of the guard.
#[inline]
pub(crate) fn rehearse(hook: u32) {
    // SAFETY: only `remember` stores here, and what a host offers lives as long as its table.
    if let Some(rehearsal) = unsafe { REHEARSAL.load(Ordering::Acquire).as_ref() } {
        panic_when_asked(rehearsal, hook);
    }
}

#[cold]
fn panic_when_asked(rehearsal: &abi::Rehearsal, hook: u32) {
    let Some((host, panics)) = table().and_then(|host| Some((host, rehearsal.panics?))) else { return };
    // SAFETY: the function belongs to the host of this table.
    let asked = unsafe { panics(host.this, hook) } != 0;
    assert!(!asked, "a rehearsal asked for this panic");
}

/// The host's table; none before `load`, as in a unit test of a workload.
pub(crate) fn table() -> Option<&'static Host> {
    // SAFETY: only `remember` stores here, and its caller promised that the table lives on.
    unsafe { HOST.load(Ordering::Acquire).as_ref() }
}

pub(crate) fn log(ctx: *mut CtxObject, level: u32, message: &str) {
    if let Some((host, log)) = table().and_then(|host| Some((host, host.log?))) {
        // SAFETY: the function belongs to this table; ctx is null or came from the running call.
        unsafe { log(host.this, ctx, level, Str::new(message)) }
    }
}

pub(crate) fn metric(kind: u32, name: &str) -> u32 {
    table().and_then(|host| Some((host, host.metric?))).map_or(0, |(host, metric)| {
        // SAFETY: the function belongs to this table.
        unsafe { metric(host.this, kind, Str::new(name)) }
    })
}

pub(crate) fn metric_record(metric: u32, value: f64) {
    if let Some((host, record)) = table().and_then(|host| Some((host, host.metric_record?))) {
        // SAFETY: the function belongs to this table.
        unsafe { record(host.this, metric, value) }
    }
}

/// An extension of the host, whose table begins with its size, when it is large enough to be read.
fn extension<T>(id: &CStr) -> Option<(&'static Host, &'static T)> {
    let (host, extension) = table().and_then(|host| Some((host, host.extension?)))?;
    // SAFETY: the function belongs to this table, and the id ends with NUL; what it gives lives as long as the table.
    unsafe {
        let found = extension(host.this, id.as_ptr());
        let is_whole = !found.is_null() && *found.cast::<u32>() >= abi::size_of_table::<T>();
        if is_whole { found.cast::<T>().as_ref().map(|found| (host, found)) } else { None }
    }
}

/// Keeps the stack of this thread with the failure of the running call, where the host can.
pub(crate) fn capture_stack(ctx: *mut CtxObject) {
    if let Some((host, capture)) =
        extension::<abi::Backtrace>(abi::EXT_BACKTRACE).and_then(|(host, found)| Some((host, found.capture?)))
    {
        // SAFETY: ctx came with the call that this thread is in.
        unsafe { capture(host.this, ctx) }
    }
}

/// Channels, where the host has them.
pub(crate) fn channels() -> Option<&'static abi::Channels> {
    extension(abi::EXT_CHANNEL).map(|(_, found)| found)
}

/// The job's region of shared memory of that name and length.
#[cfg(feature = "shared")]
pub(crate) fn region(job: u128, name: &str, bytes: usize) -> Result<std::ptr::NonNull<u8>, Error> {
    let none = || Error::unsupported("this host offers no shared memory (muster.shared/1)");
    let (host, shared) = extension::<abi::Shared>(abi::EXT_SHARED).ok_or_else(none)?;
    let region = shared.region.ok_or_else(none)?;
    let (mut room, mut text) = (abi::Buf::NONE, ErrorText::new());
    let (high, low) = ((job >> 64) as u64, job as u64);
    // SAFETY: the function belongs to the table; the name and both structs are valid during the call.
    let status = unsafe { region(host.this, high, low, Str::new(name), bytes, &raw mut room, &raw mut text) };
    if status != status::OK {
        return Err(Error::of_host(status, &text));
    }
    std::ptr::NonNull::new(room.ptr).filter(|_| room.len == bytes).ok_or_else(none)
}

/// The folder of the running task, where the host has any.
pub(crate) fn scratch_dir(ctx: *mut CtxObject) -> Result<Option<PathBuf>, Error> {
    let Some((host, dir)) =
        extension::<abi::Scratch>(abi::EXT_SCRATCH).and_then(|(host, found)| Some((host, found.dir?)))
    else {
        return Ok(None);
    };
    let (mut path, mut text) = (Str::new(""), ErrorText::new());
    // SAFETY: ctx came with the call that this thread is in; path and text are there to be written to.
    let code = unsafe { dir(host.this, ctx, &raw mut path, &raw mut text) };
    if code != status::OK {
        return Err(Error::of_host(code, &text));
    }
    // SAFETY: the host lends the path for as long as the folder is there.
    let path = unsafe { path.as_bytes() };
    Ok(Some(PathBuf::from(OsStr::from_bytes(path))))
}

pub(crate) fn now_ns() -> u64 {
    // SAFETY: the function belongs to this table.
    table().and_then(|host| Some((host, host.now_ns?))).map_or(0, |(host, now)| unsafe { now(host.this) })
}
