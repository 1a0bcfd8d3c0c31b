//! The functions behind the host's table.

use crate::channel::{CHANNELS, Queues};
use crate::metrics::Metrics;
use crate::progress::progress_word;
use crate::range::OutBuffer;
use crate::region::RegionError;
use crate::services::{HostServices, LogLevel};
use crate::slot::{Call, SlotState};
use crate::stack;
use muster_plugin_abi::{self as abi, Buf, CtxObject, ErrorText, Host, Out, Str, status};
use std::ffi::{CStr, c_char, c_void};
use std::fmt::Display;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Longer lines of a plugin's log are cut.
const LOG_LINE_BYTES_MAX: usize = 64 << 10;

/// Walking a stack takes some tens of microseconds: a plugin that fails all the time must not spend them each time.
const CAPTURES_PER_SECOND: u32 = 8;
/// The deepest stack that is kept.
const STACK_CALLS_MAX: usize = 64;

/// What the callbacks work on. One per loaded plugin; lives until the process ends.
pub(crate) struct HostState {
    pub services: Arc<dyn HostServices>,
    pub metrics: Metrics,
    pub captures: Captures,
    pub queues: Queues,
}

/// Stacks that were kept in the running second.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    second: AtomicU64,
    count: AtomicU32,
}

impl Captures {
    /// Whether another one may be kept.
    fn take(&self, now_ns: u64) -> bool {
        let second = now_ns / 1_000_000_000;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.count.store(0, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed) < CAPTURES_PER_SECOND
    }
}

impl HostState {
    /// Makes the table. It and the state are never freed: a plugin's threads may use them at any time.
    pub(crate) fn publish(self) -> (&'static Self, &'static Host) {
        let state: &'static Self = Box::leak(Box::new(self));
        let host = Host {
            struct_size: abi::size_of_table::<Host>(),
            abi_major: abi::ABI_MAJOR as u16,
            abi_minor: abi::ABI_MINOR as u16,
            this: std::ptr::from_ref(state).cast_mut().cast(),
            log: Some(log),
            metric: Some(metric),
            metric_record: Some(metric_record),
            now_ns: Some(now_ns),
            progress: Some(progress),
            result_alloc: Some(result_alloc),
            out_reserve: Some(out_reserve),
            checkpoint: Some(checkpoint),
            blocking_begin: Some(blocking_begin),
            blocking_end: Some(blocking_end),
            extension: Some(extension),
        };
        (state, Box::leak(Box::new(host)))
    }
}

/// # Safety
/// `this` must be what the table says.
pub(crate) unsafe fn state(this: *mut c_void) -> &'static HostState {
    // SAFETY: `publish` leaked it, and it is never changed.
    unsafe { &*this.cast::<HostState>() }
}

/// The number of a slot; it never changes, so any thread may ask.
///
/// # Safety
/// `ctx` must be null or come from a running call.
unsafe fn number(ctx: *mut CtxObject) -> Option<u32> {
    // SAFETY: the caller's promise; the field is read in place, beside fields that may be in use.
    (!ctx.is_null()).then(|| unsafe { (*ctx.cast::<SlotState>()).number })
}

unsafe extern "C" fn log(this: *mut c_void, ctx: *mut CtxObject, level: u32, message: Str) {
    // SAFETY: the plugin passes the table's own pointer, a ctx it was given, and text that it lends.
    unsafe {
        let bytes = message.as_bytes();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LOG_LINE_BYTES_MAX)]);
        state(this).services.log(number(ctx), LogLevel::from_abi(level), text.trim_end());
    }
}

unsafe extern "C" fn metric(this: *mut c_void, kind: u32, name: Str) -> u32 {
    // SAFETY: as in `log`.
    unsafe { state(this).metrics.id(kind, name.as_bytes()) }
}

unsafe extern "C" fn metric_record(this: *mut c_void, metric: u32, value: f64) {
    // SAFETY: as in `log`.
    unsafe { state(this).metrics.record(metric, value) }
}

unsafe extern "C" fn now_ns(this: *mut c_void) -> u64 {
    // SAFETY: as in `log`.
    unsafe { state(this).services.now_ns() }
}

/// Any number of threads may be here at once, as often as they like: they share nothing but their own slot's words.
unsafe extern "C" fn progress(_this: *mut c_void, ctx: *mut CtxObject, done: u64, total: u64) {
    if ctx.is_null() {
        return;
    }
    let state = ctx.cast::<SlotState>();
    // SAFETY: the plugin passes the ctx of a running call; the pointers never change, and the slot's words outlive its
    // calls.
    let (current, progress) = unsafe { (&*(*state).current, &*(*state).progress) };
    let word = progress_word(current.load(Ordering::Relaxed), done, total);
    progress.store(word, Ordering::Relaxed);
}

unsafe extern "C" fn checkpoint(this: *mut c_void, ctx: *mut CtxObject) -> i32 {
    // SAFETY: as in `log`; the slot's words outlive its calls.
    unsafe {
        let Some(slot) = number(ctx) else { return status::ABI };
        state(this).services.checkpoint(slot);
        let cancel: *const AtomicU32 = (*ctx.cast::<SlotState>()).cancel;
        if (*cancel).load(Ordering::Relaxed) == 0 { status::OK } else { status::CANCELLED }
    }
}

