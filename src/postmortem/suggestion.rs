//! What to do next, by cause.

/// One line of advice.
pub fn suggestion(cause: &str) -> &'static str {
    match cause {
        "signal" | "crashed" | "protocol" => {
            "run the task alone under a debugger; look for wild pointers, writes past the end of an array, and deep recursion"
        }
        "aborted" => {
            "look at the last lines: what aborts mostly says why (an assertion, a broken heap, an uncaught exception)"
        }
        "exited" => "the plugin, or a library of it, calls exit(): return an error instead",
        "memory" => "give it more with --mem, run fewer threads for each executor, or make tasks smaller",
        "timeout" => {
            "give it more with --timeout, or make tasks smaller; call checkpoint() in long loops, so that it can stop"
        }
        "panicked" => "the message says where: run the task alone with RUST_BACKTRACE=1",
        "limit" => "return less from a task, or ask for a higher limit",
        "transient" => {
            "what the task needs was not there: try again later, or allow more with --max-attempts"
        }
        "load_failed" => "check the plugin: muster plugin info PLUGIN",
        "cancelled" | "killed" | "stopped" | "retired" => "nothing is wrong with the task: it was stopped",
        _ => "the plugin said that the task cannot be done: look at its input and parameters",
    }
}
