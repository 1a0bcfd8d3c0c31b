//! The log of a process: on stderr, as text where people read it and as a JSON object per line where programs do. What is
//! logged says `MUSTER_LOG`, in the filters of `tracing`.

use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::io::IsTerminal as _;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Besides levels, a filter may be the beginning of these modules: `plugin` is what plugins log.
const TARGETS: [&str; 2] = ["muster", "plugin"];

/// A filter that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error(
    "MUSTER_LOG is `{filter}`: {why}; give error, warn, info, debug, trace or off, or filters of modules \
     as in muster_worker=debug,warn"
)]
pub struct FilterError {
    filter: String,
    why: String,
}

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Whoever gave a command: the log stands among what else is said to them, as text.
    User,
    /// Text on a terminal, and JSON otherwise.
    Operator,
}

/// Sends the log of this process to stderr: what `MUSTER_LOG` says, else `default` and worse. A second call changes nothing.
///
/// # Errors
/// `MUSTER_LOG` is no filter.
pub fn init(default: &str, reader: Reader) -> Result<(), FilterError> {
    let filter = match std::env::var_os("MUSTER_LOG") {
        Some(text) if !text.is_empty() => parse(&text.to_string_lossy())?,
        Some(_) | None => EnvFilter::new(default),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // It fails where there is one already.
    let _ = match reader {
        Reader::Operator if !is_terminal => log.event_format(Json).try_init(),
        Reader::Operator | Reader::User => log.with_ansi(is_terminal).try_init(),
    };
    Ok(())
}

/// A word that is no level would be taken for the name of a module, and nothing would be logged.
fn parse(text: &str) -> Result<EnvFilter, FilterError> {
    let wrong = |why: String| FilterError { filter: text.to_owned(), why };
    let is_known = |word: &&str| {
        word.is_empty()
            || word.contains(['=', '[', ':'])
            || word.parse::<LevelFilter>().is_ok()
            || TARGETS.iter().any(|target| word.starts_with(target))
    };
    if let Some(word) = text.split(',').map(str::trim).find(|word| !is_known(word)) {
        return Err(wrong(format!("`{word}` is no level")));
    }
    EnvFilter::try_new(text.trim()).map_err(|error| wrong(error.to_string()))
}

/// An event as one line of JSON.
struct Json;

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    level: String,
    target: &'a str,
    message: Value,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        let metadata = event.metadata();
        let line = Line {
            time: &time,
            level: metadata.level().as_str().to_ascii_lowercase(),
            target: metadata.target(),
            message: fields.remove("message").unwrap_or_else(|| Value::from("")),
            fields,
        };
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

/// What an event has beside its place.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    /// A line has these for itself.
    fn put(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            name @ ("time" | "level" | "target") => format!("{name}_"),
            name => name.to_owned(),
        };
        self.0.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// Where lines go, to be looked at.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_of_json_whatever_is_in_it() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(Json).finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!(worker = 3, share = 0.5, is_lost = true, name = "a\n\"b\"", level = %"high", "it\nbroke {}", 7);
        });
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "it\nbroke 7");
        assert_eq!((&line["level"], &line["level_"]), (&"warn".into(), &"high".into()));
        assert_eq!(
            (&line["worker"], &line["share"], &line["is_lost"]),
            (&3.into(), &0.5.into(), &true.into())
        );
        assert_eq!(line["name"], "a\n\"b\"");
        assert!(line["time"].as_str().unwrap().ends_with('Z') && line["target"].is_string(), "{line}");
    }

    #[test]
    fn what_is_no_filter_is_refused_in_one_line() {
        for good in
            ["info", "WARN", "off", "muster_worker=debug,warn", "h2=trace", "plugin", "muster_core", " info"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("verbose", "`verbose` is no level"),
            ("warn,loud", "`loud` is no level"),
            ("muster_worker=loud", "error parsing level filter"),
        ] {
            let text = parse(bad).unwrap_err().to_string();
            assert!(text.starts_with(&format!("MUSTER_LOG is `{bad}`: {why}")), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
    }
}
