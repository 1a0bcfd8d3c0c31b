//! Jobs as a list to look through: filtered, a page at a time, each as one row of plain numbers.

use super::{Driver, Refusal};
use muster_core::id::JobId;
use muster_proto::v1::JobState;

/// Which jobs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BrowseAsk {
    /// Those that have not ended alone.
    pub live: bool,
    /// In this state alone.
    pub state: Option<JobState>,
    /// With these words, in small letters, in number, plugin or label.
    pub text: String,
    /// So many of the newest are left out.
    pub skip: usize,
    /// So many at the most.
    pub limit: usize,
}

/// A page of a list of jobs.
#[derive(Clone, Debug, Default)]
pub struct JobRows {
    /// Newest first.
    pub rows: Vec<JobRow>,
    /// Jobs that are wanted, also on other pages.
    pub found: usize,
    /// All jobs.
    pub all: usize,
}

/// A job in a list.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// Its number.
    pub job: JobId,
    /// Name and version of its plugin.
    pub plugin: String,
    /// What its user calls it.
    pub label: String,
    /// What became of it.
    pub state: JobState,
    /// Its tasks so far.
    pub tasks: u64,
    /// No more tasks come.
    pub sealed: bool,
    /// Tasks with a result.
    pub ok: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Tasks that workers have.
    pub leased: u64,
    /// When it was submitted, Unix time in seconds.
    pub submitted_s: f64,
}

impl Driver {
    /// The jobs that are wanted, newest first.
    pub(super) fn browse(&self, ask: &BrowseAsk) -> Result<JobRows, Refusal> {
        let live = self.jobs.keys().rev().copied();
        let ended = self.ended.keys().rev().copied().filter(|_| !ask.live);
        let mut ids: Vec<JobId> = live.chain(ended).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        let mut page = JobRows { all: ids.len(), ..JobRows::default() };
        for id in ids {
            if !self.is_wanted(id, ask) {
                continue;
            }
            if page.found >= ask.skip && page.rows.len() < ask.limit {
                page.rows.extend(self.row(id));
            }
            page.found += 1;
        }
        Ok(page)
    }

    fn is_wanted(&self, id: JobId, ask: &BrowseAsk) -> bool {
        let live = self.jobs.get(&id);
        let known = live.map(|job| (*job.state.borrow(), &job.submission.label, &*job.plugin_name));
        let ended = || {
            let status = &self.ended.get(&id)?.status;
            let spec = status.spec.as_ref()?;
            Some((status.state(), &spec.label, spec.plugin.as_ref().map_or("", |plugin| &plugin.name)))
        };
        let Some((state, label, plugin)) = known.or_else(ended) else { return false };
        let has = |text: &str| text.to_lowercase().contains(&ask.text);
        ask.state.is_none_or(|wanted| wanted == state)
            && (ask.text.is_empty() || has(label) || has(plugin) || id.0.to_string() == ask.text)
    }

    fn row(&self, id: JobId) -> Option<JobRow> {
        let Some(job) = self.jobs.get(&id) else {
            let status = &self.ended.get(&id)?.status;
            let spec = status.spec.as_ref()?;
            let plugin = spec.plugin.as_ref();
            return Some(JobRow {
                job: id,
                plugin: plugin.map(|it| format!("{}@{}", it.name, it.version)).unwrap_or_default(),
                label: spec.label.clone(),
                state: status.state(),
                tasks: status.tasks,
                sealed: true,
                ok: status.ok,
                failed: status.failed,
                leased: 0,
                submitted_s: status.submitted_s,
            });
        };
        let plugin = &job.submission.plugin;
        Some(JobRow {
            job: id,
            plugin: format!("{}@{}", plugin.name, plugin.version),
            label: job.submission.label.clone(),
            state: *job.state.borrow(),
            tasks: job.tasks,
            sealed: job.sealed,
            ok: job.numbers.ok,
            failed: job.failed.len(),
            leased: self.scheduler.job(id).map_or(0, |view| view.leased),
            submitted_s: job.submitted_unix_ns as f64 / 1e9,
        })
    }
}