unsafe extern "C" fn blocking_begin(this: *mut c_void, ctx: *mut CtxObject) {
    // SAFETY: as in `log`.
    unsafe {
        if let Some(slot) = number(ctx) {
            state(this).services.blocking_begin(slot);
        }
    }
}

unsafe extern "C" fn blocking_end(this: *mut c_void, ctx: *mut CtxObject) {
    // SAFETY: as in `log`.
    unsafe {
        if let Some(slot) = number(ctx) {
            state(this).services.blocking_end(slot);
        }
    }
}

unsafe extern "C" fn extension(this: *mut c_void, id: *const c_char) -> *const c_void {
    // SAFETY: the plugin gives null or a text that ends with NUL.
    let id = (!id.is_null()).then(|| unsafe { CStr::from_ptr(id) });
    match id {
        Some(id) if id == abi::EXT_BACKTRACE => (&raw const BACKTRACE).cast(),
        Some(id) if id == abi::EXT_SHARED => (&raw const SHARED).cast(),
        Some(id) if id == abi::EXT_CHANNEL => (&raw const CHANNELS).cast(),
        // SAFETY: as in `log`.
        Some(id) if id == abi::EXT_REHEARSAL && unsafe { state(this) }.services.rehearses(0).is_some() => {
            (&raw const REHEARSAL).cast()
        }
        Some(id) if id == abi::EXT_SCRATCH => (&raw const SCRATCH).cast(),
        Some(_) | None => std::ptr::null(),
    }
}

static BACKTRACE: abi::Backtrace = abi::Backtrace {
    struct_size: abi::size_of_table::<abi::Backtrace>(),
    reserved0: 0,
    capture: Some(capture),
};

static SHARED: abi::Shared =
    abi::Shared { struct_size: abi::size_of_table::<abi::Shared>(), reserved0: 0, region: Some(region) };

unsafe extern "C" fn region(
    this: *mut c_void,
    job_id_hi: u64,
    job_id_lo: u64,
    name: Str,
    len: usize,
    out: *mut Buf,
    error: *mut ErrorText,
) -> i32 {
    let job = u128::from(job_id_hi) << 64 | u128::from(job_id_lo);
    // SAFETY: the plugin passes the table's own pointer and a name that it lends.
    let (state, name) = unsafe { (state(this), name.as_bytes()) };
    match find_region(state, job, name, len) {
        Ok(start) => {
            // SAFETY: the plugin passes room for the answer, as the header says.
            unsafe { out.write(Buf { ptr: start.as_ptr(), len }) };
            status::OK
        }
        // SAFETY: as above; null is allowed for those who do not want to know.
        Err(refused) => unsafe { refuse(error, refused.status(), 0, &refused) },
    }
}

/// Tells the plugin why it does not get what it asked for, if it wants to know; gives the status back.
///
/// # Safety
/// `error` must be null or valid for writing.
pub(crate) unsafe fn refuse(error: *mut ErrorText, status: i32, code: i32, why: &dyn Display) -> i32 {
    // SAFETY: the caller's promise.
    if let Some(error) = unsafe { error.as_mut() } {
        error.plugin_code = code;
        error.set(&why.to_string());
    }
    status
}

fn find_region(state: &HostState, job: u128, name: &[u8], len: usize) -> Result<NonNull<u8>, RegionError> {
    let bytes = name.len();
    let fits = (1..=abi::REGION_NAME_MAX).contains(&bytes);
    let name = std::str::from_utf8(name).ok().filter(|_| fits).ok_or(RegionError::Name { bytes })?;
    if len == 0 {
        return Err(RegionError::Empty { name: name.to_owned() });
    }
    state.services.region(job, name, len)
}

static REHEARSAL: abi::Rehearsal = abi::Rehearsal {
    struct_size: abi::size_of_table::<abi::Rehearsal>(),
    reserved0: 0,
    panics: Some(panics),
};

unsafe extern "C" fn panics(this: *mut c_void, hook: u32) -> u32 {
    // SAFETY: as in `log`.
    let asked = unsafe { state(this) }.services.rehearses(hook);
    u32::from(asked == Some(true))
}

unsafe extern "C" fn capture(this: *mut c_void, ctx: *mut CtxObject) {
    // SAFETY: as in `log`.
    let state = unsafe { state(this) };
    if ctx.is_null() || !state.captures.take(state.services.now_ns()) {
        return;
    }
    // SAFETY: as in `result_alloc`: only the thread of the running call is here.
    let kept = unsafe { &mut (*ctx.cast::<SlotState>()).stack };
    kept.clear();
    stack::walk(|address| {
        kept.push(address);
        kept.len() < STACK_CALLS_MAX
    });
}

static SCRATCH: abi::Scratch =
    abi::Scratch { struct_size: abi::size_of_table::<abi::Scratch>(), reserved0: 0, dir: Some(scratch_dir) };

