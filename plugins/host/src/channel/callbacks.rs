//! The functions of `muster.channel/1`.

use super::spec::Spec;
use super::waiting::Waiting;
use super::{ChannelError, Channels};
use crate::callbacks::{HostState, refuse, state};
use crate::slot::SlotState;
use muster_plugin_abi::{self as abi, Buf, Bytes, CHANNEL_END, ChannelSpec, CtxObject, ErrorText, status};
use std::ffi::c_void;

pub(crate) static CHANNELS: abi::Channels = abi::Channels {
    struct_size: abi::size_of_table::<abi::Channels>(),
    reserved0: 0,
    open: Some(open),
    send: Some(send),
    receive: Some(receive),
    close: Some(close),
};

/// Acts on the channels of the running call, and says what came of it.
///
/// # Safety
/// `this` must be what the table says, `ctx` null or that of the call that this thread is in, and `error` null or valid.
unsafe fn within(
    this: *mut c_void,
    ctx: *mut CtxObject,
    error: *mut ErrorText,
    act: impl FnOnce(&'static HostState, u128, &mut Channels, &Waiting<'_>) -> Result<(), ChannelError>,
) -> i32 {
    // SAFETY: the caller's promise.
    let (host, slot) = unsafe { (state(this), ctx.cast::<SlotState>()) };
    // SAFETY: only the thread of the running call is here, and nobody else uses these fields; they are read in place,
    // beside others that may be in use.
    let job = if slot.is_null() { None } else { unsafe { (*slot).job } };
    let done = match job {
        None => Err(ChannelError::OutsideOfTask),
        Some(job) => {
            // SAFETY: as above; the slot's words outlive its calls.
            let (channels, cancel, number, deadline_ns) =
                unsafe { (&mut (*slot).channels, &*(*slot).cancel, (*slot).number, (*slot).deadline_ns) };
            let waiting = Waiting { services: &*host.services, slot: number, cancel, deadline_ns };
            act(host, job, channels, &waiting)
        }
    };
    let Err(refused) = done else { return status::OK };
    // SAFETY: the caller's promise.
    unsafe { refuse(error, refused.status(), 0, &refused) }
}

unsafe extern "C" fn open(
    this: *mut c_void,
    ctx: *mut CtxObject,
    spec: *const ChannelSpec,
    number: *mut u32,
    side: *mut u32,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: the plugin passes what the header says: the spec and its name are lent, and there is room for the answers.
    unsafe {
        within(this, ctx, error, |host, job, channels, waiting| {
            let opened = channels.open(job, &Spec::check(&*spec)?, &host.queues, waiting)?;
            let (found, got) = opened.map_or((u32::MAX, 0), |(number, side)| (number, side as u32 + 1));
            number.write(found);
            side.write(got);
            Ok(())
        })
    }
}

unsafe extern "C" fn send(
    this: *mut c_void,
    ctx: *mut CtxObject,
    number: u32,
    message: Bytes,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: as in `open`; the message is lent.
    unsafe {
        within(this, ctx, error, |_, _, channels, waiting| channels.send(number, message.as_slice(), waiting))
    }
}

unsafe extern "C" fn receive(
    this: *mut c_void,
    ctx: *mut CtxObject,
    number: u32,
    room: Buf,
    len: *mut usize,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: as in `open`; the room is the plugin's, and nobody else uses it meanwhile. No room may be null.
    unsafe {
        let room: &mut [u8] =
            if room.len == 0 { &mut [] } else { std::slice::from_raw_parts_mut(room.ptr, room.len) };
        within(this, ctx, error, |_, _, channels, waiting| {
            len.write(channels.receive(number, room, waiting)?.unwrap_or(CHANNEL_END));
            Ok(())
        })
    }
}

unsafe extern "C" fn close(
    this: *mut c_void,
    ctx: *mut CtxObject,
    number: u32,
    done: u32,
    error: *mut ErrorText,
) -> i32 {
    // SAFETY: as in `open`.
    unsafe { within(this, ctx, error, |_, _, channels, waiting| channels.close(number, done != 0, waiting)) }
}
