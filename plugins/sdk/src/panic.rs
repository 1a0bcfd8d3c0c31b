//! Keeps panics on this side of the border, and remembers what they said.

use crate::host;
use muster_plugin_abi::CtxObject;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    /// True while this thread is in a call whose panic becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
    /// The context of the call that this thread is in; null in calls without one.
    static CONTEXT: Cell<*mut CtxObject> = const { Cell::new(std::ptr::null_mut()) };
}

/// Makes guarded panics silent: their message goes to the host instead of standard error. With
/// `RUST_BACKTRACE` set, and outside of guarded calls, the hook that was there speaks as well.
pub(crate) fn install_hook() {
    let backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let guarded = GUARDED.try_with(Cell::get).unwrap_or(false);
        if let (true, Some(place)) = (guarded, info.location()) {
            let place = format!(" at {}:{}", place.file(), place.line());
            let _ = PLACE.try_with(|cell| cell.replace(place));
            let context = CONTEXT.try_with(Cell::get).unwrap_or(std::ptr::null_mut());
            if !context.is_null() {
                // The stack is still whole here, and not where the panic is caught.
                host::capture_stack(context);
            }
        }
        if backtrace || !guarded {
            before(info);
        }
    }));
}

/// Runs `call`; a panic becomes its message.
pub(crate) fn guard<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a value that is no text");
        let message = format!("panicked{}: {text}", PLACE.take());
        drop_quietly(payload);
        message
    });
    GUARDED.set(outer);
    result
}

/// As [`guard`], in a call whose failure can have a stack.
pub(crate) fn guard_in<T>(context: *mut CtxObject, call: impl FnOnce() -> T) -> Result<T, String> {
    let outer = CONTEXT.replace(context);
    let result = guard(call);
    CONTEXT.set(outer);
    result
}

/// The value in a panic may itself panic when dropped; then what is left of it stays.
fn drop_quietly(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("again");
            }
        }
    }

    #[test]
    fn panics_become_messages_even_with_payloads_that_panic() {
        assert_eq!(guard(|| 5), Ok(5));
        assert!(guard(|| panic!("no {}", 7)).unwrap_err().ends_with(": no 7"));
        let bomb = guard(|| panic::panic_any(Bomb)).unwrap_err();
        assert!(bomb.ends_with("no text"), "{bomb}");
    }
}