unsafe extern "C" fn scratch_dir(
    this: *mut c_void,
    ctx: *mut CtxObject,
    path: *mut Str,
    error: *mut ErrorText,
) -> i32 {
    if ctx.is_null() || path.is_null() {
        return status::ABI;
    }
    // SAFETY: as in `result_alloc`: only the thread of the running call is here; the slot's words outlive its calls.
    let (root, index, scratch) = unsafe {
        let slot = ctx.cast::<SlotState>();
        let index = (*(*slot).current).load(Ordering::Relaxed);
        (state(this).services.scratch_root(), index, &mut (*slot).scratch)
    };
    match scratch.of(index, root) {
        Ok(folder) => {
            // SAFETY: the plugin gave room for it; the text lives as long as the folder.
            unsafe { *path = Str::new(folder) };
            status::OK
        }
        Err(why) => {
            let status = if why.is_full() { status::TRANSIENT } else { status::FAILED };
            // SAFETY: null or room for an error, which the plugin lends.
            unsafe { refuse(error, status, why.code(), &why) }
        }
    }
}

unsafe extern "C" fn result_alloc(_this: *mut c_void, ctx: *mut CtxObject, len: usize) -> Buf {
    if ctx.is_null() {
        return Buf::NONE;
    }
    // SAFETY: the plugin passes the ctx of the call that this thread is in, so nobody else uses these fields.
    let (call, refused) =
        unsafe { (&mut (*ctx.cast::<SlotState>()).call, &mut (*ctx.cast::<SlotState>()).refused) };
    let Call::One { buffer, limit, given, twice } = call else { return Buf::NONE };
    *twice |= *given;
    *given = true;
    if len > *limit {
        *refused = Some((len, *limit));
    }
    if *twice || len > *limit {
        return Buf::NONE;
    }
    // SAFETY: the buffer belongs to the running call, which waits for the plugin to return.
    let data = unsafe { &mut (**buffer).data };
    let base = data.len();
    if data.try_reserve(len).is_err() {
        return Buf::NONE;
    }
    data.resize(base + len, 0);
    Buf { ptr: data[base..].as_mut_ptr(), len }
}

unsafe extern "C" fn out_reserve(_this: *mut c_void, ctx: *mut CtxObject, out: *mut Out, more: usize) -> i32 {
    if ctx.is_null() {
        return status::ABI;
    }
    // SAFETY: as in `result_alloc`; the limit does not change during a call.
    let (call, refused, limit) = unsafe {
        let state = ctx.cast::<SlotState>();
        (&mut (*state).call, &mut (*state).refused, (*state).result_limit)
    };
    let Call::Range { table, buffer, base, counted } = call else { return status::ABI };
    if out != *table {
        return status::ABI;
    }
    // SAFETY: it is the struct that this call lent to the plugin, and the buffer behind it.
    let (out, buffer) = unsafe { (&mut *out, &mut **buffer) };
    match grow(out, buffer, *base, counted, limit, more) {
        Ok(()) => status::OK,
        Err(NoRoom::Limit(len)) => {
            *refused = Some((len, limit));
            status::LIMIT
        }
        Err(NoRoom::Memory) => status::NOMEM,
        Err(NoRoom::Broken) => status::ABI,
    }
}

/// Why there is no more room.
enum NoRoom {
    /// The result would have so many bytes.
    Limit(usize),
    Memory,
    /// The plugin's numbers make no sense.
    Broken,
}

/// Makes room for `more` bytes behind what the plugin wrote so far.
fn grow(
    out: &mut Out,
    buffer: &mut OutBuffer,
    base: usize,
    counted: &mut (usize, usize),
    limit: usize,
    more: usize,
) -> Result<(), NoRoom> {
    let room = buffer.data.capacity() - base;
    if out.data_len > room
        || out.lens_len > buffer.lens.capacity() - buffer.lens.len()
        || out.lens_len < counted.0
    {
        return Err(NoRoom::Broken);
    }
    // SAFETY: checked above to lie in the room that was lent; the plugin wrote the lengths it counts.
    let new = unsafe {
        let lens = buffer.lens.as_ptr().add(buffer.lens.len());
        std::slice::from_raw_parts(lens.add(counted.0), out.lens_len - counted.0)
    };
    counted.1 += new.iter().map(|len| *len as usize).sum::<usize>();
    counted.0 = out.lens_len;
    let Some(unfinished) = out.data_len.checked_sub(counted.1) else { return Err(NoRoom::Broken) };
    if unfinished.saturating_add(more) > limit {
        return Err(NoRoom::Limit(unfinished.saturating_add(more)));
    }
    // SAFETY: within the capacity, checked above, and written by the plugin, which counts these bytes.
    unsafe { buffer.data.set_len(base + out.data_len) };
    let reserved = buffer.data.try_reserve(more);
    // The bytes of this call become part of the buffer only when it is over.
    let data = buffer.data.as_mut_ptr();
    buffer.data.truncate(base);
    if reserved.is_err() {
        return Err(NoRoom::Memory);
    }
    // SAFETY: `base` is within the buffer.
    out.data = unsafe { data.add(base) };
    out.data_cap = buffer.data.capacity() - base;
    Ok(())
}
