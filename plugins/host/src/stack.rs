//! The addresses on the calling thread's stack, by the unwinder that the standard library brings. Nothing here allocates
//! or takes a lock of its own, so that it can be used while a process dies.

use std::ffi::{c_int, c_void};

/// An opaque frame of the unwinder.
#[repr(C)]
struct UnwindContext {
    opaque: [u8; 0],
}

/// The unwinder goes on.
const GO_ON: c_int = 0;
/// The unwinder stops.
const STOP: c_int = 5;

unsafe extern "C" {
    fn _Unwind_Backtrace(
        visit: unsafe extern "C" fn(*mut UnwindContext, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIPInfo(frame: *mut UnwindContext, before: *mut c_int) -> usize;
}

/// Visits the calls of this thread, innermost first, with an address inside each calling instruction (of an interrupted
/// call: the interrupted instruction), until `visit` says `false`.
pub fn walk<F: FnMut(u64) -> bool>(mut visit: F) {
    // SAFETY: `step` is made for this `F`, and the closure lives until the walk is over.
    unsafe { _Unwind_Backtrace(step::<F>, (&raw mut visit).cast()) };
}

unsafe extern "C" fn step<F: FnMut(u64) -> bool>(frame: *mut UnwindContext, visit: *mut c_void) -> c_int {
    let mut before = 0;
    // SAFETY: the frame is the unwinder's, and `before` is valid to write to.
    let address = unsafe { _Unwind_GetIPInfo(frame, &raw mut before) } as u64;
    if address == 0 {
        return STOP;
    }
    // A return address stands behind the call, perhaps on the next line or in the next function.
    let address = if before == 0 { address - 1 } else { address };
    // SAFETY: `walk` gave the pointer to its closure, which nobody else uses meanwhile.
    let visit = unsafe { &mut *visit.cast::<F>() };
    if visit(address) { GO_ON } else { STOP }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn inner(depth: u32, found: &mut Vec<u64>) -> u32 {
        if depth > 0 {
            return inner(depth - 1, found) + 1;
        }
        walk(|address| {
            found.push(address);
            found.len() < 100
        });
        0
    }

    #[test]
    fn calls_are_found_from_the_inside() {
        let mut found = Vec::new();
        let depth = inner(5, &mut found);
        let here = inner as fn(u32, &mut Vec<u64>) -> u32 as usize as u64;
        let near = |address: &&u64| address.abs_diff(here) < 4_096;
        assert_eq!(depth, 5);
        assert!(found.iter().filter(near).count() >= 2, "{here:x} {found:x?}");
        let mut few = 0;
        walk(|_| {
            few += 1;
            few < 2
        });
        assert_eq!(few, 2);
    }
}
