//! What it takes to run one task again, from the cluster that had it or from what the last failed run left.

use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use crate::postmortem::newest;
use crate::summary::{bytes, hex};
use bytes::Bytes;
use muster_proto::link::Link;
use muster_proto::v1;

/// One task.
#[derive(Clone, Debug)]
pub struct Case {
    /// The number of its job.
    pub job: u64,
    /// Its index.
    pub task: u64,
    /// What was submitted.
    pub spec: v1::JobSpec,
    /// The tasks that the job had.
    pub tasks: u64,
    /// Its input, when the job has inputs.
    pub input: Option<Bytes>,
}

/// From a cluster that is up; job 0 is the newest.
pub async fn of_cluster(link: &Link, job: u64, task: u64) -> Result<Case, Failure> {
    let reply = clients::jobs(link).case(v1::CaseRequest { job, index: task }).await;
    let reply = reply.map_err(|status| match status.code() {
        tonic::Code::FailedPrecondition => Failure::new(Exit::Job, status.message()),
        _ => Failure::about_job("looking for the task", &status),
    })?;
    Case::new(reply.into_inner(), task)
}

/// From what the last failed run on a private cluster left; job 0 is the one it had.
pub fn of_last_run(job: u64, task: u64) -> Result<Case, Failure> {
    let saved = newest()?.ok_or_else(|| {
        Failure::new(Exit::Connection, "no cluster is up, and no failed run is remembered")
            .hint("name a cluster with --cluster")
    })?;
    if job != 0 && job != saved.job {
        let hint = format!("the last failed run was job {}; name a cluster with --cluster", saved.job);
        let message = format!("no cluster is up that could know job {job}");
        return Err(Failure::new(Exit::Connection, message).hint(hint));
    }
    if task >= saved.tasks {
        let (job, tasks) = (saved.job, saved.tasks);
        return Err(Failure::new(Exit::Job, format_args!("job {job} has no task {task}: it has {tasks}")));
    }
    let reply = saved.cases.get(saved.job, saved.tasks, task).ok_or_else(|| {
        let message = format!(
            "the input of task {task} of the last failed run is not kept: it did not fail, or was \
                               not among the first 100 that did"
        );
        Failure::new(Exit::Job, message).hint("run it again, or see which tasks failed: muster job why")
    })?;
    Case::new(reply, task)
}

impl Case {
    fn new(reply: v1::CaseReply, task: u64) -> Result<Self, Failure> {
        let v1::CaseReply { job, spec, tasks, input } = reply;
        let input = match input {
            Some(input) if !input.kept => {
                let size = bytes(input.bytes);
                let message =
                    format!("the input of task {task} of job {job} was too large to be kept with it: {size}");
                return Err(Failure::new(Exit::Limit, message)
                    .hint("run it by itself: muster run PLUGIN --files FILE (or --lines FILE)"));
            }
            input => input.map(|input| input.data),
        };
        Ok(Self { job, task, spec: spec.unwrap_or_default(), tasks, input })
    }

    /// The plugin that it ran with.
    pub fn plugin(&self) -> v1::PluginRef {
        self.spec.plugin.clone().unwrap_or_default()
    }

    /// Refuses another plugin, and says what there is to say of other bytes of the same one.
    pub fn check_plugin(&self, found: &v1::PluginRef) -> Result<Option<String>, Failure> {
        let had = self.plugin();
        let Self { job, .. } = self;
        if had.name != found.name {
            let message = format!("job {job} ran the plugin {}, and this is {}", had.name, found.name);
            return Err(Failure::usage(message).hint("name the plugin that the job ran with, or another job"));
        }
        let other = had.digest != found.digest;
        Ok(other.then(|| {
            let short = |digest: &[u8]| hex(digest).chars().take(12).collect::<String>();
            let (had, found) = (short(&had.digest), short(&found.digest));
            format!("note: the plugin was changed since job {job}: it had digest {had}, this is {found}")
        }))
    }

    /// The job that runs this task and no other, once.
    pub fn job_spec(&self) -> v1::JobSpec {
        let once = v1::RetryPolicy {
            transient: 1,
            crashed: 1,
            panicked: 1,
            timeout: 1,
            memory: 1,
            ..self.spec.retry.unwrap_or_default()
        };
        let shape = self.spec.shape.unwrap_or_default();
        let model = match shape.model() {
            v1::Model::Async => v1::Model::Async,
            _ => v1::Model::Thread,
        };
        v1::JobSpec {
            tasks: self.tasks,
            open: false,
            shape: Some(v1::Shape { model: model.into(), processes: 1, threads: 1, ..shape }),
            weight: 1,
            priority: 0,
            max_attempts: 1,
            retry: Some(once),
            reduce: false,
            arrivals: None,
            task_samples: 0,
            // It runs for its author, on his own machine.
            sandbox: v1::Sandbox::Unspecified.into(),
            only: Some(v1::OnlyTask { index: self.task, input: self.input.clone().unwrap_or_default() }),
            ..self.spec.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(input: Option<v1::TaskInput>) -> Result<Case, Failure> {
        let plugin = v1::PluginRef { name: "a".into(), digest: vec![1; 32].into(), ..Default::default() };
        let spec = v1::JobSpec {
            plugin: Some(plugin),
            open: true,
            has_inputs: input.is_some(),
            reduce: true,
            seed: 9,
            ..Default::default()
        };
        Case::new(v1::CaseReply { job: 3, spec: Some(spec), tasks: 20, input }, 17)
    }

    #[test]
    fn a_case_becomes_a_job_of_one_task() {
        let input = v1::TaskInput { bytes: 2, kept: true, data: "in".into() };
        let spec = case(Some(input)).unwrap().job_spec();
        assert_eq!(
            (spec.tasks, spec.open, spec.reduce, spec.seed, spec.has_inputs),
            (20, false, false, 9, true)
        );
        assert_eq!(spec.only.unwrap(), v1::OnlyTask { index: 17, input: "in".into() });
        let large = v1::TaskInput { bytes: 5 << 20, ..Default::default() };
        let failure = case(Some(large)).unwrap_err();
        assert!(failure.to_string().contains("5.0 MiB") && failure.exit == Exit::Limit, "{failure}");
    }

    #[test]
    fn another_plugin_is_refused_and_another_build_is_told() {
        let case = case(None).unwrap();
        let other = v1::PluginRef { name: "b".into(), ..Default::default() };
        assert!(case.check_plugin(&other).unwrap_err().to_string().contains("job 3 ran the plugin a"));
        let rebuilt = v1::PluginRef { name: "a".into(), digest: vec![2; 32].into(), ..Default::default() };
        assert!(case.check_plugin(&rebuilt).unwrap().unwrap().contains("010101010101"));
        assert_eq!(case.check_plugin(&case.plugin()).unwrap(), None);
    }
}
