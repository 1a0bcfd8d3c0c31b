//! What a tab looks at, as its stream's query says.

use muster_core::id::JobId;
use muster_proto::v1::JobState;
use std::borrow::Cow;

/// Jobs on one page of the list.
pub const PAGE_JOBS: usize = 50;
/// The longest text to look for.
const TEXT_BYTES_MAX: usize = 100;

/// What a tab looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// Workers and totals.
    Cluster,
    /// A page of the list of jobs.
    Jobs {
        /// In this state alone.
        state: Option<JobState>,
        /// With these words, in small letters.
        text: String,
        /// Pages before this one.
        page: usize,
    },
    /// One job; 0 is the newest.
    Job(JobId),
    /// The plugins that are registered.
    Plugins,
    /// Comparisons that are kept.
    Reports,
}

/// A query that cannot be taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value:?}: {wanted}")]
pub struct QueryError {
    /// What was given.
    key: &'static str,
    /// Its value.
    value: String,
    /// What is wanted.
    wanted: &'static str,
}

/// States of jobs by the names they go by.
pub const STATES: [(JobState, &str); 6] = [
    (JobState::Waiting, "waiting"),
    (JobState::Running, "running"),
    (JobState::Paused, "paused"),
    (JobState::Done, "done"),
    (JobState::Failed, "failed"),
    (JobState::Cancelled, "cancelled"),
];

/// The name of a state.
pub fn state_name(state: JobState) -> &'static str {
    STATES.iter().find(|(known, _)| *known == state).map_or("unknown", |(_, name)| name)
}

impl View {
    /// The view that a query names: `view=jobs&page=2&state=failed&text=primes`.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let text = |key: &str| pairs(query).find(|(found, _)| found == key).map(|(_, value)| value);
        let kind = text("view").unwrap_or_default();
        match &*kind {
            "cluster" => Ok(Self::Cluster),
            "plugins" => Ok(Self::Plugins),
            "reports" => Ok(Self::Reports),
            "job" => Ok(Self::Job(JobId(number(query, "job")?.unwrap_or(0)))),
            "jobs" => {
                let state = text("state").filter(|state| !state.is_empty());
                let state = state.map(|name| state_of(&name)).transpose()?;
                let text = text("text").unwrap_or_default().to_lowercase();
                if text.len() > TEXT_BYTES_MAX {
                    return Err(wrong("text", &text, "at most 100 bytes are looked for"));
                }
                let page = number(query, "page")?.unwrap_or(1).max(1) - 1;
                let page = usize::try_from(page).unwrap_or(usize::MAX).min(usize::MAX / PAGE_JOBS);
                Ok(Self::Jobs { state, text, page })
            }
            other => Err(wrong("view", other, "cluster, jobs, job, plugins or reports is wanted")),
        }
    }
}

fn state_of(name: &str) -> Result<JobState, QueryError> {
    let known = STATES.iter().find(|(_, known)| *known == name);
    let wanted = "waiting, running, paused, done, failed or cancelled is wanted";
    known.map(|(state, _)| *state).ok_or_else(|| wrong("state", name, wanted))
}

/// A number of a query, when it is there.
pub fn number(query: &str, key: &'static str) -> Result<Option<u64>, QueryError> {
    let Some((_, value)) = pairs(query).find(|(found, _)| found == key) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| wrong(key, &value, "a whole number is wanted"))
}

fn wrong(key: &'static str, value: &str, wanted: &'static str) -> QueryError {
    QueryError { key, value: value.chars().take(100).collect(), wanted }
}

/// The pairs of a query, decoded.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decoded(key), decoded(value)))
}

/// `application/x-www-form-urlencoded`; what is no escape stays as it is, and what is no text is replaced.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_name_views_or_are_refused_with_one_line() {
        assert_eq!(View::parse("view=cluster"), Ok(View::Cluster));
        assert_eq!(View::parse("view=job&job=7"), Ok(View::Job(JobId(7))));
        let jobs = View::Jobs { state: Some(JobState::Failed), text: "a b/ü".into(), page: 1 };
        assert_eq!(View::parse("view=jobs&state=failed&text=A+b%2f%C3%BC&page=2"), Ok(jobs));
        let first = View::Jobs { state: None, text: "100%".into(), page: 0 };
        assert_eq!(View::parse("view=jobs&state=&text=100%&page=0"), Ok(first));
        for (bad, words) in [
            ("", "view is \"\""),
            ("view=nodes", "view is \"nodes\""),
            ("view=job&job=-1", "job is \"-1\""),
            ("view=jobs&state=odd", "state is \"odd\""),
            ("view=jobs&page=x", "page is \"x\""),
        ] {
            let error = View::parse(bad).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("wanted"), "{error}");
        }
        assert!(View::parse(&format!("view=jobs&text={}", "x".repeat(101))).is_err());
    }
}
