//! A log line as people read it, and as JSON.

use muster_plugin_host::LogLevel;
use muster_proto::v1::{LogLine, LogSource};

/// Writes log lines.
#[derive(Clone, Copy, Debug)]
pub struct LogText {
    colours: bool,
}

impl LogText {
    /// With colours for levels, or plain.
    pub const fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// `[12:03:04.123 task 17 worker-1 warn] text`.
    pub fn line(self, line: &LogLine) -> String {
        let who = if line.of_task {
            let again = if line.attempt > 1 { format!(" try {}", line.attempt) } else { String::new() };
            format!("task {}{again}", line.index)
        } else {
            format!("executor {}", line.executor)
        };
        let what = kind(line);
        let head = format!("[{} {who} {} {what:<5}]", time_of_day(line.time_ns), line.worker);
        let text = escaped(&line.text);
        match colour(line).filter(|_| self.colours) {
            Some(colour) => format!("\x1b[{colour}m{head}\x1b[0m {text}"),
            None => format!("{head} {text}"),
        }
    }

    /// The line as JSON.
    pub fn object(self, line: &LogLine) -> serde_json::Value {
        let task = line.of_task.then_some(line.index);
        serde_json::json!({
            "time_s": line.time_ns as f64 / 1e9,
            "worker": line.worker,
            "executor": line.executor,
            "task": task,
            "attempt": task.and(Some(line.attempt)),
            "source": if line.source() == LogSource::Call { "log" } else { "output" },
            "level": (line.source() == LogSource::Call).then(|| LogLevel::from_abi(line.level).name()),
            "text": String::from_utf8_lossy(&line.text),
        })
    }
}

fn kind(line: &LogLine) -> &'static str {
    // Standard output and standard error are one pipe, so that their lines keep their order.
    if line.source() == LogSource::Call { LogLevel::from_abi(line.level).name() } else { "print" }
}

fn colour(line: &LogLine) -> Option<u8> {
    match (line.source(), line.level) {
        (LogSource::Call, 0 | 1) => Some(31),
        (LogSource::Call, 2) => Some(33),
        (LogSource::Call, _) => Some(36),
        _ => None,
    }
}

/// The time of a day where we are, with milliseconds.
fn time_of_day(unix_ns: u64) -> String {
    let seconds = (unix_ns / 1_000_000_000) as libc::time_t;
    // SAFETY: tm is plain data for which zero is valid.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call; it keeps none of them.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
    let millis = unix_ns / 1_000_000 % 1_000;
    format!("{:02}:{:02}:{:02}.{millis:03}", parts.tm_hour, parts.tm_min, parts.tm_sec)
}

/// Text that does nothing to a terminal: control characters are written out, and what is no UTF-8 is replaced.
pub fn escaped(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '\t' => shown.push(letter),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LogLine {
        LogLine {
            time_ns: 5_123_456_789,
            of_task: true,
            index: 17,
            attempt: 1,
            source: LogSource::Call.into(),
            level: 2,
            text: b"a\x1b[2J\xff\tb".as_slice().into(),
            worker: "worker-1".into(),
            ..LogLine::default()
        }
    }

    #[test]
    fn a_line_is_compact_and_harmless() {
        let plain = LogText::new(false).line(&line());
        assert!(plain.ends_with(":05.123 task 17 worker-1 warn ] a\\u{1b}[2J\u{fffd}\tb"), "{plain}");
        let again = LogText::new(false).line(&LogLine { attempt: 2, ..line() });
        assert!(again.contains("task 17 try 2 worker-1"), "{again}");
        let own = LogLine { of_task: false, executor: 4, source: LogSource::Output.into(), ..line() };
        assert!(LogText::new(false).line(&own).contains(" executor 4 worker-1 print]"));
        assert!(LogText::new(true).line(&line()).starts_with("\x1b[33m["));
    }

    #[test]
    fn as_json_it_says_whose_it_is() {
        let object = LogText::new(false).object(&line());
        assert_eq!(
            (&object["task"], &object["level"], &object["source"]),
            (&17.into(), &"warn".into(), &"log".into())
        );
        let own = LogLine { of_task: false, source: LogSource::Output.into(), ..line() };
        let object = LogText::new(false).object(&own);
        assert!(
            object["task"].is_null() && object["level"].is_null() && object["attempt"].is_null(),
            "{object}"
        );
    }
}
