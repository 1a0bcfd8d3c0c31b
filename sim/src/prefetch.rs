//! Asking for memory before it is needed. In a large cluster everything about the next event's worker lies in memory
//! that no cache holds; asked for one event ahead, it arrives while the event before is handled. Measured with 10,000
//! workers: a quarter of the time.

/// Has a value brought into the cache, where the processor knows how; does nothing otherwise.
#[allow(unsafe_code)]
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(value).cast::<i8>();
        for at in (0..size_of::<T>()).step_by(LINE_BYTES) {
            // SAFETY: a prefetch is a hint: it reads nothing into the program and never faults, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Bytes that come together.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;
