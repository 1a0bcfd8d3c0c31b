//! From what was written to what can be run.

use super::error::ScenarioError;
use super::field::Table;
use super::keys;
use super::overrides::{self, Override};
use super::tree::Node;
use super::{Coordinator, Scenario, Scheduling, cluster, faults, jobs};
use muster_core::scheduler::{Config, PolicySpec};
use muster_core::time::Span;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Scenario files are written by people.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;
/// The largest seed: TOML's whole numbers end here.
pub const SEED_MAX: u64 = i64::MAX as u64;
const DEFAULT_SEED: u64 = 1;
const DEFAULT_UNTIL: Span = Span(30 * 86_400 * 1_000_000_000);
/// What the scheduler does when it is told nothing.
const DEFAULT_CLAIM: Span = Span::from_millis(1);
const DEFAULT_HOLD: Span = Span::from_millis(100);
/// Workers say ten times in it that they are alive.
const LEASE_MIN: Span = Span::from_millis(1);
/// Tasks and work that a slot may have waiting, at the most.
const CREDIT_TASKS_MAX: u64 = 1_000_000_000;

impl Scenario {
    /// Reads a scenario file, changed by what the command line says.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line: where, what, which value, what to do.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self, ScenarioError> {
        let text = read_text(path, FILE_BYTES_MAX)?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &path.to_string_lossy(), base, overrides)
    }

    /// Reads a scenario from text. Messages call it `file`; files that it names are looked for in `base`.
    ///
    /// # Errors
    /// As [`Scenario::read`].
    pub fn parse(text: &str, file: &str, base: &Path, overrides: &[Override]) -> Result<Self, ScenarioError> {
        let mut root = Node::parse(text, &Arc::from(file))?;
        for change in overrides {
            overrides::apply(&mut root, change)?;
        }
        let title =
            Path::new(file).file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy());
        scenario(&root, &title, base)
    }
}

/// The text of a file that has at most so many bytes.
pub(super) fn read_text(path: &Path, limit_bytes: u64) -> Result<String, ScenarioError> {
    let unreadable = |error| ScenarioError::Unreadable { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(ScenarioError::TooLarge { path: path.to_owned(), limit_bytes });
    }
    let not_text = |_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(bytes).map_err(not_text).map_err(unreadable)
}

fn scenario(root: &Node, title: &str, base: &Path) -> Result<Scenario, ScenarioError> {
    let top = Table::open(root, &keys::TOP, "the scenario")?;
    let name = top.get("name").map_or_else(|| Ok(title.to_owned()), |field| field.text())?;
    let links = cluster::links(&top)?;
    let workers = cluster::workers(&top, &links)?;
    let jobs = jobs::jobs(&top, &workers, base)?;
    let until = top.get("until").map_or(Ok(DEFAULT_UNTIL), |field| field.duration_above_zero())?;
    let (faults, notes) = faults::faults(&top, &workers, &jobs, until)?;
    Ok(Scenario {
        name,
        seed: top.whole("seed", 0..=SEED_MAX, DEFAULT_SEED)?,
        until,
        scheduling: scheduling(&top)?,
        coordinator: coordinator(&top)?,
        faults,
        notes,
        links,
        workers,
        jobs,
    })
}

fn scheduling(top: &Table<'_>) -> Result<Scheduling, ScenarioError> {
    let config = Config::default();
    let above_zero = |key, default| top.get(key).map_or(Ok(default), |field| field.duration_above_zero());
    Ok(Scheduling {
        policy: policy(top)?,
        lease: lease(top, config.lease)?,
        credit_tasks: top.whole("credit_tasks", 1..=CREDIT_TASKS_MAX, config.credit_tasks)?,
        credit: top.duration("credit", config.credit)?,
        claim: above_zero("claim", DEFAULT_CLAIM)?,
        hold: top.duration("hold", DEFAULT_HOLD)?,
    })
}

fn lease(top: &Table<'_>, usual: Span) -> Result<Span, ScenarioError> {
    let Some(field) = top.get("lease") else { return Ok(usual) };
    let lease = field.duration()?;
    if lease < LEASE_MIN {
        return Err(field.wrong("is too short: at least \"1ms\", ten heartbeats"));
    }
    Ok(lease)
}

fn policy(top: &Table<'_>) -> Result<PolicySpec, ScenarioError> {
    let Some(field) = top.get("policy") else { return Ok(PolicySpec::default()) };
    let text = field.text()?;
    text.parse().map_err(|error| field.wrong(format!("cannot be used: {error}")))
}

fn coordinator(top: &Table<'_>) -> Result<Coordinator, ScenarioError> {
    let Some(field) = top.get("coordinator") else {
        return Ok(Coordinator {
            per_message: Span::ZERO,
            per_byte_ps: 0,
            commit: Span::ZERO,
            bandwidth: None,
        });
    };
    let table = Table::open(field.node, &keys::COORDINATOR, "coordinator")?;
    Ok(Coordinator {
        per_message: table.duration("per_message", Span::ZERO)?,
        per_byte_ps: table.get("per_byte").map_or(Ok(0), |field| field.per_byte_ps())?,
        commit: table.duration("commit", Span::ZERO)?,
        bandwidth: table.rate("bandwidth")?,
    })
}
