//! `exec`: runs a shell command for each task, as GNU parallel does on one machine.
//!
//! The task's input is the command's standard input. In the command `{}` stands for the input as one word and `{#}`
//! for the number of the task, from 0; `MUSTER_INDEX` and `MUSTER_ATTEMPT` tell number and attempt as well. An
//! input is never read as shell code, wherever `{}` stands; between single quotes it is not replaced. A command with
//! `{}` in a job without inputs fails.
//!
//! What the command writes and its exit code are the output: `{"stdout":..,"stderr":..,"exit":..}`. Of a long stderr the
//! end is kept. What is no UTF-8, a picture for example, comes whole as `stdout_base64` in place of `stdout` (and
//! `stderr_base64`): `jq -r .stdout_base64 FILE | base64 -d` gives its bytes, for each file of `--out DIR/` too. A command runs in a process group of its own. When
//! it ends, or the task is cancelled, what is left of the group is killed; only a process that made a session of its
//! own (`setsid`) gets away.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod capture;
mod group;
mod guard;
mod outcome;
mod run;
mod template;

use muster_sdk::{Context, Error, Job, Json, Task, Workload};
use outcome::Report;
use run::{Command, Limits};
use std::time::Duration;
use template::Template;

muster_sdk::params! {
    /// What to run.
    pub struct Params {
        /// The command, for `sh -c`; {} is the input as one word, {#} the number of the task.
        pub command: String,
        /// A command that is still running after so many seconds is killed and fails; 0: no limit.
        pub timeout_s: f64 = 0.0 => 0.0..=31_536_000.0,
        /// Whether a command that fails is tried again.
        pub retry: bool = false,
        /// Whether an exit code other than 0 is a failure; if not, it is part of the output.
        pub check: bool = true,
    }
}

struct Exec {
    template: Template,
    limits: Limits,
    retry: bool,
    check: bool,
}

impl Workload for Exec {
    type Params = Params;
    type Output = Json<Report>;

    fn create(params: Params, _job: &Job) -> Result<Self, Error> {
        let template = Template::new(&params.command)?;
        let timeout = (params.timeout_s > 0.0).then(|| Duration::from_secs_f64(params.timeout_s));
        let limits = Limits { timeout, ..Limits::default() };
        Ok(Self { template, limits, retry: params.retry, check: params.check })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Json<Report>, Error> {
        self.template.check_inputs(ctx.has_inputs())?;
        let command = Command {
            script: self.template.script(task.index()),
            word: self.template.word(task.input())?,
            input: task.input(),
            index: task.index(),
            attempt: ctx.attempt(),
        };
        let report =
            run::run(&command, &self.limits, ctx).map_err(|failure| failure.into_error(self.retry))?;
        if self.check && !report.succeeded() {
            return Err(report.into_error(self.retry));
        }
        Ok(Json(report))
    }
}

muster_sdk::export! {
    Exec {
        name: "exec",
        description: "Runs a shell command per task, with the input on stdin",
        input: Input::Optional,
        needs: &["exec"],
    }
}
