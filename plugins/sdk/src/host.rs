//! The host's table, as `load` gave it to this plugin.

use muster_plugin_abi::{self as abi, CtxObject, Host, Str};
use std::ffi::CStr;
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
        REHEARSAL.store(offered::<abi::Rehearsal>(abi::EXT_REHEARSAL).cast_mut(), Ordering::Release);
    }
    fits
}

/// A table that the host offers under an id, large enough to be read; else null.
fn offered<T>(id: &CStr) -> *const T {
    let Some((host, extension)) = table().and_then(|host| Some((host, host.extension?))) else {
        return std::ptr::null();
    };
    // SAFETY: the function belongs to this table; what it gives begins with its size and lives as long as the table.
    unsafe {
        let found = extension(host.this, id.as_ptr());
        let fits = !found.is_null() && *found.cast::<u32>() >= abi::size_of_table::<T>();
        if fits { found.cast() } else { std::ptr::null() }
    }
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

/// Keeps the stack of this thread with the failure of the running call, where the host can.
pub(crate) fn capture_stack(ctx: *mut CtxObject) {
    // SAFETY: what a host offers lives as long as its table.
    let found = unsafe { offered::<abi::Backtrace>(abi::EXT_BACKTRACE).as_ref() };
    let host = table().zip(found.and_then(|found| found.capture));
    if let Some((host, capture)) = host {
        // SAFETY: ctx came with the call that this thread is in.
        unsafe { capture(host.this, ctx) }
    }
}

/// The job's region of shared memory of that name and length.
#[cfg(feature = "shared")]
pub(crate) fn region(job: u128, name: &str, bytes: usize) -> Result<std::ptr::NonNull<u8>, crate::Error> {
    use crate::Error;
    let none = || Error::unsupported("this host offers no shared memory (muster.shared/1)");
    let (host, extension) = table().and_then(|host| Some((host, host.extension?))).ok_or_else(none)?;
    // SAFETY: the function belongs to this table, and the id ends with NUL; what it gives lives as long as the table.
    let found = unsafe {
        let found = extension(host.this, abi::EXT_SHARED.as_ptr()).cast::<abi::Shared>();
        found.as_ref().filter(|found| found.struct_size >= abi::size_of_table::<abi::Shared>())
    };
    let region = found.and_then(|found| found.region).ok_or_else(none)?;
    let (mut room, mut text) = (abi::Buf::NONE, abi::ErrorText::new());
    let (high, low) = ((job >> 64) as u64, job as u64);
    // SAFETY: the function belongs to the table; the name and both structs are valid during the call.
    let status = unsafe { region(host.this, high, low, Str::new(name), bytes, &raw mut room, &raw mut text) };
    if status != abi::status::OK {
        return Err(Error::new(status, String::from_utf8_lossy(text.bytes())));
    }
    std::ptr::NonNull::new(room.ptr).filter(|_| room.len == bytes).ok_or_else(none)
}

pub(crate) fn now_ns() -> u64 {
    // SAFETY: the function belongs to this table.
    table().and_then(|host| Some((host, host.now_ns?))).map_or(0, |(host, now)| unsafe { now(host.this) })
}
