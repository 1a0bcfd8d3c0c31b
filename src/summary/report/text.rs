//! The numbers of a job as people read them.

use super::{Failed, Plugin, Report};
use crate::job::short;
use crate::summary::open_loop::OpenLoop;
use crate::summary::table::{bytes, number, pairs, seconds};
use crate::summary::times::Times;
use crate::summary::words::{class_name, counted, shape};
use muster_proto::v1;

impl Report {
    /// The summary for people.
    pub fn table(&self) -> String {
        let reason = self.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let Plugin { name, version, digest } = &self.plugin;
        let (shape, lock) = (self.shape(), self.gil_wait_s.as_ref().map_or("", |_| ", taking turns"));
        let mut rows = vec![
            ("job", format!("{} {}{reason}", self.job, self.state)),
            ("plugin", format!("{name} {version} ({})", digest.get(..12).unwrap_or_default())),
            ("ran on", format!("{}: {} ({}{lock})", self.cluster, shape, self.model)),
            ("tasks", self.tasks_row()),
        ];
        if self.wall_s > 0.0 {
            let ran = self.ok + self.failed > 0;
            let rate = if ran { format!(", {} tasks/s", short(self.tasks_per_s)) } else { String::new() };
            rows.push(("time", seconds(self.wall_s) + &rate));
        }
        if let Some(mean) = self.run_s.mean {
            rows.push(("a task", self.run_row(mean)));
        }
        rows.extend(self.open_loop.iter().flat_map(OpenLoop::rows));
        let busy = self.busy_share.map(|share| format!("{:.1} % busy while it had them", share * 100.0));
        let memory = self.peak_pss_bytes.map(|peak| format!("peak memory {}", bytes(peak)));
        let slots: Vec<String> = busy.into_iter().chain(memory).collect();
        if !slots.is_empty() {
            rows.push(("slots", slots.join(", ")));
        }
        if self.model == "spawn"
            && let Some(mean) = self.start_s.mean
        {
            rows.push((
                "a start",
                format!("{} mean, of {} processes", seconds(mean), number(self.executors_started)),
            ));
        }
        if let Some(wait) = &self.gil_wait_s {
            rows.push(("lock", self.lock_row(wait)));
        }
        if self.stand_in_threads > 0 {
            let threads = counted(self.stand_in_threads, "thread", "threads");
            rows.push(("async", format!("{threads} of each process stood in: {}", self.why_stand_ins)));
        }
        if let Some(output) = &self.output {
            rows.push(("output", output.clone()));
        } else if self.output_bytes > 0 {
            rows.push(("outputs", format!("{}, checksum {}", bytes(self.output_bytes), self.checksum)));
        }
        rows.extend(alike(&self.failures).iter().map(|failures| ("failed", line(failures))));
        let more = self.failed.saturating_sub(self.failures.len() as u64);
        if more > 0 {
            rows.push(("failed", format!("and {} more{}", number(more), self.all_failures())));
        }
        pairs(&rows)
    }

    /// What the lock did.
    fn lock_row(&self, wait: &Times) -> String {
        let mean = wait.mean.map_or_else(String::new, |mean| format!("waited {} a task, ", seconds(mean)));
        let p99 = wait.p99.map_or_else(String::new, |p99| format!("p99 {}, ", seconds(p99)));
        format!("{mean}{p99}handed over {} times on request", number(self.gil_handovers))
    }

    /// Where all failures of its tasks can be read.
    fn all_failures(&self) -> String {
        match self.outputs {
            _ if self.reduces => String::new(),
            v1::Outputs::Keep if self.total_s.is_none() => format!(": muster job results {}", self.job),
            v1::Outputs::Checksum => "; with --out FILE each has a line there".to_owned(),
            v1::Outputs::Unspecified | v1::Outputs::Keep | v1::Outputs::Stream => {
                "; each has its place in the outputs".to_owned()
            }
        }
    }

    /// Where it ran: nowhere yet, or workers of one size or several.
    fn shape(&self) -> String {
        let even = u64::from(self.workers) * u64::from(self.processes) * u64::from(self.threads);
        if self.workers == 0 {
            self.no_worker().to_owned()
        } else if even == u64::from(self.slots) {
            shape(self.workers, self.processes, self.threads)
        } else {
            format!(
                "{}, {}",
                counted(self.workers, "worker", "workers"),
                counted(self.slots, "thread in all", "threads in all")
            )
        }
    }

    /// Workers are known to the coordinator that gave them tasks, and it may have been restarted since.
    const fn no_worker(&self) -> &'static str {
        match (self.ok + self.failed > 0, self.ended) {
            (true, _) => "workers from before the coordinator's restart",
            (false, true) => "no worker",
            (false, false) => "no worker yet",
        }
    }

    fn tasks_row(&self) -> String {
        let mut text = format!("{} ok", number(self.ok));
        for (count, what) in [(self.failed, "failed"), (self.retried, "tried again")] {
            if count > 0 {
                text.push_str(&format!(", {} {what}", number(count)));
            }
        }
        if self.quarantined > 0 {
            text.push_str(&format!(" ({} of the failed in quarantine)", number(self.quarantined)));
        }
        let missing = self.tasks.saturating_sub(self.ok + self.failed);
        if missing > 0 {
            text.push_str(&format!(", {} {}", number(missing), if self.ended { "not run" } else { "to go" }));
        }
        if self.in_progress > 0.0 {
            text.push_str(&format!(" ({} done in running tasks)", short(self.in_progress)));
        }
        text
    }

    fn run_row(&self, mean: f64) -> String {
        let named = [("p50", self.run_s.p50), ("p99", self.run_s.p99)];
        let shown =
            named.iter().filter_map(|(name, time)| time.map(|time| format!(", {name} {}", seconds(time))));
        format!(
            "{} mean{} ({} timed: service time)",
            seconds(mean),
            shown.collect::<String>(),
            number(self.run_s.samples)
        )
    }
}

/// Failures of the same class with the same words, in the order of the first of each.
fn alike(failures: &[Failed]) -> Vec<Vec<&Failed>> {
    let mut kinds: Vec<Vec<&Failed>> = Vec::new();
    for failure in failures {
        let is_same = |kind: &&mut Vec<&Failed>| {
            kind.first().is_some_and(|first| first.class == failure.class && first.message == failure.message)
        };
        match kinds.iter_mut().find(is_same) {
            Some(kind) => kind.push(failure),
            None => kinds.push(vec![failure]),
        }
    }
    kinds
}

/// What tasks failed of. The class is told where the message does not.
fn line(failures: &[&Failed]) -> String {
    let Some(Failed { class, message, .. }) = failures.first() else { return String::new() };
    let indexes: Vec<String> = failures.iter().map(|failure| failure.index.to_string()).collect();
    let tasks = format!("{} {}", if indexes.len() == 1 { "task" } else { "tasks" }, indexes.join(", "));
    let told = message.starts_with(class) || message.starts_with("panic: ");
    if told || *class == class_name(v1::FailureClass::Failed) {
        return format!("{tasks}: {message}");
    }
    format!("{tasks} ({class}): {message}")
}
