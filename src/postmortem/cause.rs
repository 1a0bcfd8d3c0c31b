//! What ended an attempt, by its name and in one plain sentence.

use crate::summary::bytes;
use muster_proto::v1::{AttemptReport, Evidence, FailureClass};

/// Addresses below this are a null pointer and a small offset.
const NULL_PAGE: u64 = 4096;

/// The name of a cause: what the evidence says, else the class of the failure.
pub fn name(attempt: &AttemptReport) -> String {
    match &attempt.evidence {
        Some(evidence) if !evidence.cause.is_empty() => evidence.cause.clone(),
        _ => class_name(attempt.class()).to_owned(),
    }
}

/// The sentence.
pub fn sentence(attempt: &AttemptReport) -> String {
    let none = Evidence::default();
    let evidence = attempt.evidence.as_ref().unwrap_or(&none);
    match name(attempt).as_str() {
        "signal" => signal(evidence, &attempt.message),
        "memory" => memory(evidence),
        "exited" if evidence.exited => {
            format!("the plugin ended its process with exit code {}", evidence.exit_code)
        }
        _ => attempt.message.clone(),
    }
}

fn memory(evidence: &Evidence) -> String {
    let limit = match evidence.memory_limit_bytes {
        0 => String::new(),
        limit => format!(" of {}", bytes(limit)),
    };
    format!("out of memory: the executor went over its memory limit{limit}")
}

fn signal(evidence: &Evidence, message: &str) -> String {
    let what = match evidence.signal {
        libc::SIGSEGV => "segmentation fault",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "arithmetic fault: an integer was divided by zero, or a division overflowed",
        libc::SIGILL => "illegal instruction",
        _ => return message.to_owned(),
    };
    if !evidence.has_address || !matches!(evidence.signal, libc::SIGSEGV | libc::SIGBUS) {
        return if evidence.has_address { what.to_owned() } else { message.to_owned() };
    }
    let address = evidence.address;
    let why = if message.contains("stack overflow") {
        ", a stack overflow"
    } else if address == 0 {
        ", a null pointer"
    } else if address < NULL_PAGE {
        ", a null pointer and an offset"
    } else {
        ""
    };
    format!("{what} at address 0x{address:x}{why}")
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
    fn a_cause_is_one_plain_sentence() {
        let fault = |signal, address| {
            let evidence = Evidence {
                cause: "signal".into(),
                signal,
                has_address: true,
                address,
                ..Evidence::default()
            };
            sentence(&AttemptReport { evidence: Some(evidence), ..AttemptReport::default() })
        };
        assert_eq!(fault(libc::SIGSEGV, 0), "segmentation fault at address 0x0, a null pointer");
        assert_eq!(
            fault(libc::SIGSEGV, 24),
            "segmentation fault at address 0x18, a null pointer and an offset"
        );
        assert_eq!(fault(libc::SIGBUS, 1 << 40), "bus error at address 0x10000000000");
        let plain = AttemptReport {
            class: FailureClass::Panicked.into(),
            message: "panic: no".into(),
            ..Default::default()
        };
        assert_eq!((name(&plain).as_str(), sentence(&plain).as_str()), ("panicked", "panic: no"));
    }
}
