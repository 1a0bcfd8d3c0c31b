//! Why an executor ended, in one of few causes and in words.

use crate::executor::EXIT_REFUSED;
use crate::os::process::{WaitStatus, signal_name};
use muster_core::agent::ExitCause;

/// What the agent knows about the end of an executor beside its wait status.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    /// The agent told it to end.
    pub stopped: bool,
    /// It said that it has run the task that it was started for.
    pub retired: bool,
    /// The agent killed it.
    pub killed: bool,
    /// Its worker has connected anew: what it does is of no use to anybody, though its job may go on.
    pub outdated: bool,
    /// It said that it cannot load its plugin or open its job.
    pub refusal: Option<String>,
    /// It broke the protocol.
    pub violation: Option<String>,
    /// The last lines it wrote.
    pub last_lines: Vec<String>,
}

/// The cause and a text for people.
pub(super) fn explain(status: Option<WaitStatus>, circumstances: &Circumstances) -> (ExitCause, String) {
    let Circumstances { stopped, retired, killed, outdated, refusal, violation, .. } = circumstances;
    if let Some(text) = violation {
        return (ExitCause::Protocol, violation_text(text));
    }
    if *killed {
        let why = if *outdated {
            "its worker has connected anew and starts over"
        } else {
            "its job is over, or starts anew here"
        };
        return (ExitCause::Killed, format!("muster killed the executor: {why}"));
    }
    if let Some(text) = refusal {
        return (ExitCause::LoadFailed, text.clone());
    }
    let (cause, text) = match status {
        Some(WaitStatus::Code(0)) if *stopped => (ExitCause::Stopped, "stopped".to_owned()),
        Some(WaitStatus::Code(0)) if *retired => (ExitCause::Retired, "it has run its task".to_owned()),
        Some(WaitStatus::Code(EXIT_REFUSED)) => {
            (ExitCause::Exited, "the executor ended before it could say why".to_owned())
        }
        Some(WaitStatus::Code(code)) => {
            (ExitCause::Exited, format!("the plugin ended its process with exit code {code}"))
        }
        Some(WaitStatus::Signal(libc::SIGABRT)) => {
            (ExitCause::Aborted, "the plugin aborted its process (SIGABRT)".to_owned())
        }
        Some(WaitStatus::Signal(libc::SIGKILL)) => {
            let text = "something outside muster killed the executor (SIGKILL); the kernel's log says whether it \
                        did so for want of memory";
            (ExitCause::Signal, text.to_owned())
        }
        Some(WaitStatus::Signal(signal)) => {
            (ExitCause::Signal, format!("{} ended the executor (signal {signal})", signal_name(signal)))
        }
        None => (ExitCause::Exited, "the executor is gone".to_owned()),
    };
    (cause, with_last_lines(text, &circumstances.last_lines))
}

/// How an executor that broke the rules ended.
pub(super) fn violation_text(text: &str) -> String {
    format!("the executor was ended: {text}")
}

fn with_last_lines(text: String, lines: &[String]) -> String {
    if lines.is_empty() { text } else { format!("{text}; it last said: {}", lines.join(" | ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_cause() {
        let none = Circumstances::default();
        let stopped = Circumstances { stopped: true, ..none.clone() };
        let retired = Circumstances { retired: true, ..none.clone() };
        let killed = Circumstances { killed: true, ..none.clone() };
        let refused = Circumstances { refusal: Some("bad".into()), ..none.clone() };
        let broken = Circumstances { violation: Some("odd frame".into()), killed: true, ..none.clone() };
        let signal = |signal| Some(WaitStatus::Signal(signal));
        let cases = [
            (Some(WaitStatus::Code(0)), &stopped, ExitCause::Stopped),
            (Some(WaitStatus::Code(0)), &retired, ExitCause::Retired),
            (Some(WaitStatus::Code(0)), &none, ExitCause::Exited),
            (Some(WaitStatus::Code(7)), &stopped, ExitCause::Exited),
            (Some(WaitStatus::Code(3)), &refused, ExitCause::LoadFailed),
            (signal(libc::SIGKILL), &killed, ExitCause::Killed),
            (signal(libc::SIGKILL), &none, ExitCause::Signal),
            (signal(libc::SIGSEGV), &none, ExitCause::Signal),
            (signal(libc::SIGABRT), &none, ExitCause::Aborted),
            (signal(libc::SIGKILL), &broken, ExitCause::Protocol),
        ];
        for (status, circumstances, expected) in cases {
            assert_eq!(explain(status, circumstances).0, expected, "{status:?} {circumstances:?}");
        }
        let outdated = Circumstances { outdated: true, ..killed.clone() };
        assert!(explain(signal(libc::SIGKILL), &killed).1.contains("its job is over"));
        assert!(explain(signal(libc::SIGKILL), &outdated).1.contains("connected anew"));
        let words = Circumstances { last_lines: vec!["first".into(), "second".into()], ..none };
        assert!(explain(signal(libc::SIGSEGV), &words).1.ends_with("it last said: first | second"));
    }
}
