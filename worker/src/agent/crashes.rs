//! What the log tells of a job's crashes: the first of each kind in full, and at the end how many more there were. A job
//! of many crashes must not hide everything else there; the coordinator is told of each, and metrics count all.

use muster_core::agent::ExitCause;
use muster_core::id::JobId;
use std::collections::BTreeMap;

/// Kinds that are told apart; the rest counts as one more.
const KINDS_MAX: usize = 16;
const OTHERS: &str = "of several kinds";

/// The crashes of one job.
#[derive(Debug, Default)]
pub(super) struct Crashes(BTreeMap<String, u64>);

impl Crashes {
    /// Notes a crash; whether the log should tell of it.
    pub fn tells(&mut self, cause: ExitCause, detail: &str) -> bool {
        let mut kind = kind(cause, detail);
        if self.0.len() >= KINDS_MAX && !self.0.contains_key(&kind) {
            OTHERS.clone_into(&mut kind);
        }
        let count = self.0.entry(kind).or_default();
        *count += 1;
        *count == 1
    }

    /// Tells how many more there were of each kind, once.
    pub fn tell_rest(&mut self, job: JobId) {
        for (kind, more) in self.rest() {
            tracing::error!(%job, kind, "executors ended (and {more} more like it)");
        }
    }

    fn rest(&mut self) -> impl Iterator<Item = (String, u64)> + use<> {
        let kinds = std::mem::take(&mut self.0).into_iter();
        kinds.map(|(kind, count)| (kind, count - 1)).filter(|&(_, more)| more > 0)
    }
}

/// The cause and the detail without what differs from one crash to the next: addresses, who sent a signal, and what was
/// said last.
fn kind(cause: ExitCause, detail: &str) -> String {
    let detail = detail.split("; it last said: ").next().unwrap_or(detail);
    let mut kind = format!("{}: ", cause.name());
    let mut before = "";
    for word in detail.split(' ') {
        let is_sender = before == "process" && word.bytes().all(|byte| byte.is_ascii_digit());
        kind.push_str(if is_sender || word.starts_with("0x") { ".." } else { word });
        kind.push(' ');
        before = word;
    }
    kind.truncate(kind.trim_end().len());
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_is_told_and_the_rest_counted() {
        let mut crashes = Crashes::default();
        let at =
            |address: u64| format!("SIGSEGV ended the executor (signal 11): it read 0x{address:x} there");
        assert!(crashes.tells(ExitCause::Signal, &at(1)));
        assert!(!crashes.tells(ExitCause::Signal, &at(0xabc)));
        assert!(crashes.tells(ExitCause::Exited, "exit code 3; it last said: a"));
        assert!(!crashes.tells(ExitCause::Exited, "exit code 3; it last said: b"));
        assert!(!crashes.tells(ExitCause::Exited, "exit code 3"));
        assert!(crashes.tells(ExitCause::Exited, "exit code 4"));
        assert!(crashes.tells(ExitCause::Aborted, "process 12 sent it"));
        assert!(!crashes.tells(ExitCause::Aborted, "process 345 sent it"));
        let rest: Vec<_> = crashes.rest().collect();
        let signal = "signal: SIGSEGV ended the executor (signal 11): it read .. there".to_owned();
        let sent = "aborted: process .. sent it".to_owned();
        assert_eq!(rest, [(sent, 1), ("exited: exit code 3".to_owned(), 2), (signal, 1)]);
        assert_eq!(crashes.rest().count(), 0, "it is told once");
    }

    #[test]
    fn kinds_are_bounded() {
        let mut crashes = Crashes::default();
        let told = (0..1_000).filter(|code| crashes.tells(ExitCause::Exited, &format!("exit code {code}")));
        assert_eq!(told.count(), KINDS_MAX + 1);
        assert_eq!(crashes.rest().collect::<Vec<_>>(), [(OTHERS.to_owned(), 1_000 - KINDS_MAX as u64 - 1)]);
    }
}
