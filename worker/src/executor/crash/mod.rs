//! Writes a crash record when a signal ends this executor, or its plugin calls `exit`; see [`crate::crash`].
//!
//! Handlers are there before the plugin is loaded. A plugin that installs its own afterwards gets its signals first, and
//! usually calls what was there before for those that it cannot handle; one that only takes them is looked past: its
//! crashes leave no record. Handlers that were taken away are put back whenever a job opens. What a handler needs lies in
//! statics and in plain thread-locals, because nothing may be allocated or locked while a process dies.

mod handler;
mod maps;
mod stack;
mod thread;

pub(super) use thread::{enter_control, enter_task};

use crate::crash::layout::{Layout, RECORD_BYTES};
use crate::os::memory::{Access, Mapping};
use handler::{SIGNALS, WATCH};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;

/// Maps the record and installs the handlers. Without them the executor works as well, and says less when it crashes.
pub(super) fn watch(record: &OwnedFd) -> io::Result<()> {
    let mapping = Mapping::new(record.as_fd(), RECORD_BYTES, Access::ReadWrite)?;
    // A child that a plugin forked must not write there.
    mapping.hide_from_children()?;
    let layout = mapping.start().as_ptr().cast::<Layout>();
    // Threads of the plugin may crash at any time until the process ends.
    std::mem::forget(mapping);
    WATCH.process.store(std::process::id(), SeqCst);
    WATCH.record.store(layout, SeqCst);
    // What was there before muster, for example of a sanitizer, still gets the signal afterwards; the standard
    // library's handler only turns stack overflows into SIGABRT.
    for (at, &signal) in SIGNALS.iter().enumerate() {
        if let Some(before) = handler::install(signal)
            && !is_own_code(before.sa_sigaction)
        {
            WATCH.keep_previous(at, before);
        }
    }
    handler::watch_exit();
    Ok(())
}

/// Puts the handlers back that a plugin set to the default or that were never there. Its own ones stay.
pub(super) fn watch_again() {
    if WATCH.record.load(SeqCst).is_null() {
        return;
    }
    for signal in SIGNALS {
        if handler::current(signal).is_some_and(|now| now.sa_sigaction == libc::SIG_DFL) {
            handler::install(signal);
        }
    }
}

/// Whether a handler is part of this executable, as that of its standard library is.
fn is_own_code(handler: libc::sighandler_t) -> bool {
    let base_of = |address: usize| {
        // SAFETY: an all-zero Dl_info is a valid value to be overwritten.
        let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: dladdr compares the address with the loaded objects and does not look at what is there.
        let known = unsafe { libc::dladdr(address as *const libc::c_void, &raw mut found) } != 0;
        known.then_some(found.dli_fbase as usize)
    };
    handler == libc::SIG_DFL
        || handler == libc::SIG_IGN
        || base_of(handler).is_some_and(|base| base_of(handler::own_address()) == Some(base))
}
