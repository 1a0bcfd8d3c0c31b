//! What ended an attempt, by its name and in one plain sentence.

use muster_proto::v1::{AttemptReport, FailureClass};

/// The name of a cause: what the evidence says, else the class of the failure.
pub fn name(attempt: &AttemptReport) -> String {
    match &attempt.evidence {
        Some(evidence) if !evidence.cause.is_empty() => evidence.cause.clone(),
        _ => class_name(attempt.class()).to_owned(),
    }
}

/// The sentence, from what a worker said and what is known of the signal.
pub fn sentence(cause: &str, message: &str, signal: Option<i32>, address: Option<u64>) -> String {
    match (cause, signal) {
        ("signal", Some(signal)) => fault(signal, address, message),
        ("memory", _) => format!("out of memory: {message}"),
        _ => message.to_owned(),
    }
}

/// A fault of the processor, by its common name and address. The worker's words say what it suggests and where it was.
fn fault(signal: i32, address: Option<u64>, message: &str) -> String {
    let (what, has_address) = match signal {
        libc::SIGSEGV => ("segmentation fault", true),
        libc::SIGBUS => ("bus error", true),
        libc::SIGFPE => ("arithmetic fault", false),
        libc::SIGILL => ("illegal instruction", false),
        _ => return message.to_owned(),
    };
    let Some((_, rest)) = message.split_once(&format!("(signal {signal})")) else {
        return format!("{what}: {message}");
    };
    match address.filter(|_| has_address) {
        Some(address) => {
            let rest = rest.replacen(&format!(" (address {address:#x})"), "", 1);
            format!("{what} at address {address:#x}{rest}")
        }
        None => format!("{what}{rest}"),
    }
}

/// A signal by its name and number, and who sent it where that was not the plugin.
pub fn signal_text(signal: i32, cause: &str) -> String {
    let name = match signal {
        libc::SIGABRT => " SIGABRT",
        libc::SIGSEGV => " SIGSEGV",
        libc::SIGBUS => " SIGBUS",
        libc::SIGILL => " SIGILL",
        libc::SIGFPE => " SIGFPE",
        libc::SIGKILL => " SIGKILL",
        libc::SIGTERM => " SIGTERM",
        libc::SIGTRAP => " SIGTRAP",
        libc::SIGSYS => " SIGSYS",
        _ => "",
    };
    let sender = match (cause, signal) {
        ("timeout", libc::SIGTERM) => ", which muster sent after the time limit, half of --grace later",
        ("timeout", libc::SIGKILL) => ", which muster sent after the time limit and all of --grace",
        ("killed", libc::SIGTERM | libc::SIGKILL) => ", which muster sent because the job was over",
        ("memory", libc::SIGKILL) => ", which the kernel sent at the memory limit",
        _ => "",
    };
    format!("{signal}{name}{sender}")
}

/// The name of a class of failures.
pub const fn class_name(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Unspecified => "unknown",
        FailureClass::Failed => "failed",
        FailureClass::Transient => "transient",
        FailureClass::Crashed => "crashed",
        FailureClass::Cancelled => "cancelled",
        FailureClass::Panicked => "panicked",
        FailureClass::Limit => "limit",
        FailureClass::Timeout => "timeout",
        FailureClass::Memory => "memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_its_address_its_reason_and_its_place() {
        let said = "SIGSEGV ended the executor (signal 11): a null pointer was written to (address 0x18); in row (a.c:7)";
        assert_eq!(
            sentence("signal", said, Some(libc::SIGSEGV), Some(24)),
            "segmentation fault at address 0x18: a null pointer was written to; in row (a.c:7)"
        );
        let without = "SIGSEGV ended the executor (signal 11): a pointer to where no memory can be";
        assert_eq!(
            sentence("signal", without, Some(libc::SIGSEGV), None),
            "segmentation fault: a pointer to where no memory can be"
        );
        let divided = "SIGFPE ended the executor (signal 8): an integer was divided by zero";
        assert_eq!(
            sentence("signal", divided, Some(libc::SIGFPE), Some(9)),
            "arithmetic fault: an integer was divided by zero"
        );
        assert_eq!(sentence("failed", "no", None, None), "no");
    }

    #[test]
    fn a_signal_says_who_sent_it() {
        assert_eq!(signal_text(libc::SIGSEGV, "signal"), "11 SIGSEGV");
        assert!(signal_text(libc::SIGTERM, "timeout").contains("which muster sent after the time limit"));
        assert!(signal_text(libc::SIGKILL, "memory").contains("the kernel"));
        assert_eq!(signal_text(99, "signal"), "99");
    }

    #[test]
    fn the_evidence_names_the_cause_and_else_the_class() {
        let report = |cause: &str| AttemptReport {
            class: FailureClass::Panicked.into(),
            evidence: Some(muster_proto::v1::Evidence { cause: cause.into(), ..Default::default() }),
            ..Default::default()
        };
        assert_eq!((name(&report("")).as_str(), name(&report("aborted")).as_str()), ("panicked", "aborted"));
    }
}
