//! `chaos`: tasks that harm their process in a chosen way, to see what a fault costs under each model.
//!
//! Which tasks are struck follows from their number, the job's seed and, where it is asked for, the attempt: the same
//! in every run. A task that is not struck, or that survives its fault, gives its own number as its output, so
//! that results can be checked. Clusters that are shared refuse this workload unless they were started with
//! `--allow-chaos`.
//!
//! With `trace=FILE` every attempt appends a line to a file when it begins, when its fault strikes and when it has
//! done its work: what happened is then known also of processes that could no longer say it.
//!
//! Other workloads contain no `unsafe`. This one exists to do what safe code cannot; what it needs is in `strike.rs`.
//! Results with lying lengths cannot be made through the SDK, which counts the bytes itself; `corrupt-output` gives
//! bytes that are not of the kind that the manifest says.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aim;
mod answer;
mod strike;
mod trace;
mod work;

use aim::Aim;
use answer::Answer;
use muster_sdk::{Context, Counter, Error, Job, Task, Workload};
use strike::Amounts;
use trace::{Event, Trace};

muster_sdk::choices! {
    /// What happens to the tasks that are struck.
    pub enum Mode {
        /// The task fails for good.
        Error = "error",
        /// The task fails, and may be tried again.
        Transient = "transient",
        /// The task panics.
        Panic = "panic",
        /// The task panics, and what it drops meanwhile panics, too: Rust then aborts the process.
        PanicInDrop = "panic-in-drop",
        /// The process aborts.
        Abort = "abort",
        /// A write to address 64.
        Segv = "segv",
        /// Endless recursion.
        Stack = "stack",
        /// `exit(code)`.
        Exit = "exit",
        /// Takes memory until something stops it, or it has `bytes` of it.
        Oom = "oom",
        /// Keeps `bytes` of memory for ever, and goes on.
        Leak = "leak",
        /// Sleeps for ever and never looks at the cancel flag.
        Hang = "hang",
        /// As hang, and takes no notice of SIGTERM.
        Stubborn = "stubborn",
        /// The process kills itself: SIGKILL.
        Kill = "kill",
        /// Two threads wait for each other's lock.
        Deadlock = "deadlock",
        /// Keeps `files` descriptors open for ever, and goes on.
        FdLeak = "fd-leak",
        /// Starts `children` processes that sleep, and one in a session of its own, and goes on.
        ForkChildren = "fork-children",
        /// The output is no number.
        CorruptOutput = "corrupt-output",
        /// The work takes `factor` times as long.
        Slow = "slow",
    }
}

muster_sdk::params! {
    /// What happens, to which tasks, and how much of it.
    pub struct Params {
        /// What happens to the tasks that are struck.
        pub mode: Mode,
        /// Tasks below this number are not struck.
        pub after: u64 = 0 => 0..=u64::MAX,
        /// Of the others, the first and then each so-many-th may be struck.
        pub every: u64 = 1 => 1..=u64::MAX,
        /// Chance that one of those is struck: the same for every attempt of a task.
        pub probability: f64 = 1.0 => 0.0..=1.0,
        /// Draws the chance anew for each attempt.
        pub per_attempt: bool = false,
        /// Only the first so many attempts of a task are struck, so that trying again helps; 0: all.
        pub times: u32 = 0 => 0..=1_000,
        /// Milliseconds of waiting that are the work of each task, before any fault.
        pub ms: f64 = 1.0 => 0.0..=86_400_000.0,
        /// Milliseconds of waiting between two looks at the cancel flag.
        pub check_ms: u32 = 10 => 1..=86_400_000,
        /// Bytes of leak and oom; 0: 1 MiB a task for leak, 1 GiB for oom.
        pub bytes: u64 = 0 => 0..=1_099_511_627_776,
        /// Descriptors of fd-leak.
        pub files: u32 = 100 => 1..=10_000_000,
        /// Children of fork-children, beside the one in a session of its own.
        pub children: u32 = 20 => 0..=10_000,
        /// How long those children sleep, in seconds.
        pub child_s: u32 = 600 => 1..=86_400,
        /// How much longer the work of slow takes.
        pub factor: f64 = 10.0 => 1.0..=1_000_000.0,
        /// The exit code of exit.
        pub code: i32 = 0 => 0..=255,
        /// A file to which attempts append a line of JSON when they begin, are struck and have done their work.
        pub trace: String = "",
    }
}

struct Chaos {
    mode: Mode,
    aim: Aim,
    work: work::Work,
    amounts: Amounts,
    trace: Option<Trace>,
    faults: Counter,
}

impl Workload for Chaos {
    type Params = Params;
    type Output = Answer;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        Ok(Self {
            mode: params.mode,
            aim: Aim {
                after: params.after,
                every: params.every,
                probability: params.probability,
                per_attempt: params.per_attempt,
                times: params.times,
            },
            work: work::Work::new(params.ms, params.factor, params.check_ms),
            amounts: Amounts {
                bytes: params.bytes,
                files: params.files,
                children: params.children,
                child_seconds: params.child_s,
                code: params.code,
            },
            trace: Trace::open(&params.trace)?,
            faults: job.counter("faults_total"),
        })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Answer, Error> {
        let index = task.index();
        self.note(index, ctx, Event::Begin)?;
        let attempt = ctx.attempt();
        let struck = self.aim.strikes(index, attempt, ctx.random());
        let is_slow = struck && self.mode == Mode::Slow;
        if is_slow {
            self.begin_fault(index, ctx)?;
        }
        self.work.wait(is_slow, ctx)?;
        let answer = match struck {
            true if is_slow => Answer::Number(index),
            true => {
                self.begin_fault(index, ctx)?;
                strike::strike(self.mode, index, &self.amounts)?
            }
            false => Answer::Number(index),
        };
        self.note(index, ctx, Event::End)?;
        Ok(answer)
    }
}

impl Chaos {
    /// Counts and writes down what is about to happen, because afterwards nobody may be left to do so.
    fn begin_fault(&self, index: u64, ctx: &Context<'_>) -> Result<(), Error> {
        self.faults.add(1);
        self.note(index, ctx, Event::Strike)
    }

    fn note(&self, index: u64, ctx: &Context<'_>, event: Event) -> Result<(), Error> {
        match &self.trace {
            Some(trace) => trace.write(event, index, ctx.attempt(), ctx.slot()),
            None => Ok(()),
        }
    }
}

muster_sdk::export! {
    Chaos {
        name: "chaos",
        description: "Harms its process in a chosen way, in chosen tasks; for tests of clusters",
        default_tasks: 100,
        chaos: true,
        // What one job leaves behind must not be in the next one's way.
        multi_job: false,
        metrics: &[MetricSpec::counter("faults_total", "Faults that were about to strike")],
    }
}
