//! What to do next, by cause.

/// What advice follows from.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    pub cause: &'a str,
    /// As the worker said it.
    pub message: &'a str,
    /// There is a backtrace.
    pub has_frames: bool,
}

/// One line of advice.
pub fn suggestion(failed: Failed<'_>) -> &'static str {
    match failed.cause {
        "signal" => of_fault(failed),
        "crashed" => "run the task alone under a debugger: it shows where the process ends",
        "protocol" => {
            "look for writes past the end of an array and for code that closes descriptors that are not its own"
        }
        "aborted" if failed.message.contains("panic in a destructor") => {
            "something that is dropped while a panic unwinds panics, too: do not panic in Drop"
        }
        "aborted" if failed.has_frames => {
            "look at the first call of the plugin below, and at the last lines: what aborts mostly says why"
        }
        "aborted" => {
            "look at the last lines: what aborts mostly says why (an assertion, a broken heap, an uncaught exception)"
        }
        "exited" => "the plugin, or a library of it, calls exit(): return an error instead",
        "memory" => "give it more with --mem, run fewer threads for each executor, or make tasks smaller",
        "timeout" => {
            "give it more with --timeout, or make tasks smaller; call checkpoint() in long loops, so that it can stop"
        }
        "panicked" if failed.has_frames => "the message and the first call below say where it panicked",
        "panicked" => "the message says what went wrong: run the task alone under a debugger to see where",
        "limit" => "return less from a task, or ask for a higher limit",
        "transient" => {
            "what the task needs was not there: try again later, or allow more with --max-attempts"
        }
        "load_failed" => "check the plugin: muster plugin check PLUGIN",
        "cancelled" | "killed" | "stopped" | "retired" => "nothing is wrong with the task: it was stopped",
        _ if failed.message.contains("the manifest says") => {
            "the plugin and its manifest disagree: give back what `output` in the manifest says, or correct the manifest"
        }
        _ if failed.message.starts_with("broken plugin") => {
            "the plugin broke the rules of muster_plugin.h: the message says which"
        }
        _ => "the plugin said that the task cannot be done: look at its input and parameters",
    }
}

/// By what the worker's words suggest.
fn of_fault(failed: Failed<'_>) -> &'static str {
    const BY_WORDS: [(&str, &str); 6] = [
        ("stack overflow", "bound the recursion, or move large local variables to the heap"),
        ("null pointer", "find out why the pointer is null in the first call of the plugin below"),
        ("non-canonical", "look for use after free, and for writes past the end of an array"),
        ("divided by zero", "check the divisor before the division"),
        ("illegal instruction", "build the plugin for this processor (no -march=native of another one)"),
        (
            "of a file that is not there",
            "look for a file that shrinks while it is mapped, and for a full disk",
        ),
    ];
    if failed.message.contains("something outside muster killed") {
        return "look at the kernel's log (dmesg): memory may have run out; else somebody sent it";
    }
    let by_words = BY_WORDS.iter().find(|(words, _)| failed.message.contains(words));
    by_words.map_or(
        "run the task alone under a debugger; look for wild pointers and writes past the end of an array",
        |(_, advice)| advice,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_what_happened() {
        let advice = |cause, message, has_frames| suggestion(Failed { cause, message, has_frames });
        for (cause, message, frames, words) in [
            (
                "failed",
                "broken plugin: the result has 5 bytes; the manifest says u64, which has 8",
                false,
                "manifest disagree",
            ),
            ("signal", "a null pointer was read", true, "pointer is null"),
            ("signal", "a stack overflow: calls nest", true, "recursion"),
            ("signal", "address 0x100 was read", true, "debugger"),
            ("panicked", "no", true, "below"),
            ("panicked", "no", false, "debugger"),
            ("aborted", "it last said: panic in a destructor during cleanup", true, "Drop"),
            ("failed", "no such file", false, "input and parameters"),
        ] {
            let said = advice(cause, message, frames);
            assert!(said.contains(words), "{cause} {message}: {said}");
            assert!(!said.contains("RUST_BACKTRACE"), "the stack is kept anyway");
        }
    }
}
